/* proxy-cookie-domain, proxy-cookie-path, proxy-redirect-*: what becomes of an upstream's headers. The answers in the first three
 * tables are nginx 1.22's own to the same headers, but for blanks at their ends, which HTTP/2 forbids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ingress_fake.h"
#include "roles/ingress/config/answer_rewrites.h"
#include "roles/ingress/http/variable.h"

struct rig {
	struct fake f;
	char bad[256]; /* what could not be used, and why */
};

static void note(void *ctx, const char *name, const char *instead, const struct err *e)
{
	struct rig *r = ctx;

	snprintf(r->bad, sizeof(r->bad), "%s: %.150s; it stays %s", name, e->message, instead);
}

static void start(struct rig *r, enum backend_protocol protocol, const char *domain, const char *path, const char *from, const char *to)
{
	*r->bad = 0;
	fake_init(&r->f, "GET", "http://A.test:81/q");
	fake_header(&r->f, "x-a", "va");
	r->f.set.backend_protocol = protocol;
	r->f.set.proxy_cookie_domain = xstrdup(domain);
	r->f.set.proxy_cookie_path = xstrdup(path);
	r->f.set.proxy_redirect_from = xstrdup(from);
	r->f.set.proxy_redirect_to = xstrdup(to);
	answer_rewrites_make(&r->f.set, NULL, note, r);
}

static void stop(struct rig *r)
{
	free(r->f.set.proxy_cookie_domain);
	free(r->f.set.proxy_cookie_path);
	free(r->f.set.proxy_redirect_from);
	free(r->f.set.proxy_redirect_to);
	answer_rewrites_free(r->f.set.answer_rewrites);
	fake_done(&r->f);
}

static void expect(struct rig *r, const char *name, const char *value, const char *after)
{
	struct header_list *l = &r->f.x.ans.headers;

	l->n = 0;
	header_add(&r->f.x, l, name, str_of(value));
	assert_int_equal(fake_answer(&r->f, &filter_answer_rewrite, 200), FILTER_NEXT);
	assert_int_equal(l->n, 1);
	assert_string_equal(fake_header_of(&r->f, l, name), after);
}

static void domains(void **state)
{
	static const struct {
		const char *text, *cookie, *after;
	} rows[] = {
		{ "localhost example.org", "a=b; Domain=localhost; Path=/x; HttpOnly", "a=b; Domain=example.org; Path=/x; HttpOnly" },
		{ "localhost example.org", "a=b;domain=.LOCALHOST;  path = /x ;HttpOnly;", "a=b; domain=.example.org; path=/x; HttpOnly;" },
		{ "localhost example.org", "a=b;Domain=localhost.test", "a=b;Domain=localhost.test" },
		{ "localhost example.org", "a=b", "a=b" },
		{ "localhost example.org", "Domain=localhost; Domain=localhost", "Domain=localhost; Domain=example.org" },
		{ "localhost example.org", "novalue; Domain=localhost", "novalue; Domain=localhost" },
		{ ".localhost .example.org", "a=b; Domain=localhost; Domain=.localhost", "a=b; Domain=example.org; Domain=.example.org" },
		{ "~\\.?local(.+)$ x$1.test", "a=b; Domain=.LOCALhost", "a=b; Domain=xhost.test" },
		{ "~local x.test", "a=b; Domain=my.local.host; foo", "a=b; Domain=x.test; foo" },
		{ "\"localhost\" 'ex\"ample'", "a=b; Domain=localhost", "a=b; Domain=ex\"ample" },
		{ "$host y.$http_x_a.test", "a=b; Domain=A.test", "a=b; Domain=y.va.test" },
		{ "localhost \"\"", "a=b; Domain=localhost", "a=b; Domain=" },
		{ "localhost x", "a=b; Domain=; Domain", "a=b; Domain=; Domain" },
	};
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start(&r, PROTOCOL_HTTP, rows[i].text, "off", "off", "off");
		assert_string_equal(r.bad, "");
		expect(&r, "Set-Cookie", rows[i].cookie, rows[i].after);
		stop(&r);
	}
}

static void paths(void **state)
{
	static const struct {
		const char *text, *cookie, *after;
	} rows[] = {
		{ "/one/ /", "a=b; Path=/one/two; Secure", "a=b; Path=/two; Secure" },
		{ "/one/ /", "a=b; PATH=/One/two; Secure", "a=b; PATH=/One/two; Secure" },
		{ "/one/ /longer/path/", "a=b; Path=/one/two; Secure", "a=b; Path=/longer/path/two; Secure" },
		{ "/one/ /", "a=b; Path=/one; Secure", "a=b; Path=/one; Secure" },
		{ "/ \"/; Secure; HttpOnly\"", "a=b; Path=/x", "a=b; Path=/; Secure; HttpOnlyx" },
		{ "/ \"/; Secure; HttpOnly\"", "a=b", "a=b" },
		{ "~^/app(.*)$ /$1", "a=b; Path=/app/x", "a=b; Path=//x" },
		{ "~^/app(.*)$ /$1", "a=b; Path=/APP/x", "a=b; Path=/APP/x" },
		{ "~*^/app(.*)$ /$1", "a=b; Path=/APP/x", "a=b; Path=//x" },
		{ "~* /z", "a=b; Path=", "a=b; Path=/z" },
		{ "/ \"/x \"", "a=b; Path=/", "a=b; Path=/x" },
		{ "\"\" /pre", "a=b; Path=/q", "a=b; Path=/pre/q" },
	};
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start(&r, PROTOCOL_HTTPS, "off", rows[i].text, "off", "off");
		assert_string_equal(r.bad, "");
		expect(&r, "set-cookie", rows[i].cookie, rows[i].after);
		stop(&r);
	}
}

static void redirects(void **state)
{
	static const struct {
		const char *from, *to, *name, *value, *after;
	} rows[] = {
		{ "http://up.test/", "/", "Location", "http://up.test/x?y=1", "http://a.test/x?y=1" },
		{ "http://up.test/", "http://front.test/a/", "Location", "http://up.test/x?y=1", "http://front.test/a/x?y=1" },
		{ "http://up.test/", "http://front.test/a/", "Location", "HTTP://UP.test/x", "HTTP://UP.test/x" },
		{ "http://up.test/", "/", "Location", "/x", "/x" },
		{ "http://up.test/", "/", "Location", "https://up.test/x", "https://up.test/x" },
		{ "http://up.test/", "//", "Location", "http://up.test/x", "http://a.test//x" },
		{ "http://up.test/", "rel/", "Location", "http://up.test/x", "rel/x" },
		{ "http://up.test/", "\"\"", "Location", "http://up.test/x", "x" },
		{ "http://up.test", "\"\"", "Location", "http://up.test", "" },
		{ "/a", "/b", "Location", "/a/x", "http://a.test/b/x" },
		{ "~^http://([^/]+)/(.*)$", "https://$1.x/$2?h=$host", "Location", "http://up.test/x/y", "https://up.test.x/x/y?h=a.test" },
		{ "~*^HTTP://u", "/r", "Location", "http://up.test/x/y", "http://a.test/r" },
		{ "~UP", "/r", "Location", "http://up.test/x/y", "http://up.test/x/y" },
		{ "http://$host/", "/sec/", "Location", "http://A.test/q", "http://A.test/q" },
		{ "http://$host/", "/sec/", "Location", "http://a.test/q", "http://a.test/sec/q" },
		{ "http://up.test/", "/", "Refresh", "5; URL=http://up.test/x", "5; URL=/x" },
		{ "http://up.test/", "/n/", "Refresh", "5;url=http://up.test/x", "5;url=/n/x" },
		{ "http://up.test/", "/n/", "Refresh", "http://up.test/x", "http://up.test/x" },
		{ "http://up.test/", "/n/", "Refresh", "0; url=/x?url=http://up.test/", "0; url=/x?url=http://up.test/" },
		{ "~^http(.*)$", "X$1", "Refresh", "0; url=http://u", "0; url=X://u" },
		{ "default", "off", "Location", "http://upstream_balancer/x", "http://a.test/x" },
		{ "default", "off", "Location", "http://upstream_balancer", "http://upstream_balancer" },
		{ "default", "off", "Refresh", "1; url=http://upstream_balancer/x", "1; url=/x" },
		{ "http://nobody", "off", "Location", "http://upstream_balancer/x", "http://a.test/x" },
		{ "off", "off", "Location", "http://upstream_balancer/x", "http://upstream_balancer/x" },
	};
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start(&r, PROTOCOL_HTTP, "off", "off", rows[i].from, rows[i].to);
		assert_string_equal(r.bad, "");
		if (c_eq(rows[i].from, "off"))
			assert_null(r.f.set.answer_rewrites);
		expect(&r, rows[i].name, rows[i].value, rows[i].after);
		stop(&r);
	}
}

static void together(void **state)
{
	struct rig r;

	(void)state;
	start(&r, PROTOCOL_HTTP, "up.test a.test", "/up/ /", "http://up.test/", "/");
	struct header_list *l = &r.f.x.ans.headers;
	for (int i = 0; i < 2; i++)
		header_add(&r.f.x, l, "Set-Cookie", STR("a=1; Path=/up/x; Domain=up.test"));
	header_add(&r.f.x, l, "X-Location", STR("http://up.test/"));
	header_add(&r.f.x, l, "Location", STR("http://up.test/"));
	assert_int_equal(fake_answer(&r.f, &filter_answer_rewrite, 302), FILTER_NEXT);
	for (size_t i = 0; i < 2; i++)
		assert_true(str_eq_c(l->at[i].value, "a=1; Path=/x; Domain=a.test"));
	assert_true(str_eq_c(l->at[2].value, "http://up.test/"));
	assert_true(str_eq_c(l->at[3].value, "http://a.test/"));
	r.f.set.relative_redirects = true;
	expect(&r, "Location", "http://up.test/x", "/x");
	r.f.set.relative_redirects = false;
	r.f.x.req.scheme = STR("https");
	expect(&r, "location", "http://up.test/x", "https://a.test/x");
	r.f.x.req.host = STR("");
	expect(&r, "location", "http://up.test/x", "/x");
	stop(&r);
}

/* Neither answers made here, nor the affinity's cookie. */
static void not_the_upstreams(void **state)
{
	struct rig r;

	(void)state;
	start(&r, PROTOCOL_HTTP, "off", "/ /x/", "http://a/", "/b");
	header_add(&r.f.x, &r.f.x.ans.headers, "Location", STR("http://a/"));
	r.f.x.answer_own = true;
	assert_int_equal(fake_answer(&r.f, &filter_answer_rewrite, 0), FILTER_NEXT);
	assert_string_equal(fake_answer_header(&r.f, "location"), "http://a/");
	r.f.x.sticky = STR("12.34");
	expect(&r, "Set-Cookie", "INGRESSCOOKIE=12.34|abc; Path=/", "INGRESSCOOKIE=12.34|abc; Path=/");
	expect(&r, "Set-Cookie", "INGRESSCOOKIE=12.35|abc; Path=/", "INGRESSCOOKIE=12.35|abc; Path=/x/");
	stop(&r);
}

static void protocols(void **state)
{
	static const struct {
		enum backend_protocol protocol;
		const char *from, *location, *after; /* NULL: no filter at all */
	} rows[] = {
		{ PROTOCOL_HTTP, "default", "https://upstream_balancer/x", "https://upstream_balancer/x" },
		{ PROTOCOL_HTTPS, "default", "https://upstream_balancer/x", "http://a.test/x" },
		{ PROTOCOL_HTTPS, "default", "http://upstream_balancer/x", "http://upstream_balancer/x" },
		{ PROTOCOL_AUTO_HTTP, "default", NULL, NULL },
		{ PROTOCOL_AUTO_HTTP, "http://b", "http://b/x", "http://c/x" },
		{ PROTOCOL_GRPC, "http://b", NULL, NULL },
		{ PROTOCOL_GRPCS, "default", NULL, NULL },
		{ PROTOCOL_FCGI, "http://b", NULL, NULL },
		{ PROTOCOL_HTTP, "off", NULL, NULL },
	};
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start(&r, rows[i].protocol, "off", "off", rows[i].from, "http://c");
		assert_string_equal(r.bad, "");
		assert_int_equal(filter_answer_rewrite.wanted(&r.f.loc, &r.f.globals), rows[i].after != NULL);
		if (rows[i].after)
			expect(&r, "Location", rows[i].location, rows[i].after);
		stop(&r);
	}
}

static void unusable(void **state)
{
	static const struct {
		const char *domain, *path, *from, *to, *why;
	} rows[] = {
		{ "a", "off", "off", "off", "proxy-cookie-domain: \"a\" is not valid: expected off, or two words" },
		{ "a b c", "off", "off", "off", "proxy-cookie-domain: \"a b c\" is not valid" },
		{ "a b; c d", "off", "off", "off", "is not valid" },
		{ "a b{", "off", "off", "off", "is not valid" },
		{ "a \"b", "off", "off", "off", "a quote that is not closed" },
		{ "a $nobody", "off", "off", "off", "unknown variable \"$nobody\"" },
		{ "$nobody a", "off", "off", "off", "unknown variable \"$nobody\"" },
		{ "off", "~(/ /x", "off", "off", "proxy-cookie-path: \"(/\" is no regular expression" },
		{ "off", "/ \"/\\r\\nX: y\"", "off", "off", "control characters cannot stand in a header" },
		{ "off", "off", "~*[", "b", "proxy-redirect-from: \"[\" is no regular expression" },
		{ "off", "off", "http://a", "b\\nc", "control characters cannot stand in a header" },
		{ "off", "off", "http://a http://b", "/", "proxy-redirect-from: \"http://a http://b /\" is not valid" },
	};
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start(&r, PROTOCOL_HTTP, rows[i].domain, rows[i].path, rows[i].from, rows[i].to);
		if (!strstr(r.bad, rows[i].why) || !strstr(r.bad, "; it stays off"))
			fail_msg("row %zu: %s", i, r.bad);
		assert_null(r.f.set.answer_rewrites);
		assert_string_equal(r.f.set.proxy_cookie_domain, "off");
		assert_string_equal(r.f.set.proxy_redirect_to, "off");
		stop(&r);
	}
}

/* Of the ConfigMap's, which were good. */
static void instead(void **state)
{
	struct settings all = { .proxy_cookie_domain = (char *)(uintptr_t)"a b", .proxy_cookie_path = (char *)(uintptr_t)"/a /b",
		.proxy_redirect_from = (char *)(uintptr_t)"http://a", .proxy_redirect_to = (char *)(uintptr_t)"http://b" };
	struct rig r;

	(void)state;
	start(&r, PROTOCOL_HTTP, "off", "off", "off", "off");
	free(r.f.set.proxy_redirect_from);
	r.f.set.proxy_redirect_from = xstrdup("~[");
	free(r.f.set.proxy_redirect_to);
	r.f.set.proxy_redirect_to = xstrdup("/");
	answer_rewrites_make(&r.f.set, &all, note, &r);
	assert_non_null(strstr(r.bad, "; it stays http://a"));
	expect(&r, "Location", "http://a/x", "http://b/x");
	expect(&r, "Set-Cookie", "k=v; Domain=a; Path=/a", "k=v; Domain=a; Path=/a");
	stop(&r);
}

/* What comes from clients and upstreams has its limits, and stays one line. */
static void limits(void **state)
{
	static char cookie[70 * 4 + 64], big[6001];
	struct rig r;

	(void)state;
	start(&r, PROTOCOL_HTTP, "off", "~^(.*)$ $1$1$1", "~^(.*)$", "$1$http_x_b");
	assert_string_equal(r.bad, "");
	fake_header(&r.f, "x-b", "\r\nSet-Cookie: evil=1");
	expect(&r, "Location", "http://a", "http://aSet-Cookie: evil=1");
	strcpy(cookie, "a=b; Path=/");
	for (int i = 0; i < 70; i++)
		strcat(cookie, "; x");
	expect(&r, "Set-Cookie", cookie, cookie);
	memset(big, 'x', sizeof(big) - 1);
	memcpy(big, "a=b; Path=", 10);
	expect(&r, "Set-Cookie", big, big); /* three times as much is too long */
	big[3000] = 0;
	struct header_list *l = &r.f.x.ans.headers;
	l->n = 0;
	header_add(&r.f.x, l, "Set-Cookie", str_of(big));
	assert_int_equal(fake_answer(&r.f, &filter_answer_rewrite, 200), FILTER_NEXT);
	assert_int_equal(l->at[0].value.len, 10 + 3 * 2990);
	l->n = 0;
	header_add(&r.f.x, l, "Set-Cookie", STR_NONE);
	header_add(&r.f.x, l, "Location", STR_NONE);
	assert_int_equal(fake_answer(&r.f, &filter_answer_rewrite, 200), FILTER_NEXT);
	assert_int_equal(l->at[0].value.len, 0);
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domains),   cmocka_unit_test(paths),	 cmocka_unit_test(redirects), cmocka_unit_test(together),
		cmocka_unit_test(protocols), cmocka_unit_test(unusable), cmocka_unit_test(instead),   cmocka_unit_test(not_the_upstreams),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
