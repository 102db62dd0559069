#include "roles/dns/worker_int.h"

#include "net/conn.h"
#include "roles/dns/observe/metrics.h"
#include "roles/dns/serve/request_int.h"
#include "roles/dns/serve/udp.h"

#include <signal.h>
#include <stdio.h>

static pthread_barrier_t all_done; /* made by dns_workers_stop */

/* On the worker's thread, when its loop has ended: questions under way get no answer. */
static void worker_done(struct thread *t)
{
	struct dns_worker *w = &t->w;

	worker_serve_done(t);
	worker_config_done(t);
	dns_udp_worker_done(w);
	requests_done(w);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	loop_run(t->w.loop);
	worker_done(t);
	pthread_barrier_wait(&all_done); /* until now others may post to this loop */
	loop_free(t->w.loop);
	conn_thread_done();
	return NULL;
}

static int thread_start(struct dns_shared *s, struct thread *t, struct err *e)
{
	sigset_t all, before;
	char name[16];

	worker_serve_init(t);
	list_init(&t->w.free_requests);
	t->w.shared = s;
	t->w.metrics = s->metrics ? dns_metrics_shard(s->metrics, t->w.number) : NULL;
	t->w.loop = loop_new(e);
	if (!t->w.loop)
		return -1;
	quiesce_add(s->quiesce, t->w.loop);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&t->id, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return err_errno(e, error, "start worker %u", t->w.number);
	t->running = true;
	snprintf(name, sizeof(name), "worker-%u", t->w.number);
	pthread_setname_np(t->id, name);
	return 0;
}

int dns_workers_start(struct dns_shared *s, struct err *e)
{
	s->workers = xcalloc(s->n_workers, sizeof(struct dns_worker *));
	for (unsigned i = 0; i < s->n_workers; i++) {
		struct thread *t = xcalloc(1, sizeof(*t));
		s->workers[i] = &t->w;
		t->w.number = i;
	}
	for (unsigned i = 0; i < s->n_workers; i++)
		if (thread_start(s, thread_of(s->workers[i]), e) < 0)
			return -1;
	return 0;
}

static void on_stop(void *arg)
{
	struct dns_worker *w = arg;

	loop_stop(w->loop);
}

void dns_workers_stop(struct dns_shared *s)
{
	unsigned n = 0;

	if (!s->workers)
		return;
	__atomic_store_n(&s->stopping, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < s->n_workers; i++)
		n += thread_of(s->workers[i])->running;
	if (n)
		pthread_barrier_init(&all_done, NULL, n);
	for (unsigned i = 0; i < s->n_workers; i++)
		if (thread_of(s->workers[i])->running)
			loop_post(s->workers[i]->loop, on_stop, s->workers[i]);
	for (unsigned i = 0; i < s->n_workers; i++) {
		struct thread *t = thread_of(s->workers[i]);
		if (t->running)
			pthread_join(t->id, NULL);
		quiesce_remove(s->quiesce, t->w.loop);
		free(t);
	}
	if (n)
		pthread_barrier_destroy(&all_done);
	free(s->workers);
	s->workers = NULL;
	if (s->config)
		config_end(TAKE_PTR(s->config));
}
