/* Error pages from a default backend in the same loop. */
#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/http/subrequest.h"

#include <setjmp.h>
#include <cmocka.h>

#include "unit/ingress_fake.h"
#include "unit/loopback.h"

static struct fake f;
static struct endpoint endpoint;
static struct endpoint *endpoints_at[] = {&endpoint};
static bool draining[] = {false};
static struct endpoints endpoints = {.n = 1, .at = endpoints_at, .draining = draining};
static struct backend pages = {.now_ = &endpoints};
static struct backend web = {.service = (char *)"web", .port = (char *)"http", .ns = (char *)"default"};
static unsigned codes[] = {404, 503};

/* What exchange.c would do with an answer that a filter makes. */
static struct buf body;
static unsigned heads, drops, aborts;
static bool ended;

fake_weak bool exchange_answer_begin(struct exchange *x)
{
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 0), FILTER_NEXT);
	heads++;
	x->answered = true;
	ended = x->ans.no_body;
	return !x->ans.no_body;
}

fake_weak void exchange_answer_body(struct exchange *x, struct str data, bool end)
{
	(void)x;
	assert_int_equal(buf_put_str(&body, data), 0);
	ended = end;
}

fake_weak void exchange_abort(struct exchange *x)
{
	(void)x;
	aborts++;
}

fake_weak void attempt_drop(struct exchange *x, bool failed)
{
	(void)failed;
	if (x->up)
		x->up_ops->cancel(x);
	drops++;
}

fake_weak struct endpoints *backend_endpoints(const struct backend *k)
{
	return k->now_;
}

static void begin(const char *method, const char *url)
{
	loopback_reset(&b);
	fake_init(&f, method, url);
	f.worker.loop = loop;
	f.loc.backend = &web;
	f.loc.default_backend = &pages;
	f.set.custom_http_errors = codes;
	f.set.n_custom_http_errors = ARRAY_LEN(codes);
	f.x.backend = &web;
	f.x.state = X_SENT;
	snprintf(endpoint.text, sizeof(endpoint.text), "127.0.0.1:%u", b.port);
	endpoints.n = 1;
	buf_init(&body, 4u << 20);
	heads = drops = aborts = 0;
	ended = false;
}

static void finish(void)
{
	fake_done(&f);
	subrequests_free(f.worker.subrequests);
	buf_done(&body);
}

static bool settled(void)
{
	for (int i = 0; i < 5000 && !ended && !aborts && !f.answers; i++)
		loopback_settle(loop, 1);
	return ended;
}

static void test_an_upstreams_error_is_replaced(void **state)
{
	(void)state;
	begin("POST", "http://app.test:81/a?b=c");
	snprintf(f.x.request_id, sizeof(f.x.request_id), "id7");
	fake_header(&f, "Accept", "application/json");
	fake_header(&f, "If-None-Match", "\"x\"");
	fake_header(&f, "X-Code", "200");
	fake_header(&f, "Cookie", "a=b");
	header_add(&f.x, &f.x.ans.headers, "X-Powered-By", STR("upstream"));
	b.status = 200; /* the default backend's own status is what counts */
	b.reply_body = STR("sorry");
	loopback_add(&b, "content-type", "application/json");
	loopback_add(&b, "connection", "close");
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 404), FILTER_WAIT);
	assert_int_equal(drops, 1);
	assert_true(f.x.answer_own);
	assert_true(settled());
	assert_int_equal(heads, 1);
	assert_int_equal(f.x.ans.status, 200);
	assert_int_equal(f.x.ans.content_length, 5);
	assert_string_equal(body.ptr, "sorry");
	assert_string_equal(fake_answer_header(&f, "content-type"), "application/json");
	assert_null(fake_answer_header(&f, "x-powered-by"));
	assert_null(fake_answer_header(&f, "connection"));
	assert_null(fake_answer_header(&f, "content-length"));
	assert_string_equal(b.method, "GET");
	assert_string_equal(b.target, "/");
	assert_string_equal(b.host, "app.test:81");
	static const char *const want[][2] = {
		{"x-code", "404"}, {"x-format", "application/json"}, {"x-original-uri", "/a?b=c"}, {"x-namespace", "default"},
		{"x-ingress-name", "web"}, {"x-service-name", "web"}, {"x-service-port", "http"}, {"x-request-id", "id7"},
		{"x-forwarded-for", "192.0.2.1"}, {"cookie", "a=b"},
	};
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_int_equal(loopback_header_count(&b, want[i][0]), 1);
		assert_string_equal(loopback_header(&b, want[i][0]), want[i][1]);
	}
	assert_null(loopback_header(&b, "if-none-match"));
	finish();
}

static void test_our_own_error_is_replaced(void **state)
{
	(void)state;
	begin("GET", "http://app.test/");
	f.x.state = X_FILTERS;
	exchange_answer_error(&f.x, 503);
	f.answers = 0;
	b.status = 503;
	b.reply_body = STR("back soon");
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 0), FILTER_WAIT);
	assert_int_not_equal(f.x.state, X_FILTERS);
	assert_true(settled());
	assert_int_equal(f.x.ans.status, 503);
	assert_string_equal(body.ptr, "back soon");
	finish();
}

static void test_answers_that_stay(void **state)
{
	(void)state;
	begin("GET", "http://app.test/");
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 200), FILTER_NEXT);
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 500), FILTER_NEXT);
	f.x.backend = &pages; /* it served the request itself, as the Service had no endpoint */
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 404), FILTER_NEXT);
	f.x.backend = &web;
	endpoints.n = 0; /* nobody to ask */
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 404), FILTER_NEXT);
	f.loc.default_backend = NULL;
	assert_false(filter_custom_errors.wanted(&f.loc, &f.globals));
	loopback_settle(loop, 10);
	assert_int_equal(b.requests + drops, 0);
	finish();
}

static void test_pages_without_body(void **state)
{
	static const struct {
		const char *method;
		int status;
		struct str body;
	} rows[] = {{"HEAD", 404, STR("unseen")}, {"GET", 204, {NULL, 0}}, {"GET", 404, {NULL, 0}}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(rows[i].method, "http://app.test/");
		f.x.req.is_head = c_eq(rows[i].method, "HEAD");
		b.status = rows[i].status;
		b.reply_body = rows[i].body;
		assert_int_equal(fake_answer(&f, &filter_custom_errors, 404), FILTER_WAIT);
		assert_true(settled());
		assert_true(f.x.ans.no_body);
		assert_int_equal(body.len, 0);
		finish();
	}
}

static void test_a_default_backend_that_fails(void **state)
{
	(void)state;
	begin("GET", "http://app.test/");
	snprintf(endpoint.text, sizeof(endpoint.text), "127.0.0.1:1");
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 404), FILTER_WAIT);
	assert_false(settled());
	assert_int_equal(f.answers, 1);
	assert_int_equal(f.status, 404);
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 0), FILTER_NEXT); /* not again */
	finish();
}

static void test_back_pressure_and_leaving(void **state)
{
	static char big[1 << 20];

	(void)state;
	begin("GET", "http://app.test/");
	b.reply_body = (struct str){big, sizeof(big)};
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 404), FILTER_WAIT);
	for (int i = 0; i < 1000 && !heads; i++)
		loopback_settle(loop, 1);
	assert_non_null(f.x.up);
	f.x.up_ops->want_body(&f.x, false);
	size_t before = body.len;
	loopback_settle(loop, 50);
	assert_true(body.len < sizeof(big));
	assert_true(body.len - before <= 128u << 10);
	f.x.up_ops->want_body(&f.x, true);
	assert_true(settled());
	assert_int_equal(body.len, sizeof(big));
	finish();
	/* the client goes away in the middle */
	begin("GET", "http://app.test/");
	b.reply_body = (struct str){big, sizeof(big)};
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 404), FILTER_WAIT);
	for (int i = 0; i < 1000 && !heads; i++)
		loopback_settle(loop, 1);
	f.x.up_ops->want_body(&f.x, false);
	attempt_drop(&f.x, false);
	assert_null(f.x.up);
	assert_int_equal(subrequests_open(f.worker.subrequests), 0);
	finish();
	loopback_settle(loop, 10);
	assert_int_equal(aborts, 0);
}

/* While the page is awaited, something else is answered: it wins. */
static void test_an_answer_that_came_between(void **state)
{
	(void)state;
	begin("GET", "http://app.test/");
	b.silent = true;
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 404), FILTER_WAIT);
	exchange_answer_error(&f.x, 503);
	assert_int_equal(fake_answer(&f, &filter_custom_errors, 0), FILTER_NEXT);
	assert_int_equal(subrequests_open(f.worker.subrequests), 0);
	loopback_settle(loop, 10);
	assert_int_equal(heads, 0);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_upstreams_error_is_replaced),
		cmocka_unit_test(test_our_own_error_is_replaced),
		cmocka_unit_test(test_answers_that_stay),
		cmocka_unit_test(test_pages_without_body),
		cmocka_unit_test(test_a_default_backend_that_fails),
		cmocka_unit_test(test_back_pressure_and_leaving),
		cmocka_unit_test(test_an_answer_that_came_between),
	};

	return cmocka_run_group_tests(tests, loopback_setup, loopback_teardown);
}
