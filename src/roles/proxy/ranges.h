/* ranges.h - hands out runs of slots in the flat backend array, and service ids.
 *
 * A run that was given back is not handed out again for a while: a program on another CPU may have read
 * the service entry that pointed at it and not yet the backend. Sizes are powers of two.
 */
#pragma once

#include "base/base.h"

#define RANGES_CLASSES 17	  /* 1 … 65,536 slots */
#define RANGES_QUARANTINE_MS 1000 /* programs run for microseconds; a preempted CPU may take longer */

struct ranges_free {
	uint32_t first;
	uint64_t since_ms;
};
struct ranges_class {
	struct ranges_free *at; /* a queue: at[head] was freed first */
	size_t head, n, cap;
};
struct ranges {
	uint32_t limit, next; /* everything from `next` on was never used */
	struct ranges_class classes[RANGES_CLASSES];
};

void ranges_init(struct ranges *r, uint32_t limit);
void ranges_done(struct ranges *r);
/* -1 when there is no room (or count is 0 or above 65,536). */
int ranges_take(struct ranges *r, uint32_t count, uint64_t now_ms, uint32_t *ret_first) must_check;
void ranges_give(struct ranges *r, uint32_t first, uint32_t count, uint64_t now_ms);

struct ranges_used {
	uint32_t first, count;
};
/* For a restart: these runs are in use, everything else is free. Sorts `used`; overlaps are fine. */
void ranges_adopt(struct ranges *r, struct ranges_used *used, size_t n);
