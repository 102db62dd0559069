#include "roles/dns/workers.h"

#include "base/log.h"
#include "net/conn.h"
#include "roles/dns/observe/metrics.h"
#include "roles/dns/serve/request_int.h"
#include "roles/dns/serve/tcp.h"
#include "roles/dns/serve/udp.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

/* What a worker does for one endpoint. */
struct served {
	struct list link;
	struct dns_endpoint *ep;
	struct dns_udp *udp;
	struct dns_tcp *tcp;
};

struct thread {
	struct dns_worker w; /* first: &s->workers[n] is not used as an array of these */
	pthread_t id;
	struct list served;
	bool running;
};

/* A message from the main thread to a worker. */
struct job {
	struct dns_worker *w;
	struct dns_endpoint *ep;
	struct dns_config *config;
	struct ending *ending;
};

static struct thread *thread_of(struct dns_worker *w)
{
	return container_of(w, struct thread, w);
}

/* ---- serving ---- */

static void served_free(struct served *at)
{
	dns_udp_free(at->udp);
	dns_tcp_free(at->tcp);
	list_del(&at->link);
	free(at);
}

static int serve(struct dns_worker *w, struct dns_endpoint *ep, struct served *at, struct err *e)
{
	int *udp = ep->udp_fds ? &ep->udp_fds[w->number] : NULL;

	if (udp && *udp != -1) {
		at->udp = dns_udp_new(w, *udp, &ep->entrance, e);
		if (!at->udp)
			return -1;
		*udp = -1;
	}
	at->tcp = dns_tcp_new(w, ep->tcp_fd, &ep->entrance, ep->tls, e);
	return at->tcp ? 0 : -1;
}

static void on_serve(void *arg)
{
	struct job *j = arg;
	struct served *at = xcalloc(1, sizeof(*at));
	char text[ADDR_TEXT_BYTES];
	struct err e;

	at->ep = j->ep;
	list_init(&at->link);
	list_append(&thread_of(j->w)->served, &at->link);
	if (serve(j->w, j->ep, at, &e) < 0)
		log_error("%s: %s", addr_text(&j->ep->addr, text), e.message);
	free(j);
}

static void one_left(void *arg)
{
	struct dns_endpoint *ep = arg;

	if (--ep->users_ == 0)
		dns_endpoint_free(ep);
}

static void on_leave(void *arg)
{
	struct job *j = arg;

	list_for(n, tmp, &thread_of(j->w)->served) {
		struct served *at = list_entry(n, struct served, link);
		if (at->ep == j->ep)
			served_free(at);
	}
	loop_post(j->w->shared->main_loop, one_left, j->ep);
	free(j);
}

static void tell(struct dns_worker *w, void (*fn)(void *job), struct job what)
{
	struct job *j = xmalloc(sizeof(*j));

	*j = what;
	j->w = w;
	loop_post(w->loop, fn, j);
}

void dns_workers_serve(struct dns_shared *s, struct dns_endpoint *ep)
{
	ep->users_ = s->n_workers;
	for (unsigned i = 0; i < s->n_workers; i++)
		tell(s->workers[i], on_serve, (struct job){ .ep = ep });
}

void dns_workers_leave(struct dns_shared *s, struct dns_endpoint *ep)
{
	for (unsigned i = 0; i < s->n_workers; i++)
		tell(s->workers[i], on_leave, (struct job){ .ep = ep });
}

/* ---- configurations ---- */

struct dns_config *dns_config_now(const struct dns_shared *s)
{
	return __atomic_load_n(&s->config, __ATOMIC_ACQUIRE);
}

struct dns_config *dns_config_ref(struct dns_config *c)
{
	__atomic_add_fetch(&c->refs_, 1, __ATOMIC_RELAXED);
	return c;
}

/* One that nobody uses any more: every worker lets go of its part, then the main thread of the rest. */
struct ending {
	struct dns_config *config;
	unsigned left;
};

static void each_plugin(struct dns_config *c, void (*fn)(struct plugin_instance *i, void *ctx), void *ctx)
{
	for (size_t b = 0; b < c->n_blocks; b++)
		for (size_t i = 0; i < c->blocks[b].n_plugins; i++)
			fn(&c->blocks[b].plugins[i], ctx);
}

static void worker_part_stop(struct plugin_instance *i, void *ctx)
{
	struct dns_worker *w = ctx;
	void *state = i->worker_states ? i->worker_states[w->number] : NULL;

	if (!state)
		return;
	i->worker_states[w->number] = NULL;
	i->plugin->worker_stop(i, w, state);
}

static void stop_instance(struct plugin_instance *i, void *ctx)
{
	if (i->started && i->plugin->stop)
		i->plugin->stop(i, ctx);
	i->started = NULL;
	free(i->worker_states);
	i->worker_states = NULL;
}

static void config_end(struct dns_config *c)
{
	each_plugin(c, stop_instance, c->shared_);
	for (size_t b = 0; b < c->n_blocks; b++) {
		free(c->blocks[b].guards);
		free(c->blocks[b].leaves);
		c->blocks[b].guards = c->blocks[b].leaves = NULL;
	}
	dns_config_free(c);
}

static void one_ended(void *arg)
{
	struct ending *e = arg;

	if (--e->left)
		return;
	config_end(e->config);
	free(e);
}

static void on_config_end(void *arg)
{
	struct job *j = arg;

	each_plugin(j->config, worker_part_stop, j->w);
	loop_post(j->w->shared->main_loop, one_ended, j->ending);
	free(j);
}

static void begin_end(void *arg)
{
	struct dns_config *c = arg;
	struct dns_shared *s = c->shared_;
	struct ending *e = xmalloc(sizeof(*e));

	*e = (struct ending){ c, s->n_workers };
	for (unsigned i = 0; i < s->n_workers; i++)
		tell(s->workers[i], on_config_end, (struct job){ .config = c, .ending = e });
}

void dns_config_unref(struct dns_config *c)
{
	if (__atomic_sub_fetch(&c->refs_, 1, __ATOMIC_ACQ_REL) == 0 && !c->shared_->stopping)
		loop_post(c->shared_->main_loop, begin_end, c);
}

static void unref_retired(void *ptr)
{
	dns_config_unref(ptr);
}

struct starting {
	struct dns_shared *s;
	struct err *e;
	bool failed;
};

static void start_instance(struct plugin_instance *i, void *ctx)
{
	struct starting *st = ctx;

	if (st->failed)
		return;
	i->worker_states = xcalloc(st->s->n_workers, sizeof(*i->worker_states));
	if (i->plugin->start && i->plugin->start(i, st->s, st->e) < 0)
		st->failed = true;
}

/* Those of a block's plug-ins that see questions or answers whichever way they go. */
static void gather_guards(struct dns_block *b)
{
	b->guards = xcalloc(b->n_plugins, sizeof(struct plugin_instance *));
	b->leaves = xcalloc(b->n_plugins, sizeof(struct plugin_instance *));
	b->n_guards = b->n_leaves = 0;
	for (size_t i = 0; i < b->n_plugins; i++) {
		if (b->plugins[i].plugin->guard)
			b->guards[b->n_guards++] = &b->plugins[i];
		if (b->plugins[i].plugin->leave)
			b->leaves[b->n_leaves++] = &b->plugins[i];
	}
}

int dns_config_publish(struct dns_shared *s, struct dns_config *c, struct err *e)
{
	struct starting st = { .s = s, .e = e };
	struct dns_config *old;

	c->shared_ = s;
	c->refs_ = 1;
	each_plugin(c, start_instance, &st);
	if (st.failed) {
		each_plugin(c, stop_instance, s);
		return -1;
	}
	for (size_t i = 0; i < c->n_blocks; i++) {
		gather_guards(&c->blocks[i]);
		dns_block_find_direct(&c->blocks[i]);
	}
	if (s->metrics)
		dns_metrics_config(s->metrics, c);
	old = __atomic_exchange_n(&s->config, c, __ATOMIC_ACQ_REL);
	if (old)
		quiesce_retire(s->quiesce, unref_retired, old);
	return 0;
}

/* ---- threads ---- */

/* On the worker's thread, when its loop has ended: questions under way get no answer. */
static void worker_done(struct thread *t)
{
	struct dns_worker *w = &t->w;

	while (!list_empty(&t->served))
		served_free(list_entry(t->served.next, struct served, link));
	if (w->shared->config)
		each_plugin(w->shared->config, worker_part_stop, w);
	dns_udp_worker_done(w);
	requests_done(w);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	loop_run(t->w.loop);
	worker_done(t);
	loop_free(t->w.loop);
	conn_thread_done();
	return NULL;
}

static int thread_start(struct dns_shared *s, struct thread *t, struct err *e)
{
	sigset_t all, before;
	char name[16];

	list_init(&t->served);
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
	if (!s->workers)
		return;
	s->stopping = true;
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
	free(s->workers);
	s->workers = NULL;
	if (s->config)
		config_end(TAKE_PTR(s->config));
}
