/* What an upstream is told: nothing that only the proxy may say comes from the client. */
#include "ingress_fake.h"
#include "codec/http1.h"
#include "roles/ingress/http/down_h1_int.h"
#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/http/variable.h"

#include <setjmp.h>
#include <cmocka.h>

static size_t count(const struct header_list *l, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += str_ieq(l->at[i].name, str_of(name));
	return n;
}

static void test_configured(void **state)
{
	struct header_text own[4] = { { .name = STR("X-Zone") }, { .name = STR("x-real-ip") }, { .name = STR("X-Debug") }, { .name = STR("Host") } };
	static const char *const texts[] = { "outside", "$remote_addr!", "$arg_debug", "inner.test" };
	struct fake f;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		assert_non_null(own[i].value = variable_text_new(texts[i], &e));
	fake_init(&f, "GET", "http://a.test/");
	f.globals.proxy_set_headers = own;
	f.globals.n_proxy_set_headers = ARRAY_LEN(own);
	fake_header(&f, "x-zone", "inside");
	fake_header(&f, "X-Zone", "inside");
	fake_header(&f, "X-Debug", "1");
	assert_int_equal(forward_head(&f.x), 0);
	assert_int_equal(count(&f.x.up_headers, "x-zone"), 1);
	assert_string_equal(fake_up_header(&f, "x-zone"), "outside");
	assert_int_equal(count(&f.x.up_headers, "x-real-ip"), 1);
	assert_string_equal(fake_up_header(&f, "x-real-ip"), "192.0.2.1!");
	assert_int_equal(count(&f.x.up_headers, "x-debug"), 0);
	assert_int_equal(count(&f.x.up_headers, "host"), 0);
	assert_true(str_eq(f.x.up_host, STR("inner.test")));
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		variable_text_free(own[i].value);
	fake_done(&f);
}

static void test_forwarded_for(void **state)
{
	static const struct {
		bool use, full;
		const char *chain;
	} rows[] = {
		{ false, false, "192.0.2.1" },
		{ false, true, "192.0.2.1" }, /* nobody's word is taken: not this one's either */
		{ true, false, "192.0.2.1" },
		{ true, true, "6.6.6.6, 192.0.2.1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake f;

		fake_init(&f, "GET", "http://a.test/");
		f.globals.use_forwarded_headers = rows[i].use;
		f.globals.compute_full_forwarded_for = rows[i].full;
		fake_header(&f, "X-Forwarded-For", "6.6.6.6");
		f.x.req.has_ours = true;
		assert_int_equal(forward_head(&f.x), 0);
		assert_int_equal(count(&f.x.up_headers, "x-forwarded-for"), 1);
		assert_string_equal(fake_up_header(&f, "x-forwarded-for"), rows[i].chain);
		fake_done(&f);
	}
}

/* $request_uri, redirects and X-Original-URI are made of it: a path, however the client wrote its target. */
static void test_absolute_form(void **state)
{
	static const struct {
		const char *line, *target, *host;
	} rows[] = {
		{ "GET /x?y=1", "/x?y=1", "b.test" },
		{ "GET http://a.test/x?y=1", "/x?y=1", "a.test" },
		{ "GET http://a.test/?", "/?", "a.test" },
		{ "GET http://a.test", "/", "a.test" },
		{ "GET https://a.test:1?y=1", "/?y=1", "a.test:1" },
		{ "OPTIONS *", "*", "b.test" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_header table[8];
		struct http1_head h;
		char text[256];
		struct fake f;
		struct err e;

		fake_init(&f, "GET", "http://a.test/");
		int n = snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: %s\r\n\r\n", rows[i].line, rows[i].host);
		http1_head_init(&h, HTTP1_REQUEST, table, ARRAY_LEN(table));
		if (http1_head_parse(&h, text, (size_t)n, &e) != n)
			fail_msg("%s: %s", rows[i].line, e.message);
		down_h1_take_head(&f.x, &h, (size_t)n, false);
		assert_string_equal(fake_text(&f, f.x.req.target), rows[i].target);
		assert_string_equal(fake_text(&f, f.x.req.authority), rows[i].host);
		assert_int_equal(forward_head(&f.x), 0);
		assert_string_equal(fake_text(&f, f.x.up_target), rows[i].target);
		fake_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_configured),
		cmocka_unit_test(test_forwarded_for),
		cmocka_unit_test(test_absolute_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
