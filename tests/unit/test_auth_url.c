/* External authentication against a service in the same loop. */
#include "roles/ingress/filter/access.h"
#include "roles/ingress/filter/auth_cache.h"
#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/observe/metrics.h"

#include <setjmp.h>
#include <cmocka.h>

#include "unit/ingress_fake.h"
#include "unit/loopback.h"

static struct fake f;
static struct metrics_shard shard;
static struct settings global;
static struct err e;
static char *forwarded[] = {"X-User", "X-Groups"};

static struct variable_text *text(const char *fmt, ...)
{
	char out[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out, sizeof(out), fmt, ap);
	va_end(ap);
	struct variable_text *t = variable_text_new(out, &e);
	if (!t)
		fail_msg("%s: %s", out, e.message);
	return t;
}

static void begin(const char *method, const char *url)
{
	loopback_reset(&b);
	fake_init(&f, method, url);
	f.worker.loop = loop;
	f.worker.metrics = &shard;
	f.set.auth_url = text("%s/auth?u=$request_uri", b.url);
	snprintf(f.x.request_id, sizeof(f.x.request_id), "%032x", 7);
}

static void finish(void)
{
	fake_done(&f);
	variable_text_free(f.set.auth_url);
	variable_text_free(f.set.auth_signin);
	variable_text_free(f.set.auth_request_redirect);
	subrequests_free(f.worker.subrequests);
}

/* Asks, and waits for the verdict: true when the request may go on. */
static bool passes(void)
{
	assert_int_equal(fake_request(&f, &filter_auth_url), FILTER_WAIT);
	for (int i = 0; i < 5000 && !f.resumed && !f.answers; i++)
		loopback_settle(loop, 1);
	assert_int_equal(f.resumed + f.answers, 1);
	return f.resumed == 1;
}

static void test_what_is_asked(void **state)
{
	(void)state;
	begin("POST", "https://app.test:8443/a/b?c=d");
	fake_header(&f, "Cookie", "session=1");
	fake_header(&f, "Authorization", "Bearer x");
	fake_header(&f, "X-Real-IP", "6.6.6.6");
	fake_header(&f, "X-Forwarded-Proto", "https");
	fake_header(&f, "x-forwarded-for", "6.6.6.6");
	fake_header(&f, "X-ORIGINAL-URL", "https://evil.test/");
	fake_header(&f, "X-Original-Uri", "/mine");
	f.x.req.has_body = true;
	assert_true(passes());
	assert_string_equal(b.method, "GET");
	assert_string_equal(b.target, "/auth?u=/a/b?c=d");
	assert_string_equal(b.host, "127.0.0.1");
	assert_int_equal(b.body_len, 0);
	static const char *const want[][2] = {
		{"x-original-url", "https://app.test:8443/a/b?c=d"},
		{"x-original-method", "POST"},
		{"x-sent-from", "nginx-ingress-controller"},
		{"x-real-ip", "192.0.2.1"},
		{"x-forwarded-for", "192.0.2.1"},
		{"x-auth-request-redirect", "/a/b?c=d"},
		{"x-request-id", "00000000000000000000000000000007"},
		{"cookie", "session=1"},
		{"authorization", "Bearer x"},
		{"x-original-uri", "/mine"}, /* not ours without auth-method */
	};
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_int_equal(loopback_header_count(&b, want[i][0]), 1);
		assert_string_equal(loopback_header(&b, want[i][0]), want[i][1]);
	}
	assert_null(loopback_header(&b, "x-forwarded-proto"));
	assert_null(loopback_header(&b, "content-length"));
	finish();
}

static void test_method_redirect_and_own_headers(void **state)
{
	static char method[] = "POST";
	struct header_text own[] = {{STR("X-Own"), text("$host!")}, {STR("X-Sent-From"), text("portico")}};

	(void)state;
	begin("GET", "http://app.test/x");
	f.globals.use_forwarded_headers = f.globals.compute_full_forwarded_for = true;
	fake_header(&f, "x-forwarded-for", "10.0.0.9");
	f.set.auth_method = method;
	f.set.auth_request_redirect = text("https://$host/back");
	f.set.auth_proxy_set_headers = own;
	f.set.n_auth_proxy_set_headers = 2;
	assert_true(passes());
	assert_string_equal(b.method, "POST");
	assert_string_equal(loopback_header(&b, "x-original-uri"), "/x");
	assert_string_equal(loopback_header(&b, "x-scheme"), "http");
	assert_string_equal(loopback_header(&b, "x-auth-request-redirect"), "https://app.test/back");
	assert_string_equal(loopback_header(&b, "x-own"), "app.test!");
	assert_string_equal(loopback_header(&b, "x-sent-from"), "portico");
	assert_string_equal(loopback_header(&b, "x-forwarded-for"), "10.0.0.9, 192.0.2.1");
	finish();
	variable_text_free(own[0].value);
	variable_text_free(own[1].value);
}

static void test_headers_for_the_upstream(void **state)
{
	(void)state;
	begin("GET", "http://app.test/");
	f.set.auth_response_headers = (struct str_list){forwarded, 2};
	loopback_add(&b, "x-user", "ann");
	loopback_add(&b, "x-other", "no");
	header_add(&f.x, &f.x.up_headers, "x-user", STR("forged"));
	header_add(&f.x, &f.x.up_headers, "X-Groups", STR("admins"));
	assert_true(passes());
	fake_upstream(&f, &filter_auth_url);
	assert_string_equal(fake_up_header(&f, "X-User"), "ann");
	assert_int_equal(f.x.up_headers.n, 1); /* what the service did not say, nobody says */
	finish();
}

static const struct {
	int service, client;
	bool passes;
} statuses[] = {
	{200, 0, true},	   {204, 0, true},    {299, 0, true},	 {401, 401, false}, {403, 403, false}, {300, 500, false},
	{302, 500, false}, {404, 500, false}, {500, 500, false}, {503, 500, false}, {429, 500, false},
};

static void test_statuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		begin("GET", "http://app.test/");
		b.status = statuses[i].service;
		assert_int_equal(passes(), statuses[i].passes);
		assert_int_equal(f.status, statuses[i].client);
		finish();
	}
}

static void test_challenge_is_passed_on(void **state)
{
	(void)state;
	begin("GET", "http://app.test/");
	b.status = 401;
	loopback_add(&b, "www-authenticate", "Bearer realm=\"r\"");
	loopback_add(&b, "set-cookie", "a=b");
	assert_false(passes());
	assert_int_equal(fake_answer(&f, &filter_auth_url, 0), FILTER_NEXT);
	assert_string_equal(fake_answer_header(&f, "WWW-Authenticate"), "Bearer realm=\"r\"");
	assert_null(fake_answer_header(&f, "Set-Cookie"));
	finish();
}

static void test_cookies(void **state)
{
	(void)state;
	for (int always = 0; always < 2; always++) {
		begin("GET", "http://app.test/");
		f.set.auth_always_set_cookie = always;
		loopback_add(&b, "set-cookie", "a=b; Path=/");
		loopback_add(&b, "set-cookie", "c=d");
		assert_true(passes());
		assert_int_equal(fake_answer(&f, &filter_auth_url, 200), FILTER_NEXT);
		assert_int_equal(f.x.ans.headers.n, 2);
		f.x.ans.headers.n = 0;
		assert_int_equal(fake_answer(&f, &filter_auth_url, 404), FILTER_NEXT);
		assert_int_equal(f.x.ans.headers.n, always ? 2 : 0);
		finish();
	}
}

static const struct {
	const char *signin, *param, *want;
} signins[] = {
	{"https://login.test/start", NULL, "https://login.test/start?rd=http://app.test:81%2Fa%3Fb%3Dc%26d"},
	{"https://login.test/start", "next", "https://login.test/start?next=http://app.test:81%2Fa%3Fb%3Dc%26d"},
	{"https://login.test/?x=y", NULL, "https://login.test/?x=y&rd=http://app.test:81%2Fa%3Fb%3Dc%26d"},
	{"https://login.test/?rd=$scheme", NULL, "https://login.test/?rd=http"},
	{"https://login.test/?rd=", NULL, "https://login.test/?rd=&rd=http://app.test:81%2Fa%3Fb%3Dc%26d"},
	{"https://$host/in?rd=$escaped_request_uri", NULL, "https://app.test/in?rd=%2Fa%3Fb%3Dc%26d"},
};

static void test_signin(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(signins); i++) {
		begin("GET", "http://app.test:81/a?b=c&d");
		f.set.auth_signin = text("%s", signins[i].signin);
		f.set.auth_signin_redirect_param = (char *)(uintptr_t)signins[i].param;
		b.status = 401;
		loopback_add(&b, "set-cookie", "csrf=1");
		assert_false(passes());
		header_add(&f.x, &f.x.ans.headers, "Content-Type", STR("text/html")); /* the 401's page */
		assert_int_equal(fake_answer(&f, &filter_auth_url, 0), FILTER_ANSWERED);
		assert_int_equal(f.status, 302);
		assert_string_equal(fake_text(&f, f.location), signins[i].want);
		/* the redirect passes by the filter */
		assert_int_equal(fake_answer(&f, &filter_auth_url, 302), FILTER_NEXT);
		assert_string_equal(fake_answer_header(&f, "Set-Cookie"), "csrf=1");
		assert_int_equal(f.x.ans.headers.n, 1);
		finish();
	}
}

/* An upstream's own 401 is none of our business. */
static void test_upstreams_401(void **state)
{
	(void)state;
	begin("GET", "http://app.test/");
	f.set.auth_signin = text("https://login.test/");
	assert_true(passes());
	assert_int_equal(fake_answer(&f, &filter_auth_url, 401), FILTER_NEXT);
	assert_int_equal(f.answers, 0);
	finish();
}

static void test_satisfy_any(void **state)
{
	(void)state;
	begin("GET", "http://app.test/");
	f.set.satisfy = SATISFY_ANY;
	f.set.auth_response_headers = (struct str_list){forwarded, 2};
	f.x.access_granted = true; /* an address, or a password */
	header_add(&f.x, &f.x.up_headers, "x-user", STR("forged"));
	assert_int_equal(fake_request(&f, &filter_auth_url), FILTER_NEXT);
	assert_int_equal(b.requests, 0);
	fake_upstream(&f, &filter_auth_url);
	assert_int_equal(f.x.up_headers.n, 0);
	finish();

	begin("GET", "http://app.test/");
	f.set.satisfy = SATISFY_ANY;
	b.status = 403;
	assert_true(passes()); /* the end of the access phase says no */
	assert_int_equal(f.x.access_refused, 403);
	finish();
}

static void test_whose_url(void **state)
{
	static char acme[] = "/.well-known/acme-challenge";
	char *none[] = {acme};

	(void)state;
	begin("GET", "http://app.test/");
	global = (struct settings){.auth_url = f.set.auth_url};
	f.globals.no_auth_locations = (struct str_list){none, 1};
	assert_true(filter_auth_url.wanted(&f.loc, &f.globals));
	f.set.auth_url = NULL;
	assert_false(filter_auth_url.wanted(&f.loc, &f.globals));
	f.globals.defaults = &global;
	assert_false(filter_auth_url.wanted(&f.loc, &f.globals)); /* enable-global-auth: "false" */
	f.set.enable_global_auth = true;
	assert_true(filter_auth_url.wanted(&f.loc, &f.globals));
	f.loc.path = (char *)(uintptr_t)"/.well-known/acme-challenge/token";
	assert_false(filter_auth_url.wanted(&f.loc, &f.globals));
	f.loc.path = (char *)(uintptr_t)"/";
	b.status = 403;
	assert_false(passes());
	assert_int_equal(f.status, 403);
	f.set.auth_url = global.auth_url;
	finish();
}

static void test_service_that_fails(void **state)
{
	(void)state;
	begin("GET", "http://app.test/");
	variable_text_free(f.set.auth_url);
	f.set.auth_url = text("http://127.0.0.1:1/");
	assert_false(passes());
	assert_int_equal(f.status, 500);
	finish();
	/* a URL that is none for this request */
	begin("GET", "http://app.test/");
	variable_text_free(f.set.auth_url);
	f.set.auth_url = text("$http_x_auth/");
	assert_int_equal(fake_request(&f, &filter_auth_url), FILTER_ANSWERED);
	assert_int_equal(f.status, 500);
	finish();
}

static void test_client_that_goes_away(void **state)
{
	(void)state;
	begin("GET", "http://app.test/");
	b.silent = true;
	assert_int_equal(fake_request(&f, &filter_auth_url), FILTER_WAIT);
	for (int i = 0; i < 1000 && !b.requests; i++)
		loopback_settle(loop, 1);
	assert_int_equal(subrequests_open(f.worker.subrequests), 1);
	finish();
	loopback_settle(loop, 20);
	assert_int_equal(f.resumed + f.answers, 0);
	assert_null(b.held);
}

/* ---- auth-cache-key ---- */

/* One request with this Authorization; what is remembered outlives it. */
static struct auth_cache *kept;
static void begin_keyed(struct auth_cache_policy *p, const char *authorization)
{
	unsigned requests = b.requests;
	struct http_header reply[8];
	size_t n = b.n_reply;
	int status = b.status;

	memcpy(reply, b.reply, sizeof(reply));
	begin("GET", "http://app.test/");
	b.requests = requests;
	memcpy(b.reply, reply, sizeof(reply));
	b.n_reply = n;
	b.status = status;
	f.set.auth_cache = p;
	f.set.auth_response_headers = (struct str_list){forwarded, 2};
	f.shared.auth_cache = kept;
	fake_header(&f, "Authorization", authorization);
}

static void finish_keyed(void)
{
	kept = f.shared.auth_cache;
	finish();
}

static void forget(struct auth_cache_policy *p)
{
	auth_cache_free(kept);
	kept = NULL;
	auth_cache_policy_free(p);
}

/* What the client gets: 0 when the request may go on. `asks`: does the service hear of it? */
static int status_of(struct auth_cache_policy *p, const char *authorization, bool asks)
{
	unsigned before = b.requests;

	begin_keyed(p, authorization);
	if (asks) {
		passes();
	} else {
		enum filter_verdict v = fake_request(&f, &filter_auth_url);
		assert_int_equal(v, f.answers ? FILTER_ANSWERED : FILTER_NEXT);
	}
	assert_int_equal(b.requests - before, asks);
	return f.status;
}

static void test_remembered(void **state)
{
	struct auth_cache_policy *p = auth_cache_policy_new("$http_authorization", ""), *q = auth_cache_policy_new("$http_authorization", "");

	(void)state;
	loopback_reset(&b);
	loopback_add(&b, "x-user", "ann");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(status_of(p, "ann", i == 0), 0);
		header_add(&f.x, &f.x.up_headers, "x-user", STR("forged"));
		fake_upstream(&f, &filter_auth_url);
		assert_string_equal(fake_up_header(&f, "X-User"), "ann");
		assert_int_equal(f.x.up_headers.n, 1);
		finish_keyed();
	}
	b.reply[0].value = STR("bob");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(status_of(p, "bob", i == 0), 0);
		fake_upstream(&f, &filter_auth_url);
		assert_string_equal(fake_up_header(&f, "X-User"), "bob");
		finish_keyed();
	}
	/* other settings know nothing of it, nor does another path */
	assert_int_equal(status_of(q, "ann", true), 0);
	finish_keyed();
	begin_keyed(p, "ann");
	f.loc.path = (char *)(uintptr_t)"/other";
	assert_true(passes());
	finish_keyed();
	auth_cache_policy_free(q);
	forget(p);
}

static void test_remembered_refusal(void **state)
{
	struct auth_cache_policy *p = auth_cache_policy_new("$http_authorization", "");

	(void)state;
	loopback_reset(&b);
	b.status = 401;
	loopback_add(&b, "www-authenticate", "Bearer realm=\"r\"");
	loopback_add(&b, "x-user", "nobody");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(status_of(p, "x", i == 0), 401);
		assert_int_equal(fake_answer(&f, &filter_auth_url, 0), FILTER_NEXT);
		assert_string_equal(fake_answer_header(&f, "WWW-Authenticate"), "Bearer realm=\"r\"");
		finish_keyed();
	}
	/* the sign-in page is another for each request */
	for (int i = 0; i < 2; i++) {
		begin_keyed(p, "x");
		f.set.auth_signin = text("https://login.test/");
		f.x.req.target = i ? STR("/b") : STR("/a");
		assert_int_equal(fake_request(&f, &filter_auth_url), FILTER_ANSWERED);
		assert_int_equal(fake_answer(&f, &filter_auth_url, 0), FILTER_ANSWERED);
		assert_int_equal(f.status, 302);
		assert_string_equal(fake_text(&f, f.location), i ? "https://login.test/?rd=http://app.test%2Fb" : "https://login.test/?rd=http://app.test%2Fa");
		finish_keyed();
	}
	forget(p);
}

static const struct {
	const char *durations;
	int status;
	const char *name, *value;
} forgotten[] = {
	{"", 200, "set-cookie", "a=b"}, {"", 401, "set-cookie", "a=b"}, {"", 200, "cache-control", "no-store"}, {"", 200, "vary", "*"},
	{"", 403, "x-a", "b"},		{"", 500, "x-a", "b"},		{"401 5m", 200, "x-a", "b"},
	/* said by us: what the client says under the name is nothing to go by */
	{"", 200, "vary", "X-Original-Method"}, {"", 401, "vary", "cookie, x-original-url"}, {"", 200, "vary", "x-forwarded-for"},
	{"", 200, "vary", "accept,x-auth-request-redirect"}, {"", 200, "vary", "ssl-client-verify"},
};

static void test_not_remembered(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forgotten); i++) {
		struct auth_cache_policy *p = auth_cache_policy_new("fixed", forgotten[i].durations);

		loopback_reset(&b);
		b.status = forgotten[i].status;
		loopback_add(&b, forgotten[i].name, forgotten[i].value);
		for (int k = 0; k < 2; k++) {
			int status = status_of(p, "x", true);
			assert_int_equal(status, b.status / 100 == 2 ? 0 : b.status);
			finish_keyed();
		}
		if (auth_cache_count(kept))
			fail_msg("%d with %s: %s is remembered", b.status, forgotten[i].name, forgotten[i].value);
		forget(p);
	}
}

static void test_half_an_answer(void **state)
{
	struct auth_cache_policy *p = auth_cache_policy_new("fixed", "");
	static char body[(1u << 20) + 1];

	(void)state;
	loopback_reset(&b);
	begin_keyed(p, "x");
	b.reply_body = (struct str){memset(body, 'x', sizeof(body)), sizeof(body)};
	assert_true(passes());
	finish_keyed();
	assert_int_equal(auth_cache_count(kept), 0);
	forget(p);
}

/* A request that leaves no memory for the answer's headers spoils it for itself alone. */
static void test_no_memory(void **state)
{
	struct auth_cache_policy *p = auth_cache_policy_new("fixed", "");

	(void)state;
	for (int full = 1; full >= 0; full--) {
		loopback_reset(&b);
		loopback_add(&b, "x-user", "ann");
		begin_keyed(p, "x");
		assert_int_equal(fake_request(&f, &filter_auth_url), FILTER_WAIT);
		for (size_t size = 1u << 16; full && size; size /= 2)
			while (arena_alloc(&f.x.arena, size))
				;
		for (int i = 0; i < 5000 && !f.resumed && !f.answers; i++)
			loopback_settle(loop, 1);
		finish_keyed();
		assert_int_equal(auth_cache_count(kept), !full);
	}
	/* nor is a remembered one used in part */
	begin_keyed(p, "x");
	for (size_t size = 1u << 16; size > 200; size /= 2)
		while (arena_alloc(&f.x.arena, size))
			;
	assert_int_not_equal(fake_request(&f, &filter_auth_url), FILTER_NEXT);
	finish_keyed();
	forget(p);
}

/* For the answer to be everybody's, it is asked for as a whole. */
static void test_asked_for_all(void **state)
{
	static const char *const partial[] = {"if-none-match", "if-match", "if-modified-since", "if-unmodified-since", "range", "if-range"};

	(void)state;
	for (int keyed = 0; keyed < 2; keyed++) {
		struct auth_cache_policy *p = keyed ? auth_cache_policy_new("fixed", "") : NULL;
		loopback_reset(&b);
		begin_keyed(p, "x");
		for (size_t i = 0; i < ARRAY_LEN(partial); i++)
			fake_header(&f, partial[i], "x");
		assert_true(passes());
		for (size_t i = 0; i < ARRAY_LEN(partial); i++)
			assert_int_equal(loopback_header_count(&b, partial[i]), !keyed);
		assert_int_equal(f.x.req.headers.n, ARRAY_LEN(partial) + 1); /* the upstream's are left alone */
		finish_keyed();
		forget(p);
	}
}

/* A service that cannot be reached is asked again, unless 502 has a time. */
static void test_remembered_failure(void **state)
{
	(void)state;
	for (int listed = 0; listed < 2; listed++) {
		struct auth_cache_policy *p = auth_cache_policy_new("fixed", listed ? "502 1m" : "");
		for (int i = 0; i < 2; i++) {
			begin_keyed(p, "x");
			variable_text_free(f.set.auth_url);
			f.set.auth_url = text("http://127.0.0.1:1/");
			if (i == 0 || !listed)
				assert_false(passes());
			else
				assert_int_equal(fake_request(&f, &filter_auth_url), FILTER_ANSWERED);
			assert_int_equal(f.status, 500);
			finish_keyed();
		}
		forget(p);
	}
}

/* Those who ask at the same time all ask. */
static void test_asked_together(void **state)
{
	struct auth_cache_policy *p = auth_cache_policy_new("fixed", "");

	(void)state;
	loopback_reset(&b);
	begin_keyed(p, "x");
	b.silent = true;
	assert_int_equal(fake_request(&f, &filter_auth_url), FILTER_WAIT);
	for (int i = 0; i < 1000 && !b.requests; i++)
		loopback_settle(loop, 1);
	assert_int_equal(auth_cache_count(f.shared.auth_cache), 0);
	finish_keyed(); /* the client went away: nothing is known */
	loopback_settle(loop, 20);
	assert_int_equal(auth_cache_count(kept), 0);
	loopback_reset(&b);
	assert_int_equal(status_of(p, "x", true), 0);
	finish_keyed();
	forget(p);
}

/* A client's many headers and ours: what does not fit must not push ours out. */
static void test_many_headers(void **state)
{
	(void)state;
	begin("GET", "http://app.test/");
	for (int i = 0; i < EXCHANGE_HEADERS_MAX - 20; i++)
		fake_header(&f, arena_printf(&f.x.arena, "x-h%d", i), "v");
	assert_true(passes());
	assert_string_equal(b.target, "/auth?u=/");
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_asked),
		cmocka_unit_test(test_method_redirect_and_own_headers),
		cmocka_unit_test(test_headers_for_the_upstream),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_challenge_is_passed_on),
		cmocka_unit_test(test_cookies),
		cmocka_unit_test(test_signin),
		cmocka_unit_test(test_upstreams_401),
		cmocka_unit_test(test_satisfy_any),
		cmocka_unit_test(test_whose_url),
		cmocka_unit_test(test_service_that_fails),
		cmocka_unit_test(test_client_that_goes_away),
		cmocka_unit_test(test_remembered),
		cmocka_unit_test(test_remembered_refusal),
		cmocka_unit_test(test_not_remembered),
		cmocka_unit_test(test_half_an_answer),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_asked_for_all),
		cmocka_unit_test(test_remembered_failure),
		cmocka_unit_test(test_asked_together),
		cmocka_unit_test(test_many_headers),
	};

	return cmocka_run_group_tests(tests, loopback_setup, loopback_teardown);
}
