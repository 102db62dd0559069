/* Trace Context: what is believed of a client, and what the upstream gets. */
#include "roles/ingress/observe/trace.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "ingress_fake.h"

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
	f.set.enable_opentelemetry = true;
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

static void off(void **state)
{
	(void)state;
	start(10000);
	f.set.enable_opentelemetry = false;
	go();
	assert_null(fake_up_header(&f, "traceparent"));
	fake_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parents), cmocka_unit_test(states), cmocka_unit_test(continued), cmocka_unit_test(begun),
		cmocka_unit_test(off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
