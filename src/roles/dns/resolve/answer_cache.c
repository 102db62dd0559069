#include "roles/dns/resolve/answer_cache.h"

#include "base/list.h"
#include "base/map.h"

#include <pthread.h>

#define BUCKETS_FIRST 16
#define KEY_BYTES (DNS_NAME_BYTES_MAX + 5)

struct key {
	uint64_t hash;
	size_t len;
	uint8_t bytes[KEY_BYTES];
};

struct entry {
	struct entry *next; /* in its bucket */
	struct list used;   /* in its shard's list of its kind: the newest last */
	uint64_t hash, expires_ms;
	uint64_t hit_ms, retry_ms, refresh_ms; /* last hit; no refresh before; when one began, 0: none is under way */
	uint32_t ttl, hits, len;
	uint16_t n_ttls, key_len;
	uint8_t kind, rcode;
	uint16_t ttl_at[]; /* then the key, then the message */
};

struct claim {
	uint64_t hash, until_ms; /* 0: free */
	unsigned owner;
};

struct shard {
	pthread_mutex_t lock;
	struct claim claims[ANSWER_CACHE_CLAIMS];
	struct entry **buckets;
	size_t n_buckets, count;
	size_t entries[ANSWER_KINDS], bytes[ANSWER_KINDS];
	struct list used[ANSWER_KINDS];
} __attribute__((aligned(64))); /* a cache line of its own: locks are written by everybody */

struct answer_cache {
	struct shard shards[ANSWER_CACHE_SHARDS];
	struct answer_cache_options o;
	size_t entries_max[ANSWER_KINDS], bytes_max[ANSWER_KINDS]; /* of a shard */
};

/* ---- keys ---- */

static void key_make(struct key *k, const struct dns_query *q)
{
	uint8_t *p = k->bytes;

	*p++ = (uint8_t)(q->type >> 8);
	*p++ = (uint8_t)q->type;
	*p++ = (uint8_t)(q->class >> 8);
	*p++ = (uint8_t)q->class;
	*p++ = (uint8_t)(q->dnssec_ok | (q->flags & DNS_FLAG_CD ? 2 : 0));
	p = mempcpy(p, q->name.wire, q->name.len);
	k->len = (size_t)(p - k->bytes);
	k->hash = hash_keyed(k->bytes, k->len);
}

static struct shard *shard_of(struct answer_cache *c, const struct key *k)
{
	return &c->shards[k->hash >> 32 & (ANSWER_CACHE_SHARDS - 1)];
}

static uint8_t *key_in(struct entry *e)
{
	return (uint8_t *)(e->ttl_at + e->n_ttls);
}

static uint8_t *message_in(struct entry *e)
{
	return key_in(e) + e->key_len;
}

static size_t entry_bytes(const struct entry *e)
{
	return sizeof(*e) + e->n_ttls * sizeof(e->ttl_at[0]) + e->key_len + e->len;
}

/* ---- shards; all with their lock held ---- */

static struct entry **find(struct shard *s, const struct key *k)
{
	static struct entry *none;

	if (!s->n_buckets)
		return &none;
	struct entry **at = &s->buckets[k->hash & (s->n_buckets - 1)];
	while (*at && ((*at)->hash != k->hash || (*at)->key_len != k->len || memcmp(key_in(*at), k->bytes, k->len) != 0))
		at = &(*at)->next;
	return at;
}

static void drop(struct shard *s, struct entry **at, struct answer_cache_change *ret)
{
	struct entry *e = *at;

	*at = e->next;
	list_del(&e->used);
	s->count--;
	s->entries[e->kind]--;
	s->bytes[e->kind] -= entry_bytes(e);
	ret->entries[e->kind]--;
	free(e);
}

static void evict(struct shard *s, enum answer_kind kind, struct answer_cache_change *ret)
{
	struct entry *e = list_entry(s->used[kind].next, struct entry, used);
	struct entry **at = &s->buckets[e->hash & (s->n_buckets - 1)];

	while (*at != e)
		at = &(*at)->next;
	drop(s, at, ret);
	ret->evicted[kind]++;
}

static void grow(struct shard *s)
{
	size_t n = s->n_buckets ? 2 * s->n_buckets : BUCKETS_FIRST;
	struct entry **buckets = xcalloc(n, sizeof(struct entry *));

	for (size_t i = 0; i < s->n_buckets; i++)
		for (struct entry *e = s->buckets[i], *next; e; e = next) {
			next = e->next;
			e->next = buckets[e->hash & (n - 1)];
			buckets[e->hash & (n - 1)] = e;
		}
	free(s->buckets);
	s->buckets = buckets;
	s->n_buckets = n;
}

static void insert(struct answer_cache *c, struct shard *s, struct entry *e, struct answer_cache_change *ret)
{
	enum answer_kind kind = (enum answer_kind)e->kind;

	while (s->entries[kind] && (s->entries[kind] >= c->entries_max[kind] || s->bytes[kind] + entry_bytes(e) > c->bytes_max[kind]))
		evict(s, kind, ret);
	if (s->count >= s->n_buckets)
		grow(s);
	struct entry **at = &s->buckets[e->hash & (s->n_buckets - 1)];
	e->next = *at;
	*at = e;
	list_append(&s->used[kind], &e->used);
	s->count++;
	s->entries[kind]++;
	s->bytes[kind] += entry_bytes(e);
	ret->entries[kind]++;
}

/* ---- life ---- */

struct answer_cache *answer_cache_new(const struct answer_cache_options *o)
{
	struct answer_cache *c = aligned_alloc(64, sizeof(*c) + 64 - sizeof(*c) % 64);

	if (!c)
		abort();
	memset(c, 0, sizeof(*c));
	c->o = *o;
	for (int k = 0; k < ANSWER_KINDS; k++) {
		c->entries_max[k] = (o->entries[k] + ANSWER_CACHE_SHARDS - 1) / ANSWER_CACHE_SHARDS;
		c->bytes_max[k] = c->entries_max[k] * ANSWER_CACHE_ENTRY_BYTES;
	}
	for (size_t i = 0; i < ANSWER_CACHE_SHARDS; i++) {
		pthread_mutex_init(&c->shards[i].lock, NULL);
		for (int k = 0; k < ANSWER_KINDS; k++)
			list_init(&c->shards[i].used[k]);
	}
	return c;
}

void answer_cache_free(struct answer_cache *c)
{
	for (size_t i = 0; c && i < ANSWER_CACHE_SHARDS; i++) {
		struct shard *s = &c->shards[i];
		for (int k = 0; k < ANSWER_KINDS; k++)
			list_for(n, tmp, &s->used[k])
				free(list_entry(n, struct entry, used));
		free(s->buckets);
		pthread_mutex_destroy(&s->lock);
	}
	free(c);
}

void answer_cache_entries(struct answer_cache *c, size_t ret[ANSWER_KINDS])
{
	memset(ret, 0, ANSWER_KINDS * sizeof(ret[0]));
	for (size_t i = 0; i < ANSWER_CACHE_SHARDS; i++) {
		pthread_mutex_lock(&c->shards[i].lock);
		for (int k = 0; k < ANSWER_KINDS; k++)
			ret[k] += c->shards[i].entries[k];
		pthread_mutex_unlock(&c->shards[i].lock);
	}
}

/* ---- messages ---- */

static void put_be32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

void answer_set_ttls(const struct dns_message *m, uint8_t *bytes, uint32_t ttl)
{
	for (struct dns_record r = dns_records(m); dns_record_next(m, &r);)
		if (r.type != DNS_OPT)
			put_be32(bytes + r.ttl_at, ttl);
}

static bool has_answer(const struct dns_message *m)
{
	for (struct dns_record r = dns_records(m); dns_record_next(m, &r) && r.section == DNS_ANSWER;)
		if (r.type == m->type || m->type == DNS_ANY)
			return true;
	return false;
}

bool answer_judge(const struct dns_message *m, enum answer_kind *ret_kind, uint32_t *ret_ttl)
{
	unsigned rcode = m->flags & DNS_FLAGS_RCODE;

	*ret_kind = rcode == DNS_NOERROR && has_answer(m) ? ANSWER_SUCCESS : ANSWER_DENIAL;
	*ret_ttl = dns_message_ttl(m);
	if (*ret_ttl > INT32_MAX)
		*ret_ttl = 0; /* RFC 2181, 8 */
	return *ret_ttl != 0;
}

/* ---- get ---- */

/* It is popular, and about to expire: one of its askers refreshes it. */
static bool wants_prefetch(const struct answer_cache *c, const struct entry *e, uint64_t now)
{
	uint64_t ahead = MAX((uint64_t)e->ttl * 10 * c->o.prefetch_percent, (uint64_t)1000);

	return c->o.prefetch_hits && e->hits >= c->o.prefetch_hits && now + ahead >= e->expires_ms;
}

static bool begin_refresh(struct entry *e, uint64_t now)
{
	if (now < e->retry_ms || (e->refresh_ms && now < e->refresh_ms + ANSWER_CACHE_REFRESH_MS))
		return false;
	e->refresh_ms = now;
	return true;
}

static void count_hit(const struct answer_cache *c, struct entry *e, uint64_t now)
{
	e->hits = now <= e->hit_ms + c->o.prefetch_gap_ms && e->hits < UINT32_MAX ? e->hits + 1 : 1;
	e->hit_ms = now;
}

static void copy_out(const struct answer_cache *c, struct entry *e, uint64_t now, uint8_t *out, struct answer_found *ret)
{
	uint32_t ttl = c->o.stale_ttl;

	if (ret->state == ANSWER_FRESH)
		ttl = c->o.keep_ttl ? e->ttl : (uint32_t)((e->expires_ms - now + 999) / 1000);
	memcpy(out, message_in(e), e->len);
	for (size_t i = 0; i < e->n_ttls; i++)
		put_be32(out + e->ttl_at[i], ttl);
	ret->len = e->len;
	ret->kind = (enum answer_kind)e->kind;
}

void answer_cache_get(struct answer_cache *c, const struct dns_query *q, uint64_t now_ms, uint8_t out[DNS_MESSAGE_BYTES_MAX],
		      struct answer_found *ret)
{
	struct shard *s;
	struct key k;

	*ret = (struct answer_found){ .state = ANSWER_NONE };
	key_make(&k, q);
	s = shard_of(c, &k);
	pthread_mutex_lock(&s->lock);
	struct entry **at = find(s, &k), *e = *at;
	/* A failure is not worth being given out when it is old. */
	if (e && now_ms >= e->expires_ms + (e->rcode == DNS_SERVFAIL ? 0 : c->o.stale_ms)) {
		drop(s, at, &ret->change);
		e = NULL;
	}
	if (e) {
		ret->state = now_ms < e->expires_ms ? ANSWER_FRESH : ANSWER_STALE;
		count_hit(c, e, now_ms);
		copy_out(c, e, now_ms, out, ret);
		ret->wait = ret->state == ANSWER_STALE && now_ms >= e->retry_ms;
		ret->refresh = (ret->state == ANSWER_STALE || wants_prefetch(c, e, now_ms)) && begin_refresh(e, now_ms);
		list_del(&e->used);
		list_append(&s->used[e->kind], &e->used);
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- claims: of 64 random bits, so that no names need be compared ---- */

static struct claim *claim_find(struct shard *s, uint64_t hash, uint64_t now)
{
	for (size_t i = 0; i < ANSWER_CACHE_CLAIMS; i++)
		if (s->claims[i].hash == hash && now < s->claims[i].until_ms)
			return &s->claims[i];
	return NULL;
}

static struct claim *claim_unused(struct shard *s, uint64_t now)
{
	for (size_t i = 0; i < ANSWER_CACHE_CLAIMS; i++)
		if (now >= s->claims[i].until_ms)
			return &s->claims[i];
	return NULL;
}

bool answer_cache_claim(struct answer_cache *c, const struct dns_query *q, unsigned owner, uint64_t now_ms)
{
	struct claim *cl, *unused;
	struct shard *s;
	struct key k;

	key_make(&k, q);
	s = shard_of(c, &k);
	pthread_mutex_lock(&s->lock);
	cl = claim_find(s, k.hash, now_ms);
	bool mine = !cl || cl->owner == owner;
	if (!cl && (unused = claim_unused(s, now_ms)))
		*unused = (struct claim){ k.hash, now_ms + ANSWER_CACHE_CLAIM_MS, owner };
	pthread_mutex_unlock(&s->lock);
	return mine;
}

bool answer_cache_is_claimed(struct answer_cache *c, const struct dns_query *q, unsigned owner, uint64_t now_ms)
{
	struct claim *cl;
	struct shard *s;
	struct key k;

	key_make(&k, q);
	s = shard_of(c, &k);
	pthread_mutex_lock(&s->lock);
	cl = claim_find(s, k.hash, now_ms);
	bool others = cl && cl->owner != owner;
	pthread_mutex_unlock(&s->lock);
	return others;
}

static void release(struct shard *s, uint64_t hash)
{
	for (size_t i = 0; i < ANSWER_CACHE_CLAIMS; i++)
		if (s->claims[i].hash == hash)
			s->claims[i].until_ms = 0;
}

void answer_cache_release(struct answer_cache *c, const struct dns_query *q)
{
	struct shard *s;
	struct key k;

	key_make(&k, q);
	s = shard_of(c, &k);
	pthread_mutex_lock(&s->lock);
	release(s, k.hash);
	pthread_mutex_unlock(&s->lock);
}

/* ---- put ---- */

static struct entry *entry_new(const struct key *k, const struct dns_message *m, enum answer_kind kind, uint32_t ttl, uint64_t now)
{
	size_t n = 0;
	struct entry *e;

	for (struct dns_record r = dns_records(m); dns_record_next(m, &r);)
		n += r.type != DNS_OPT;
	e = xmalloc(sizeof(*e) + n * sizeof(e->ttl_at[0]) + k->len + m->bytes.len);
	*e = (struct entry){
		.hash = k->hash, .expires_ms = now + 1000ull * ttl, .ttl = ttl, .len = (uint32_t)m->bytes.len,
		.n_ttls = (uint16_t)n, .key_len = (uint16_t)k->len, .kind = (uint8_t)kind, .rcode = m->flags & DNS_FLAGS_RCODE,
	};
	list_init(&e->used);
	n = 0;
	for (struct dns_record r = dns_records(m); dns_record_next(m, &r);)
		if (r.type != DNS_OPT)
			e->ttl_at[n++] = (uint16_t)r.ttl_at;
	memcpy(key_in(e), k->bytes, k->len);
	memcpy(message_in(e), m->bytes.ptr, m->bytes.len);
	return e;
}

/* Is what is there, fresh or stale, of more use than the new one? */
static bool stays(const struct answer_cache *c, const struct entry *old, const struct entry *e, uint64_t now)
{
	if (now >= old->expires_ms + c->o.stale_ms || old->rcode == DNS_SERVFAIL)
		return false;
	if (e->rcode == DNS_SERVFAIL)
		return true;
	return c->o.prefer_positive && old->kind == ANSWER_SUCCESS && e->kind == ANSWER_DENIAL;
}

void answer_cache_put(struct answer_cache *c, const struct dns_query *q, const struct dns_message *m, enum answer_kind kind,
		      uint32_t ttl, uint64_t now_ms, struct answer_cache_change *ret)
{
	struct shard *s;
	struct entry *e;
	struct key k;

	*ret = (struct answer_cache_change){ 0 };
	if (ttl == 0)
		return;
	key_make(&k, q);
	s = shard_of(c, &k);
	e = entry_new(&k, m, kind, ttl, now_ms);
	if (entry_bytes(e) > c->bytes_max[kind] / 4) {
		free(e);
		return;
	}
	pthread_mutex_lock(&s->lock);
	release(s, k.hash);
	struct entry **at = find(s, &k), *old = *at;
	if (old && stays(c, old, e, now_ms)) {
		old->refresh_ms = 0;
		old->retry_ms = e->expires_ms;
		free(e);
	} else {
		if (old) {
			e->hits = old->hits;
			e->hit_ms = old->hit_ms;
			drop(s, at, ret);
		}
		insert(c, s, e, ret);
	}
	pthread_mutex_unlock(&s->lock);
}

void answer_cache_refresh_failed(struct answer_cache *c, const struct dns_query *q, uint64_t now_ms, uint64_t recheck_ms)
{
	struct shard *s;
	struct key k;

	key_make(&k, q);
	s = shard_of(c, &k);
	pthread_mutex_lock(&s->lock);
	struct entry *e = *find(s, &k);
	if (e) {
		e->refresh_ms = 0;
		e->retry_ms = now_ms + recheck_ms;
	}
	pthread_mutex_unlock(&s->lock);
}
