#include "loop/loop_int.h"

#include "base/sys_call.h"

#include <errno.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#define HEAP_FIRST 64

static uint64_t clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t loop_fresh_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

static void read_clock(struct loop *l)
{
	l->now_us = clock_us(CLOCK_MONOTONIC);
	l->now_ms = l->now_us / 1000;
}

int64_t wall_now_ms(void)
{
	return (int64_t)(clock_us(CLOCK_REALTIME) / 1000);
}

uint64_t loop_now_us(const struct loop *l)
{
	return l->now_us;
}

uint64_t loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}

struct loop *loop_new(struct err *e)
{
	struct loop *l = xcalloc(1, sizeof(*l));

	list_init(&l->deferred);
	loop_proc_init(l);
	read_clock(l);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0) {
		err_errno(e, errno, "epoll_create1");
		free(l);
		return NULL;
	}
	if (loop_pool_init(l, e) < 0) {
		close(l->epoll_fd);
		free(l);
		return NULL;
	}
	return l;
}

/* --- descriptors --- */

/* The kernel's batch was copied before earlier call-backs of it ran, so an event may name an
 * object that one of them stopped and freed. */
static void batch_forget(struct loop *l, const struct io *io)
{
	for (int i = l->batch_at; i < l->batch_n; i++)
		if (l->batch[i].data.ptr == io)
			l->batch[i].data.ptr = NULL;
}

int io_watch(struct loop *l, struct io *io, uint32_t events, struct err *e)
{
	struct epoll_event ev = {.events = events, .data.ptr = io};

	if (events == 0) {
		io_stop(io);
		return 0;
	}
	if (io->events == events)
		return 0;
	if (epoll_ctl(l->epoll_fd, io->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, io->fd, &ev) < 0)
		return err_errno(e, errno, "watch descriptor %d", io->fd);
	io->events = events;
	io->loop_ = l;
	return 0;
}

void io_stop(struct io *io)
{
	struct loop *l = io->loop_;

	if (io->events == 0)
		return;
	/* A descriptor already closed by its owner has left the set by itself. */
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
	io->events = 0;
	batch_forget(l, io);
}

static void batch_deliver(struct loop *l)
{
	for (l->batch_at = 0; l->batch_at < l->batch_n;) {
		struct epoll_event *ev = &l->batch[l->batch_at++];
		struct io *io = ev->data.ptr;

		if (!io)
			continue;
		uint32_t events = ev->events & (io->events | EPOLLHUP | EPOLLERR);
		if (events)
			io->ready(io, events);
	}
	l->batch_at = l->batch_n = 0;
}

/* --- timers --- */

static void heap_set(struct loop *l, size_t at, struct timer *t)
{
	l->heap[at] = t;
	t->heap_at_ = at;
}

static void heap_up(struct loop *l, size_t at)
{
	struct timer *t = l->heap[at];

	for (; at > 1 && l->heap[at / 2]->at_ms_ > t->at_ms_; at /= 2)
		heap_set(l, at, l->heap[at / 2]);
	heap_set(l, at, t);
}

static void heap_down(struct loop *l, size_t at)
{
	struct timer *t = l->heap[at];

	for (size_t child; (child = at * 2) <= l->heap_n; at = child) {
		if (child < l->heap_n && l->heap[child + 1]->at_ms_ < l->heap[child]->at_ms_)
			child++;
		if (l->heap[child]->at_ms_ >= t->at_ms_)
			break;
		heap_set(l, at, l->heap[child]);
	}
	heap_set(l, at, t);
}

static void heap_add(struct loop *l, struct timer *t)
{
	if (l->heap_n + 1 >= l->heap_cap) {
		l->heap_cap = l->heap_cap ? l->heap_cap * 2 : HEAP_FIRST;
		l->heap = xrealloc(l->heap, l->heap_cap * sizeof(*l->heap));
	}
	heap_set(l, ++l->heap_n, t);
	heap_up(l, l->heap_n);
}

bool timer_active(const struct timer *t)
{
	return t->heap_at_ != 0;
}

void timer_start(struct loop *l, struct timer *t, uint64_t after_ms)
{
	/* A timer that restarts itself with 0 would otherwise keep this turn from ending. */
	uint64_t at = l->now_ms + MAX(after_ms, l->firing ? (uint64_t)1 : (uint64_t)0);

	t->want_ms_ = at;
	if (!timer_active(t)) {
		t->loop_ = l;
		t->at_ms_ = at;
		heap_add(l, t);
	} else if (at < t->at_ms_) {
		t->at_ms_ = at;
		heap_up(l, t->heap_at_);
	}
}

void timer_stop(struct timer *t)
{
	struct loop *l = t->loop_;

	if (!timer_active(t))
		return;
	size_t at = t->heap_at_;
	struct timer *last = l->heap[l->heap_n--];
	t->heap_at_ = 0;
	if (last == t)
		return;
	heap_set(l, at, last);
	heap_up(l, at);
	heap_down(l, last->heap_at_);
}

static void timers_fire(struct loop *l)
{
	l->firing = true;
	while (l->heap_n && l->heap[1]->at_ms_ <= l->now_ms) {
		struct timer *t = l->heap[1];

		if (t->want_ms_ > l->now_ms) { /* restarted meanwhile, as most time-outs are */
			t->at_ms_ = t->want_ms_;
			heap_down(l, 1);
			continue;
		}
		timer_stop(t);
		t->fire(t);
	}
	l->firing = false;
}

/* --- the end of a turn --- */

void loop_defer(struct loop *l, struct defer *d)
{
	if (d->queued_)
		return;
	d->queued_ = true;
	list_append(&l->deferred, &d->link_);
}

void defer_cancel(struct defer *d)
{
	if (!d->queued_)
		return;
	d->queued_ = false;
	list_del(&d->link_);
}

static void deferred_run_once(struct loop *l)
{
	struct list now = l->deferred;

	now.next->prev = now.prev->next = &now;
	list_init(&l->deferred);
	while (!list_empty(&now)) {
		struct defer *d = list_entry(now.next, struct defer, link_);

		defer_cancel(d);
		d->run(d);
	}
}

/* What is deferred from in here runs too, in a next round. Past the last round it waits for the
 * next turn, which does not sleep: two parties that defer each other cannot keep others from being
 * served. */
static void deferred_run(struct loop *l)
{
	for (int i = 0; i < LOOP_DEFER_ROUNDS && !list_empty(&l->deferred); i++)
		deferred_run_once(l);
}

static int sleep_ms(const struct loop *l)
{
	if (!list_empty(&l->deferred))
		return 0;
	if (l->heap_n == 0)
		return -1;
	uint64_t at = l->heap[1]->at_ms_;
	return at <= l->now_ms ? 0 : (int)MIN(at - l->now_ms, (uint64_t)INT_MAX);
}

void loop_run(struct loop *l)
{
	read_clock(l);
	while (!l->stopped) {
		int n = sys_epoll_wait(l->epoll_fd, l->batch, LOOP_BATCH, sleep_ms(l));

		read_clock(l);
		l->batch_n = MAX(n, 0); /* EINTR: a debugger; the next turn asks again */
		batch_deliver(l);
		timers_fire(l);
		deferred_run(l);
	}
	l->stopped = false;
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	loop_pool_done(l);
	/* Memory is given back by deferred calls, and the last ones may be outstanding. */
	for (int i = 0; i < 100 && !list_empty(&l->deferred); i++)
		deferred_run(l);
	loop_proc_done(l);
	close(l->epoll_fd);
	free(l->heap);
	free(l);
}
