/* Configurations: one is made the one in use, and let go of when nobody uses it any more. */
#include "roles/dns/worker_int.h"

#include "roles/dns/observe/metrics.h"

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
struct end_job {
	struct ending *ending;
	struct dns_worker *worker;
};

static void each_plugin(const struct dns_config *c, void (*fn)(struct plugin_instance *i, void *ctx), void *ctx)
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

void worker_config_done(struct thread *t)
{
	struct dns_config *c = dns_config_now(t->w.shared);

	if (c)
		each_plugin(c, worker_part_stop, &t->w);
}

static void stop_instance(struct plugin_instance *i, void *ctx)
{
	if (i->started && i->plugin->stop)
		i->plugin->stop(i, ctx);
	i->started = NULL;
	free(i->worker_states);
	i->worker_states = NULL;
}

void config_end(struct dns_config *c)
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
	struct end_job *j = arg;

	each_plugin(j->ending->config, worker_part_stop, j->worker);
	loop_post(j->worker->shared->main_loop, one_ended, j->ending);
	free(j);
}

static void begin_end(void *arg)
{
	struct dns_config *c = arg;
	struct dns_shared *s = c->shared_;
	struct ending *e = xmalloc(sizeof(*e));

	*e = (struct ending){ c, s->n_workers };
	for (unsigned i = 0; i < s->n_workers; i++) {
		struct end_job *j = xmalloc(sizeof(*j));
		*j = (struct end_job){ e, s->workers[i] };
		loop_post(s->workers[i]->loop, on_config_end, j);
	}
}

void dns_config_unref(struct dns_config *c)
{
	if (__atomic_sub_fetch(&c->refs_, 1, __ATOMIC_ACQ_REL) == 0 &&
	    !__atomic_load_n(&c->shared_->stopping, __ATOMIC_RELAXED))
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

int dns_config_start(struct dns_shared *s, struct dns_config *c, struct err *e)
{
	struct starting st = { .s = s, .e = e };

	c->shared_ = s;
	c->refs_ = 1;
	each_plugin(c, start_instance, &st);
	if (st.failed)
		each_plugin(c, stop_instance, s);
	return st.failed ? -1 : 0;
}

static void look_at_ready(struct plugin_instance *i, void *ctx)
{
	bool *ready = ctx;

	*ready = *ready && (!i->plugin->ready || i->plugin->ready(i));
}

bool dns_config_ready(const struct dns_config *c)
{
	bool ready = true;

	each_plugin(c, look_at_ready, &ready);
	return ready;
}

void dns_config_use(struct dns_shared *s, struct dns_config *c)
{
	struct dns_config *old;

	for (size_t i = 0; i < c->n_blocks; i++) {
		gather_guards(&c->blocks[i]);
		dns_block_find_direct(&c->blocks[i]);
	}
	if (s->metrics)
		dns_metrics_config(s->metrics, c);
	old = __atomic_exchange_n(&s->config, c, __ATOMIC_ACQ_REL);
	if (old)
		quiesce_retire(s->quiesce, unref_retired, old);
}
