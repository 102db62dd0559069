/* Redirects, CORS, block lists, headers of answers. */
#define FAKE_TEXTS
#include "ingress_fake.h"
#include "roles/ingress/filter/block.h"
#include "roles/ingress/filter/cidr.h"
#include "roles/ingress/filter/cors.h"
#include "roles/ingress/filter/redirect.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#define TEXT(s) ((char *)(uintptr_t)(s))

/* ---- redirects ---- */

static void to_https(void **state)
{
	(void)state;
	static const struct {
		const char *url;
		bool tls, ssl_redirect, force, keep_slash, forwarded;
		const char *proto, *location;
	} rows[] = {
		{ "http://a.test/x/?q=1/", true, true, .location = "https://a.test/x/?q=1" },
		{ "http://a.test:8080/x/", true, true, .location = "https://a.test/x" },
		{ "http://a.test:8080/x/", true, true, .keep_slash = true, .location = "https://a.test/x/" },
		{ "http://a.test/", true, true, .location = "https://a.test" },
		{ "http://[::1]:80/a", true, true, .location = "https://[::1]/a" },
		{ "http://a.test/", false, true, .location = NULL },
		{ "http://a.test/", true, false, .location = NULL },
		{ "http://a.test/a", false, false, .force = true, .location = "https://a.test/a" },
		{ "https://a.test/", true, true, .force = true, .location = NULL },
		{ "http://a.test/", true, true, .force = true, .proto = "https", .location = "https://a.test" },
		{ "http://a.test/", true, true, .force = true, .forwarded = true, .proto = "https", .location = NULL },
		{ "https://a.test/a", true, true, .forwarded = true, .proto = "http", .location = "https://a.test/a" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake f;
		print_message("row %zu\n", i);
		fake_init(&f, "GET", rows[i].url);
		f.loc.tls = rows[i].tls;
		f.set.ssl_redirect = rows[i].ssl_redirect;
		f.set.force_ssl_redirect = rows[i].force;
		f.set.preserve_trailing_slash = rows[i].keep_slash;
		f.globals.use_forwarded_headers = rows[i].forwarded;
		if (rows[i].proto != NULL)
			fake_header(&f, "X-Forwarded-Proto", rows[i].proto);
		assert_int_equal(fake_request(&f, &filter_redirect), rows[i].location == NULL ? FILTER_NEXT : FILTER_ANSWERED);
		assert_int_equal(f.status, rows[i].location == NULL ? 0 : 308);
		if (rows[i].location != NULL)
			assert_string_equal(fake_text(&f, f.location), rows[i].location);
		fake_done(&f);
	}
}

static void acme_stays_on_http(void **state)
{
	(void)state;
	struct fake f;
	char *listed[] = { TEXT("/.well-known/acme-challenge") };
	fake_init(&f, "GET", "http://a.test/.well-known/acme-challenge/x");
	f.globals.no_tls_redirect_locations = (struct str_list){ listed, 1 };
	f.set.force_ssl_redirect = true;
	f.loc.path = TEXT("/.well-known/acme-challenge/x");
	assert_int_equal(fake_request(&f, &filter_redirect), FILTER_NEXT);
	f.loc.path = TEXT("/");
	assert_int_equal(fake_request(&f, &filter_redirect), FILTER_ANSWERED);
	fake_done(&f);
}

static void forwarded_host_is_asked_for_again(void **state)
{
	(void)state;
	struct fake f;
	fake_init(&f, "GET", "http://inner/x");
	f.globals.use_forwarded_headers = true;
	f.set.force_ssl_redirect = true;
	f.set.http_redirect_code = 301;
	fake_header(&f, "X-Forwarded-Host", "outer.test:81, other");
	assert_int_equal(fake_request(&f, &filter_redirect), FILTER_ANSWERED);
	assert_string_equal(fake_text(&f, f.location), "https://outer.test/x");
	assert_int_equal(f.status, 301);
	fake_done(&f);
}

static void temporal_before_permanent_before_https(void **state)
{
	(void)state;
	struct fake f;
	fake_init(&f, "GET", "http://a.test/x");
	f.set.force_ssl_redirect = true;
	f.set.permanent_redirect = fake_text_of("https://p.test/");
	assert_int_equal(fake_request(&f, &filter_redirect), FILTER_ANSWERED);
	assert_int_equal(f.status, 301);
	assert_string_equal(fake_text(&f, f.location), "https://p.test/");
	f.set.temporal_redirect = fake_text_of("https://t.test/");
	fake_request(&f, &filter_redirect);
	assert_int_equal(f.status, 302);
	assert_string_equal(fake_text(&f, f.location), "https://t.test/");
	f.set.temporal_redirect = fake_text_of("/login?x=1");
	fake_request(&f, &filter_redirect);
	assert_string_equal(fake_text(&f, f.location), "http://a.test/login?x=1");
	f.set.temporal_redirect_code = 307;
	fake_request(&f, &filter_redirect);
	assert_int_equal(f.status, 307);
	f.set.temporal_redirect = NULL;
	f.set.permanent_redirect_code = 308;
	fake_request(&f, &filter_redirect);
	assert_int_equal(f.status, 308);
	fake_done(&f);
}

static void app_root(void **state)
{
	(void)state;
	struct fake f;
	fake_init(&f, "GET", "https://a.test:8443/?q=1");
	assert_int_equal(fake_request(&f, &filter_app_root), FILTER_NEXT);
	assert_null(host_app_root(&f.host));
	f.set.app_root = TEXT("/app1");
	assert_int_equal(fake_request(&f, &filter_app_root), FILTER_ANSWERED);
	assert_int_equal(f.status, 302);
	assert_string_equal(fake_text(&f, f.location), "https://a.test:8443/app1");
	f.x.req.uri = STR("/x");
	assert_int_equal(fake_request(&f, &filter_app_root), FILTER_NEXT);
	f.loc.path = TEXT("/app1");
	assert_false(filter_app_root.wanted(&f.loc, &f.globals));
	assert_string_equal(host_app_root(&f.host), "/app1");
	fake_done(&f);
}

static void to_another_name(void **state)
{
	(void)state;
	struct fake f;
	fake_init(&f, "GET", "https://a.test/x/?q=/");
	redirect_to_name(&f.x, "www.a.test");
	assert_int_equal(f.status, 308);
	assert_string_equal(fake_text(&f, f.location), "https://www.a.test:443/x/?q=");
	fake_done(&f);
	fake_init(&f, "GET", "http://a.test:8080/");
	f.globals.use_forwarded_headers = true;
	redirect_to_name(&f.x, "www.a.test");
	assert_string_equal(fake_text(&f, f.location), "http://www.a.test:8080");
	fake_header(&f, "X-Forwarded-Proto", "https");
	fake_header(&f, "X-Forwarded-Port", "443");
	redirect_to_name(&f.x, "www.a.test");
	assert_string_equal(fake_text(&f, f.location), "https://www.a.test:443");
	fake_done(&f);
}

/* Instead of a routing table: `routes` is the host itself. */
fake_weak struct host *routes_host(const struct routes *r, struct str name)
{
	(void)name;
	return (struct host *)(uintptr_t)r;
}

fake_weak void host_unref(struct host *h)
{
	(void)h;
}

static void not_routed(void **state)
{
	(void)state;
	struct fake f;
	struct err e;
	fake_init(&f, "GET", "http://a.test/x");
	assert_false(redirect_unrouted(&f.x)); /* no such host */
	f.shared.routes = (struct routes *)&f.host;
	f.set.app_root = TEXT("/app1");
	assert_false(redirect_unrouted(&f.x));
	assert_int_equal(f.answers, 0);
	f.x.req.uri = STR("/");
	assert_true(redirect_unrouted(&f.x));
	assert_string_equal(fake_text(&f, f.location), "http://a.test/app1");
	f.host.redirect_to = TEXT("www.a.test");
	f.x.req.uri = STR("/x");
	assert_true(redirect_unrouted(&f.x));
	assert_string_equal(fake_text(&f, f.location), "http://www.a.test:80/x");
	assert_int_equal(f.status, 308);
	assert_int_equal(cidr_list_parse(STR("192.0.2.0/24"), &f.globals.block_cidrs, &e), 0);
	assert_true(redirect_unrouted(&f.x));
	assert_int_equal(f.status, 403);
	cidr_list_done(&f.globals.block_cidrs);
	fake_done(&f);
}

/* ---- CORS ---- */

static void origins(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *origin;
		bool match;
	} rows[] = {
		{ "https://a.test", "https://a.test", true },	  { "https://a.test", "HTTPS://A.test", true },
		{ "https://a.test", "http://a.test", false },	  { "https://a.test", "https://a.test:8443", false },
		{ "https://a.test", "xhttps://a.test", false },	  { "https://a.test", "https://a.test.evil", false },
		{ "https://*.a.test", "https://x.a.test", true }, { "https://*.a.test", "https://x.y.a.test", false },
		{ "https://*.a.test", "https://.a.test", false }, { "https://*.a.test", "https://a.test", false },
		{ "https://*.a.test:8443", "https://x-1.a.test:8443", true },
		{ "https://*.a.test", "https://evil.test/.a.test", false }, { "null", "null", true },
		{ "https://axtest", "https://a.test", false },	  { "", "", false },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(cors_origin_matches(str_of(rows[i].pattern), str_of(rows[i].origin)), rows[i].match);
}

static char *any[] = { TEXT("*") }, *two[] = { TEXT("https://a.test"), TEXT("https://*.b.test") };

static void cors_setup(struct fake *f, const char *method, struct str_list allowed, const char *origin)
{
	fake_init(f, method, "https://api.test/");
	f->set.enable_cors = f->set.cors_allow_credentials = true;
	f->set.cors_allow_origin = allowed;
	f->set.cors_allow_methods = TEXT("GET, PUT, POST, DELETE, PATCH, OPTIONS");
	f->set.cors_allow_headers = TEXT("DNT,Keep-Alive");
	f->set.cors_max_age_s = 1728000;
	if (origin != NULL)
		fake_header(f, "Origin", origin);
}

static void preflight(void **state)
{
	(void)state;
	struct fake f;
	cors_setup(&f, "OPTIONS", (struct str_list){ two, 2 }, "https://x.b.test");
	f.set.cors_expose_headers = TEXT("X-Total");
	assert_int_equal(fake_request(&f, &filter_cors), FILTER_ANSWERED);
	assert_int_equal(f.status, 204);
	assert_string_equal(fake_text(&f, f.type), "text/plain charset=UTF-8");
	assert_int_equal(f.body.len, 0);
	fake_answer(&f, &filter_cors, 0);
	assert_string_equal(fake_answer_header(&f, "access-control-allow-origin"), "https://x.b.test");
	assert_string_equal(fake_answer_header(&f, "access-control-allow-credentials"), "true");
	assert_string_equal(fake_answer_header(&f, "access-control-allow-methods"), "GET, PUT, POST, DELETE, PATCH, OPTIONS");
	assert_string_equal(fake_answer_header(&f, "access-control-allow-headers"), "DNT,Keep-Alive");
	assert_string_equal(fake_answer_header(&f, "access-control-expose-headers"), "X-Total");
	assert_string_equal(fake_answer_header(&f, "access-control-max-age"), "1728000");
	assert_string_equal(fake_answer_header(&f, "vary"), "Origin");
	fake_done(&f);

	/* A stranger's goes to the backend, as ingress-nginx lets it. */
	cors_setup(&f, "OPTIONS", (struct str_list){ two, 2 }, "https://evil.test");
	assert_int_equal(fake_request(&f, &filter_cors), FILTER_NEXT);
	fake_answer(&f, &filter_cors, 200);
	assert_null(fake_answer_header(&f, "access-control-allow-origin"));
	assert_string_equal(fake_answer_header(&f, "vary"), "Origin");
	fake_done(&f);

	cors_setup(&f, "OPTIONS", (struct str_list){ any, 1 }, NULL);
	assert_int_equal(fake_request(&f, &filter_cors), FILTER_ANSWERED);
	fake_done(&f);
}

static void every_answer(void **state)
{
	(void)state;
	struct fake f;
	cors_setup(&f, "GET", (struct str_list){ any, 1 }, "https://a.test");
	f.set.cors_allow_credentials = false;
	assert_int_equal(fake_request(&f, &filter_cors), FILTER_NEXT);
	header_add(&f.x, &f.x.ans.headers, "Access-Control-Allow-Origin", STR("https://backend.says"));
	fake_answer(&f, &filter_cors, 500);
	assert_string_equal(fake_answer_header(&f, "access-control-allow-origin"), "*");
	assert_null(fake_answer_header(&f, "access-control-allow-credentials"));
	assert_null(fake_answer_header(&f, "access-control-expose-headers"));
	assert_null(fake_answer_header(&f, "vary"));
	fake_done(&f);
}

/* ---- block lists ---- */

static void blocked_texts(void **state)
{
	(void)state;
	struct err e;
	size_t bad;
	char *agents[] = { TEXT("BadBot/1.0"), TEXT("~*scanner"), TEXT("\"~^Wget/[0-9 .]+$\""), TEXT("~("), TEXT("\\~tilde") };
	char *referers[] = { TEXT("http://spam.test/") };
	struct block_rules *r = block_rules_new(&(struct str_list){ agents, 5 }, &(struct str_list){ referers, 1 }, &bad, &e);
	assert_int_equal(bad, 1);
	static const struct {
		const char *agent, *referer;
		bool blocked;
	} rows[] = {
		{ "badbot/1.0", NULL, true },	{ "BadBot/1.0 ", NULL, false }, { "A Scanner Darkly", NULL, true },
		{ "Wget/1.21", NULL, true },	{ "wget/1.21", NULL, false },	{ "~tilde", NULL, true },
		{ NULL, "http://spam.test/", true }, { "curl", "http://fine.test/", false }, { NULL, NULL, false },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(block_rules_match(r, str_of(rows[i].agent), str_of(rows[i].referer)), rows[i].blocked);
	block_rules_free(r);
	assert_null(block_rules_new(&(struct str_list){ NULL, 0 }, &(struct str_list){ &agents[3], 1 }, &bad, &e));
	assert_int_equal(bad, 1);
}

static void blocked_everywhere(void **state)
{
	(void)state;
	struct err e;
	struct fake f;
	fake_init(&f, "GET", "http://a.test/");
	assert_int_equal(fake_request(&f, &filter_block), FILTER_NEXT);
	assert_int_equal(cidr_list_parse(STR("192.0.2.0/30"), &f.globals.block_cidrs, &e), 0);
	assert_int_equal(fake_request(&f, &filter_block), FILTER_ANSWERED);
	assert_int_equal(f.status, 403);
	fake_client(&f, "192.0.2.4");
	assert_int_equal(fake_request(&f, &filter_block), FILTER_NEXT);
	cidr_list_done(&f.globals.block_cidrs);
	fake_done(&f);
}

/* ---- headers ---- */

static void backends_headers(void **state)
{
	(void)state;
	struct fake f;
	char *hidden[] = { TEXT("X-Secret") };
	struct header_text custom[] = { { STR("X-Frame-Options"), fake_text_of("DENY") } };
	struct header_text added[] = { { STR("x-frame-options"), fake_text_of("ALLOW") }, { STR("X-Empty"), fake_text_of("") } };
	fake_init(&f, "GET", "https://a.test/");
	f.globals.hide_headers = (struct str_list){ hidden, 1 };
	f.set.custom_headers = custom;
	f.set.n_custom_headers = 1;
	f.globals.add_headers = added;
	f.globals.n_add_headers = 2;
	f.globals.hsts = f.globals.hsts_include_subdomains = true;
	f.globals.hsts_max_age_s = 31536000;
	f.loc.tls = true;
	static const char *const sent[] = { "Server", "X-Accel-Redirect", "x-secret", "X-Pad", "Strict-Transport-Security",
					    "x-frame-options" };
	for (size_t i = 0; i < ARRAY_LEN(sent); i++)
		header_add(&f.x, &f.x.ans.headers, sent[i], STR("backend"));
	header_add(&f.x, &f.x.ans.headers, "Set-Cookie", STR("a=b"));
	header_add(&f.x, &f.x.ans.headers, "set-cookie", STR("c=d"));
	fake_answer(&f, &filter_headers, 200);
	assert_int_equal(f.x.ans.headers.n, 4);
	assert_string_equal(fake_answer_header(&f, "x-frame-options"), "DENY");
	assert_string_equal(fake_answer_header(&f, "strict-transport-security"), "max-age=31536000; includeSubDomains");
	assert_string_equal(fake_answer_header(&f, "set-cookie"), "a=b");
	f.globals.hsts_preload = true;
	f.globals.server_tokens = true;
	fake_answer(&f, &filter_headers, 200);
	assert_string_equal(fake_answer_header(&f, "strict-transport-security"), "max-age=31536000; includeSubDomains; preload");
	assert_string_equal(fake_answer_header(&f, "server"), "portico");
	fake_done(&f);

	static const struct {
		bool tokens, allow, own;
		const char *sent, *got;
	} servers[] = { { false, false, false, "theirs", NULL }, { false, true, false, "theirs", NULL }, { true, false, false, "theirs", "portico" },
			{ true, true, false, "theirs", "theirs" }, { true, true, false, NULL, "portico" }, { true, true, true, NULL, "portico" } };
	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		fake_init(&f, "GET", "http://a.test/");
		f.globals.server_tokens = servers[i].tokens;
		f.globals.allow_backend_server_header = servers[i].allow;
		f.x.answer_own = servers[i].own;
		if (servers[i].sent)
			header_add(&f.x, &f.x.ans.headers, "SERVER", str_of(servers[i].sent));
		fake_answer(&f, &filter_headers, 200);
		if (!c_eq(fake_answer_header(&f, "server"), servers[i].got) || f.x.ans.headers.n != (servers[i].got != NULL))
			fail_msg("%zu: %s", i, fake_answer_header(&f, "server"));
		fake_done(&f);
	}

	static const struct {
		const char *url;
		bool tls, hsts;
	} none[] = { { "http://a.test/", true, true }, { "https://a.test/", false, true }, { "https://a.test/", true, false } };
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		fake_init(&f, "GET", none[i].url);
		f.globals.hsts = none[i].hsts;
		f.loc.tls = none[i].tls;
		fake_answer(&f, &filter_headers, 200);
		assert_int_equal(f.x.ans.headers.n, 0);
		fake_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(to_https),
		cmocka_unit_test(acme_stays_on_http),
		cmocka_unit_test(forwarded_host_is_asked_for_again),
		cmocka_unit_test(temporal_before_permanent_before_https),
		cmocka_unit_test(app_root),
		cmocka_unit_test(to_another_name),
		cmocka_unit_test(not_routed),
		cmocka_unit_test(origins),
		cmocka_unit_test(preflight),
		cmocka_unit_test(every_answer),
		cmocka_unit_test(blocked_texts),
		cmocka_unit_test(blocked_everywhere),
		cmocka_unit_test(backends_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
