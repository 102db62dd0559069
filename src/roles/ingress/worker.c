#include "roles/ingress/workers.h"

#include "loop/quiesce.h"
#include "net/conn.h"
#include "roles/ingress/filter/coding.h"
#include "roles/ingress/filter/jwt.h"
#include "roles/ingress/filter/mirror.h"
#include "roles/ingress/http/down.h"
#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/http/h2_mem.h"
#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/l4/l4.h"
#include "roles/ingress/observe/access_log.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/upstream/up.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

struct thread {
	struct worker w;
	struct workers *all;
	struct listener *listeners[WORKER_SOCKETS_MAX];
	pthread_t id;
	struct timer drained; /* asks again and again whether the last connection has ended */
	uint64_t drain_until_ms;
	bool running;
};

struct workers {
	struct shared *shared;
	struct worker_socket sockets[WORKER_SOCKETS_MAX];
	size_t n_sockets, n;
	struct thread *threads;
	unsigned open, draining; /* threads that still accept, that still drain; main thread */
	void (*closed)(void *arg);
	void (*drained)(void *arg);
	void *arg;
};

#define DRAIN_ASK_MS 50

const struct globals *globals_now(const struct shared *s)
{
	return __atomic_load_n(&s->globals, __ATOMIC_ACQUIRE);
}

static void on_http(void *ctx, int fd, const struct addr *peer)
{
	down_accept(ctx, fd, peer, false);
}

static void on_https(void *ctx, int fd, const struct addr *peer)
{
	down_accept(ctx, fd, peer, true);
}

static void worker_init(struct worker *w, struct shared *s, unsigned number)
{
	w->shared = s;
	w->number = number;
	list_init(&w->downs);
	crowd_init(&w->crowd, w->loop);
	list_init(&w->free_exchanges);
	list_init(&w->ended_exchanges);
	list_init(&w->named_exchanges);
	list_init(&w->free_h1);
	list_init(&w->ended_h1);
	w->reap.run = exchange_reap;
	w->begin.run = exchange_begin_named;
	w->metrics = s->metrics ? metrics_shard_new(s->metrics, w) : NULL;
	w->pools = up_pools_new(w);
}

/* On the worker's thread, when its loop has ended. */
static void worker_done(struct worker *w)
{
	while (!list_empty(&w->downs))
		down_close(list_entry(w->downs.next, struct down_conn, link));
	up_pools_free(w->pools);
	w->pools = NULL;
	up_h2_pool_free(w);
	h2_mem_unref(w->h2_mem);
	mirrors_free(w->mirrors);
	subrequests_free(w->subrequests);
	l4_worker_free(w->l4);
	coders_free(w->coders);
	jwt_cache_free(w->jwt_cache);
	access_log_worker_stop(w->shared->access_log, w);
	defer_cancel(&w->begin);
	defer_cancel(&w->reap);
	exchange_pool_done(w);
	down_h1_pool_done(w);
	crowd_done(&w->crowd);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	access_log_worker_start(t->w.shared->access_log, &t->w);
	loop_run(t->w.loop);
	for (size_t i = 0; i < t->all->n_sockets; i++)
		listener_free(t->listeners[i]);
	timer_stop(&t->drained);
	worker_done(&t->w);
	loop_free(t->w.loop);
	conn_thread_done();
	return NULL;
}

static int thread_listen(struct thread *t, struct err *e)
{
	struct workers *ws = t->all;

	for (size_t i = 0; i < ws->n_sockets; i++) {
		t->listeners[i] = listener_new_shared(t->w.loop, ws->sockets[i].fd, ws->sockets[i].https ? on_https : on_http,
						      &t->w, e);
		if (!t->listeners[i])
			return -1;
	}
	return 0;
}

static int thread_start(struct workers *ws, unsigned number, struct err *e)
{
	struct thread *t = &ws->threads[number];
	sigset_t all, before;
	char name[16];

	t->all = ws;
	t->w.loop = loop_new(e);
	if (!t->w.loop)
		return -1;
	worker_init(&t->w, ws->shared, number);
	if (thread_listen(t, e) < 0)
		return -1;
	quiesce_add(ws->shared->quiesce, t->w.loop);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&t->id, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return err_errno(e, error, "start worker %u", number);
	t->running = true;
	snprintf(name, sizeof(name), "worker-%u", number);
	pthread_setname_np(t->id, name);
	return 0;
}

struct workers *workers_start(struct shared *s, const struct worker_socket *sockets, size_t n_sockets, struct err *e)
{
	struct workers *ws = xcalloc(1, sizeof(*ws));

	assert(n_sockets <= WORKER_SOCKETS_MAX);
	ws->shared = s;
	ws->n = s->n_workers;
	ws->n_sockets = n_sockets;
	memcpy(ws->sockets, sockets, n_sockets * sizeof(*sockets));
	ws->threads = xcalloc(ws->n, sizeof(*ws->threads));
	for (unsigned i = 0; i < ws->n; i++)
		if (thread_start(ws, i, e) < 0) {
			workers_stop(ws);
			return NULL;
		}
	return ws;
}

/* ---- the end ---- */

static void stop_one(void *ctx)
{
	struct thread *t = ctx;

	loop_stop(t->w.loop);
}

void workers_stop(struct workers *ws)
{
	if (!ws)
		return;
	for (size_t i = 0; i < ws->n; i++)
		if (ws->threads[i].running)
			loop_post(ws->threads[i].w.loop, stop_one, &ws->threads[i]);
	for (size_t i = 0; i < ws->n; i++) {
		struct thread *t = &ws->threads[i];
		if (!t->running)
			continue;
		pthread_join(t->id, NULL);
		quiesce_remove(ws->shared->quiesce, t->w.loop);
	}
	free(ws->threads);
	free(ws);
}

static void one_closed(void *ctx)
{
	struct workers *ws = ctx;

	if (--ws->open == 0)
		ws->closed(ws->arg);
}

static void one_drained(void *ctx)
{
	struct workers *ws = ctx;

	if (--ws->draining == 0)
		ws->drained(ws->arg);
}

static void ask_drained(struct timer *timer)
{
	struct thread *t = timer->ctx;
	struct worker *w = &t->w;

	if ((w->n_downs || conn_finishing()) && loop_now_ms(w->loop) < t->drain_until_ms) {
		timer_start(w->loop, timer, DRAIN_ASK_MS);
		return;
	}
	loop_post(w->shared->main_loop, one_drained, t->all);
}

static void drain_one(void *ctx)
{
	struct thread *t = ctx;
	struct worker *w = &t->w;

	w->draining = true;
	for (size_t i = 0; i < t->all->n_sockets; i++) {
		listener_free(t->listeners[i]);
		t->listeners[i] = NULL;
	}
	loop_post(w->shared->main_loop, one_closed, t->all);
	list_for(at, tmp, &w->downs)
		down_drain(list_entry(at, struct down_conn, link));
	t->drain_until_ms = loop_now_ms(w->loop) + globals_now(w->shared)->worker_shutdown_timeout_s * 1000ull;
	t->drained = (struct timer){ .fire = ask_drained, .ctx = t };
	timer_start(w->loop, &t->drained, 1);
}

void workers_drain(struct workers *ws, void (*closed)(void *arg), void (*drained)(void *arg), void *arg)
{
	ws->closed = closed;
	ws->drained = drained;
	ws->arg = arg;
	ws->open = ws->draining = (unsigned)ws->n;
	for (size_t i = 0; i < ws->n; i++)
		loop_post(ws->threads[i].w.loop, drain_one, &ws->threads[i]);
}

void workers_each(struct workers *ws, void (*fn)(void *ctx, const struct worker *w), void *ctx)
{
	for (size_t i = 0; i < ws->n; i++)
		fn(ctx, &ws->threads[i].w);
}
