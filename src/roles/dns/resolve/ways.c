#include "roles/dns/resolve/exchange_int.h"
#include "roles/dns/observe/metrics.h"

static void on_probe_answered(struct try *t, enum try_end end, enum upstream_reply reply, const struct dns_message *m)
{
	(void)t, (void)end, (void)reply, (void)m;
}

static struct ways *ways_new(struct forwarder_worker *fw, struct upstream_set *set)
{
	struct ways *w = xcalloc(1, sizeof(*w) + set->n * sizeof(w->at[0]));

	w->refs = 1;
	w->set = upstream_set_ref(set);
	w->n = set->n;
	for (size_t i = 0; i < w->n; i++) {
		line_init(&w->at[i].line, &fw->pool, &set->at[i], &fw->f->o.line);
		health_init(&w->at[i].health, &w->at[i].line, &fw->f->o.health);
		try_init(&w->at[i].probe, &w->at[i].line, on_probe_answered);
	}
	return w;
}

void ways_unref(struct ways *w)
{
	if (!w || --w->refs)
		return;
	for (size_t i = 0; i < w->n; i++) {
		health_stop(&w->at[i].health);
		try_stop(&w->at[i].probe);
		line_done(&w->at[i].line);
	}
	upstream_set_unref(w->set);
	free(w);
}

struct ways *ways_now(struct forwarder_worker *fw)
{
	struct upstream_set *set = __atomic_load_n(&fw->f->set, __ATOMIC_ACQUIRE);

	if (!fw->ways || fw->ways->set != set) {
		ways_unref(fw->ways);
		fw->ways = ways_new(fw, set);
	}
	fw->ways->refs++;
	return fw->ways;
}

static uint32_t random_below(uint32_t n)
{
	uint32_t r;

	upstream_random(&r, sizeof(r));
	return r % n;
}

static void shuffle(uint8_t *order, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t k = random_below((uint32_t)i);
		uint8_t swap = order[i - 1];
		order[i - 1] = order[k];
		order[k] = swap;
	}
}

static size_t order_by_policy(struct forwarder_worker *fw, const struct ways *w, uint8_t *order)
{
	size_t n = 0, first = fw->f->o.policy == FORWARD_ROUND_ROBIN && w->n ? fw->turn++ % w->n : 0;

	for (size_t i = 0; i < w->n; i++) {
		size_t k = (first + i) % w->n;
		if (!__atomic_load_n(&w->set->at[k].looping, __ATOMIC_RELAXED))
			order[n++] = (uint8_t)k;
	}
	if (fw->f->o.policy == FORWARD_RANDOM)
		shuffle(order, n);
	return n;
}

/* Stable: those that answer, then those in doubt. */
static size_t drop_down(const struct forwarder *f, const struct ways *w, uint8_t *order, size_t n)
{
	uint8_t doubt[UPSTREAMS_MAX];
	size_t sure = 0, unsure = 0;

	for (size_t i = 0; i < n; i++) {
		const struct upstream *u = &w->set->at[order[i]];
		if (upstream_down(u, f->o.health.max_fails))
			continue;
		if (__atomic_load_n(&u->checking, __ATOMIC_RELAXED))
			doubt[unsure++] = order[i];
		else
			order[sure++] = order[i];
	}
	memcpy(order + sure, doubt, unsure);
	return sure + unsure;
}

size_t ways_order(struct forwarder_worker *fw, const struct ways *w, uint8_t order[UPSTREAMS_MAX])
{
	size_t all = order_by_policy(fw, w, order), n = drop_down(fw->f, w, order, all);

	if (n || !all)
		return n;
	if (fw->f->m_broken)
		metric_add(fw->f->m_broken, fw->pool.worker, 1);
	if (fw->f->o.failfast)
		return 0;
	order[0] = order[random_below((uint32_t)all)]; /* nothing was dropped in place */
	return 1;
}

/* ---- a worker's part ---- */

void forwarder_probe(struct forwarder_worker *fw, const struct dns_name *zone)
{
	enum { HINFO = 13 }; /* as CoreDNS' loop: nobody asks for it */
	struct ways *w = ways_now(fw);
	struct dns_query q = { .type = HINFO, .class = DNS_CLASS_IN };

	for (size_t i = 0; i < w->n; i++) {
		try_stop(&w->at[i].probe);
		if (zone && upstream_probe_name(&w->set->at[i], zone, &q.name))
			(void)!try_start(&w->at[i].probe, &q, (struct try_how){ .edns = true });
	}
	ways_unref(w);
}
