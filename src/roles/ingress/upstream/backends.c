#include "base/fnv.h"
#include "base/map.h"
#include "loop/quiesce.h"
#include "roles/ingress/route/names.h"
#include "roles/ingress/upstream/hash.h"
#include "roles/ingress/upstream/upstream.h"

#include <stdio.h>
#include <time.h>

/* Both tables hold a reference of their own to everything in them, so that only the main thread ever sees the last one go:
 * what nobody else refers to cannot be found by anybody else either, and backends_sweep frees it. */
struct backends {
	struct quiesce *quiesce;
	struct names *by_key;
	struct map endpoints; /* text → struct endpoint */
	unsigned *free_indices;
	size_t n_free, cap_free, next_index;
};

static void retire(struct backends *bs, void (*fn)(void *ptr), void *ptr)
{
	if (bs->quiesce)
		quiesce_retire(bs->quiesce, fn, ptr);
	else
		fn(ptr);
}

static bool last_but_set(const unsigned *refs)
{
	return __atomic_load_n(refs, __ATOMIC_ACQUIRE) == 1;
}

/* ---- endpoints ---- */

static uint64_t monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* FNV-1a with a final mix: clients keep it in cookies, so it must be the same in every process. */
static uint64_t stable_hash(const char *text)
{
	uint64_t h = fnv1a_64_text(text);

	h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
	return h ^ h >> 33;
}

struct endpoint *endpoint_ref(struct endpoint *e)
{
	if (e)
		__atomic_add_fetch(&e->refs_, 1, __ATOMIC_RELAXED);
	return e;
}

void endpoint_unref(struct endpoint *e)
{
	if (!e || __atomic_sub_fetch(&e->refs_, 1, __ATOMIC_ACQ_REL))
		return;
	free(e->pod);
	free(e->host_name);
	free(e);
}

static unsigned index_take(struct backends *bs)
{
	return bs->n_free ? bs->free_indices[--bs->n_free] : (unsigned)bs->next_index++;
}

static void index_give(struct backends *bs, unsigned index)
{
	if (bs->n_free == bs->cap_free) {
		bs->cap_free = bs->cap_free ? bs->cap_free * 2 : 64;
		bs->free_indices = xrealloc(bs->free_indices, bs->cap_free * sizeof(*bs->free_indices));
	}
	bs->free_indices[bs->n_free++] = index;
}

/* It was away, or is another pod now: what is known of it no longer holds. */
static void endpoint_reset(struct endpoint *e, const struct endpoint_want *w)
{
	if (!c_eq(e->pod, w->pod)) {
		free(e->pod);
		e->pod = xstrdup(w->pod);
	}
	e->ewma_us = e->consecutive_errors = e->ejections = e->health = e->health_reason = e->health_status = 0;
	e->ewma_at_ms = e->ejected_until_ms = 0;
	e->since_ms = monotonic_ms();
}

/* Referenced. */
static struct endpoint *endpoint_get(struct backends *bs, const struct endpoint_want *w)
{
	char text[ADDR_TEXT_BYTES];
	struct endpoint *e = map_get_c(&bs->endpoints, addr_text(&w->addr, text));

	if (e) {
		if (last_but_set(&e->refs_))
			endpoint_reset(e, w);
		return endpoint_ref(e);
	}
	e = xcalloc(1, sizeof(*e));
	e->refs_ = 1;
	e->addr = w->addr;
	snprintf(e->text, sizeof(e->text), "%.63s", text);
	e->id = stable_hash(text);
	e->index = index_take(bs);
	e->host_name = xstrdup(w->host_name);
	endpoint_reset(e, w);
	map_put_c(&bs->endpoints, text, e);
	return endpoint_ref(e);
}

/* ---- snapshots ---- */

static void snapshot_free(void *p)
{
	struct endpoints *es = p;

	hash_ring_free(es->ring);
	for (size_t i = 0; i < es->n; i++)
		endpoint_unref(es->at[i]);
	free(es);
}

static struct endpoints *snapshot_new(size_t n)
{
	struct endpoints *es = xcalloc(1, sizeof(*es) + n * (sizeof(*es->at) + sizeof(*es->draining)));

	es->at = (struct endpoint **)(es + 1);
	es->draining = (bool *)(es->at + n);
	return es;
}

static int want_cmp(const void *pa, const void *pb)
{
	const struct endpoint_want *a = pa, *b = pb;
	int c = memcmp(&a->addr.ss, &b->addr.ss, sizeof(a->addr.ss));

	return c ? c : (int)a->draining - (int)b->draining;
}

/* Sorted, so that the same addresses make the same snapshot in whatever order they came; each once, and serving if any of its
 * mentions is. */
static struct endpoints *snapshot_of(struct backends *bs, const struct endpoint_want *want, size_t n)
{
	struct endpoint_want *sorted = n ? xmalloc(n * sizeof(*sorted)) : NULL;
	struct endpoints *es = snapshot_new(n);

	for (size_t i = 0; i < n; i++)
		sorted[i] = want[i];
	if (n > 1)
		qsort(sorted, n, sizeof(*sorted), want_cmp);
	for (size_t i = 0; i < n; i++) {
		if (i && memcmp(&sorted[i].addr.ss, &sorted[i - 1].addr.ss, sizeof(sorted[i].addr.ss)) == 0)
			continue;
		es->draining[es->n] = sorted[i].draining;
		es->at[es->n++] = endpoint_get(bs, &sorted[i]);
	}
	free(sorted);
	return es;
}

static bool same_snapshot(const struct endpoints *a, const struct endpoints *b)
{
	return a->n == b->n && memcmp(a->at, b->at, a->n * sizeof(*a->at)) == 0 &&
	       memcmp(a->draining, b->draining, a->n * sizeof(*a->draining)) == 0;
}

/* ---- backends ---- */

struct endpoints *backend_endpoints(const struct backend *b)
{
	return __atomic_load_n(&b->now_, __ATOMIC_ACQUIRE);
}

struct backend *backend_ref(struct backend *b)
{
	if (b)
		__atomic_add_fetch(&b->refs_, 1, __ATOMIC_RELAXED);
	return b;
}

void backend_unref(struct backend *b)
{
	if (!b || __atomic_sub_fetch(&b->refs_, 1, __ATOMIC_ACQ_REL))
		return;
	snapshot_free(b->now_);
	free(b->external_name);
	free(b);
}

struct backends *backends_new(struct quiesce *q)
{
	struct backends *bs = xcalloc(1, sizeof(*bs));

	bs->quiesce = q;
	bs->by_key = names_new(NULL, offsetof(struct backend, key));
	map_init(&bs->endpoints);
	return bs;
}

static void drop_backend(void *p)
{
	backend_unref(p);
}

static void drop_endpoint(void *p)
{
	endpoint_unref(p);
}

void backends_free(struct backends *bs)
{
	if (!bs)
		return;
	names_free(bs->by_key, drop_backend);
	map_done(&bs->endpoints, drop_endpoint);
	free(bs->free_indices);
	free(bs);
}

/* One block: the record and its texts. */
static struct backend *backend_new(const char *key, const char *ns, const char *service, const char *port, bool cluster_ip)
{
	size_t nk = strlen(key) + 1, nn = strlen(ns) + 1, ns_ = strlen(service) + 1, np = strlen(port) + 1;
	struct backend *b = xcalloc(1, sizeof(*b) + nk + 2 * (nn + ns_ + np) + 2);
	char *p = (char *)(b + 1);

	b->refs_ = 1;
	b->cluster_ip = cluster_ip;
	b->service_missing = true;
	b->key = memcpy(p, key, nk);
	b->ns = memcpy(p += nk, ns, nn);
	b->service = memcpy(p += nn, service, ns_);
	b->port = memcpy(p += ns_, port, np);
	b->name = p += np;
	sprintf(b->name, port[0] ? "%s-%s-%s" : "%s-%s", ns, service, port);
	b->now_ = snapshot_new(0);
	return b;
}

static struct backend *get(struct backends *bs, const char *ns, const char *service, const char *port, bool cluster_ip)
{
	char small[512];
	int n = snprintf(small, sizeof(small), "%s/%s:%s%s", ns, service, port, cluster_ip ? "@cluster-ip" : "");
	cleanup(freep) char *large = (size_t)n < sizeof(small) ? NULL :
								 xasprintf("%s/%s:%s%s", ns, service, port,
									   cluster_ip ? "@cluster-ip" : "");
	const char *key = large ? large : small;
	struct backend *b = names_get(bs->by_key, str_of(key));

	if (!b) {
		b = backend_new(key, ns, service, port, cluster_ip);
		names_put(bs->by_key, b);
	}
	return backend_ref(b);
}

struct backend *backends_get(struct backends *bs, const char *ns, const char *service, const char *port)
{
	return get(bs, ns, service, port, false);
}

struct backend *backends_get_cluster_ip(struct backends *bs, const char *ns, const char *service, const char *port)
{
	return get(bs, ns, service, port, true);
}

void backend_set(struct backends *bs, struct backend *b, const struct endpoint_want *want, size_t n)
{
	struct endpoints *now = snapshot_of(bs, want, n), *old = b->now_;

	if (same_snapshot(now, old)) {
		snapshot_free(now);
		return;
	}
	hash_ring_prepare(b, now);
	__atomic_store_n(&b->now_, now, __ATOMIC_RELEASE);
	retire(bs, snapshot_free, old);
}

void backend_set_external_name(struct backends *bs, struct backend *b, const char *name)
{
	char *old = b->external_name;

	if (c_eq(old ? old : "", name ? name : ""))
		return;
	__atomic_store_n(&b->external_name, name && name[0] ? xstrdup(name) : NULL, __ATOMIC_RELEASE);
	if (old)
		retire(bs, free, old);
}

struct each {
	void (*fn)(void *ctx, struct backend *b);
	void *ctx;
};

static void each_one(void *ctx, void *obj)
{
	struct each *e = ctx;

	e->fn(e->ctx, obj);
}

void backends_each(const struct backends *bs, void (*fn)(void *ctx, struct backend *b), void *ctx)
{
	struct each e = { fn, ctx };

	names_each(bs->by_key, each_one, &e);
}

/* ---- sweeping ---- */

struct sweep {
	struct backends *bs;
	void (*gone)(void *ctx, struct backend *b);
	void *ctx;
};

static void sweep_backend(void *ctx, void *obj)
{
	struct sweep *s = ctx;
	struct backend *b = obj;

	if (!last_but_set(&b->refs_))
		return;
	if (s->gone)
		s->gone(s->ctx, b);
	names_del(s->bs->by_key, str_of(b->key));
	/* A worker may have borrowed it from a location that it let go in this very turn. */
	retire(s->bs, drop_backend, b);
}

static void sweep_endpoints(struct backends *bs)
{
	struct endpoint **gone = NULL;
	size_t n = 0, cap = 0;

	for (struct map_iter it = { 0 }; map_next(&bs->endpoints, &it);) {
		struct endpoint *e = it.value;

		if (!last_but_set(&e->refs_))
			continue;
		if (n == cap)
			gone = xrealloc(gone, (cap = cap ? cap * 2 : 64) * sizeof(struct endpoint *));
		gone[n++] = e;
	}
	for (size_t i = 0; i < n; i++) {
		map_del_c(&bs->endpoints, gone[i]->text);
		index_give(bs, gone[i]->index);
		retire(bs, drop_endpoint, gone[i]);
	}
	free(gone);
}

void backends_sweep(struct backends *bs, void (*gone)(void *ctx, struct backend *b), void *ctx)
{
	struct sweep s = { bs, gone, ctx };

	names_each(bs->by_key, sweep_backend, &s);
	sweep_endpoints(bs);
}
