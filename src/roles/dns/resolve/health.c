#include "roles/dns/resolve/health.h"

#include "roles/dns/observe/metrics.h"

static struct upstream *upstream_of(const struct health *h)
{
	return h->line->upstream;
}

void health_stop(struct health *h)
{
	try_stop(&h->t);
	timer_stop(&h->timer);
	if (h->active)
		__atomic_store_n(&upstream_of(h)->checking, false, __ATOMIC_RELEASE);
	h->active = false;
}

static void check_failed(struct health *h)
{
	struct upstream *u = upstream_of(h);

	try_is_late(&h->t);
	try_stop(&h->t);
	if (line_pool_full(h->line->pool))
		return;
	__atomic_add_fetch(&u->fails, 1, __ATOMIC_RELAXED);
	if (u->m_check_failures)
		metric_add(u->m_check_failures, h->line->pool->worker, 1);
}

static void check(struct health *h)
{
	struct loop *l = h->line->pool->loop;
	struct dns_query q = { .type = DNS_NS, .class = DNS_CLASS_IN, .name = h->options->name };

	__atomic_store_n(&upstream_of(h)->checked_ms, loop_now_ms(l), __ATOMIC_RELAXED);
	if (try_start(&h->t, &q, (struct try_how){ .no_recursion = h->options->no_recursion })) {
		timer_start(l, &h->timer, HEALTH_TIMEOUT_MS);
		return;
	}
	check_failed(h);
	timer_start(l, &h->timer, h->options->interval_ms);
}

static bool waits_for_answer(const struct health *h)
{
	return h->t.stream_ || h->t.io_.fd >= 0;
}

static void on_timer(struct timer *t)
{
	struct health *h = t->ctx;

	if (waits_for_answer(h))
		check_failed(h);
	check(h);
}

static void on_checked(struct try *t, enum try_end end, enum upstream_reply reply, const struct dns_message *m)
{
	struct health *h = container_of(t, struct health, t);

	(void)reply, (void)m;
	if (end == TRY_ANSWERED) {
		__atomic_store_n(&upstream_of(h)->fails, 0, __ATOMIC_RELAXED);
		health_stop(h);
		return;
	}
	check_failed(h);
	timer_start(h->line->pool->loop, &h->timer, h->options->interval_ms);
}

void health_init(struct health *h, struct line *l, const struct health_options *o)
{
	*h = (struct health){ .line = l, .options = o, .timer = { .fire = on_timer, .ctx = h } };
	try_init(&h->t, l, on_checked);
}

void health_suspect(struct health *h)
{
	struct upstream *u = upstream_of(h);
	uint64_t last = __atomic_load_n(&u->checked_ms, __ATOMIC_RELAXED);

	if (!h->options->max_fails || h->active || (last && loop_now_ms(h->line->pool->loop) < last + h->options->interval_ms) ||
	    __atomic_exchange_n(&u->checking, true, __ATOMIC_ACQUIRE))
		return;
	h->active = true;
	check(h);
}
