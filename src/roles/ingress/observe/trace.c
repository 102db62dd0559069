/* Spans on their way to the collector: written as JSON by the worker, sent in batches by the main thread. */
#include "roles/ingress/observe/trace.h"

#include "base/list.h"
#include "codec/jx.h"
#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/observe/access_log.h"
#include "roles/ingress/observe/metrics.h"

#include <pthread.h>
#include <stdio.h>

#define EXPORT_TIMEOUT_MS 10000 /* OTEL_EXPORTER_OTLP_TIMEOUT's default */
#define BATCH_BYTES_MAX (TRACE_BATCH_MAX * TRACE_SPAN_BYTES_MAX)
#define ANSWER_BYTES_MAX (64u << 10)

struct span {
	struct list link;
	size_t len;
	char json[];
};

struct trace {
	struct loop *main;
	struct subrequests *via;
	char *url;
	pthread_mutex_t lock; /* of queue, n_queued and dropped: workers append */
	struct list queue;
	size_t n_queued;
	uint64_t dropped;
	/* main thread */
	char *service;
	struct timer timer;
	struct buf batch; /* under way, or waiting for another try */
	size_t n_batch;
	unsigned tries;
	int status;
	struct subrequest *sending;
	uint64_t exported, failed_posts;
	char last_error[128];
};

/* ---- workers ---- */
/* A client's bytes need not be UTF-8, JSON must. */
static void put_text(struct buf *out, struct str s)
{
	size_t from = out->len;
	bool plain = true;

	for (size_t i = 0; i < s.len; i++)
		plain = plain && (unsigned char)s.ptr[i] < 0x80;
	buf_put_json(out, s);
	json_t *valid = plain ? NULL : json_stringn(s.ptr, s.len);
	for (size_t i = from; !plain && !valid && i < out->len; i++)
		if ((unsigned char)out->ptr[i] >= 0x80)
			out->ptr[i] = '?';
	json_decref(valid);
}

static void put_attribute(struct buf *out, const char *key, struct str value)
{
	buf_printf(out, "%s{\"key\":\"%s\",\"value\":{\"stringValue\":", out->ptr[out->len - 1] == '[' ? "" : ",", key);
	put_text(out, value);
	buf_puts(out, "}}");
}

static void put_number(struct buf *out, const char *key, uint64_t value)
{
	buf_printf(out, ",{\"key\":\"%s\",\"value\":{\"intValue\":\"%llu\"}}", key, (unsigned long long)value);
}

static void put_attributes(struct buf *out, struct exchange *x)
{
	const struct access_try *last =
		list_empty(&x->tries_log) ? NULL : list_entry(x->tries_log.prev, const struct access_try, link);

	put_attribute(out, "http.request.method", x->req.method);
	put_attribute(out, "url.scheme", x->req.scheme);
	put_attribute(out, "url.path", x->req.path);
	put_attribute(out, "server.address", x->req.host);
	put_attribute(out, "client.address", str_of(x->req.client_text));
	put_attribute(out, "user_agent.original", header_get(&x->req.headers, "user-agent"));
	put_number(out, "http.response.status_code", (uint64_t)x->ans.status);
	put_number(out, "http.request.body.size", x->request_body_bytes);
	put_number(out, "http.response.body.size", x->answer_body_bytes);
	if (x->loc) {
		put_attribute(out, "http.route", str_of(x->loc->path));
		put_attribute(out, "k8s.namespace.name", str_of(x->loc->ns));
		put_attribute(out, "k8s.ingress.name", str_of(x->loc->ingress));
	}
	if (x->backend)
		put_attribute(out, "k8s.service.name", str_of(x->backend->service));
	if (last)
		put_attribute(out, "network.peer.address", str_of(last->addr));
}

static uint64_t wall_us(const struct exchange *x, uint64_t at_us)
{
	return (uint64_t)wall_now_ms() * 1000 - (x_now_us(x) - at_us);
}

static void put_name(struct buf *out, struct exchange *x)
{
	const struct variable_text *t = x->loc ? x->loc->set->opentelemetry_operation_name : NULL;
	struct str name = t ? variable_text_value(t, x) : STR_NONE;

	if (!name.len)
		name = x_printf(x, STR_FMT " %s", STR_ARG(x->req.method), x->loc ? x->loc->path : "");
	put_text(out, name);
}

static void put_span(struct buf *out, struct exchange *x)
{
	struct trace_context parent;
	const char *id = x->trace_parent;

	buf_printf(out, "{\"traceId\":\"%.32s\",\"spanId\":\"%.16s\"", id + 3, id + 36);
	/* Ours is the child only when the trace is the client's. */
	struct str from = header_get(&x->req.headers, "traceparent");
	if (trace_parent_parse(from, &parent) && memcmp(from.ptr + 3, id + 3, 32) == 0) {
		struct str state = header_get(&x->req.headers, "tracestate");
		buf_printf(out, ",\"parentSpanId\":\"%.16s\"", from.ptr + 36);
		if (trace_state_valid(state)) {
			buf_puts(out, ",\"traceState\":");
			buf_put_json(out, state);
		}
	}
	buf_puts(out, ",\"name\":");
	put_name(out, x);
	buf_printf(out, ",\"kind\":2,\"startTimeUnixNano\":\"%llu000\",\"endTimeUnixNano\":\"%llu000\",\"attributes\":[",
		   (unsigned long long)wall_us(x, x->started_us), (unsigned long long)wall_us(x, x->ended_us));
	put_attributes(out, x);
	buf_printf(out, "],\"status\":{\"code\":%d}}", x->ans.status >= 500 ? 2 : 0);
}

static void export_soon(void *ctx);

static bool enqueue(struct trace *t, struct span *s)
{
	pthread_mutex_lock(&t->lock);
	bool room = t->n_queued < TRACE_QUEUE_MAX, batch = false;
	if (room) {
		list_append(&t->queue, &s->link);
		batch = ++t->n_queued == TRACE_BATCH_MAX;
	} else {
		t->dropped++;
	}
	pthread_mutex_unlock(&t->lock);
	if (batch)
		loop_post(t->main, export_soon, t);
	return room;
}

static bool sampled(const struct exchange *x)
{
	return x->trace_parent[0] && x->trace_parent[54] == '1';
}

void trace_exchange_done(struct trace *t, struct exchange *x)
{
	struct buf out;

	if (!t || !sampled(x))
		return;
	if (!x->ended_us)
		x->ended_us = x_now_us(x);
	metrics_inc(x->worker->metrics, METRIC_SPANS);
	buf_init(&out, TRACE_SPAN_BYTES_MAX);
	put_span(&out, x);
	struct span *s = out.overflow ? NULL : xmalloc(sizeof(*s) + out.len);
	if (s) {
		s->len = out.len;
		memcpy(s->json, out.ptr, out.len);
	}
	buf_done(&out);
	if (!s || !enqueue(t, s)) {
		metrics_inc(x->worker->metrics, METRIC_SPANS_DROPPED);
		free(s);
	}
}

/* ---- the main thread ---- */
static void export(struct trace *t);

static void fill_batch(struct trace *t)
{
	struct list taken;

	list_init(&taken);
	pthread_mutex_lock(&t->lock);
	for (t->n_batch = 0; t->n_batch < TRACE_BATCH_MAX && !list_empty(&t->queue); t->n_batch++) {
		struct list *first = t->queue.next;
		list_del(first);
		list_append(&taken, first);
		t->n_queued--;
	}
	pthread_mutex_unlock(&t->lock);
	if (t->n_batch == 0)
		return;
	buf_puts(&t->batch, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":");
	put_text(&t->batch, str_of(t->service));
	buf_puts(&t->batch, "}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"portico\"},\"spans\":[");
	bool first = true;
	list_for(at, tmp, &taken) {
		struct span *s = list_entry(at, struct span, link);
		if (!first)
			buf_putc(&t->batch, ',');
		first = false;
		buf_put(&t->batch, s->json, s->len);
		list_del(at);
		free(s);
	}
	buf_puts(&t->batch, "]}]}]}");
	t->tries = 0;
}

static void batch_over(struct trace *t)
{
	buf_done(&t->batch); /* a burst's memory is not kept */
	buf_init(&t->batch, BATCH_BYTES_MAX + 1024);
	t->n_batch = 0;
}

static void on_head(void *ctx, int status, struct http_headers headers)
{
	(void)headers;
	((struct trace *)ctx)->status = status;
}

/* The statuses that the protocol calls retryable. */
static bool retryable(int status)
{
	return status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
}

static void failed(struct trace *t, const struct err *e)
{
	t->failed_posts++;
	if (e)
		snprintf(t->last_error, sizeof(t->last_error), "%.120s", e->message);
	else
		snprintf(t->last_error, sizeof(t->last_error), "the collector answered %d", t->status);
	if (t->tries < TRACE_TRIES_MAX && retryable(t->status))
		return; /* the timer tries again */
	pthread_mutex_lock(&t->lock);
	t->dropped += t->n_batch;
	pthread_mutex_unlock(&t->lock);
	batch_over(t);
}

static void on_done(void *ctx, const struct err *e)
{
	struct trace *t = ctx;

	t->sending = NULL;
	if (!e && t->status >= 200 && t->status < 300) {
		t->exported += t->n_batch;
		batch_over(t);
		export(t);
	} else {
		failed(t, e);
	}
}

static void export(struct trace *t)
{
	static const struct http_header json[] = { { STR("content-type"), STR("application/json") } };
	static const struct subrequest_ops ops = { .head = on_head, .done = on_done };

	if (t->sending)
		return;
	if (t->n_batch == 0)
		fill_batch(t);
	if (t->n_batch == 0)
		return;
	t->tries++;
	t->status = 0;
	t->sending = subrequest_send(t->via,
				     &(struct subrequest_ask){ .method = STR("POST"), .url = str_of(t->url), .headers = { json, 1 },
							       .body = buf_str(&t->batch), .timeout_ms = EXPORT_TIMEOUT_MS,
							       .answer_body_max = ANSWER_BYTES_MAX },
				     &ops, t);
}

static void export_soon(void *ctx)
{
	export(ctx);
}

static void on_timer(struct timer *timer)
{
	struct trace *t = timer->ctx;

	export(t);
	timer_start(t->main, timer, (uint64_t)TRACE_EXPORT_MS << (t->n_batch ? t->tries : 0));
}

struct trace *trace_new(struct loop *main, struct subrequests *via, const char *endpoint, struct err *e)
{
	struct url u;

	if (url_parse(str_of(endpoint), &u, e) < 0) {
		err_wrap(e, "otlp endpoint");
		return NULL;
	}
	struct trace *t = xcalloc(1, sizeof(*t));
	*t = (struct trace){ .main = main, .via = via, .service = xstrdup("portico-ingress") };
	t->url = u.target.len <= 1 ? xasprintf("%s://" STR_FMT "/v1/traces", u.https ? "https" : "http", STR_ARG(u.authority)) :
				     xstrdup(endpoint);
	pthread_mutex_init(&t->lock, NULL);
	list_init(&t->queue);
	buf_init(&t->batch, BATCH_BYTES_MAX + 1024);
	t->timer = (struct timer){ .fire = on_timer, .ctx = t };
	timer_start(main, &t->timer, TRACE_EXPORT_MS);
	return t;
}

void trace_set_service(struct trace *t, const char *name)
{
	free(t->service);
	t->service = xstrdup(name);
}

void trace_free(struct trace *t)
{
	if (!t)
		return;
	timer_stop(&t->timer);
	subrequest_cancel(t->sending);
	list_for(at, tmp, &t->queue)
		free(list_entry(at, struct span, link));
	pthread_mutex_destroy(&t->lock);
	buf_done(&t->batch);
	free(t->url);
	free(t->service);
	free(t);
}

struct trace_stats trace_stats(const struct trace *t)
{
	struct trace_stats s = { .exported = t->exported, .dropped = t->dropped, .failed_posts = t->failed_posts };

	memcpy(s.last_error, t->last_error, sizeof(s.last_error));
	return s;
}
