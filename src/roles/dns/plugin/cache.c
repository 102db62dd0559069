/* cache.c - what upstreams said, kept for as long as they allow, for all workers (resolve/answer_cache.h).
 *
 * Only their answers: what comes from the cluster's zone, from hosts or templates is made from memory anyway, and would be
 * stale for nothing.
 */
#include "roles/dns/plugin/cache.h"

#include "roles/dns/observe/metrics.h"
#include "roles/dns/serve/request.h"

struct cache_metrics {
	struct metric *entries[ANSWER_KINDS], *hits[ANSWER_KINDS], *evictions[ANSWER_KINDS];
	struct metric *misses, *requests, *prefetch, *drops, *stale;
};
struct cache_run {
	struct answer_cache *cache;
	struct cache_metrics m; /* NULL without metrics */
};

/* ---- metrics ---- */

static void count(struct metric *m, const struct dns_worker *w, int64_t by)
{
	if (m && by)
		metric_add(m, w->number, by);
}

static void count_change(const struct cache_run *run, const struct dns_worker *w, const struct answer_cache_change *c)
{
	for (int k = 0; k < ANSWER_KINDS; k++) {
		count(run->m.entries[k], w, c->entries[k]);
		count(run->m.evictions[k], w, c->evicted[k]);
	}
}

static struct metric *cache_metric(struct dns_metrics *m, const struct plugin_instance *i, const char *name, enum metric_kind kind,
				   const char *help, const char *type)
{
	const struct cache_settings *c = i->settings;
	char zone[DNS_NAME_TEXT_BYTES];
	struct metric *made;
	struct buf labels, zones;

	buf_init(&labels, 64u << 10);
	buf_init(&zones, 64u << 10);
	for (size_t k = 0; k < c->zones.n; k++)
		buf_printf(&zones, "%s%s", k ? "," : "", dns_name_text(&c->zones.names[k], zone));
	metric_label(&labels, "server", i->block->server);
	if (type)
		metric_label(&labels, "type", type);
	metric_label(&labels, "view", "");
	metric_label(&labels, "zones", zones.ptr ? zones.ptr : "");
	made = dns_metric(m, name, kind, help, labels.ptr);
	buf_done(&labels);
	buf_done(&zones);
	return made;
}

static void cache_metrics(struct cache_run *run, struct dns_metrics *m, const struct plugin_instance *i)
{
	static const char *const types[ANSWER_KINDS] = { "success", "denial" };

	if (!m)
		return;
	for (int k = 0; k < ANSWER_KINDS; k++) {
		run->m.entries[k] = cache_metric(m, i, "coredns_cache_entries", METRIC_GAUGE, "The number of elements in the cache.", types[k]);
		run->m.hits[k] = cache_metric(m, i, "coredns_cache_hits_total", METRIC_COUNTER, "The count of cache hits.", types[k]);
		run->m.evictions[k] = cache_metric(m, i, "coredns_cache_evictions_total", METRIC_COUNTER, "The count of cache evictions.", types[k]);
	}
	run->m.misses = cache_metric(m, i, "coredns_cache_misses_total", METRIC_COUNTER, "The count of cache misses.", NULL);
	run->m.requests = cache_metric(m, i, "coredns_cache_requests_total", METRIC_COUNTER, "The count of cache requests.", NULL);
	run->m.prefetch = cache_metric(m, i, "coredns_cache_prefetch_total", METRIC_COUNTER,
				       "The number of times the cache has prefetched a cached item.", NULL);
	run->m.drops = cache_metric(m, i, "coredns_cache_drops_total", METRIC_COUNTER,
				    "The number of responses that are not cached, because the reply is malformed.", NULL);
	run->m.stale = cache_metric(m, i, "coredns_cache_served_stale_total", METRIC_COUNTER,
				    "The number of requests served from stale cache entries.", NULL);
}

/* ---- life ---- */

static int cache_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	const struct cache_settings *c = i->settings;
	struct cache_run *run = xcalloc(1, sizeof(*run));

	(void)e;
	run->cache = answer_cache_new(&c->o);
	cache_metrics(run, s->metrics, i);
	i->started = run;
	return 0;
}

static void cache_stop(struct plugin_instance *i, struct dns_shared *s)
{
	struct cache_run *run = i->started;
	size_t entries[ANSWER_KINDS];

	(void)s;
	answer_cache_entries(run->cache, entries);
	for (int k = 0; k < ANSWER_KINDS; k++) /* another configuration's cache may count there already */
		if (run->m.entries[k])
			metric_add(run->m.entries[k], METRIC_MAIN, -(int64_t)entries[k]);
	answer_cache_free(run->cache);
	free(run);
}

/* ---- keeping ---- */

static uint64_t now_of(const struct request *r)
{
	return loop_now_ms(r->worker->loop);
}

static uint32_t ttl_within(const struct cache_settings *c, enum answer_kind k, uint32_t ttl)
{
	return MIN(MAX(ttl, c->ttl_min_s[k]), c->ttl_max_s[k]);
}

/* How long to keep it; 0: not at all. */
static uint32_t judge(const struct cache_settings *c, const struct dns_message *m, enum answer_kind *ret_kind)
{
	unsigned rcode = m->flags & DNS_FLAGS_RCODE;
	bool cut = m->flags & DNS_FLAG_TC;
	uint32_t ttl;

	if (rcode == DNS_SERVFAIL) {
		*ret_kind = ANSWER_DENIAL;
		return cut ? 0 : c->servfail_s;
	}
	if (!answer_judge(m, ret_kind, &ttl) &&
	    (cut || rcode != DNS_NOERROR || *ret_kind != ANSWER_SUCCESS || !c->ttl_min_given[ANSWER_SUCCESS]))
		return 0;
	if (zone_set_match(&c->except[*ret_kind], &m->name))
		return 0;
	return ttl_within(c, *ret_kind, ttl);
}

static bool is_about(const struct dns_message *m, const struct dns_query *q)
{
	return m->type == q->type && m->class == q->class && m->name.len == q->name.len &&
	       memcmp(m->name.wire, q->name.wire, q->name.len) == 0;
}

/* Keeps r's answer, whose TTLs become what they will be kept with. False: it is not kept. */
static bool keep(struct request *r, struct plugin_instance *i)
{
	const struct cache_settings *c = i->settings;
	struct cache_run *run = i->started;
	struct answer_cache_change change;
	struct dns_message m;
	enum answer_kind kind;

	/* Without an upstream it is our own SERVFAIL: nothing that would have to be kept from being asked again. */
	if (r->source != FROM_UPSTREAM || !r->answer.len || !r->upstream.len)
		return false;
	if (!dns_message_parse((struct str){ (char *)r->answer.bytes, r->answer.len }, &m) || !is_about(&m, &r->query)) {
		count(run->m.drops, r->worker, 1);
		return false;
	}
	uint32_t ttl = judge(c, &m, &kind);
	if (!ttl)
		return false;
	if (!c->o.keep_ttl)
		answer_set_ttls(&m, r->answer.bytes, ttl);
	answer_cache_put(run->cache, &r->query, &m, kind, ttl, now_of(r), &change);
	count_change(run, r->worker, &change);
	return true;
}

/* ---- refreshing behind somebody's back ---- */

static bool is_failure(const struct request *r)
{
	unsigned rcode = r->answer.len >= DNS_HEADER_BYTES ? r->answer.bytes[3] & DNS_FLAGS_RCODE : DNS_SERVFAIL;

	return rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN;
}

/* What a question asked again brought. */
static void take_refresh(struct request *again, struct plugin_instance *i)
{
	const struct cache_settings *c = i->settings;
	struct cache_run *run = i->started;

	if (is_failure(again))
		answer_cache_refresh_failed(run->cache, &again->query, now_of(again), c->stale_recheck_ms);
	else
		keep(again, i);
}

static void on_refreshed(void *ctx, struct request *again)
{
	take_refresh(again, ctx);
}

/* ---- stale answers, when nothing better comes in time (RFC 8767) ---- */

struct verify {
	struct request *r; /* NULL: it has its answer */
	struct plugin_instance *i;
	struct timer timer;
	bool asking; /* the question asked again has not ended */
	struct dns_query query;
	size_t len;
	uint8_t stale[];
};

static void verify_unref(struct verify *v)
{
	if (!v->r && !v->asking)
		free(v);
}

static void verify_leave(void *scratch)
{
	struct verify *v = scratch;

	timer_stop(&v->timer);
	v->r = NULL;
	verify_unref(v);
}

/* v may be gone afterwards. */
static void answer_waiting(struct verify *v, const void *bytes, size_t len, enum request_source from)
{
	struct request *r = v->r;

	timer_stop(&v->timer);
	request_set_answer(r, bytes, len, from);
	request_resume(r, PLUGIN_ANSWERED);
}

static void serve_stale(struct verify *v)
{
	struct cache_run *run = v->i->started;

	count(run->m.stale, v->r->worker, 1);
	request_note(v->r, "cache: no better answer came, the stale one is given");
	answer_waiting(v, v->stale, v->len, FROM_CACHE_STALE);
}

static void on_waited(struct timer *t)
{
	struct verify *v = t->ctx;
	const struct cache_settings *c = v->i->settings;
	struct cache_run *run = v->i->started;

	answer_cache_refresh_failed(run->cache, &v->query, now_of(v->r), c->stale_recheck_ms);
	serve_stale(v);
}

static void on_verified(void *ctx, struct request *again)
{
	struct verify *v = ctx;

	take_refresh(again, v->i);
	v->asking = false;
	if (!v->r) {
		verify_unref(v);
	} else if (is_failure(again)) {
		serve_stale(v);
	} else {
		v->r->upstream = again->upstream;
		answer_waiting(v, again->answer.bytes, again->answer.len, FROM_UPSTREAM);
	}
}

static enum plugin_verdict verify(struct request *r, struct plugin_instance *i, const uint8_t *stale, size_t len)
{
	const struct cache_settings *c = i->settings;
	struct verify *v = xcalloc(1, sizeof(*v) + len);

	*v = (struct verify){ .r = r, .i = i, .timer = { .fire = on_waited, .ctx = v }, .asking = true, .query = r->query, .len = len };
	v->query.question = STR_NONE;
	memcpy(v->stale, stale, len);
	r->scratch[r->at] = v;
	request_on_end(r, r->at, verify_leave);
	if (c->stale_wait_ms)
		timer_start(r->worker->loop, &v->timer, c->stale_wait_ms);
	request_note(r, "cache: expired; asks again before the stale answer is given");
	request_ask_again(r, on_verified, v);
	return PLUGIN_LATER;
}

/* ---- what another worker is asking for already ---- */

#define FOLLOW_MS 3	   /* how often it is looked whether the answer has come */
#define FOLLOW_MAX_MS 300 /* then this worker asks as well */

struct follow {
	struct request *r;
	struct plugin_instance *i;
	struct timer timer;
	uint64_t end_ms;
};

static void follow_free(void *scratch)
{
	struct follow *f = scratch;

	timer_stop(&f->timer);
	free(f);
}

static void on_follow(struct timer *t)
{
	struct follow *f = t->ctx;
	struct request *r = f->r;
	struct cache_run *run = f->i->started;
	uint8_t *out = request_space(r);
	struct answer_found found;

	answer_cache_get(run->cache, &r->query, now_of(r), out, &found);
	count_change(run, r->worker, &found.change);
	if (found.state == ANSWER_FRESH) {
		request_note(r, "cache: another worker had asked");
		request_set_answer(r, out, found.len, FROM_CACHE);
		request_resume(r, PLUGIN_ANSWERED);
	} else if (now_of(r) < f->end_ms && answer_cache_is_claimed(run->cache, &r->query, r->worker->number, now_of(r))) {
		timer_start(r->worker->loop, t, FOLLOW_MS);
	} else { /* without a claim: nobody shall wait for those that waited */
		request_resume(r, PLUGIN_NEXT);
	}
}

static enum plugin_verdict follow(struct request *r, struct plugin_instance *i)
{
	struct follow *f = xcalloc(1, sizeof(*f));

	*f = (struct follow){ r, i, { .fire = on_follow, .ctx = f }, now_of(r) + FOLLOW_MAX_MS };
	r->scratch[r->at] = f;
	request_on_end(r, r->at, follow_free);
	timer_start(r->worker->loop, &f->timer, FOLLOW_MS);
	return PLUGIN_LATER;
}

/* ---- questions and answers ---- */

static bool is_for_us(const struct request *r, const struct plugin_instance *i)
{
	const struct cache_settings *c = i->settings;

	return !r->no_cache && r->query.class == DNS_CLASS_IN && r->query.type != DNS_AXFR && r->query.type != DNS_IXFR &&
	       zone_set_match(&c->zones, &r->query.name);
}

/* Another worker's answer would be found here. */
static bool is_shared(const struct request *r, const struct plugin_instance *i)
{
	const struct cache_settings *c = i->settings;

	return r->worker->shared->n_workers > 1 && !zone_set_match(&c->except[ANSWER_SUCCESS], &r->query.name);
}

static enum plugin_verdict give(struct request *r, struct plugin_instance *i, const uint8_t *bytes, const struct answer_found *found)
{
	struct cache_run *run = i->started;
	bool stale = found->state == ANSWER_STALE;

	count(run->m.hits[found->kind], r->worker, 1);
	count(stale ? run->m.stale : NULL, r->worker, 1);
	request_set_answer(r, bytes, found->len, stale ? FROM_CACHE_STALE : FROM_CACHE);
	request_note(r, stale ? "cache: a stale answer" : "cache: hit");
	if (found->refresh) {
		count(stale ? NULL : run->m.prefetch, r->worker, 1);
		request_ask_again(r, on_refreshed, i);
	}
	return PLUGIN_ANSWERED;
}

static enum plugin_verdict cache_ask(struct request *r, struct plugin_instance *i)
{
	const struct cache_settings *c = i->settings;
	struct cache_run *run = i->started;
	uint8_t *out = request_space(r);
	struct answer_found found;

	if (!is_for_us(r, i))
		return PLUGIN_NEXT;
	count(run->m.requests, r->worker, 1);
	answer_cache_get(run->cache, &r->query, now_of(r), out, &found);
	count_change(run, r->worker, &found.change);
	if (found.state == ANSWER_STALE && !c->stale_first && found.wait)
		return verify(r, i, out, found.len);
	if (found.state != ANSWER_NONE)
		return give(r, i, out, &found);
	count(run->m.misses, r->worker, 1);
	request_note(r, "cache: nothing kept");
	if (is_shared(r, i) && !answer_cache_claim(run->cache, &r->query, r->worker->number, now_of(r)))
		return follow(r, i);
	return PLUGIN_NEXT;
}

static enum plugin_verdict cache_answer(struct request *r, struct plugin_instance *i)
{
	struct cache_run *run = i->started;

	if (is_for_us(r, i) && !keep(r, i) && is_shared(r, i))
		answer_cache_release(run->cache, &r->query);
	return PLUGIN_NEXT;
}

static bool cache_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	(void)i, (void)zone;
	return false; /* the cluster's answers are never kept */
}

const struct plugin plugin_cache = {
	.name = "cache",
	.args = "[TTL] [ZONES…]",
	.doc = "Keeps what upstreams answered for as long as they allow, TTL seconds at most. The cluster's own names are always "
	       "answered from what the API server says now, and never kept.",
	.properties = cache_properties,
	.once = true,
	.parse = cache_parse,
	.free_settings = cache_free,
	.start = cache_start,
	.stop = cache_stop,
	.ask = cache_ask,
	.answer = cache_answer,
	.touches = cache_touches,
};
