/* topk.h - the keys that come most often, in bounded memory: the space-saving sketch (Metwally, Agrawal, El Abbadi 2005).
 *
 * A key that is not kept takes the place of the rarest and starts at its count: what is kept is counted too high by at most
 * `over`, and a key that came more often than total / capacity is always there.
 */
#pragma once

#include "base/base.h"

#define TOPK_KEY_BYTES 256

struct topk_entry {
	uint64_t count, over;
	uint64_t extra[2]; /* the caller's; 0 when the key is new */
	uint32_t heap_at, next;
	uint16_t len;
	uint8_t key[TOPK_KEY_BYTES];
};
struct topk {
	uint32_t n, cap, n_slots;
	uint64_t total;
	struct topk_entry *at;
	uint32_t *heap, *slots; /* entries by count, the rarest first; by hash: 1 + the entry's number */
};
void topk_init(struct topk *t, uint32_t capacity);
void topk_done(struct topk *t);
/* Counts it once; never NULL. Valid until the next call. */
struct topk_entry *topk_count(struct topk *t, const void *key, size_t len);
static inline uint64_t topk_sure(const struct topk_entry *e) /* that often at least; `extra` is of these */
{
	return e->count - e->over;
}
/* The most frequent first, by what is sure. `ret` has room for t->n. */
void topk_sorted(const struct topk *t, const struct topk_entry **ret);
