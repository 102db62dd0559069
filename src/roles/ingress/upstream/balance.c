#include "roles/ingress/upstream/balance_int.h"

#include "base/map.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/worker.h"

#include <math.h>
#include <sys/random.h>

#define RETRIES_MIN 3	      /* allowed whatever the budget says: Envoy's min_retry_concurrency */
#define RAMP_START_PERCENT 10 /* a young endpoint's first share: none at all would never warm it up */
#define EWMA_DECAY_MS 10000.0f /* ingress-nginx's DECAY_TIME */
#define SAMPLE_ROUNDS 3	      /* random probes before all endpoints are looked at */

/* ---- chance ---- */

/* xorshift64* (Vigna 2014): chance for balance, not for secrets. */
uint32_t random_below(uint32_t n)
{
	static _Thread_local uint64_t state;

	while (!state)
		if (getrandom(&state, sizeof(state), 0) != sizeof(state))
			state = hash_keyed(&state, sizeof(state));
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((((state * 0x2545F4914F6CDD1Dull) >> 32) * n) >> 32);
}

/* ---- how good an endpoint is ---- */

bool endpoint_down(const struct endpoint *e, uint64_t now_ms)
{
	return __atomic_load_n(&e->health, __ATOMIC_RELAXED) == HEALTH_DOWN ||
	       __atomic_load_n(&e->ejected_until_ms, __ATOMIC_RELAXED) > now_ms;
}

bool endpoint_tried(const struct exchange *x, const struct endpoint *e)
{
	for (unsigned i = 0; i < x->n_tried && i < EXCHANGE_TRIED_MAX; i++)
		if (x->tried[i] == e->id)
			return true;
	return false;
}

bool endpoint_full(const struct pick *p, const struct endpoint *e)
{
	const struct settings *s = p->set;

	return (s->max_connections && __atomic_load_n(&e->in_flight, __ATOMIC_RELAXED) >= s->max_connections) ||
	       (s->max_pending && __atomic_load_n(&e->waiting, __ATOMIC_RELAXED) >= s->max_pending);
}

/* A young endpoint takes part in a growing share of the picks. */
static bool ramping(const struct pick *p, const struct endpoint *e)
{
	uint64_t ramp_ms = (uint64_t)p->set->slow_start_s * 1000;
	uint64_t since = __atomic_load_n(&e->since_ms, __ATOMIC_RELAXED);
	uint64_t age = p->now_ms > since ? p->now_ms - since : 0;

	if (age >= ramp_ms)
		return false;
	return random_below(100) >= MAX(age * 100 / ramp_ms, RAMP_START_PERCENT);
}

enum rank rank_of(struct pick *p, size_t index)
{
	const struct endpoint *e = p->es->at[index];
	bool tried = endpoint_tried(p->x, e);

	if (endpoint_full(p, e)) {
		p->full = true;
		return RANK_FULL;
	}
	if (endpoint_down(e, p->now_ms))
		return tried ? RANK_DOWN_TRIED : RANK_DOWN;
	if (tried)
		return RANK_TRIED;
	if (p->es->draining && p->es->draining[index])
		return RANK_DRAINING;
	return p->set->slow_start_s && ramping(p, e) ? RANK_RAMPING : RANK_GOOD;
}

/* ---- choosing ---- */

/* Reservoir sampling (Vitter 1985, algorithm R) over those of the best rank. */
static size_t sample_all(struct pick *p, size_t want, size_t out[2])
{
	enum rank best = RANK_FULL;
	size_t seen = 0;

	for (size_t i = 0; i < p->es->n; i++) {
		enum rank r = rank_of(p, i);
		if (r > best || r == RANK_FULL)
			continue;
		if (r < best)
			seen = 0;
		best = r;
		size_t at = seen < want ? seen : random_below((uint32_t)seen + 1);
		seen++;
		if (at < want)
			out[at] = i;
	}
	return MIN(seen, want);
}

size_t pick_sample(struct pick *p, size_t want, size_t out[2])
{
	uint32_t n = (uint32_t)p->es->n;

	for (unsigned round = 0; n >= want && round < SAMPLE_ROUNDS; round++) {
		out[0] = random_below(n);
		if (want == 2)
			out[1] = (out[0] + 1 + (n > 1 ? random_below(n - 1) : 0)) % n;
		if (rank_of(p, out[0]) == RANK_GOOD && (want == 1 || rank_of(p, out[1]) == RANK_GOOD))
			return want;
	}
	return sample_all(p, want, out);
}

/* Workers share the counter, so that the turns of all of them together are even. Another one is drawn for an endpoint
 * that cannot be used: its neighbour would get twice its share. */
static size_t pick_round_robin(struct pick *p)
{
	size_t at = __atomic_fetch_add(&p->b->next, 1, __ATOMIC_RELAXED) % p->es->n, out[2];

	if (rank_of(p, at) == RANK_GOOD)
		return at;
	return pick_sample(p, 1, out) ? out[0] : PICK_NONE;
}

static float decayed(const struct endpoint *e, uint64_t at_ms, uint64_t now_ms)
{
	float age = now_ms > at_ms ? (float)(now_ms - at_ms) : 0;

	return (float)__atomic_load_n(&e->ewma_us, __ATOMIC_RELAXED) * expf(-age / EWMA_DECAY_MS);
}

/* Whose expected wait is shorter: the average times those in line (Finagle's peak EWMA has this factor; without it a stall
 * shows only after its first answer). One that was never measured is as fast as the other. */
static bool ewma_second_better(const struct endpoint *a, const struct endpoint *b, uint64_t now_ms)
{
	uint64_t a_ms = __atomic_load_n(&a->ewma_at_ms, __ATOMIC_RELAXED), b_ms = __atomic_load_n(&b->ewma_at_ms, __ATOMIC_RELAXED);
	float a_us = a_ms ? decayed(a, a_ms, now_ms) : 0, b_us = b_ms ? decayed(b, b_ms, now_ms) : 0;

	if (!a_ms || !b_ms)
		a_us = b_us = 1;
	return (b_us + 1) * (float)(__atomic_load_n(&b->in_flight, __ATOMIC_RELAXED) + 1) <
	       (a_us + 1) * (float)(__atomic_load_n(&a->in_flight, __ATOMIC_RELAXED) + 1);
}

static bool second_better(const struct pick *p, const struct endpoint *a, const struct endpoint *b)
{
	if (p->how->load_balance == BALANCE_EWMA)
		return ewma_second_better(a, b, p->now_ms);
	uint32_t at_a = __atomic_load_n(&a->in_flight, __ATOMIC_RELAXED), at_b = __atomic_load_n(&b->in_flight, __ATOMIC_RELAXED);

	return at_b < at_a || (at_b == at_a && random_below(2));
}

/* The better of two by chance (Mitzenmacher 2001). */
static size_t pick_of_two(struct pick *p)
{
	size_t out[2], n = pick_sample(p, 2, out);

	if (!n)
		return PICK_NONE;
	return n == 2 && second_better(p, p->es->at[out[0]], p->es->at[out[1]]) ? out[1] : out[0];
}

const struct canary *canary_of(const struct location *loc, const struct backend *b)
{
	for (size_t i = 0; b != loc->backend && i < loc->n_canaries; i++)
		if (loc->canaries[i].backend == b)
			return &loc->canaries[i];
	return NULL;
}

static size_t pick_index(struct pick *p)
{
	if (!p->es->n)
		return PICK_NONE;
	if (p->sticky)
		return affinity_pick(p);
	if (p->how->upstream_hash_by)
		return hash_pick(p);
	return p->how->load_balance == BALANCE_ROUND_ROBIN ? pick_round_robin(p) : pick_of_two(p);
}

static struct endpoint *taken(struct exchange *x, struct backend *b, struct endpoint *e)
{
	__atomic_fetch_add(&b->in_flight, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&e->in_flight, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&e->requests, 1, __ATOMIC_RELAXED);
	x->head_awaited = x->loc->set->max_pending;
	if (x->head_awaited)
		__atomic_fetch_add(&e->waiting, 1, __ATOMIC_RELAXED);
	return endpoint_ref(e);
}

struct endpoint *balance_pick_at(struct exchange *x, struct backend *b, uint64_t now_ms, bool *ret_full)
{
	const struct canary *c = x->loc->n_canaries ? canary_of(x->loc, b) : NULL;
	struct pick p = { .x = x, .b = b, .set = x->loc->set, .how = c ? c->set : x->loc->set, .now_ms = now_ms };

	p.es = backend_endpoints(b);
	p.sticky = affinity_settings(x->loc, b);
	size_t at = pick_index(&p);
	*ret_full = at == PICK_NONE && p.full;
	return at == PICK_NONE ? NULL : taken(x, b, p.es->at[at]);
}

struct endpoint *balance_pick(struct exchange *x, struct backend *b, bool *ret_full)
{
	return balance_pick_at(x, b, loop_now_ms(x->worker->loop), ret_full);
}

/* ---- what came of it ---- */

void balance_undo(struct exchange *x, struct endpoint *e)
{
	balance_head(x, e);
	__atomic_fetch_sub(&e->in_flight, 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&e->requests, 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&x->backend->in_flight, 1, __ATOMIC_RELAXED);
	endpoint_unref(e);
}

/* A failure is quick more often than not: it must not make an endpoint look fast. */
static void ewma_feed(struct endpoint *e, bool failed, uint64_t us, uint64_t now_ms)
{
	uint64_t at_ms = __atomic_load_n(&e->ewma_at_ms, __ATOMIC_RELAXED);
	float age = now_ms > at_ms ? (float)(now_ms - at_ms) : 0;
	float old = (float)__atomic_load_n(&e->ewma_us, __ATOMIC_RELAXED), weight = expf(-age / EWMA_DECAY_MS);
	float rtt = (float)MIN(us, (uint64_t)UINT32_MAX);

	if (failed && rtt < old)
		return;
	if (!at_ms) /* nothing to average with */
		weight = 0;
	__atomic_store_n(&e->ewma_us, (uint32_t)MIN(old * weight + rtt * (1 - weight), 4e9f), __ATOMIC_RELAXED);
	__atomic_store_n(&e->ewma_at_ms, now_ms, __ATOMIC_RELAXED);
}

void balance_head(struct exchange *x, struct endpoint *e)
{
	if (!x->head_awaited)
		return;
	x->head_awaited = false;
	__atomic_fetch_sub(&e->waiting, 1, __ATOMIC_RELAXED);
}

void balance_done_at(struct exchange *x, struct endpoint *e, bool failed, uint64_t us, uint64_t now_ms)
{
	const struct settings *set = x->loc->set;
	const struct canary *c = x->loc->n_canaries ? canary_of(x->loc, x->backend) : NULL;

	balance_head(x, e);
	__atomic_fetch_sub(&e->in_flight, 1, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&x->backend->in_flight, 1, __ATOMIC_RELAXED);
	if (failed)
		__atomic_fetch_add(&e->errors, 1, __ATOMIC_RELAXED);
	if ((c ? c->set : set)->load_balance == BALANCE_EWMA)
		ewma_feed(e, failed, us, now_ms);
	if (outlier_result(e, backend_endpoints(x->backend), set, failed, now_ms) && x->worker)
		metrics_inc(x->worker->metrics, METRIC_EJECTIONS);
}

void balance_done(struct exchange *x, struct endpoint *e, bool failed, uint64_t us)
{
	balance_done_at(x, e, failed, us, loop_now_ms(x->worker->loop));
}

/* ---- the retry budget ---- */

bool balance_retry_begin(struct exchange *x, struct backend *b)
{
	uint32_t in_flight = __atomic_load_n(&b->in_flight, __ATOMIC_RELAXED);
	uint64_t allowed = (uint64_t)in_flight * x->loc->set->retry_budget_percent / 100;

	if (__atomic_fetch_add(&b->retries_in_flight, 1, __ATOMIC_RELAXED) < MAX(allowed, RETRIES_MIN))
		return true;
	balance_retry_done(b);
	return false;
}

void balance_retry_done(struct backend *b)
{
	__atomic_fetch_sub(&b->retries_in_flight, 1, __ATOMIC_RELAXED);
}
