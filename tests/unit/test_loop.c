#include "loop/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

static struct loop *loop;
static struct err e;

static int setup(void **state)
{
	(void)state;
	loop = loop_new(&e);
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

/* --- timers --- */

struct numbered {
	struct timer timer;
	int number;
};
static int order[2000];
static int order_n, order_stop_at;

static void number_fired(struct timer *t)
{
	order[order_n++] = ((struct numbered *)t)->number;
	if (order_n == order_stop_at)
		loop_stop(loop);
}

static void timers_fire_in_order_of_time(void **state)
{
	static struct numbered t[1000];

	(void)state;
	order_n = 0;
	order_stop_at = 500;
	for (int i = 0; i < 1000; i++) {
		t[i] = (struct numbered){.timer.fire = number_fired, .number = (i * 7919) % 1000};
		timer_start(loop, &t[i].timer, 5000);
	}
	for (int i = 0; i < 1000; i++)
		timer_start(loop, &t[i].timer, (uint64_t)t[i].number / 20);
	for (int i = 0; i < 1000; i++)
		if (t[i].number % 2)
			timer_stop(&t[i].timer);
	loop_run(loop);
	assert_int_equal(order_n, 500);
	for (int i = 0; i < 500; i++)
		assert_int_equal(order[i] % 2, 0);
	for (int i = 1; i < 500; i++)
		assert_true(order[i - 1] / 20 <= order[i] / 20);
	for (int i = 0; i < 1000; i++)
		assert_false(timer_active(&t[i].timer));
}

static void again_fired(struct timer *t)
{
	if (++*(int *)t->ctx == 3)
		loop_stop(loop);
	else
		timer_start(loop, t, 0);
}

static void timer_that_restarts_itself_with_zero_lets_the_turn_end(void **state)
{
	int n = 0;
	struct timer t = {.fire = again_fired, .ctx = &n};

	(void)state;
	timer_start(loop, &t, 0);
	loop_run(loop);
	assert_int_equal(n, 3);
}

/* --- descriptors --- */

static struct io *io_a, *io_b;
static int io_calls;

static void free_both(struct io *io, uint32_t events)
{
	(void)io;
	(void)events;
	io_calls++;
	close(io_a->fd);
	close(io_b->fd);
	io_stop(io_a);
	io_stop(io_b);
	free(io_a);
	free(io_b);
	loop_stop(loop);
}

static struct io *io_ready_now(void)
{
	struct io *io = xcalloc(1, sizeof(*io));

	*io = (struct io){.fd = eventfd(1, EFD_CLOEXEC), .ready = free_both};
	assert_int_equal(io_watch(loop, io, EPOLLIN, &e), 0);
	return io;
}

static void event_of_a_freed_object_is_not_delivered(void **state)
{
	(void)state;
	io_calls = 0;
	io_a = io_ready_now();
	io_b = io_ready_now();
	loop_run(loop);
	assert_int_equal(io_calls, 1);
}

static void count_and_stop(struct io *io, uint32_t events)
{
	(void)events;
	++*(int *)io->ctx;
	loop_stop(loop);
}

static void io_changes_what_it_waits_for(void **state)
{
	int p[2], n = 0;

	(void)state;
	assert_int_equal(pipe(p), 0);
	struct io io = {.fd = p[0], .ready = count_and_stop, .ctx = &n};
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(io_watch(loop, &io, EPOLLOUT, &e), 0);
	assert_int_equal(io_watch(loop, &io, EPOLLIN, &e), 0);
	loop_run(loop);
	assert_int_equal(n, 1);
	assert_int_equal(io_watch(loop, &io, 0, &e), 0);
	assert_int_equal(io.events, 0);
	io_stop(&io);
	struct io bad = {.fd = 9999, .ready = count_and_stop};
	assert_int_equal(io_watch(loop, &bad, EPOLLIN, &e), -1);
	assert_int_equal(e.sys_errno, EBADF);
	close(p[0]);
	close(p[1]);
}

/* --- deferred calls --- */

struct counted {
	struct defer defer;
	int runs;
};

static void defer_ran(struct defer *d)
{
	struct counted *c = (struct counted *)d;

	if (++c->runs < 3)
		loop_defer(loop, d);
	else
		loop_stop(loop);
}

static void deferred_calls_run_once_and_may_queue_again(void **state)
{
	struct counted a = {.defer.run = defer_ran}, b = {.defer.run = defer_ran};

	(void)state;
	loop_defer(loop, &a.defer);
	loop_defer(loop, &a.defer);
	loop_defer(loop, &b.defer);
	defer_cancel(&b.defer);
	defer_cancel(&b.defer);
	loop_run(loop);
	assert_int_equal(a.runs, 3);
	assert_int_equal(b.runs, 0);
}

/* --- signals and children --- */

static void signal_came(void *ctx, int signo)
{
	*(int *)ctx = signo;
	loop_stop(loop);
}

static void signals_arrive_on_the_loop(void **state)
{
	int got = 0;

	(void)state;
	assert_int_equal(loop_on_signal(loop, SIGUSR1, signal_came, &got, &e), 0);
	assert_int_equal(loop_on_signal(loop, SIGUSR2, signal_came, &got, &e), 0);
	kill(getpid(), SIGUSR2);
	loop_run(loop);
	assert_int_equal(got, SIGUSR2);
	kill(getpid(), SIGUSR1);
	loop_run(loop);
	assert_int_equal(got, SIGUSR1);
	assert_int_equal(loop_on_signal(loop, 4711, signal_came, &got, &e), -1);
}

static int child_status, children_ended;

static void child_ended(void *ctx, pid_t pid, int status)
{
	assert_int_equal(pid, *(pid_t *)ctx);
	child_status = status;
	children_ended++;
	loop_stop(loop);
}

static void ended_child_is_reported_once(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(7);
	assert_int_equal(loop_on_child(loop, pid, child_ended, &pid, &e), 0);
	loop_run(loop);
	assert_int_equal(children_ended, 1);
	assert_true(WIFEXITED(child_status) && WEXITSTATUS(child_status) == 7);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
	assert_int_equal(loop_on_child(loop, pid, child_ended, &pid, &e), -1);
}

/* --- threads --- */

struct job {
	struct work work;
	pthread_t ran_on, done_on;
};
static int jobs_done;

static void job_run(struct work *w)
{
	((struct job *)w)->ran_on = pthread_self();
}

static void job_done(struct work *w)
{
	((struct job *)w)->done_on = pthread_self();
	if (++jobs_done == 100)
		loop_stop(loop);
}

static void work_runs_on_another_thread_and_ends_on_this_one(void **state)
{
	static struct job jobs[100];

	(void)state;
	jobs_done = 0;
	for (int i = 0; i < 100; i++) {
		jobs[i] = (struct job){.work = {.run = job_run, .done = job_done}};
		loop_work(loop, &jobs[i].work);
	}
	loop_run(loop);
	for (int i = 0; i < 100; i++) {
		assert_false(pthread_equal(jobs[i].ran_on, pthread_self()));
		assert_true(pthread_equal(jobs[i].done_on, pthread_self()));
	}
}

static void posted(void *ctx)
{
	if (++*(int *)ctx == 1000)
		loop_stop(loop);
}

static void *poster(void *ctx)
{
	for (int i = 0; i < 1000; i++)
		loop_post(loop, posted, ctx);
	return NULL;
}

static void posts_of_another_thread_all_arrive(void **state)
{
	pthread_t t;
	int n = 0;

	(void)state;
	pthread_create(&t, NULL, poster, &n);
	loop_run(loop);
	pthread_join(t, NULL);
	assert_int_equal(n, 1000);
}

static void loop_is_freed_with_everything_still_open(void **state)
{
	static struct job job = {.work = {.run = job_run, .done = job_done}};
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		for (;;)
			pause();
	struct loop *l = loop_new(&e);
	int got;
	assert_int_equal(loop_on_signal(l, SIGUSR1, signal_came, &got, &e), 0);
	assert_int_equal(loop_on_child(l, pid, child_ended, &pid, &e), 0);
	loop_work(l, &job.work);
	loop_post(l, posted, &got);
	loop_free(l);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(timers_fire_in_order_of_time),
		T(timer_that_restarts_itself_with_zero_lets_the_turn_end),
		T(event_of_a_freed_object_is_not_delivered),
		T(io_changes_what_it_waits_for),
		T(deferred_calls_run_once_and_may_queue_again),
		T(signals_arrive_on_the_loop),
		T(ended_child_is_reported_once),
		T(work_runs_on_another_thread_and_ends_on_this_one),
		T(posts_of_another_thread_all_arrive),
		T(loop_is_freed_with_everything_still_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
