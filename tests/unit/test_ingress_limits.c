/* nginx's leaky bucket to the millisecond, with a clock of our own; and the filter around it. */
#define FAKE_TEXTS
#include "ingress_fake.h"
#include "roles/ingress/filter/limits.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

static struct limit_key key_of(unsigned n)
{
	return limit_key_make("default", "web", (struct str){ (const char *)&n, sizeof(n) });
}

static bool ask(struct limiter *l, unsigned client, struct limit_rate r, uint64_t now_ms)
{
	struct limit_key k = key_of(client);
	return limiter_request(l, &k, &r, 1, now_ms);
}

static void rate_is_nginx_s_integer(void **state)
{
	(void)state;
	struct limit_rate r = limit_rate_make(LIMIT_PER_SECOND, 10, 5);
	assert_int_equal(r.rate, 10000);
	assert_int_equal(r.burst, 50000);
	r = limit_rate_make(LIMIT_PER_MINUTE, 10, 5);
	assert_int_equal(r.rate, 166); /* 10000 / 60 */
	assert_int_equal(r.burst, 50000);
	r = limit_rate_make(LIMIT_PER_SECOND, 4000000000u, 5);
	assert_true(r.burst == 20000000000000ull);
}

static void burst_then_rate(void **state)
{
	(void)state;
	struct limiter *l = limiter_new(1024);
	struct limit_rate r = limit_rate_make(LIMIT_PER_SECOND, 2, 5); /* burst 10 */
	for (int i = 0; i < 11; i++)
		assert_true(ask(l, 1, r, 1000)); /* the first costs nothing, ten fill the bucket */
	assert_false(ask(l, 1, r, 1000));
	assert_false(ask(l, 1, r, 1499)); /* 998 thousandths have leaked */
	assert_true(ask(l, 1, r, 1500));
	assert_false(ask(l, 1, r, 1500));
	assert_true(ask(l, 2, r, 1500)); /* somebody else */
	assert_true(ask(l, 1, r, 9000)); /* drained */
	limiter_free(l);
}

/* A refused request is not counted, and the time of the last counted one stays. */
static void refusals_are_free(void **state)
{
	(void)state;
	struct limiter *l = limiter_new(1024);
	struct limit_rate r = limit_rate_make(LIMIT_PER_SECOND, 1, 1);
	assert_true(ask(l, 1, r, 5000));
	assert_true(ask(l, 1, r, 5000));
	for (uint64_t t = 5000; t < 6000; t++)
		assert_false(ask(l, 1, r, t));
	assert_true(ask(l, 1, r, 6000));
	limiter_free(l);
}

static void clock_steps(void **state)
{
	(void)state;
	struct limiter *l = limiter_new(1024);
	struct limit_rate r = limit_rate_make(LIMIT_PER_SECOND, 1, 1);
	assert_true(ask(l, 1, r, 100000));
	assert_true(ask(l, 1, r, 99990));  /* another worker's clock is a little behind: no time has passed */
	assert_false(ask(l, 1, r, 99990));
	assert_false(ask(l, 1, r, 100990)); /* counted from the later of the two clocks */
	assert_false(ask(l, 1, r, 20000)); /* a new clock: a millisecond has passed */
	limiter_free(l);
}

static void both_rates_or_none(void **state)
{
	(void)state;
	struct limiter *l = limiter_new(1024);
	struct limit_rate r[2] = { limit_rate_make(LIMIT_PER_SECOND, 100, 1), limit_rate_make(LIMIT_PER_MINUTE, 3, 1) };
	struct limit_key k = key_of(1);
	for (int i = 0; i < 4; i++)
		assert_true(limiter_request(l, &k, r, 2, 1000));
	assert_false(limiter_request(l, &k, r, 2, 1000));
	/* The first rate has counted four requests, not five: 97 more fit. */
	for (int i = 0; i < 97; i++)
		assert_true(limiter_request(l, &k, r, 1, 1000));
	assert_false(limiter_request(l, &k, r, 1, 1000));
	limiter_free(l);
}

static void memory_is_bounded(void **state)
{
	(void)state;
	struct limiter *l = limiter_new(4096);
	struct limit_rate r = limit_rate_make(LIMIT_PER_SECOND, 1, 1);
	assert_true(ask(l, 0, r, 1000));
	assert_true(ask(l, 0, r, 1000));
	assert_false(ask(l, 0, r, 1000));
	for (unsigned i = 1; i < 50000; i++)
		assert_true(ask(l, i, r, 1000));
	assert_int_equal(limiter_states(l), 4096);
	assert_true(ask(l, 0, r, 1000)); /* evicted long ago */
	limiter_free(l);
}

static void stale_states_go(void **state)
{
	(void)state;
	struct limiter *l = limiter_new(1u << 16);
	struct limit_rate r = limit_rate_make(LIMIT_PER_SECOND, 1, 1);
	for (unsigned i = 0; i < 2000; i++)
		assert_true(ask(l, i, r, 1000));
	for (unsigned i = 10000; i < 14000; i++)
		assert_true(ask(l, i, r, 1000 + 60000));
	/* Each new one looks at two old ones of its shard: all of them are gone. */
	assert_int_equal(limiter_states(l), 4000);
	limiter_free(l);
}

static void connections(void **state)
{
	(void)state;
	struct limiter *l = limiter_new(1024); /* room for both, should chance put them into one shard */
	struct limit_key k = key_of(1), other = key_of(2);
	assert_true(limiter_enter(l, &k, 2));
	assert_true(limiter_enter(l, &k, 2));
	assert_false(limiter_enter(l, &k, 2));
	assert_true(limiter_enter(l, &other, 2));
	limiter_leave(l, &k);
	assert_true(limiter_enter(l, &k, 2));
	limiter_leave(l, &k);
	limiter_leave(l, &k);
	limiter_leave(l, &other);
	assert_int_equal(limiter_states(l), 0);
	limiter_free(l);
	l = limiter_new(64);
	/* Full: nobody is thrown out who is still there. */
	unsigned held = 0;
	bool in[1000];
	for (unsigned i = 0; i < 1000; i++) {
		k = key_of(i);
		held += in[i] = limiter_enter(l, &k, 1);
	}
	assert_true(held > 32 && held <= 64);
	for (unsigned i = 0; i < 1000; i++) {
		k = key_of(i);
		if (in[i])
			limiter_leave(l, &k);
	}
	assert_int_equal(limiter_states(l), 0);
	limiter_free(l);
}

struct clients {
	struct limiter *l;
	unsigned passed;
};

static void *crowd_run(void *arg)
{
	struct clients *c = arg;
	struct limit_rate r = limit_rate_make(LIMIT_PER_SECOND, 1000, 5);
	for (unsigned i = 0; i < 20000; i++)
		c->passed += ask(c->l, i % 7, r, 1000);
	return NULL;
}

/* Seven clients, 5,001 requests each at one instant, whoever counts. */
static void workers_share(void **state)
{
	(void)state;
	struct clients c[4] = { 0 };
	pthread_t t[4];
	struct limiter *l = limiter_new(1024);
	for (int i = 0; i < 4; i++) {
		c[i].l = l;
		pthread_create(&t[i], NULL, crowd_run, &c[i]);
	}
	unsigned passed = 0;
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		passed += c[i].passed;
	}
	assert_int_equal(passed, 7 * 5001);
	limiter_free(l);
}

/* ---- the filter ---- */

static void setup(struct fake *f, struct loop *loop, const char *ingress)
{
	fake_init(f, "GET", "http://a.test/");
	f->worker.loop = loop;
	f->loc.ingress = (char *)(uintptr_t)ingress;
	f->set.limit_burst_multiplier = 1;
}

static void filter_refuses_with_503(void **state)
{
	(void)state;
	struct err e;
	struct loop *loop = loop_new(&e);
	struct fake f;
	unsigned passed = 0;
	for (int i = 0; i < 5; i++) {
		setup(&f, loop, "refuses");
		f.set.limit_rpm = 2;
		passed += fake_request(&f, &filter_limits) == FILTER_NEXT;
		if (i == 4)
			assert_int_equal(f.status, 503);
		fake_done(&f);
	}
	assert_int_equal(passed, 3);

	setup(&f, loop, "refuses");
	f.set.limit_rpm = 2;
	f.set.limit_req_status = 429;
	assert_int_equal(fake_request(&f, &filter_limits), FILTER_ANSWERED);
	assert_int_equal(f.status, 429);
	fake_done(&f);

	setup(&f, loop, "refuses"); /* another client; then the first one, exempt; then at another Ingress */
	f.set.limit_rpm = 2;
	fake_client(&f, "2001:db8::1");
	assert_int_equal(fake_request(&f, &filter_limits), FILTER_NEXT);
	fake_done(&f);

	struct cidr all = { .ip = { [10] = 0xff, [11] = 0xff }, .bits = 96 };
	setup(&f, loop, "refuses");
	f.set.limit_rpm = 2;
	f.set.limit_allow = (struct cidr_list){ &all, 1 };
	assert_int_equal(fake_request(&f, &filter_limits), FILTER_NEXT);
	fake_done(&f);

	setup(&f, loop, "another");
	f.set.limit_rpm = 2;
	assert_int_equal(fake_request(&f, &filter_limits), FILTER_NEXT);
	fake_done(&f);
	loop_free(loop);
}

static void filter_counts_what_is_open(void **state)
{
	(void)state;
	struct err e;
	struct loop *loop = loop_new(&e);
	struct fake f[3];
	for (int i = 0; i < 3; i++) {
		setup(&f[i], loop, "open");
		f[i].set.limit_connections = 2;
		assert_int_equal(fake_request(&f[i], &filter_limits), i < 2 ? FILTER_NEXT : FILTER_ANSWERED);
	}
	assert_int_equal(f[2].status, 503);
	fake_done(&f[2]);
	fake_done(&f[0]);
	setup(&f[0], loop, "open");
	f[0].set.limit_connections = 2;
	assert_int_equal(fake_request(&f[0], &filter_limits), FILTER_NEXT);
	fake_done(&f[0]);
	fake_done(&f[1]);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rate_is_nginx_s_integer),
		cmocka_unit_test(burst_then_rate),
		cmocka_unit_test(refusals_are_free),
		cmocka_unit_test(clock_steps),
		cmocka_unit_test(both_rates_or_none),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(stale_states_go),
		cmocka_unit_test(connections),
		cmocka_unit_test(workers_share),
		cmocka_unit_test(filter_refuses_with_503),
		cmocka_unit_test(filter_counts_what_is_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
