#include "roles/dns/plugin/buckets.h"

#define TIME_BITS 48 /* microseconds: nine years of uptime */
#define TIME_MASK ((1ull << TIME_BITS) - 1)
#define TRIES 4 /* when workers meet at one bucket; afterwards the token is given */

struct buckets {
	uint64_t sets_mask;
	uint64_t slots[]; /* atomic; BUCKETS_WAYS beside one another: tag of 16 bits, time when it is full again */
};

struct buckets *buckets_new(size_t n)
{
	size_t sets = 1;

	while (sets * BUCKETS_WAYS < MIN(n, (size_t)BUCKETS_MAX))
		sets *= 2;
	struct buckets *b = xcalloc(1, sizeof(*b) + sets * BUCKETS_WAYS * sizeof(b->slots[0]));
	b->sets_mask = sets - 1;
	return b;
}

void buckets_free(struct buckets *b)
{
	free(b);
}

struct bucket_rate bucket_rate(uint64_t per_second, uint64_t burst, uint64_t debt_us)
{
	return (struct bucket_rate){ 1000000 / MAX(per_second, 1u), MAX(burst, 1u), debt_us };
}

/* The key's slot, or the one of its set that is worth least. */
static uint64_t *find(struct buckets *b, uint64_t key, uint64_t tag, uint64_t *ret_value)
{
	uint64_t *set = &b->slots[(key & b->sets_mask) * BUCKETS_WAYS], *least = NULL;

	for (int i = 0; i < BUCKETS_WAYS; i++) {
		uint64_t v = __atomic_load_n(&set[i], __ATOMIC_RELAXED);
		bool own = v >> TIME_BITS == tag;
		if (own || !least || (v & TIME_MASK) < (*ret_value & TIME_MASK)) {
			least = &set[i];
			*ret_value = v;
		}
		if (own)
			break;
	}
	return least;
}

bool buckets_take(struct buckets *b, uint64_t key, uint64_t now_us, const struct bucket_rate *rate)
{
	uint64_t tag = key >> TIME_BITS | 1, v = 0, *slot = find(b, key, tag, &v);
	uint64_t most = (rate->burst - 1) * rate->interval_us;

	for (int i = 0; i < TRIES; i++) {
		uint64_t full_at = v >> TIME_BITS == tag ? v & TIME_MASK : 0, ahead = full_at > now_us ? full_at - now_us : 0;
		bool given = ahead <= most;
		uint64_t next = now_us + ahead + rate->interval_us;
		if (!given)
			next = MIN(next, now_us + most + rate->debt_us + rate->interval_us);
		if (!given && (!rate->debt_us || next <= full_at))
			return false;
		if (__atomic_compare_exchange_n(slot, &v, tag << TIME_BITS | (next & TIME_MASK), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return given;
	}
	return true;
}
