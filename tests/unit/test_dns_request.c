/* A question's way through plug-ins: order, answers that come later, questions that ask questions, and what the client gets. */
#include "codec/dns.h"
#include "roles/dns/config/config_int.h"
#include "roles/dns/serve/answer.h"
#include "roles/dns/serve/request_int.h"
#include "roles/dns/serve/server.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

static struct loop *loop;
static struct quiesce *quiesce;
static struct dns_shared shared;
static struct dns_worker worker, *workers[1] = { &worker };
static char path[256]; /* who was called, in order */

static void called(const struct request *r, const struct plugin_instance *i)
{
	size_t n = strlen(path);

	snprintf(path + n, sizeof(path) - n, "%s%s%s", n ? " " : "", r->back_ ? "<" : "", i->plugin->name);
}

/* ---- plug-ins that do what their name says ---- */

static enum plugin_verdict passes(struct request *r, struct plugin_instance *i)
{
	called(r, i);
	return PLUGIN_NEXT;
}

static void put_a(struct request *r, uint8_t last)
{
	const uint8_t ip[4] = { 10, 0, 0, last };
	uint8_t out[DNS_UDP_BYTES_MIN];
	struct dns_writer w;

	dns_answer_start(&w, out, sizeof(out), &r->query);
	assert_true(dns_put(&w, DNS_ANSWER, DNS_QUESTION_AT, DNS_A, 30, &(struct dns_rdata){ ip, 4 }));
	request_set_answer(r, out, dns_answer_finish(&w, DNS_NOERROR, true), FROM_PLUGIN);
}

static enum plugin_verdict answers(struct request *r, struct plugin_instance *i)
{
	called(r, i);
	put_a(r, 1);
	return PLUGIN_ANSWERED;
}

static enum plugin_verdict drops(struct request *r, struct plugin_instance *i)
{
	called(r, i);
	return PLUGIN_DROP;
}

struct waiting {
	struct timer timer;
	struct request *r;
	enum plugin_verdict with;
};

static void fire(struct timer *t)
{
	struct waiting *w = t->ctx;
	struct request *r = w->r;
	enum plugin_verdict v = w->with;

	free(w);
	if (v == PLUGIN_ANSWERED)
		put_a(r, 2);
	request_resume(r, v);
}

static enum plugin_verdict wait_then(struct request *r, enum plugin_verdict v)
{
	struct waiting *w = xcalloc(1, sizeof(*w));

	*w = (struct waiting){ .timer = { .fire = fire, .ctx = w }, .r = r, .with = v };
	timer_start(loop, &w->timer, 1);
	return PLUGIN_LATER;
}

static enum plugin_verdict answers_later(struct request *r, struct plugin_instance *i)
{
	called(r, i);
	return wait_then(r, PLUGIN_ANSWERED);
}

static enum plugin_verdict passes_later(struct request *r, struct plugin_instance *i)
{
	called(r, i);
	return wait_then(r, PLUGIN_NEXT);
}

static enum plugin_verdict drops_later(struct request *r, struct plugin_instance *i)
{
	called(r, i);
	return wait_then(r, PLUGIN_DROP);
}

static enum plugin_verdict resumes_at_once(struct request *r, struct plugin_instance *i)
{
	called(r, i);
	request_resume(r, PLUGIN_NEXT);
	return PLUGIN_LATER;
}

static void child_done(void *ctx, struct request *child)
{
	struct request *r = ctx;

	request_set_answer(r, child->answer.bytes, child->answer.len, child->source);
	request_resume(r, PLUGIN_ANSWERED);
}

/* Asks itself the same again, for ever. */
static enum plugin_verdict asks_itself(struct request *r, struct plugin_instance *i)
{
	(void)i;
	if (request_ask(r, &r->query.name, r->query.type, false, child_done, r))
		return PLUGIN_LATER;
	request_set_rcode(r, DNS_SERVFAIL, FROM_PLUGIN);
	return PLUGIN_ANSWERED;
}

/* Asks those behind it for another name. */
static enum plugin_verdict asks_below(struct request *r, struct plugin_instance *i)
{
	struct dns_name other;

	called(r, i);
	assert_true(dns_name_from_text(STR("other.org"), &other));
	assert_true(request_ask(r, &other, DNS_A, true, child_done, r));
	return PLUGIN_LATER;
}

static int scratches_freed;

static void free_scratch(void *p)
{
	scratches_freed++;
	free(p);
}

static enum plugin_verdict remembers(struct request *r, struct plugin_instance *i)
{
	called(r, i);
	if (!r->back_) {
		r->scratch[r->at] = xstrdup("mine");
		request_on_end(r, r->at, free_scratch);
	} else {
		assert_string_equal(r->scratch[r->at], "mine");
	}
	return PLUGIN_NEXT;
}

static const struct plugin both = { .name = "both", .ask = passes, .answer = passes }, ask_only = { .name = "ask", .ask = passes },
			   answer_only = { .name = "back", .answer = passes }, nothing = { .name = "nothing" },
			   answerer = { .name = "answers", .ask = answers }, dropper = { .name = "drops", .ask = drops },
			   later = { .name = "later", .ask = answers_later },
			   pass_later = { .name = "passlater", .ask = passes_later, .answer = passes_later },
			   drop_later = { .name = "droplater", .ask = passes, .answer = drops_later },
			   at_once = { .name = "atonce", .ask = resumes_at_once, .answer = resumes_at_once },
			   endless = { .name = "endless", .ask = asks_itself }, below = { .name = "below", .ask = asks_below },
			   memory = { .name = "memory", .ask = remembers, .answer = remembers };

/* ---- a block of them ---- */

static struct plugin_instance instances[8];
static struct dns_name root = { .len = 1 };
static struct dns_block block = { .zones = &root, .n_zones = 1, .port = DNS_PORT, .plugins = instances };
static struct dns_config config = { .blocks = &block, .n_blocks = 1, .refs_ = 1, .shared_ = &shared };

static void use(const struct plugin *const *plugins)
{
	for (block.n_plugins = 0; plugins[block.n_plugins]; block.n_plugins++)
		instances[block.n_plugins] =
			(struct plugin_instance){ .plugin = plugins[block.n_plugins], .block = &block };
	path[0] = '\0';
}

static int setup(void **state)
{
	struct err e;

	(void)state;
	loop = loop_new(&e);
	quiesce = quiesce_new(loop);
	block.config = &config;
	config.index_ = block_index_new(&config, &e);
	assert_non_null(config.index_);
	shared = (struct dns_shared){ .main_loop = loop, .quiesce = quiesce, .config = &config, .workers = workers, .n_workers = 1 };
	worker.loop = loop;
	worker.shared = &shared;
	list_init(&worker.free_requests);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	requests_done(&worker);
	block_index_free(config.index_);
	quiesce_free(quiesce);
	loop_free(loop);
	return 0;
}

struct outcome {
	int calls;
	bool waited_for;
	size_t len;
	uint8_t bytes[DNS_MESSAGE_BYTES_MAX];
};

static void on_done(void *ctx, struct request *r)
{
	struct outcome *o = ctx;

	o->calls++;
	o->len = r->answer.len ? answer_render(r, &r->asked, o->bytes, DNS_UDP_BYTES_MIN) : 0;
	if (o->waited_for)
		loop_stop(loop);
}

static struct dns_query query_of(const char *name, char *text)
{
	struct dns_query q = { .id = 7, .type = DNS_A, .class = DNS_CLASS_IN, .flags = DNS_FLAG_RD };

	assert_true(dns_name_from_text(str_of(name), &q.name));
	memcpy(text, q.name.wire, q.name.len);
	memcpy(text + q.name.len, "\0\1\0\1", 4);
	q.question = (struct str){ text, q.name.len + 4u };
	return q;
}

static void run(struct outcome *o)
{
	static const struct dns_client client = { .proto = DNS_UDP };
	char text[DNS_NAME_BYTES_MAX + 4];
	struct dns_query q = query_of("www.example.org", text);

	memset(o, 0, sizeof(*o));
	request_start(&worker, &block, &client, &q, NULL, on_done, o);
	o->waited_for = o->calls == 0;
	if (o->waited_for)
		loop_run(loop);
	assert_int_equal(o->calls, 1);
	assert_int_equal(worker.n_requests, 0);
	assert_int_equal(config.refs_, 1);
}

/* ---- tests ---- */

static void test_order(void **state)
{
	static const struct {
		const char *what;
		const struct plugin *plugins[8];
		const char *path;
		int rcode; /* -1: no answer */
	} rows[] = {
		{ "back in reverse", { &both, &ask_only, &nothing, &both, &answerer, &both, NULL }, "both ask both answers <both <both", 0 },
		{ "the answerer's own answer() is not called", { &answer_only, &answerer, NULL }, "answers <back", 0 },
		{ "nobody answers", { &both, NULL }, "both <both", DNS_SERVFAIL },
		{ "an empty block", { NULL }, "", DNS_SERVFAIL },
		{ "a drop ends it", { &both, &dropper, &answerer, NULL }, "both drops", -1 },
		{ "an answer that comes later", { &both, &later, NULL }, "both later <both", 0 },
		{ "passing later, both ways", { &pass_later, &pass_later, &answerer, NULL },
		  "passlater passlater answers <passlater <passlater", 0 },
		{ "dropped on the way back, later", { &both, &drop_later, &answerer, NULL }, "both droplater answers <droplater", -1 },
		{ "resumed before it returned", { &at_once, &answerer, NULL }, "atonce answers <atonce", 0 },
		{ "asking those behind", { &both, &below, &both, &answerer, NULL }, "both below both answers <both <both", 0 },
	};
	static struct outcome o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		use(rows[i].plugins);
		run(&o);
		if (strcmp(path, rows[i].path) != 0)
			fail_msg("%s: %s", rows[i].what, path);
		int rcode = o.len ? o.bytes[3] & 15 : -1;
		if (rcode != rows[i].rcode)
			fail_msg("%s: rcode %d", rows[i].what, rcode);
	}
}

static void test_endless_questions_end(void **state)
{
	static const struct plugin *const plugins[] = { &endless, NULL };
	static struct outcome o;

	(void)state;
	use(plugins);
	run(&o);
	assert_int_equal(o.bytes[3] & 15, DNS_SERVFAIL);
}

static void test_scratch(void **state)
{
	static const struct plugin *const plugins[] = { &memory, &both, &memory, &answerer, NULL };
	static struct outcome o;

	(void)state;
	use(plugins);
	scratches_freed = 0;
	run(&o);
	assert_int_equal(scratches_freed, 2);
}

/* ---- what the client gets ---- */

/* An upstream's answer: `n` addresses, then perhaps an OPT with something in it. */
static void upstream_answer(struct request *r, int n, bool opt)
{
	static const uint8_t opt_record[] = { 0, 0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, 6, 0, 15, 0, 2, 0, 3 };
	static uint8_t out[DNS_MESSAGE_BYTES_MAX];
	struct dns_writer w;

	dns_answer_start(&w, out, 60000, &r->query);
	for (int i = 0; i < n; i++) {
		const uint8_t ip[4] = { 10, 1, (uint8_t)(i >> 8), (uint8_t)i };
		assert_true(dns_put(&w, DNS_ANSWER, DNS_QUESTION_AT, DNS_A, 30, &(struct dns_rdata){ ip, 4 }));
	}
	size_t len = dns_answer_finish(&w, DNS_NOERROR, false);
	dns_add_flags(out, DNS_FLAG_AD);
	if (opt) {
		memcpy(out + len, opt_record, sizeof(opt_record));
		len += sizeof(opt_record);
		out[11]++;
	}
	request_set_answer(r, out, len, FROM_UPSTREAM);
}

static void render(int n, bool opt, const struct dns_query *q, size_t max, struct dns_message *ret)
{
	static struct request r;
	static uint8_t out[DNS_MESSAGE_BYTES_MAX];

	free(r.answer.bytes);
	memset(&r, 0, sizeof(r));
	r.worker = &worker;
	r.query = *q;
	r.query.edns = false;
	request_change(&r, &q->name, q->type);
	upstream_answer(&r, n, opt);
	size_t len = answer_render(&r, q, out, max);
	assert_true(len <= max);
	assert_true(dns_message_parse((struct str){ (char *)out, len }, ret));
}

static void test_render(void **state)
{
	char text[DNS_NAME_BYTES_MAX + 4];
	struct dns_query q = query_of("www.example.org", text);
	struct dns_message m;

	(void)state;
	text[1] = 'W'; /* as the client wrote it */
	render(3, true, &q, 512, &m);
	assert_int_equal(m.id, 7);
	assert_memory_equal(m.bytes.ptr + DNS_HEADER_BYTES, "\3Www", 4);
	assert_int_equal(m.counts[DNS_ANSWER], 3);
	assert_int_equal(m.counts[DNS_ADDITIONAL], 0); /* no OPT for who sent none */
	assert_false(m.flags & (DNS_FLAG_TC | DNS_FLAG_AD));
	q.edns = q.dnssec_ok = true;
	render(3, true, &q, 512, &m);
	assert_int_equal(m.counts[DNS_ADDITIONAL], 1); /* ours: the upstream's options are not the client's */
	assert_int_equal(m.bytes.len, DNS_HEADER_BYTES + q.question.len + 3 * 16 + DNS_OPT_BYTES);
	assert_true(m.flags & DNS_FLAG_AD);
	render(100, false, &q, 512, &m);
	assert_true(m.flags & DNS_FLAG_TC);
	assert_int_equal(m.counts[DNS_ADDITIONAL], 1);
	assert_int_equal(m.counts[DNS_ANSWER], (512 - DNS_HEADER_BYTES - q.question.len - DNS_OPT_BYTES) / 31);
	render(100, true, &q, 4096, &m);
	assert_false(m.flags & DNS_FLAG_TC);
	assert_int_equal(m.counts[DNS_ANSWER], 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_endless_questions_end),
		cmocka_unit_test(test_scratch),
		cmocka_unit_test(test_render),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
