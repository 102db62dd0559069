/* pace.h - an answer that goes out at no more than so many bytes a second (limit-rate, limit-rate-after, X-Accel-Limit-Rate).
 *
 * As nginx's limit_rate: each request for itself, HTTP/2 streams too; averaged over the time since the request, and a second
 * ahead of it. What counts are bytes of the body. What may not go yet is held here, about as much as for a slow client, and
 * then the upstream waits; the upstream is let go when it has given all.
 */
#pragma once

#include "roles/ingress/http/exchange.h"

#define PACE_HELD_MAX_BYTES (32u << 20) /* by all of a worker; beyond it each answer holds a read's worth only */
#define PACE_RATE_MAX (1ull << 40) /* bytes per second: nothing is held at such a rate */

struct pace;

/* How much more may go out after `sent` bytes, `elapsed_ms` after the request. */
uint64_t pace_credit(uint64_t rate, uint64_t after, uint64_t sent, uint64_t elapsed_ms);
/* How long until `more` bytes may go; 0: now. */
uint64_t pace_wait_ms(uint64_t rate, uint64_t after, uint64_t sent, uint64_t elapsed_ms, uint64_t more);

/* By a filter, from `answer`: this answer's body is paced, as it is behind all filters. 0 or PACE_RATE_MAX: it is not. */
void pace_begin(struct exchange *x, uint64_t rate, uint64_t after);

/* ---- for the exchange; all but the last two with x->pace only ---- */
void pace_body(struct exchange *x, struct str data, bool end);
void pace_trailers(struct exchange *x, const struct header_list *h);
void pace_drained(struct exchange *x);
bool pace_waits_for_time(const struct exchange *x);   /* nobody is late: neither the upstream nor the client */
bool pace_waits_for_client(const struct exchange *x); /* there is something for it that it does not take */
void pace_stop(struct exchange *x); /* the exchange is over; its bytes may still be on somebody's stack */
void pace_free(struct exchange *x);
