/* loop_int.h - what the files of src/loop share. */
#pragma once

#include "loop/loop.h"

#include <pthread.h>

#define LOOP_BATCH 128	    /* events taken from the kernel per turn */
#define LOOP_DEFER_ROUNDS 4 /* a reply goes from its stream through its session to its socket */
#define LOOP_WORKERS 2	    /* blocking work is disk-bound: more threads only queue in the kernel */

struct loop_post {
	void (*fn)(void *ctx);
	void *ctx;
	struct list link;
};

/* Blocking work. The lists and `stop` belong to `lock`; everything else to the loop's thread. */
struct loop_pool {
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	struct list queued; /* struct work */
	struct list posts;  /* struct loop_post, from any thread */
	struct list done;   /* struct work */
	bool stop;
	size_t n_threads, n_open; /* n_open: works queued or running; loop thread only */
	pthread_t threads[LOOP_WORKERS];
	struct io wake; /* an eventfd */
};

struct loop_signal {
	void (*fn)(void *ctx, int signo);
	void *ctx;
};

struct loop {
	int epoll_fd;
	bool stopped;
	bool firing; /* inside timers' call-backs */
	uint64_t now_us, now_ms;
	struct timer **heap; /* 1-based binary heap on at_ms_ */
	size_t heap_n, heap_cap;
	struct list deferred;
	/* The batch being delivered: entries from batch_at on may still be taken back by io_stop.
	 */
	struct epoll_event batch[LOOP_BATCH];
	int batch_at, batch_n;
	struct io signal_io;
	sigset_t signal_mask;
	struct loop_signal signals[_NSIG];
	struct list children; /* struct loop_child */
	struct loop_pool pool;
};

void loop_proc_init(struct loop *l);
void loop_proc_done(struct loop *l);
int loop_pool_init(struct loop *l, struct err *e) must_check;
void loop_pool_done(struct loop *l);
