#include "roles/dns/serve/request_int.h"

#include <stdio.h>

#define NOTE_BYTES 512
#define ANSWER_KEPT_BYTES 4096 /* larger ones are not kept with a request that waits for its next use */
#define FREE_REQUESTS_MAX 256

/* ---- life ---- */

static struct request *request_new(struct dns_worker *w)
{
	struct request *r;

	if (list_empty(&w->free_requests)) {
		r = xcalloc(1, sizeof(*r));
	} else {
		r = list_entry(w->free_requests.next, struct request, link_);
		uint8_t *bytes = r->answer.bytes;
		size_t cap = r->answer.cap_;
		list_del(&r->link_);
		w->n_free_requests--;
		memset(r, 0, sizeof(*r));
		r->answer.bytes = bytes;
		r->answer.cap_ = cap;
	}
	list_init(&r->link_);
	r->worker = w;
	w->n_requests++;
	return r;
}

static void request_free(struct request *r)
{
	struct dns_worker *w = r->worker;

	for (size_t i = 0; i < r->block->n_plugins; i++)
		if (r->scratch[i] && r->on_end_[i])
			r->on_end_[i](r->scratch[i]);
	w->n_requests--;
	dns_config_unref(r->config);
	if (w->n_free_requests < FREE_REQUESTS_MAX && r->answer.cap_ <= ANSWER_KEPT_BYTES) {
		w->n_free_requests++;
		list_append(&w->free_requests, &r->link_);
		return;
	}
	free(r->answer.bytes);
	free(r);
}

void requests_done(struct dns_worker *w)
{
	list_for(n, tmp, &w->free_requests) {
		struct request *r = list_entry(n, struct request, link_);
		list_del(n);
		free(r->answer.bytes);
		free(r);
	}
	w->n_free_requests = 0;
}

static void request_finish(struct request *r)
{
	r->done(r->done_ctx, r);
	request_free(r);
}

/* ---- the chain ---- */

static enum plugin_verdict step(struct request *r, struct plugin_instance *i)
{
	enum plugin_verdict v;

	r->stepping_ = true;
	r->resumed_ = false;
	v = r->back_ ? i->plugin->answer(r, i) : i->plugin->ask(r, i);
	r->stepping_ = false;
	return v == PLUGIN_LATER && r->resumed_ ? r->verdict_ : v;
}

/* Back to the asker, through those that it passed: `at` is the one that has answered, or has just let the answer pass. */
static void go_back(struct request *r)
{
	while (r->at > r->first_) {
		struct plugin_instance *i = &r->block->plugins[--r->at];
		enum plugin_verdict v = i->plugin->answer ? step(r, i) : PLUGIN_NEXT;
		if (v == PLUGIN_LATER)
			return;
		if (v == PLUGIN_DROP) {
			r->answer.len = 0;
			break;
		}
	}
	request_finish(r);
}

static void go_on(struct request *r)
{
	for (; r->at < r->block->n_plugins; r->at++) {
		struct plugin_instance *i = &r->block->plugins[r->at];
		enum plugin_verdict v = i->plugin->ask ? step(r, i) : PLUGIN_NEXT;
		if (v == PLUGIN_LATER)
			return;
		if (v == PLUGIN_DROP) {
			r->answer.len = 0;
			request_finish(r);
			return;
		}
		if (v == PLUGIN_ANSWERED) {
			r->by = i;
			r->back_ = true;
			go_back(r);
			return;
		}
	}
	/* Nobody's: CoreDNS says SERVFAIL as well. */
	request_note(r, "no plug-in of this block answers it");
	request_set_rcode(r, DNS_SERVFAIL, FROM_NOBODY);
	r->back_ = true;
	go_back(r);
}

void request_resume(struct request *r, enum plugin_verdict v)
{
	if (r->stepping_) {
		r->resumed_ = true;
		r->verdict_ = v;
		return;
	}
	if (v == PLUGIN_DROP) {
		r->answer.len = 0;
		request_finish(r);
	} else if (r->back_) {
		go_back(r);
	} else if (v == PLUGIN_ANSWERED) {
		r->by = &r->block->plugins[r->at];
		r->back_ = true;
		go_back(r);
	} else {
		r->at++;
		go_on(r);
	}
}

/* ---- beginnings ---- */

void request_change(struct request *r, const struct dns_name *name, uint16_t type)
{
	uint8_t *p = (uint8_t *)r->text_;

	if (&r->query.name != name)
		r->query.name = *name;
	r->query.type = type;
	p = mempcpy(p, name->wire, name->len);
	*p++ = (uint8_t)(type >> 8);
	*p++ = (uint8_t)type;
	*p++ = (uint8_t)(r->query.class >> 8);
	*p++ = (uint8_t)r->query.class;
	r->query.question = (struct str){ r->text_, (size_t)(p - (uint8_t *)r->text_) };
}

static void query_own(struct request *r, const struct dns_query *q)
{
	r->query = *q;
	r->query.options = r->query.reply_options = STR_NONE;
	request_change(r, &r->query.name, q->type);
}

static void asked_own(struct request *r, const struct dns_query *q)
{
	r->asked = *q;
	r->asked.options = r->asked.reply_options = STR_NONE;
	memcpy(r->asked_text_, q->question.ptr, q->question.len);
	r->asked.question.ptr = r->asked_text_;
}

void request_start(struct dns_worker *w, const struct dns_block *b, const struct dns_client *c, const struct dns_query *q,
		   json_t *trace, request_done_fn *done, void *ctx)
{
	struct request *r = request_new(w);

	r->config = dns_config_ref(b->config);
	r->block = b;
	r->client = *c;
	r->trace = trace;
	r->done = done;
	r->done_ctx = ctx;
	r->start_us = loop_now_us(w->loop);
	query_own(r, q);
	asked_own(r, q);
	go_on(r);
}

bool request_ask(struct request *r, const struct dns_name *name, uint16_t type, bool below, request_done_fn *done, void *ctx)
{
	const struct dns_block *b = r->block;
	struct request *top = r, *child;

	while (top->parent)
		top = top->parent;
	if (r->depth >= REQUEST_DEPTH_MAX || top->children >= REQUEST_CHILDREN_MAX)
		return false;
	if (!below)
		b = dns_config_block(r->config, b->transport, b->port, name);
	if (!b)
		return false;
	top->children++;
	child = request_new(r->worker);
	child->config = dns_config_ref(r->config);
	child->block = b;
	child->client = r->client;
	child->parent = r;
	child->depth = r->depth + 1;
	child->first_ = child->at = below ? r->at + 1 : 0;
	child->trace = r->trace;
	child->done = done;
	child->done_ctx = ctx;
	child->start_us = loop_now_us(r->worker->loop);
	child->query = r->query;
	request_change(child, name, type);
	asked_own(child, &r->asked);
	go_on(child);
	return true;
}

void request_ask_again(struct request *r, request_done_fn *done, void *ctx)
{
	struct request *again = request_new(r->worker);

	again->config = dns_config_ref(r->config);
	again->block = r->block;
	again->client = r->client;
	again->first_ = again->at = r->at + 1;
	again->no_cache = true;
	again->done = done;
	again->done_ctx = ctx;
	again->start_us = loop_now_us(r->worker->loop);
	again->query = r->query;
	request_change(again, &again->query.name, r->query.type);
	asked_own(again, &r->asked);
	go_on(again);
}

/* ---- for plug-ins ---- */

void *request_state(struct request *r, struct plugin_instance *i)
{
	void **at = &i->worker_states[r->worker->number];

	if (!*at)
		*at = i->plugin->worker_start(i, r->worker);
	return *at;
}

void request_set_answer(struct request *r, const void *message, size_t len, enum request_source from)
{
	if (len > r->answer.cap_) {
		free(r->answer.bytes);
		r->answer.cap_ = MAX(len, (size_t)DNS_UDP_BYTES_MAX);
		r->answer.bytes = xmalloc(r->answer.cap_);
	}
	if (len)
		memmove(r->answer.bytes, message, len);
	r->answer.len = len;
	r->source = from;
}

void request_set_rcode(struct request *r, enum dns_rcode rcode, enum request_source from)
{
	uint8_t *out = request_space(r);
	size_t n = dns_answer_error(out, DNS_MESSAGE_BYTES_MAX, &r->query, rcode);

	request_set_answer(r, out, n, from);
}

uint8_t *request_space(struct request *r)
{
	return r->worker->space;
}

void request_on_end(struct request *r, size_t at, void (*fn)(void *scratch))
{
	r->on_end_[at] = fn;
}

bool request_explains(const struct request *r)
{
	return r->trace != NULL;
}

void request_note(struct request *r, const char *fmt, ...)
{
	char text[NOTE_BYTES];
	va_list ap;

	if (!r->trace)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(r->trace, json_string(text));
}

void request_fail(struct request *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->failure, sizeof(r->failure), fmt, ap);
	va_end(ap);
	request_note(r, "%s", r->failure);
}
