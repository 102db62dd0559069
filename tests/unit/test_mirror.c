/* Copies of requests, received by a server in the same loop. */
#include "roles/ingress/filter/mirror.h"

#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/observe/metrics.h"

#include <setjmp.h>
#include <cmocka.h>

#include "unit/ingress_fake.h"
#include "unit/loopback.h"

static struct fake f;
static struct metrics_shard shard;
static struct err e;

static void begin(const char *method, const char *url, const char *target)
{
	char text[256];

	memset(&shard, 0, sizeof(shard));
	loopback_reset(&b);
	fake_init(&f, method, url);
	f.worker.loop = loop;
	f.worker.metrics = &shard;
	snprintf(text, sizeof(text), "%s%s", b.url, target);
	f.set.mirror_target = variable_text_new(text, &e);
	f.set.mirror_request_body = true;
	assert_non_null(f.set.mirror_target);
}

static void finish(void)
{
	fake_done(&f);
	mirrors_free(f.worker.mirrors);
	variable_text_free(f.set.mirror_target);
	subrequests_free(f.worker.subrequests);
}

static void body(struct str data, bool end)
{
	struct str was = data;

	f.x.request_body_done = end;
	assert_int_equal(fake_request_body(&f, &filter_mirror, &data, end), FILTER_NEXT);
	assert_ptr_equal(data.ptr, was.ptr);
}

static bool received(unsigned n)
{
	for (int i = 0; i < 3000 && b.requests < n; i++)
		loopback_settle(loop, 1);
	return b.requests == n;
}

static void test_a_request_without_body(void **state)
{
	static char host[] = "mirror.test";

	(void)state;
	begin("GET", "http://app.test/a?b=c", "/copy$request_uri");
	f.set.mirror_host = host;
	fake_header(&f, "Cookie", "d=e");
	fake_header(&f, "Expect", "100-continue");
	assert_int_equal(fake_request(&f, &filter_mirror), FILTER_NEXT);
	fake_done(&f); /* the original is over before the copy has left */
	f.n_filters = 0;
	arena_init(&f.x.arena, EXCHANGE_ARENA_BYTES);
	assert_true(received(1));
	assert_string_equal(b.method, "GET");
	assert_string_equal(b.target, "/copy/a?b=c");
	assert_string_equal(b.host, "mirror.test");
	assert_string_equal(loopback_header(&b, "cookie"), "d=e");
	assert_null(loopback_header(&b, "expect"));
	assert_int_equal(shard.count[METRIC_MIRRORED], 1);
	finish();
}

static void test_a_target_without_path(void **state)
{
	(void)state;
	begin("DELETE", "http://app.test/a?b=c", "");
	assert_int_equal(fake_request(&f, &filter_mirror), FILTER_NEXT);
	assert_true(received(1));
	assert_string_equal(b.method, "DELETE");
	assert_string_equal(b.target, "/a?b=c");
	finish();
	begin("GET", "http://app.test/a?b=c", "/fixed");
	assert_int_equal(fake_request(&f, &filter_mirror), FILTER_NEXT);
	assert_true(received(1));
	assert_string_equal(b.target, "/fixed");
	finish();
}

static void test_a_request_with_body(void **state)
{
	(void)state;
	/* part of it comes while an earlier filter waits */
	begin("POST", "http://app.test/", "/");
	f.x.req.has_body = true;
	body(STR("hel"), false);
	assert_int_equal(fake_request(&f, &filter_mirror), FILTER_NEXT);
	loopback_settle(loop, 10);
	assert_int_equal(b.requests, 0);
	body(STR("lo"), true);
	assert_true(received(1));
	assert_string_equal(b.body, "hello");
	finish();
	/* all of it */
	begin("POST", "http://app.test/", "/");
	f.x.req.has_body = true;
	body(STR("hello"), true);
	loopback_settle(loop, 10);
	assert_int_equal(b.requests, 0);
	assert_int_equal(fake_request(&f, &filter_mirror), FILTER_NEXT);
	assert_true(received(1));
	assert_string_equal(b.body, "hello");
	finish();
	/* not wanted */
	begin("POST", "http://app.test/", "/");
	f.x.req.has_body = true;
	f.set.mirror_request_body = false;
	assert_int_equal(fake_request(&f, &filter_mirror), FILTER_NEXT);
	body(STR("hello"), true);
	assert_true(received(1));
	assert_int_equal(b.body_len, 0);
	finish();
}

static void test_requests_that_are_not_copied(void **state)
{
	(void)state;
	begin("POST", "http://app.test/", "/");
	f.x.req.has_body = true;
	body(STR("hello"), true); /* refused by another filter */
	finish();
	begin("POST", "http://app.test/", "/");
	f.x.req.has_body = true;
	assert_int_equal(fake_request(&f, &filter_mirror), FILTER_NEXT);
	body(STR("half"), false); /* the client went away */
	finish();
	loopback_settle(loop, 20);
	assert_int_equal(b.requests, 0);
}

static void test_limits(void **state)
{
	char *big = xcalloc(1, MIRROR_BODY_MAX);

	(void)state;
	begin("POST", "http://app.test/", "/");
	f.x.req.has_body = true;
	fake_request(&f, &filter_mirror);
	body((struct str){big, MIRROR_BODY_MAX}, false);
	body(STR("x"), false);
	body(STR("y"), true);
	assert_int_equal(shard.count[METRIC_MIRRORS_DROPPED], 1);
	finish();
	begin("POST", "http://app.test/", "/");
	f.x.req.has_body = true;
	fake_request(&f, &filter_mirror);
	body((struct str){big, MIRROR_BODY_MAX}, false);
	body(STR_NONE, true);
	assert_true(received(1));
	assert_int_equal(b.body_len, MIRROR_BODY_MAX);
	finish();
	/* a mirror that does not answer: the copies pile up to the limit and no further */
	begin("GET", "http://app.test/", "/");
	b.silent = true;
	for (int i = 0; i < MIRRORS_MAX + 7; i++) {
		f.n_filters = 0;
		f.states[0] = NULL;
		assert_int_equal(fake_request(&f, &filter_mirror), FILTER_NEXT);
	}
	assert_int_equal(shard.count[METRIC_MIRRORED], MIRRORS_MAX);
	assert_int_equal(shard.count[METRIC_MIRRORS_DROPPED], 7);
	assert_int_equal(subrequests_open(f.worker.subrequests), MIRRORS_MAX);
	finish();
	free(big);
}

static void test_a_mirror_that_is_down(void **state)
{
	(void)state;
	begin("GET", "http://app.test/", "/");
	variable_text_free(f.set.mirror_target);
	f.set.mirror_target = variable_text_new("http://127.0.0.1:1/$host", &e);
	assert_int_equal(fake_request(&f, &filter_mirror), FILTER_NEXT);
	for (int i = 0; i < 3000 && subrequests_open(f.worker.subrequests); i++)
		loopback_settle(loop, 1);
	assert_int_equal(subrequests_open(f.worker.subrequests), 0);
	assert_int_equal(f.answers, 0);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_request_without_body),
		cmocka_unit_test(test_a_target_without_path),
		cmocka_unit_test(test_a_request_with_body),
		cmocka_unit_test(test_requests_that_are_not_copied),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_a_mirror_that_is_down),
	};

	return cmocka_run_group_tests(tests, loopback_setup, loopback_teardown);
}
