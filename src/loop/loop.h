/* loop.h - one epoll loop per thread: descriptors, timers, signals, children, work on threads.
 *
 * Everything here runs on the loop's own thread, except a `struct work`'s run(). An object that
 * was registered belongs to its owner and must be unregistered before it is freed; from inside
 * any callback that is always allowed, also for the object being called.
 */
#pragma once

#include "base/err.h"
#include "base/list.h"

#include <signal.h>
#include <sys/epoll.h>

struct loop;
struct loop *loop_new(struct err *e) must_check;
void loop_free(struct loop *l); /* NULL is nothing */
void loop_run(struct loop *l);	/* until loop_stop */
void loop_stop(struct loop *l);
uint64_t loop_now_ms(const struct loop *l); /* CLOCK_MONOTONIC, read once per turn */
uint64_t loop_now_us(const struct loop *l); /* the same reading */
uint64_t loop_fresh_us(void);		    /* CLOCK_MONOTONIC, read now: for measuring within a turn */
int64_t wall_now_ms(void);		    /* CLOCK_REALTIME, milliseconds since 1970 */

/* A watched descriptor. `ready` gets EPOLLIN/EPOLLOUT/EPOLLHUP/EPOLLERR bits. Level-triggered. */
struct io {
	int fd;
	uint32_t events; /* read only: what is asked for now; 0 = not registered */
	void (*ready)(struct io *io, uint32_t events);
	void *ctx;
	struct loop *loop_;
};
/* Registers, changes (events != 0) or unregisters (events == 0). `fd`, `ready`, `ctx` are set
 * before. */
int io_watch(struct loop *l, struct io *io, uint32_t events, struct err *e) must_check;
void io_stop(struct io *io); /* before fd is closed; an unregistered one is nothing */

struct timer {
	void (*fire)(struct timer *t);
	void *ctx;
	uint64_t at_ms_;   /* its place in the heap */
	uint64_t want_ms_; /* when it fires: a restart to a later time only changes this */
	size_t heap_at_;   /* 0 = not started */
	struct loop *loop_;
};
void timer_start(struct loop *l, struct timer *t, uint64_t after_ms); /* restarts a running one */
void timer_stop(struct timer *t);
bool timer_active(const struct timer *t);

/* Runs once, at the end of this turn of the loop: the place to free what a callback stands on. */
struct defer {
	void (*run)(struct defer *d);
	struct list link_;
	bool queued_;
};
void loop_defer(struct loop *l, struct defer *d); /* queued already: nothing */
void defer_cancel(struct defer *d);

/* Signals arrive through a signalfd: block them process-wide by calling this before threads start.
 */
int loop_on_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx,
		   struct err *e) must_check;
/* Calls fn once with the wait status (as waitpid gives it) when `pid`, a child, has ended. */
int loop_on_child(struct loop *l, pid_t pid, void (*fn)(void *ctx, pid_t pid, int status),
		  void *ctx, struct err *e) must_check;

/* From now on `fn` gets another ctx for this child. */
void loop_child_moved(struct loop *l, pid_t pid, void *ctx);

/* `run` on a worker thread, then `done` on the loop. For what blocks: fsync, mount, unpacking. */
struct work {
	void (*run)(struct work *w);
	void (*done)(struct work *w);
	struct list link_;
};
void loop_work(struct loop *l, struct work *w);
/* From any thread: makes `fn(ctx)` run on the loop soon. */
void loop_post(struct loop *l, void (*fn)(void *ctx), void *ctx);
