/* Recording: what a worker does when an exchange ends. */
#include "roles/ingress/observe/metrics_int.h"

#include <limits.h>

#define CACHE_LINE_BYTES 64
#define relaxed_load(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define relaxed_store(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)

const uint32_t metrics_duration_bounds_us[] = {
	50, 70, 100, 150, 250, 350, 500, 700, 1000, 1500, 2500, 3500, 5000, 7000, 10000, 15000, 25000, 35000, 50000, 70000,
	100000, 150000, 250000, 350000, 500000, 700000, 1000000, 1500000, 2500000, 3500000, 5000000, 7000000, 10000000,
	30000000, 60000000,
};
/* ingress-nginx's defaults: client_golang's DefBuckets, LinearBuckets(10, 10, 10), ExponentialBuckets(10, 10, 7). */
const uint32_t metrics_time_bounds[] = { 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000 };
const uint32_t metrics_in_bounds[] = { 10, 20, 30, 40, 50, 60, 70, 80, 90, 100 };
const uint32_t metrics_out_bounds[] = { 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 1000, 10000, 100000, 1000000, 10000000 };

const char *const metrics_method_names[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "OTHER" };

static enum method method_of(struct str s)
{
	for (unsigned i = 0; i < METHOD_OTHER; i++)
		if (s.len >= 3 && s.ptr[0] == metrics_method_names[i][0] && str_eq_c(s, metrics_method_names[i]))
			return i;
	return METHOD_OTHER;
}

/* The first bound that `v` does not exceed. Most values are small: from the front. */
static unsigned bucket_low(const uint32_t *bounds, unsigned n, uint64_t v)
{
	unsigned i = 0;

	while (i < n && v > bounds[i])
		i++;
	return i;
}

static unsigned bucket_of(const uint32_t *bounds, unsigned n, uint64_t v)
{
	unsigned from = 0, to = n;

	while (from < to) {
		unsigned mid = (from + to) / 2;
		if (v > bounds[mid])
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static void carry(struct metrics_cell *c, unsigned i)
{
	uint32_t *high = relaxed_load(&c->high);

	if (!high) {
		high = xcalloc(CELL_BUCKETS, sizeof(*high));
		__atomic_store_n(&c->high, high, __ATOMIC_RELEASE);
	}
	relaxed_store(&high[i], high[i] + 1);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	relaxed_store(&c->low[i], 0);
	__atomic_store_n(&high[i], high[i] + 1, __ATOMIC_RELEASE);
}

uint64_t metrics_cell_count(const struct metrics_cell *c, unsigned i)
{
	for (;;) {
		const uint32_t *high = __atomic_load_n(&c->high, __ATOMIC_ACQUIRE);
		uint32_t before = high ? __atomic_load_n(&high[i], __ATOMIC_ACQUIRE) : 0;
		uint32_t low = relaxed_load(&c->low[i]);

		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (relaxed_load(&c->high) == high && !(before & 1) && (!high || relaxed_load(&high[i]) == before))
			return (uint64_t)(before / 2) << 16 | low;
	}
}

static void count(struct metrics_cell *c, unsigned i)
{
	uint16_t v = relaxed_load(&c->low[i]);

	if (v == UINT16_MAX)
		carry(c, i);
	else
		relaxed_store(&c->low[i], (uint16_t)(v + 1));
}

static void add(struct metrics_cell *c, enum cell_sum which, uint64_t n)
{
	relaxed_store(&c->sum[which], relaxed_load(&c->sum[which]) + n);
}

uint64_t metrics_cell_sum(const struct metrics_cell *c, enum cell_sum which)
{
	return relaxed_load(&c->sum[which]);
}

struct metrics_cell *metrics_cell_next(const struct metrics_cell *c)
{
	return __atomic_load_n(&c->next, __ATOMIC_ACQUIRE);
}

bool metrics_cell_same(const struct metrics_cell *a, const struct metrics_cell *b)
{
	return a->status == b->status && a->method == b->method && c_eq(a->canary, b->canary);
}

struct metrics_cell *metrics_shard_cells(const struct metrics_shard *s, unsigned id)
{
	struct metrics_chunk *k = __atomic_load_n(&s->chunks[id / CHUNK_SLOTS], __ATOMIC_ACQUIRE);

	return k ? __atomic_load_n(&k->at[id % CHUNK_SLOTS].head, __ATOMIC_ACQUIRE) : NULL;
}

static struct metrics_slot *slot_of(struct metrics_shard *s, unsigned id)
{
	struct metrics_chunk **at = &s->chunks[id / CHUNK_SLOTS];

	if (!*at)
		__atomic_store_n(at, xcalloc(1, sizeof(**at)), __ATOMIC_RELEASE);
	return &(*at)->at[id % CHUNK_SLOTS];
}

/* The slot's cell of these labels, made when there is room; NULL when there is none. */
static struct metrics_cell *slot_cell(struct metrics_shard *s, struct metrics_slot *slot, const struct metrics_cell *want,
				      bool always)
{
	struct metrics_cell **at = &slot->head;
	unsigned n = 0;

	for (; *at; at = &(*at)->next, n++)
		if (metrics_cell_same(*at, want))
			return *at;
	if (!always && (n >= METRICS_CELLS_PER_LOCATION_MAX || relaxed_load(&s->n_cells) >= METRICS_CELLS_MAX))
		return NULL;
	struct metrics_cell *c = xcalloc(1, sizeof(*c));
	c->status = want->status;
	c->method = want->method;
	c->canary = xstrdup(want->canary);
	__atomic_fetch_add(&s->n_cells, 1, __ATOMIC_RELAXED); /* the main thread takes away */
	__atomic_store_n(at, c, __ATOMIC_RELEASE);
	return c;
}

static struct metrics_cell *find(struct metrics_shard *s, const struct exchange *x)
{
	struct metrics_slot *slot = slot_of(s, x->loc ? x->loc->metrics_id % METRICS_LOCATIONS_MAX : METRICS_NO_LOCATION);
	struct metrics_cell *c = slot->recent, want;

	want.status = x->ans.status >= 100 && x->ans.status <= 599 ? (uint16_t)x->ans.status : x->client_gone ? 499 : STATUS_OTHER;
	want.method = method_of(x->req.method);
	want.canary = x->canary_why && x->backend ? x->backend->name : NULL;
	if (c && metrics_cell_same(c, &want))
		return c;
	c = slot_cell(s, slot, &want, false);
	if (!c) {
		/* One such cell for each location that there is, so these are bounded too. */
		want = (struct metrics_cell){ .status = STATUS_OTHER, .method = METHOD_OTHER };
		metrics_inc(s, METRIC_COLLAPSED);
		c = slot_cell(s, slot, &want, true);
	}
	slot->recent = c;
	return c;
}

/* NULL: nothing was counted there yet. */
static const struct metrics_slot *known_slot(const struct exchange *x)
{
	const struct metrics_shard *s = x->worker->metrics;
	unsigned id = x->loc ? x->loc->metrics_id % METRICS_LOCATIONS_MAX : METRICS_NO_LOCATION;
	const struct metrics_chunk *k = s ? s->chunks[id / CHUNK_SLOTS] : NULL;

	return k ? &k->at[id % CHUNK_SLOTS] : NULL;
}

void metrics_fetch_slot(const struct exchange *x)
{
	__builtin_prefetch(known_slot(x));
}

void metrics_fetch_cell(const struct exchange *x)
{
	const struct metrics_slot *slot = known_slot(x);
	const char *cell = slot ? (const char *)slot->recent : NULL;

	for (size_t at = 0; cell && at < sizeof(struct metrics_cell); at += CACHE_LINE_BYTES)
		__builtin_prefetch(cell + at, 1);
}

static uint64_t between(uint64_t from, uint64_t to)
{
	return from && to > from ? to - from : 0;
}

/* Of the last try, as far as it got; on a kept connection no time to connect passed. */
static void count_upstream(struct metrics_cell *c, const struct exchange *x)
{
	const struct {
		uint64_t until;
		unsigned at;
		enum cell_sum sum;
	} rows[] = {
		{ x->connected_us, AT_CONNECT, SUM_CONNECT },
		{ x->head_us, AT_HEADER, SUM_HEADER },
		{ x->head_us ? x->ended_us : 0, AT_RESPONSE, SUM_RESPONSE },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].until < x->try_us)
			continue;
		uint64_t v = rows[i].until - x->try_us;
		count(c, rows[i].at + bucket_low(metrics_time_bounds, TIME_BUCKETS - 1, v));
		add(c, rows[i].sum, v);
	}
}

void metrics_exchange_done(struct exchange *x)
{
	struct metrics_shard *s = x->worker->metrics;

	if (!s)
		return;
	if (!x->ended_us)
		x->ended_us = x_now_us(x);
	metrics_inc(s, METRIC_REQUESTS);
	struct metrics_cell *c = find(s, x);
	uint64_t v = between(x->started_us, x->ended_us), out = x->answer_head_bytes + x->answer_body_bytes;
	count(c, AT_DURATION + bucket_of(metrics_duration_bounds_us, DURATION_BUCKETS - 1, v));
	add(c, SUM_DURATION, v);
	count(c, AT_IN + bucket_of(metrics_in_bounds, IN_BUCKETS - 1, x->req.bytes));
	add(c, SUM_IN, x->req.bytes);
	count(c, AT_OUT + bucket_of(metrics_out_bounds, OUT_BUCKETS - 1, out));
	add(c, SUM_OUT, out);
	if (x->try_us)
		count_upstream(c, x);
}

const uint32_t *metrics_duration_bounds(size_t *ret_n)
{
	*ret_n = DURATION_BUCKETS - 1;
	return metrics_duration_bounds_us;
}
