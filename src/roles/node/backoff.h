/* backoff.h - how long a failed container or pull waits before it is tried again.
 *
 * The rule is kubelet's (client-go util/flowcontrol): the first retry is free, then 10 s doubling
 * to 300 s, counted from the moment of failure; ten quiet minutes start it anew. Pure.
 */
#pragma once

#include "base/base.h"

#define BACKOFF_FIRST_MS 10000
#define BACKOFF_MAX_MS 300000

struct backoff {
	uint64_t delay_ms; /* 0 = nothing failed yet */
	int64_t updated_at_ms;
};
/* Milliseconds still to wait after a failure at `failed_at_ms`; 0 = try now. */
uint64_t backoff_wait_ms(const struct backoff *b, int64_t failed_at_ms, int64_t now_ms);
void backoff_next(struct backoff *b, int64_t now_ms); /* a retry is made now */
