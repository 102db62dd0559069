/* table.h - a hash table that one thread changes while others look things up in it, without locks.
 *
 * Open addressing over words of 64 bits: 16 bits of the hash above 48 bits that belong to the user (a pointer, or other
 * bits he can check). Equal keys may be there several times: who looks up goes on until what he found is what he meant.
 * A larger table is filled beside the one in use and takes its place with one store; the old one goes to the quiesce.
 */
#pragma once

#include "base/map.h"
#include "loop/quiesce.h"

#define TABLE_PAYLOAD_BITS 48 /* Linux gives processes no pointers beyond, unless they ask for them */
#define TABLE_PAYLOAD_MASK ((UINT64_C(1) << TABLE_PAYLOAD_BITS) - 1)

struct table_slots {
	uint64_t mask; /* a power of two, less one */
	uint64_t word[];
};
struct table {
	struct table_slots *slots; /* atomic */
	struct quiesce *quiesce;
	size_t live, gone; /* words; places that must not end a search */
};

/* Hashes have 48 bits, the uppermost of them set: no word is 0 or 1 then. */
static inline uint64_t table_hash_of(uint64_t hash)
{
	return (hash | UINT64_C(1) << 47) & TABLE_PAYLOAD_MASK;
}
static inline uint64_t table_hash(const void *key, size_t len)
{
	return table_hash_of(hash_keyed(key, len));
}

struct table_search {
	const struct table_slots *slots;
	uint64_t at, tag;
};
static inline struct table_search table_search(const struct table *t, uint64_t hash)
{
	return (struct table_search){ __atomic_load_n(&t->slots, __ATOMIC_ACQUIRE), hash & UINT32_MAX, hash >> 32 };
}
/* The next payload whose word has this hash's tag; false at the end. Any thread. */
static inline bool table_next(struct table_search *s, uint64_t *ret_payload)
{
	for (;; s->at++) {
		uint64_t w = __atomic_load_n(&s->slots->word[s->at & s->slots->mask], __ATOMIC_ACQUIRE);
		if (w == 0)
			return false;
		if (w >> TABLE_PAYLOAD_BITS != s->tag)
			continue;
		s->at++;
		*ret_payload = w & TABLE_PAYLOAD_MASK;
		return true;
	}
}
static inline uint64_t table_payload(const void *ptr)
{
	return (uint64_t)(uintptr_t)ptr;
}

/* ---- the writer ---- */

void table_init(struct table *t, struct quiesce *q);
void table_done(struct table *t); /* nobody reads any more */
/* Before table_add: room for n more words. When the table has to grow, `fill` puts all that is there into `to`. */
typedef void table_fill_fn(void *ctx, struct table_slots *to);
void table_reserve(struct table *t, size_t n, table_fill_fn *fill, void *ctx);
void table_fill(struct table_slots *to, uint64_t hash, uint64_t payload);
void table_add(struct table *t, uint64_t hash, uint64_t payload);
/* Both: the word must be there. */
void table_replace(struct table *t, uint64_t hash, uint64_t old_payload, uint64_t payload);
void table_remove(struct table *t, uint64_t hash, uint64_t payload);

/* for (uint64_t at = 0, p; table_each(t, &at, &p);) The table may not change meanwhile. */
static inline bool table_each(const struct table *t, uint64_t *at, uint64_t *ret_payload)
{
	while (*at <= t->slots->mask) {
		uint64_t w = t->slots->word[(*at)++];
		if (w > 1) {
			*ret_payload = w & TABLE_PAYLOAD_MASK;
			return true;
		}
	}
	return false;
}
