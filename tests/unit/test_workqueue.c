#include "kube/client/informer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct fixture {
	struct loop *loop;
	struct workqueue *q;
	char log[512];
	const char *readd; /* added again from within its own reconcile, once */
	const char *retry; /* fails this many times */
	int retries;
	uint64_t at[16];
	size_t n;
	struct timer stop;
	bool free_inside;
};

static void reconcile(void *ctx, const char *key)
{
	struct fixture *f = ctx;

	strcat(f->log, key);
	strcat(f->log, " ");
	f->at[f->n++ % 16] = loop_now_ms(f->loop);
	if (c_eq(key, f->readd)) {
		f->readd = NULL;
		workqueue_add(f->q, key);
		workqueue_add(f->q, key);
	}
	if (c_eq(key, f->retry) && f->retries-- > 0)
		workqueue_retry(f->q, key);
	if (f->free_inside)
		workqueue_free(f->q);
}

static void stop(struct timer *t)
{
	loop_stop(container_of(t, struct fixture, stop)->loop);
}

static void run(struct fixture *f, uint64_t ms)
{
	f->stop.fire = stop;
	timer_start(f->loop, &f->stop, ms);
	loop_run(f->loop);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct err e;

	f->loop = loop_new(&e);
	f->q = workqueue_new(f->loop, reconcile, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (!f->free_inside)
		workqueue_free(f->q);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void test_each_key_once_in_order(void **state)
{
	struct fixture *f = *state;

	workqueue_add(f->q, "b");
	workqueue_add(f->q, "a");
	workqueue_add(f->q, "b");
	assert_string_equal(f->log, ""); /* never from within add */
	run(f, 10);
	assert_string_equal(f->log, "b a ");
}

static void test_added_while_reconciled_runs_once_more(void **state)
{
	struct fixture *f = *state;

	f->readd = "a";
	workqueue_add(f->q, "a");
	run(f, 10);
	assert_string_equal(f->log, "a a ");
}

static void test_delay(void **state)
{
	struct fixture *f = *state;

	workqueue_add_after(f->q, "late", 40);
	workqueue_add_after(f->q, "late", 500); /* the sooner one holds */
	workqueue_add_after(f->q, "now", 0);
	run(f, 20);
	assert_string_equal(f->log, "now ");
	run(f, 60);
	assert_string_equal(f->log, "now late ");
	workqueue_add_after(f->q, "late", 30);
	workqueue_add(f->q, "late"); /* and makes the delayed one needless */
	run(f, 60);
	assert_string_equal(f->log, "now late late ");
}

static void test_backoff_doubles_and_is_forgotten(void **state)
{
	struct fixture *f = *state;

	f->retry = "x";
	f->retries = 4;
	workqueue_add(f->q, "x");
	run(f, 200);
	assert_string_equal(f->log, "x x x x x ");
	for (size_t i = 1; i < 5; i++) {
		uint64_t gap = f->at[i] - f->at[i - 1];
		assert_in_range(gap, 5u << (i - 1), (5u << (i - 1)) + 30);
	}
	workqueue_forget(f->q, "x");
	f->retries = 1;
	workqueue_add(f->q, "x");
	run(f, 100);
	assert_in_range(f->at[6] - f->at[5], 5, 25);
}

static void test_freed_inside(void **state)
{
	struct fixture *f = *state;

	f->free_inside = true;
	workqueue_add_after(f->q, "later", 5);
	workqueue_add(f->q, "a");
	workqueue_add(f->q, "b");
	run(f, 20);
	assert_string_equal(f->log, "a ");
}

static void test_many_keys_share_the_loop(void **state)
{
	struct fixture *f = *state;
	char key[16];

	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "k%d", i % 20);
		workqueue_add(f->q, key);
	}
	run(f, 50);
	assert_int_equal(f->n, 20);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_each_key_once_in_order),
		T(test_added_while_reconciled_runs_once_more),
		T(test_delay),
		T(test_backoff_doubles_and_is_forgotten),
		T(test_freed_inside),
		T(test_many_keys_share_the_loop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
