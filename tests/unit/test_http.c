#include "net/http.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static struct arena arena;

static void queries_are_decoded(void **state)
{
	static const struct {
		const char *query, *name;
		size_t nth;
		const char *value;
	} rows[] = {
		{"a=b", "a", 0, "b"},
		{"a=b&c=d", "c", 0, "d"},
		{"a=b&a=c", "a", 1, "c"},
		{"a=b&a=c", "a", 2, NULL},
		{"a", "a", 0, ""},
		{"a=", "a", 0, ""},
		{"", "a", 0, NULL},
		{"ab=c", "a", 0, NULL},
		{"a=b%20c+d%2B", "a", 0, "b c d+"},
		{"%61=x", "a", 0, "x"},
		{"a=%4", "a", 0, NULL},
		{"a=%", "a", 0, NULL},
		{"a=%zz", "a", 0, NULL},
		{"a=%00", "a", 0, NULL},
		{"a=%0a", "a", 0, "\n"},
		{"a=b=c", "a", 0, "b=c"},
		{"&&a=b&", "a", 0, "b"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *v = http_query_get_nth(str_of(rows[i].query), rows[i].name, rows[i].nth,
						   &arena);

		if (!c_eq(v, rows[i].value))
			fail_msg("row %zu: '%s'", i, v ? v : "NULL");
	}
	assert_string_equal(uri_decode(STR("/a%2fb+c"), &arena), "/a/b+c");
	assert_null(uri_decode(STR("/a%2"), &arena));
	assert_string_equal(uri_decode(STR_NONE, &arena), "");
	assert_null(http_query_get(STR_NONE, "a", &arena));
}

static void headers_are_found(void **state)
{
	const struct http_header at[] = {
		{STR("connection"), STR("keep-alive")},
		{STR("connection"), STR("foo , Upgrade")},
		{STR("upgrade"), STR("websocket")},
	};
	struct http_headers h = {at, ARRAY_LEN(at)};

	(void)state;
	assert_true(str_eq_c(http_header_get(h, "upgrade"), "websocket"));
	assert_null(http_header_get(h, "upgrad").ptr);
	assert_true(http_header_has_token(h, "connection", "upgrade"));
	assert_true(http_header_has_token(h, "connection", "Keep-Alive"));
	assert_false(http_header_has_token(h, "connection", "close"));
	assert_string_equal(http_status_text(404), "Not Found");
	assert_string_equal(http_status_text(299), "Unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries_are_decoded),
		cmocka_unit_test(headers_are_found),
	};

	arena_init(&arena, 1 << 20);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_done(&arena);
	return failed;
}
