/* Trace Context: what is believed of a client, and what the upstream gets. */
#include "roles/ingress/observe/trace.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "codec/jx.h"
#include "ingress_fake.h"
#include "net/http_server.h"
#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/upstream/upstream.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static void parents(void **state)
{
	static const struct {
		const char *text;
		bool ok, sampled;
	} rows[] = {
		{ "00-" TRACE "-" SPAN "-01", true, true },
		{ "00-" TRACE "-" SPAN "-00", true, false },
		{ "00-" TRACE "-" SPAN "-03", true, true },
		{ "cc-" TRACE "-" SPAN "-01", true, true },
		{ "cc-" TRACE "-" SPAN "-01-what-the-future-brings", true, true },
		{ "cc-" TRACE "-" SPAN "-01.what", false, false },
		{ "00-" TRACE "-" SPAN "-01-more", false, false },
		{ "ff-" TRACE "-" SPAN "-01", false, false },
		{ "00-00000000000000000000000000000000-" SPAN "-01", false, false },
		{ "00-" TRACE "-0000000000000000-01", false, false },
		{ "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01", false, false },
		{ "00-" TRACE "-" SPAN "-0g", false, false },
		{ "00-" TRACE "-" SPAN "-1", false, false },
		{ "00-" TRACE "_" SPAN "-01", false, false },
		{ " 00-" TRACE "-" SPAN "-01", false, false },
		{ "0-" TRACE "-" SPAN "-001", false, false },
		{ "", false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct trace_context c;
		char out[TRACE_PARENT_BYTES];
		bool ok = trace_parent_parse(str_of(rows[i].text), &c);
		if (ok != rows[i].ok)
			fail_msg("%s: %d", rows[i].text, ok);
		if (!ok)
			continue;
		assert_int_equal(c.sampled, rows[i].sampled);
		trace_parent_write(&c, out);
		assert_string_equal(out, rows[i].sampled ? "00-" TRACE "-" SPAN "-01" : "00-" TRACE "-" SPAN "-00");
	}
}

static void states(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} rows[] = {
		{ "rojo=00f067aa0ba902b7", true }, { "a=1,b=2", true }, { "a=1 , b=2", true }, { "a=1,,b=2", true },
		{ "1a@sys=x", true }, { "a@sys=x y", true }, { "1a=x", false }, { "a@=x", false }, { "a@1b=x", false },
		{ "a@b@c=x", false }, { "A=1", false }, { "a=", false }, { "a", false }, { "=1", false }, { "a=b=c", false },
		{ "a=\x01", false }, { "a=\xc3\xa9", false }, { "", false }, { ",", false },
	};
	char many[400];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (trace_state_valid(str_of(rows[i].text)) != rows[i].ok)
			fail_msg("%s", rows[i].text);
	for (int i = 0; i < 33; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "%sk%d=1", i ? "," : "", i);
	assert_false(trace_state_valid((struct str){ many, n }));
	assert_true(trace_state_valid((struct str){ many, (size_t)(strrchr(many, ',') - many) }));
}

static struct fake f;

static void start(unsigned per_10000)
{
	fake_init(&f, "GET", "http://a.test/");
	f.set.enable_opentelemetry = f.set.opentelemetry_trust_incoming_span = f.globals.trace_parent_based = true;
	f.globals.trace_sample_per_10000 = per_10000;
}

static void go(void)
{
	assert_int_equal(fake_request(&f, &filter_trace), FILTER_NEXT);
	fake_upstream(&f, &filter_trace);
}

static void continued(void **state)
{
	(void)state;
	start(0);
	fake_header(&f, "traceparent", "00-" TRACE "-" SPAN "-01");
	fake_header(&f, "tracestate", "a=1");
	fake_header(&f, "tracestate", "b=2");
	go();
	const char *got = fake_up_header(&f, "traceparent");
	assert_memory_equal(got, "00-" TRACE "-", 36);
	assert_memory_not_equal(got + 36, SPAN, 16); /* a span of our own */
	assert_string_equal(got + 52, "-01");
	assert_string_equal(fake_up_header(&f, "tracestate"), "a=1,b=2");
	fake_done(&f);
}

static void begun(void **state)
{
	struct trace_context c;
	unsigned sampled = 0;

	(void)state;
	start(0);
	fake_header(&f, "traceparent", "00-" TRACE "-" SPAN "-01");
	fake_header(&f, "traceparent", "00-" TRACE "-" SPAN "-01"); /* two are none */
	fake_header(&f, "tracestate", "a=1");
	header_add(&f.x, &f.x.up_headers, "tracestate", STR("a=1"));
	go();
	assert_true(trace_parent_parse(str_of(fake_up_header(&f, "traceparent")), &c));
	assert_memory_not_equal(f.x.trace_parent + 3, TRACE, 32);
	assert_false(c.sampled);
	assert_null(fake_up_header(&f, "tracestate")); /* of a trace that is not continued */
	fake_done(&f);
	for (int i = 0; i < 2000; i++) {
		start(5000);
		go();
		sampled += f.x.trace_parent[54] == '1';
		fake_done(&f);
	}
	assert_in_range(sampled, 800, 1200);
}

static void not_trusted(void **state)
{
	(void)state;
	for (unsigned per_10000 = 0; per_10000 <= 10000; per_10000 += 10000) {
		start(per_10000);
		f.set.opentelemetry_trust_incoming_span = false;
		fake_header(&f, "traceparent", per_10000 ? "00-" TRACE "-" SPAN "-00" : "00-" TRACE "-" SPAN "-01");
		fake_header(&f, "tracestate", "a=1");
		header_add(&f.x, &f.x.up_headers, "tracestate", STR("a=1"));
		go();
		const char *sent = fake_up_header(&f, "traceparent");
		assert_memory_not_equal(sent + 3, TRACE, 32);
		assert_string_equal(sent + 52, per_10000 ? "-01" : "-00"); /* the client does not decide this either */
		assert_null(fake_up_header(&f, "tracestate"));
		fake_done(&f);
	}
}

/* otel-sampler-parent-based: "false" */
static void the_sampler_decides(void **state)
{
	static const struct {
		unsigned per_10000;
		const char *id; /* the first digits of the trace's, from the left: little-endian bytes */
		const char *flags;
	} rows[] = { { 0, "4bf92f3577b34da6", "-00" },	  { 10000, "ffffffffffffffff", "-01" }, { 5000, "000000000000007f", "-01" },
		     { 5000, "0000000000000080", "-00" }, { 1, "0100000000000000", "-01" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char parent[80];

		start(rows[i].per_10000);
		f.globals.trace_parent_based = false;
		snprintf(parent, sizeof(parent), "00-%s0000000000000001-" SPAN "-0%d", rows[i].id, (int)(i % 2));
		fake_header(&f, "traceparent", parent);
		fake_header(&f, "tracestate", "a=1");
		go();
		assert_memory_equal(fake_up_header(&f, "traceparent"), parent, 36);
		assert_string_equal(fake_up_header(&f, "traceparent") + 52, rows[i].flags);
		assert_string_equal(fake_up_header(&f, "tracestate"), "a=1");
		fake_done(&f);
	}
}

static void off(void **state)
{
	(void)state;
	start(10000);
	f.set.enable_opentelemetry = false;
	go();
	assert_null(fake_up_header(&f, "traceparent"));
	fake_done(&f);
}

/* ---- the collector ---- */
static struct loop *loop;
static struct err e;
static json_t *got;
static int refuse, posts;

static void collect(void *ctx, struct http_exchange *x)
{
	const struct http_request *r = http_request_of(x);

	(void)ctx;
	posts++;
	assert_true(str_eq(r->path, STR("/v1/traces")));
	assert_true(str_eq(http_header_get(r->headers, "content-type"), STR("application/json")));
	if (refuse-- > 0) {
		http_reply(x, 503, NULL, 0, STR("later"));
		return;
	}
	json_decref(got);
	got = jx_parse(r->body, 1 << 20, &e);
	http_reply(x, 200, NULL, 0, STR("{}"));
	loop_stop(loop);
}

static void too_long(struct timer *t)
{
	(void)t;
	fail_msg("the collector got nothing");
}

static const char *attribute(const json_t *span, const char *key)
{
	json_t *v;
	size_t i;

	json_array_foreach(jx_at(span, "attributes"), i, v)
		if (c_eq(jx_str(v, "key"), key)) {
			const char *text = jx_str(v, "value.stringValue");
			return text ? text : jx_str(v, "value.intValue");
		}
	return NULL;
}

static void exported(void **state)
{
	struct backend b = { .service = (char *)"shop" };
	struct timer limit = { .fire = too_long };
	struct addr at;
	socklen_t len = sizeof(at.ss);

	(void)state;
	loop = loop_new(&e);
	assert_int_equal(addr_parse("127.0.0.1:0", &at, &e), 0);
	int fd = addr_listen(&at, 16, &e);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at.ss, &len), 0);
	struct http_server *server = http_server_new(loop, &(struct http_server_config){ .request = collect, .body_max = 1 << 20,
											 .connections_max = 8, .idle_ms = 10000 });
	assert_int_equal(http_server_listen(server, fd, &e), 0);
	char address[ADDR_TEXT_BYTES];
	cleanup(freep) char *url = xasprintf("http://%s", addr_text(&at, address));
	struct subrequests *via = subrequests_new(loop);
	assert_null(trace_new(loop, via, "collector:4318", &e));
	struct trace *t = trace_new(loop, via, url, &e);
	assert_non_null(t);

	start(0);
	f.worker.loop = loop;
	f.x.backend = &b;
	fake_header(&f, "traceparent", "00-" TRACE "-" SPAN "-01");
	fake_header(&f, "user-agent", "a\"\r\xff");
	go();
	f.x.ans.status = 503;
	f.x.ended_us = x_now_us(&f.x);
	f.x.started_us = f.x.ended_us - 5000;
	refuse = 1; /* and asked again */
	trace_set_service(t, "front \"1\"");
	trace_exchange_done(t, &f.x);
	f.set.opentelemetry_operation_name = variable_text_new("shop \xff$http_user_agent", &e);
	assert_non_null(f.set.opentelemetry_operation_name);
	trace_exchange_done(t, &f.x); /* several spans in one message */
	variable_text_free(f.set.opentelemetry_operation_name);
	f.set.opentelemetry_operation_name = variable_text_new("$http_x_none", &e);
	trace_exchange_done(t, &f.x);
	variable_text_free(TAKE_PTR(f.set.opentelemetry_operation_name));
	f.x.trace_parent[54] = '0'; /* not sampled: no span */
	trace_exchange_done(t, &f.x);
	timer_start(loop, &limit, 15000);
	loop_run(loop);
	timer_stop(&limit);

	const json_t *spans = jx_at(json_array_get(jx_at(json_array_get(jx_at(got, "resourceSpans"), 0), "scopeSpans"), 0), "spans");
	const json_t *span = json_array_get(spans, 0);
	assert_non_null(got);
	assert_int_equal(json_array_size(spans), 3);
	assert_string_equal(attribute(jx_at(json_array_get(jx_at(got, "resourceSpans"), 0), "resource"), "service.name"), "front \"1\"");
	assert_int_equal(posts, 2);
	assert_string_equal(jx_str(span, "traceId"), TRACE);
	assert_string_equal(jx_str(span, "parentSpanId"), SPAN);
	assert_memory_equal(jx_str(span, "spanId"), f.x.trace_parent + 36, 16);
	assert_string_equal(jx_str(span, "name"), "GET /");
	assert_memory_equal(jx_str(json_array_get(spans, 1), "name"), "shop ?a\"", 8);
	assert_string_equal(jx_str(json_array_get(spans, 2), "name"), "GET /");
	assert_int_equal(jx_int(span, "status.code", 0), 2);
	assert_string_equal(attribute(span, "http.response.status_code"), "503");
	assert_string_equal(attribute(span, "k8s.service.name"), "shop");
	uint64_t from, to;
	assert_true(str_to_u64(str_of(jx_str(span, "startTimeUnixNano")), UINT64_MAX, &from));
	assert_true(str_to_u64(str_of(jx_str(span, "endTimeUnixNano")), UINT64_MAX, &to));
	assert_in_range(to - from, 3000000, 8000000);
	assert_true(from / 1000000 + 60000 > (uint64_t)wall_now_ms());

	/* more than the queue takes is dropped, never waited for */
	f.x.trace_parent[54] = '1';
	for (int i = 0; i < TRACE_QUEUE_MAX + 10; i++)
		trace_exchange_done(t, &f.x);
	assert_true(trace_stats(t).dropped >= 10);
	fake_done(&f);
	trace_free(t);
	subrequests_free(via);
	http_server_free(server);
	loop_free(loop);
	json_decref(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parents), cmocka_unit_test(states), cmocka_unit_test(continued), cmocka_unit_test(begun),
		cmocka_unit_test(not_trusted), cmocka_unit_test(the_sampler_decides),
		cmocka_unit_test(off), cmocka_unit_test(exported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
