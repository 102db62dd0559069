#include "roles/ingress/filter/limits.h"

#include "base/map.h"

#include <pthread.h>

#define SHARDS 64	    /* workers rarely meet in one */
#define STATES_AT_FIRST 64  /* of a shard */
#define STALE_MS 60000	    /* ngx_http_limit_req_expire: a drained state is dropped after a minute */
#define STALE_AT_ONCE 2	    /* as many as nginx looks at for every new one */
#define CLOCK_BACK_MS 60000 /* a greater step back is a new clock */
#define NONE UINT32_MAX

struct state {
	struct limit_key key;
	uint64_t excess; /* thousandths of a request; of LIMIT_CONNECTIONS: how many */
	uint64_t last_ms, rate;
	uint32_t next;		/* in its bucket, or in the list of free ones */
	uint32_t newer, older;	/* by use */
	uint32_t kind;
};

/* States are named by their index, as the array moves when it grows. */
struct shard {
	pthread_mutex_t lock;
	struct state *at;
	uint32_t *buckets; /* `cap` of them; cap is a power of two */
	uint32_t cap, cap_max, n, free, newest, oldest;
} __attribute__((aligned(64)));

struct limiter {
	struct shard shards[SHARDS];
};

struct limit_key limit_key_make(const char *ns, const char *ingress, struct str client)
{
	char text[1024];
	size_t n = 1;
	const struct str parts[] = { str_of(ns), str_of(ingress), client };
	struct limit_key k;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		/* A longer part ends as its digest: two that differ only there stay different. */
		uint64_t digest;
		struct str p = parts[i];
		if (p.len > 300) {
			digest = hash_keyed(p.ptr, p.len);
			p = (struct str){ (char *)&digest, sizeof(digest) };
		}
		if (p.len > 0)
			memcpy(text + n, p.ptr, p.len);
		n += p.len;
		text[n++] = '\0';
	}
	for (int i = 0; i < 2; i++) {
		text[0] = (char)i;
		k.word[i] = hash_keyed(text, n);
	}
	return k;
}

struct limit_rate limit_rate_make(enum limit_kind kind, unsigned limit, unsigned burst_multiplier)
{
	return (struct limit_rate){ kind, (uint64_t)limit * 1000 / (kind == LIMIT_PER_MINUTE ? 60 : 1),
				    (uint64_t)limit * burst_multiplier * 1000 };
}

/* ---- a shard ---- */

static uint32_t *bucket_of(struct shard *s, const struct limit_key *k)
{
	return &s->buckets[(k->word[0] / SHARDS) & (s->cap - 1)];
}

static void used_unlink(struct shard *s, uint32_t i)
{
	struct state *st = &s->at[i];
	*(st->newer == NONE ? &s->newest : &s->at[st->newer].older) = st->older;
	*(st->older == NONE ? &s->oldest : &s->at[st->older].newer) = st->newer;
}

static void used_now(struct shard *s, uint32_t i)
{
	struct state *st = &s->at[i];
	st->newer = NONE;
	st->older = s->newest;
	*(s->newest == NONE ? &s->oldest : &s->at[s->newest].newer) = i;
	s->newest = i;
}

static void state_remove(struct shard *s, uint32_t i)
{
	uint32_t *at = bucket_of(s, &s->at[i].key);
	while (*at != i)
		at = &s->at[*at].next;
	*at = s->at[i].next;
	used_unlink(s, i);
	s->at[i].next = s->free;
	s->free = i;
	s->n--;
}

static struct state *state_find(struct shard *s, const struct limit_key *k, enum limit_kind kind)
{
	if (s->cap == 0)
		return NULL;
	for (uint32_t i = *bucket_of(s, k); i != NONE; i = s->at[i].next) {
		struct state *st = &s->at[i];
		if (st->kind == kind && st->key.word[0] == k->word[0] && st->key.word[1] == k->word[1])
			return st;
	}
	return NULL;
}

static void shard_grow(struct shard *s)
{
	uint32_t cap = s->cap == 0 ? MIN(STATES_AT_FIRST, s->cap_max) : 2 * s->cap;
	s->at = xrealloc(s->at, cap * sizeof(*s->at));
	s->buckets = xrealloc(s->buckets, cap * sizeof(*s->buckets));
	memset(s->buckets, 0xff, cap * sizeof(*s->buckets));
	uint32_t used = s->cap;
	s->cap = cap;
	/* Only called when none is free: all before `used` are in use. */
	for (uint32_t i = 0; i < used; i++) {
		uint32_t *bucket = bucket_of(s, &s->at[i].key);
		s->at[i].next = *bucket;
		*bucket = i;
	}
	for (uint32_t i = cap; i-- > used;) {
		s->at[i].next = s->free;
		s->free = i;
	}
}

static struct state *state_add(struct shard *s, const struct limit_key *k, enum limit_kind kind)
{
	if (s->free == NONE && s->cap < s->cap_max)
		shard_grow(s);
	if (s->free == NONE)
		return NULL;
	uint32_t i = s->free;
	s->free = s->at[i].next;
	uint32_t *bucket = bucket_of(s, k);
	s->at[i] = (struct state){ .key = *k, .kind = kind, .next = *bucket };
	*bucket = i;
	used_now(s, i);
	s->n++;
	return &s->at[i];
}

/* ---- limit_req ---- */

static int64_t elapsed_ms(uint64_t now_ms, uint64_t last_ms)
{
	int64_t ms = (int64_t)(now_ms - last_ms);
	return ms < -CLOCK_BACK_MS ? 1 : MAX(ms, 0);
}

static uint64_t drained(const struct state *st, uint64_t rate, int64_t ms)
{
	uint64_t leaked = rate * (uint64_t)ms / 1000;
	return st->excess > leaked ? st->excess - leaked : 0;
}

/* nginx subtracts and adds before it compares with zero: a request's thousand is used up by what leaked, too. */
static uint64_t excess_with_one(const struct state *st, uint64_t rate, int64_t ms)
{
	uint64_t leaked = rate * (uint64_t)ms / 1000, full = st->excess + 1000;
	return full > leaked ? full - leaked : 0;
}

static void stale_drop(struct shard *s, uint64_t now_ms)
{
	for (int i = 0; i < STALE_AT_ONCE && s->oldest != NONE; i++) {
		const struct state *st = &s->at[s->oldest];
		int64_t ms = (int64_t)(now_ms - st->last_ms);
		if (llabs(ms) < STALE_MS || drained(st, st->rate, llabs(ms)) > 0)
			return;
		state_remove(s, s->oldest);
	}
}

static void state_count(struct shard *s, const struct limit_key *k, const struct limit_rate *r, uint64_t now_ms)
{
	struct state *st = state_find(s, k, r->kind);
	if (st != NULL) {
		int64_t ms = elapsed_ms(now_ms, st->last_ms);
		st->excess = excess_with_one(st, r->rate, ms);
		if (ms > 0)
			st->last_ms = now_ms;
		used_unlink(s, (uint32_t)(st - s->at));
		used_now(s, (uint32_t)(st - s->at));
	} else {
		stale_drop(s, now_ms);
		st = state_add(s, k, r->kind);
		if (st == NULL) {
			state_remove(s, s->oldest);
			st = state_add(s, k, r->kind);
		}
		st->last_ms = now_ms;
	}
	st->rate = r->rate;
}

static struct shard *shard_lock(struct limiter *l, const struct limit_key *k)
{
	struct shard *s = &l->shards[k->word[0] % SHARDS];
	pthread_mutex_lock(&s->lock);
	return s;
}

bool limiter_request(struct limiter *l, const struct limit_key *k, const struct limit_rate *rates, size_t n, uint64_t now_ms)
{
	struct shard *s = shard_lock(l, k);
	bool pass = true;
	for (size_t i = 0; i < n && pass; i++) {
		const struct state *st = state_find(s, k, rates[i].kind);
		pass = st == NULL ||
		       excess_with_one(st, rates[i].rate, elapsed_ms(now_ms, st->last_ms)) <= rates[i].burst;
	}
	for (size_t i = 0; i < n && pass; i++)
		state_count(s, k, &rates[i], now_ms);
	pthread_mutex_unlock(&s->lock);
	return pass;
}

/* ---- limit_conn ---- */

bool limiter_enter(struct limiter *l, const struct limit_key *k, unsigned max)
{
	struct shard *s = shard_lock(l, k);
	struct state *st = state_find(s, k, LIMIT_CONNECTIONS);
	bool pass = st == NULL || st->excess < max;
	if (st == NULL)
		st = state_add(s, k, LIMIT_CONNECTIONS);
	pass = pass && st != NULL;
	if (pass)
		st->excess++;
	pthread_mutex_unlock(&s->lock);
	return pass;
}

void limiter_leave(struct limiter *l, const struct limit_key *k)
{
	struct shard *s = shard_lock(l, k);
	struct state *st = state_find(s, k, LIMIT_CONNECTIONS);
	assert(st != NULL);
	if (--st->excess == 0)
		state_remove(s, (uint32_t)(st - s->at));
	pthread_mutex_unlock(&s->lock);
}

/* ---- life ---- */

struct limiter *limiter_new(size_t states_max)
{
	/* Every shard doubles up to a power of two. */
	uint32_t cap = 1;
	while ((size_t)cap * 2 * SHARDS <= states_max)
		cap *= 2;
	struct limiter *l = aligned_alloc(64, sizeof(*l));
	if (l == NULL)
		abort();
	memset(l, 0, sizeof(*l));
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &l->shards[i];
		pthread_mutex_init(&s->lock, NULL);
		s->cap_max = cap;
		s->free = s->newest = s->oldest = NONE;
	}
	return l;
}

void limiter_free(struct limiter *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_destroy(&l->shards[i].lock);
		free(l->shards[i].at);
		free(l->shards[i].buckets);
	}
	free(l);
}

size_t limiter_states(struct limiter *l)
{
	size_t n = 0;
	for (size_t i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&l->shards[i].lock);
		n += l->shards[i].n;
		pthread_mutex_unlock(&l->shards[i].lock);
	}
	return n;
}
