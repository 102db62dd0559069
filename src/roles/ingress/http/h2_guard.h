/* h2_guard.h - how much of what costs a server more than its client one HTTP/2 connection may do.
 *
 * Buckets of tokens that fill with time, and with useful work: a client that asks and reads may reset, ping and adjust its
 * windows as often as clients do; one that does nothing else runs dry, and is told ENHANCE_YOUR_CALM (RFC 9113 §10.5).
 */
#pragma once

#include "base/base.h"

/* Requests that were reset before they were answered: by the client (rapid reset, CVE-2023-44487), or by us for errors that
 * the client made on purpose (CVE-2025-8671). A browser that leaves a page of pictures resets a hundred at once. */
#define H2_RESETS_BURST 500
#define H2_RESETS_PER_SECOND 50
/* Frames that carry neither a request nor a body: PING, SETTINGS (CVE-2019-9512, -9515), PRIORITY (-9513), empty DATA (-9518),
 * WINDOW_UPDATE, RST_STREAM (-9514), and unknown ones. Each request and each frame of an answer earns two. */
#define H2_CONTROL_BURST 2000
#define H2_CONTROL_PER_SECOND 200

struct h2_bucket {
	uint32_t tokens, burst, per_second;
	uint64_t filled_ms;
};
void h2_bucket_init(struct h2_bucket *b, uint32_t burst, uint32_t per_second, uint64_t now_ms);
bool h2_bucket_take(struct h2_bucket *b, uint64_t now_ms); /* false: there is none left */

static inline void h2_bucket_earn(struct h2_bucket *b, uint32_t tokens)
{
	b->tokens = MIN(b->tokens + tokens, b->burst);
}
