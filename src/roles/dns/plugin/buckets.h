/* buckets.h - how much of a rate each of many askers has left, in a table of fixed size that workers share without locks.
 *
 * A bucket is one word: when it will be full again (GCRA, ITU-T I.371). One that is full is as good as none, so that the
 * oldest of a set makes room; only when more are busy than there is room for, a busy one is forgotten.
 */
#pragma once

#include "base/base.h"

#define BUCKETS_WAYS 4
#define BUCKETS_MAX (1u << 24)	  /* 128 MiB */
#define BUCKETS_RATE_MAX 100000	  /* a second: an interval has whole microseconds */

struct buckets;
struct buckets *buckets_new(size_t n); /* rounded up to a power of two, BUCKETS_MAX at the most */
void buckets_free(struct buckets *b); /* NULL is nothing */

struct bucket_rate {
	uint64_t interval_us; /* of one token */
	uint64_t burst;	      /* tokens of a full bucket, at least 1 */
	uint64_t debt_us;     /* who goes on when nothing is left has to be quiet up to so long */
};
struct bucket_rate bucket_rate(uint64_t per_second, uint64_t burst, uint64_t debt_us);
/* Takes a token from the bucket of `key` (any good hash). False: there was none. Any thread. */
bool buckets_take(struct buckets *b, uint64_t key, uint64_t now_us, const struct bucket_rate *rate) must_check;
