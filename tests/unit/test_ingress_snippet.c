/* Snippets: what is parsed, what is refused and where, what the statements do to a request and its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ingress_fake.h"
#include "roles/ingress/config/snippet.h"
#include "roles/ingress/config/snippet_int.h"
#include "roles/ingress/http/variable.h"

/* ---- parsing ---- */

static void good(void **state)
{
	static const struct {
		const char *text;
		size_t statements;
	} rows[] = {
		{ "", 0 },
		{ "  # only a comment", 0 },
		{ "add_header X-A 1;", 1 },
		{ "add_header X-A \"two words; {}\" always;", 1 },
		{ "more_set_headers \"X-A: 1\" 'X-B: $host';", 2 },
		{ "more_set_headers -s '404 500' \"X-A: 1\";", 1 },
		{ "more_clear_headers Server X-Powered-*;", 2 },
		{ "more_set_input_headers \"X-A: 1\"; more_clear_input_headers X-B;", 2 },
		{ "proxy_set_header X-A \"\";proxy_hide_header X-B;", 2 },
		{ "set $a 1; set $b \"$a-$uri\"; return 200 $b;", 3 },
		{ "return 301 https://$host$request_uri;", 1 },
		{ "return https://a.test/;", 1 },
		{ "return 404;", 1 },
		{ "rewrite ^/a/(.*)$ /b/$1 break;", 1 },
		{ "rewrite \"^/(\\d{4})/\" /y/$1? permanent;", 1 },
		{ "if ($request_method = POST) { return 405; }", 2 },
		{ "if ($http_user_agent ~* \"(bot|crawl)\") {\n  return 403;\n}\n", 2 },
		{ "if ( $arg_x ) { set $y 1; if ($y != 0) { add_header X-Y $y; } }", 4 },
		{ "if ($host !~ ^www\\.) { break; }", 2 },
		{ "allow 10.0.0.0/8; allow 2001:db8::/32;\ndeny all;", 3 },
		{ "proxy_set_header X ${host}_a;", 1 },
		{ "add_header X-A \"a \\\" b \\\\ c\";", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e;
		struct snippet *s = snippet_new(rows[i].text, &e);
		if (!s)
			fail_msg("%s: %s", rows[i].text, e.message);
		if (s->n != rows[i].statements)
			fail_msg("%s: %zu statements", rows[i].text, s->n);
		snippet_free(s);
	}
}

static void bad(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "proxy_pass http://x;", "line 1: directive \"proxy_pass\" is not supported" },
		{ "\n\n  content_by_lua_block { os.exit() }", "line 3: directive \"content_by_lua_block\" is not supported" },
		{ "add_header X-A 1", "line 1: directive \"add_header\" is not terminated by \";\"" },
		{ "add_header X-A;", "line 1: invalid number of arguments in \"add_header\" directive" },
		{ "add_header X-A 1 never;", "invalid parameter \"never\"" },
		{ "add_header \"X A\" 1;", "\"X A\" is no name of a header" },
		{ "add_header X-A \"a\\r\\nX-B: c\";", "control characters" },
		{ "add_header X-A $nosuch;", "unknown variable \"$nosuch\"" },
		{ "add_header X-A $later; set $later 1;", "unknown variable" },
		{ "add_header X-A \"open;", "line 1: a quote that is not closed" },
		{ "more_set_headers -t text/html \"X-A: 1\";", "option \"-t\" is not supported" },
		{ "more_set_headers -s '99' \"X-A: 1\";", "is no HTTP status" },
		{ "set name 1;", "is no name of a variable" },
		{ "set $uri /x;", "duplicate \"uri\" variable" },
		{ "set $host_ 1; set $http_x 1;", "duplicate" },
		{ "return 99;", "invalid return code" },
		{ "return;", "invalid number of arguments" },
		{ "rewrite ( /x;", "line 1" },
		{ "rewrite a b c;", "invalid parameter \"c\"" },
		{ "if ($a = 1) { return 200; }", "unknown variable \"$a\"" },
		{ "if $host { return 200; }", "invalid condition" },
		{ "if (-f /etc/passwd) { return 200; }", "invalid condition" },
		{ "if ($host < 1) { return 200; }", "unexpected \"<\"" },
		{ "if ($host ~ \"(\") { return 200; }", "line 1" },
		{ "if ($host = a) { return 200;", "a block is not closed" },
		{ "if ($host = a) return 200;", "has no opening" },
		{ "if ($host = a) { proxy_pass http://x; }", "directive \"proxy_pass\" is not supported" },
		{ "if ($host = a) { deny all; }", "not allowed here" },
		{ "}", "unexpected \"}\"" },
		{ "return 200; }", "unexpected \"}\"" },
		{ "{ return 200; }", "unexpected \"{\"" },
		{ "allow everybody;", "invalid CIDR address" },
		{ "location /x { return 200; }", "directive \"location\" is not supported" },
		{ "}\nlocation / { return 200; }\n{", "unexpected \"}\"" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e;
		struct snippet *s = snippet_new(rows[i].text, &e);
		if (s)
			fail_msg("taken: %s", rows[i].text);
		if (!strstr(e.message, rows[i].why))
			fail_msg("%s: %s", rows[i].text, e.message);
	}
}

static void limits(void **state)
{
	struct buf b;
	struct err e;

	(void)state;
	buf_init(&b, SNIPPET_BYTES_MAX * 2);
	for (size_t i = 0; i <= SNIPPET_STATEMENTS_MAX; i++)
		buf_puts(&b, "break;\n");
	assert_null(snippet_new(b.ptr, &e));
	assert_non_null(strstr(e.message, "more than 512 statements"));
	buf_clear(&b);
	for (int i = 0; i <= SNIPPET_DEPTH_MAX; i++)
		buf_puts(&b, "if ($host) {");
	assert_null(snippet_new(b.ptr, &e));
	assert_non_null(strstr(e.message, "in one another"));
	buf_clear(&b);
	for (int i = 0; i <= SNIPPET_SETS_MAX; i++)
		buf_printf(&b, "set $v%d 1;", i);
	assert_null(snippet_new(b.ptr, &e));
	assert_non_null(strstr(e.message, "variables are set"));
	buf_clear(&b);
	while (b.len <= SNIPPET_BYTES_MAX)
		buf_puts(&b, "# comment\n");
	assert_null(snippet_new(b.ptr, &e));
	buf_done(&b);
}

/* ---- running ---- */

struct ran {
	struct fake f;
	struct snippet *location, *server;
};

static void start(struct ran *r, const char *method, const char *url, const char *location, const char *server)
{
	struct err e;

	fake_init(&r->f, method, url);
	r->location = r->server = NULL;
	if (location && !(r->location = snippet_new(location, &e)))
		fail_msg("%s: %s", location, e.message);
	if (server && !(r->server = snippet_new(server, &e)))
		fail_msg("%s: %s", server, e.message);
	r->f.set.configuration_snippet = r->location;
	r->f.set.server_snippet = r->server;
}

static void stop(struct ran *r)
{
	fake_done(&r->f);
	snippet_free(r->location);
	snippet_free(r->server);
}

static void answers(void **state)
{
	static const struct {
		const char *method, *url, *snippet;
		int status; /* 0: goes on to the upstream */
		const char *location, *body;
	} rows[] = {
		{ "GET", "http://a.test/", "return 404;", 404, NULL, NULL },
		{ "GET", "http://a.test/", "return 200 \"hi $host\";", 200, NULL, "hi a.test" },
		{ "GET", "http://a.test/x?y=1", "return 301 https://$host$request_uri;", 301, "https://a.test/x?y=1", NULL },
		{ "GET", "http://a.test:81/x", "return 302 /login;", 302, "http://a.test:81/login", NULL },
		{ "GET", "http://a.test/", "return https://b.test/;", 302, "https://b.test/", NULL },
		{ "GET", "http://a.test/", "return 444;", 403, NULL, NULL },
		{ "POST", "http://a.test/", "if ($request_method = POST) { return 405; }", 405, NULL, NULL },
		{ "GET", "http://a.test/", "if ($request_method = POST) { return 405; }", 0, NULL, NULL },
		{ "GET", "http://a.test/?x=1", "if ($arg_x) { return 200 yes; } return 200 no;", 200, NULL, "yes" },
		{ "GET", "http://a.test/?x=0", "if ($arg_x) { return 200 yes; } return 200 no;", 200, NULL, "no" },
		{ "GET", "http://a.test/", "if ($host !~* ^A) { return 200 yes; } return 200 no;", 200, NULL, "no" },
		{ "GET", "http://a.test/one/two", "if ($uri ~ ^/(.)(.*)/) { return 200 \"$2$1\"; }", 200, NULL, "neo" },
		{ "GET", "http://a.test/", "set $a x; set $b \"$a$a\"; if ($b = xx) { set $a \"<$b>\"; } return 200 $a;", 200, NULL, "<xx>" },
		{ "GET", "http://a.test/old/1?z=2", "rewrite ^/old/(.*) /new/$1 permanent;", 301, "http://a.test/new/1?z=2", NULL },
		{ "GET", "http://a.test/old/1?z=2", "rewrite ^/old/(.*) https://b.test/$1?k=v redirect;", 302, "https://b.test/1?k=v&z=2", NULL },
		{ "GET", "http://a.test/old/1?z=2", "rewrite ^/old/(.*) https://b.test/$1?;", 302, "https://b.test/1", NULL },
		{ "GET", "http://a.test/", "deny 192.0.2.0/24;", 403, NULL, NULL },
		{ "GET", "http://a.test/", "allow 192.0.2.1; deny all;", 0, NULL, NULL },
		{ "GET", "http://a.test/", "allow 10.0.0.0/8; deny all; return 200 ok;", 200, NULL, "ok" },
		{ "GET", "http://a.test/", "break; return 404;", 0, NULL, NULL },
		{ "GET", "http://a.test/a%0d%0aX: y", "return 301 https://b.test$uri;", 301, "https://b.test/a%0d%0aX:%20y", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ran r;
		start(&r, rows[i].method, rows[i].url, rows[i].snippet, NULL);
		enum filter_verdict v = fake_request(&r.f, &filter_snippet);
		if (r.f.status != rows[i].status || (v == FILTER_ANSWERED) != (rows[i].status != 0))
			fail_msg("%s: %d", rows[i].snippet, r.f.status);
		if (rows[i].location && !str_eq_c(r.f.location, rows[i].location))
			fail_msg("%s: %.*s", rows[i].snippet, STR_ARG(r.f.location));
		if (rows[i].body && !str_eq_c(r.f.body, rows[i].body))
			fail_msg("%s: %.*s", rows[i].snippet, STR_ARG(r.f.body));
		stop(&r);
	}
}

/* A decoded path has a line end: it does not get into Location. */
static void no_second_header(void **state)
{
	struct ran r;

	(void)state;
	start(&r, "GET", "http://a.test/", "return 301 https://b.test$uri; add_header X-Uri $uri;", NULL);
	r.f.x.req.uri = STR("/a\r\nX-Evil: 1");
	assert_int_equal(fake_request(&r.f, &filter_snippet), FILTER_ANSWERED);
	assert_true(str_eq_c(r.f.location, "https://b.test/aX-Evil:%201"));
	fake_answer(&r.f, &filter_snippet, 301);
	assert_string_equal(fake_answer_header(&r.f, "X-Uri"), "/aX-Evil: 1");
	stop(&r);
}

static void rewritten(void **state)
{
	static const struct {
		const char *url, *snippet, *target;
	} rows[] = {
		{ "http://a.test/api/v1/x?q=1", "rewrite ^/api/(.*)$ /$1 break;", "/v1/x?q=1" },
		{ "http://a.test/api/v1/x?q=1", "rewrite ^/api/(.*)$ /$1?k=v break;", "/v1/x?k=v&q=1" },
		{ "http://a.test/api/v1/x?q=1", "rewrite ^/api/(.*)$ /$1? break;", "/v1/x" },
		{ "http://a.test/a", "rewrite ^/a /b; rewrite ^/b /c; rewrite ^/c \"/d e\";", "/d%20e" },
		{ "http://a.test/a", "rewrite ^/a /b break; rewrite ^/b /c;", "/b" },
		{ "http://a.test/a", "rewrite ^/x /b;", "(untouched)" },
		{ "http://a.test/a", "rewrite ^/a no-slash;", "/no-slash" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ran r;
		start(&r, "GET", rows[i].url, rows[i].snippet, NULL);
		r.f.x.up_target = STR("(untouched)");
		assert_int_equal(fake_request(&r.f, &filter_snippet), FILTER_NEXT);
		fake_upstream(&r.f, &filter_snippet);
		if (!str_eq_c(r.f.x.up_target, rows[i].target))
			fail_msg("%s: %.*s", rows[i].snippet, STR_ARG(r.f.x.up_target));
		stop(&r);
	}
}

static void request_headers(void **state)
{
	struct ran r;

	(void)state;
	start(&r, "GET", "http://a.test/",
	      "proxy_set_header X-New \"$host\"; proxy_set_header X-Gone \"\"; proxy_set_header Host inner.test;"
	      "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_set_header Content-Length 5;"
	      "more_set_input_headers \"X-Old: new\"; if ($host = b.test) { proxy_set_header X-B 1; } if ($host = a.test) { proxy_set_header X-A 1; }",
	      NULL);
	header_add(&r.f.x, &r.f.x.up_headers, "x-gone", STR("1"));
	header_add(&r.f.x, &r.f.x.up_headers, "x-old", STR("old"));
	assert_int_equal(fake_request(&r.f, &filter_snippet), FILTER_NEXT);
	fake_upstream(&r.f, &filter_snippet);
	assert_string_equal(fake_up_header(&r.f, "X-New"), "a.test");
	assert_string_equal(fake_up_header(&r.f, "X-Old"), "new");
	assert_string_equal(fake_up_header(&r.f, "X-A"), "1");
	assert_null(fake_up_header(&r.f, "x-gone"));
	assert_null(fake_up_header(&r.f, "X-B"));
	assert_null(fake_up_header(&r.f, "Connection"));
	assert_null(fake_up_header(&r.f, "Content-Length"));
	assert_true(str_eq_c(r.f.x.up_host, "inner.test"));
	stop(&r);
}

static void answer_headers(void **state)
{
	static const char text[] = "add_header X-Add 1; add_header X-Always 1 always; more_set_headers \"X-Set: 1\" \"X-Drop:\";"
				   "more_clear_headers \"X-Secret*\"; more_set_headers -s 404 \"X-404: 1\"; proxy_hide_header X-Hide;"
				   "more_set_headers \"Content-Length: 1\"; if ($arg_x) { add_header X-If $arg_x; }";
	int up;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct ran r;
		int status = i ? 404 : 200;
		start(&r, "GET", i ? "http://a.test/" : "http://a.test/?x=7", text, NULL);
		r.f.x.up = &up;
		header_add(&r.f.x, &r.f.x.ans.headers, "X-Set", STR("old"));
		header_add(&r.f.x, &r.f.x.ans.headers, "X-Drop", STR("old"));
		header_add(&r.f.x, &r.f.x.ans.headers, "X-Secret-One", STR("old"));
		header_add(&r.f.x, &r.f.x.ans.headers, "X-Hide", STR("old"));
		assert_int_equal(fake_request(&r.f, &filter_snippet), FILTER_NEXT);
		assert_int_equal(fake_answer(&r.f, &filter_snippet, status), FILTER_NEXT);
		assert_true((fake_answer_header(&r.f, "X-Add") != NULL) == (status == 200));
		assert_true((fake_answer_header(&r.f, "X-404") != NULL) == (status == 404));
		assert_true((fake_answer_header(&r.f, "X-If") != NULL) == (i == 0));
		assert_string_equal(fake_answer_header(&r.f, "X-Always"), "1");
		assert_string_equal(fake_answer_header(&r.f, "X-Set"), "1");
		assert_null(fake_answer_header(&r.f, "X-Drop"));
		assert_null(fake_answer_header(&r.f, "X-Secret-One"));
		assert_null(fake_answer_header(&r.f, "X-Hide"));
		assert_null(fake_answer_header(&r.f, "Content-Length"));
		stop(&r);
	}
}

/* The server's runs first; each has variables of its own; headers come even when nothing ran. */
static void both(void **state)
{
	struct ran r;

	(void)state;
	start(&r, "GET", "http://a.test/", "set $v location; add_header X-L $v; break; return 404;", "set $v server; add_header X-S $v; break;");
	assert_int_equal(fake_request(&r.f, &filter_snippet), FILTER_NEXT);
	fake_answer(&r.f, &filter_snippet, 200);
	assert_string_equal(fake_answer_header(&r.f, "X-L"), "location");
	assert_string_equal(fake_answer_header(&r.f, "X-S"), "server");
	stop(&r);
	start(&r, "GET", "http://a.test/", "more_set_headers \"X-L: 1\"; set $v 1; add_header X-V $v; if ($host) { add_header X-I 1; }", NULL);
	fake_answer(&r.f, &filter_snippet, 200); /* another filter has answered before */
	assert_string_equal(fake_answer_header(&r.f, "X-L"), "1");
	assert_null(fake_answer_header(&r.f, "X-V"));
	assert_null(fake_answer_header(&r.f, "X-I"));
	stop(&r);
}

static void count(void *ctx, unsigned line, const char *what)
{
	(void)what;
	*(unsigned *)ctx = *(unsigned *)ctx * 10 + line;
}

static void differences(void **state)
{
	struct err e;
	unsigned lines = 0;
	struct snippet *s = snippet_new("rewrite ^/a /b last;\nreturn 404;\nreturn 444;", &e);

	(void)state;
	snippet_each_difference(s, count, &lines);
	assert_int_equal(lines, 13);
	snippet_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good), cmocka_unit_test(bad), cmocka_unit_test(limits), cmocka_unit_test(answers),
		cmocka_unit_test(no_second_header), cmocka_unit_test(rewritten), cmocka_unit_test(request_headers),
		cmocka_unit_test(answer_headers), cmocka_unit_test(both), cmocka_unit_test(differences),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
