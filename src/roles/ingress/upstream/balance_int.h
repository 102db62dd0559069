/* balance_int.h - what the files of balancing share: one pick, and how good an endpoint is for it.
 *
 * The clock is an argument, so that tests turn it.
 */
#pragma once

#include "roles/ingress/http/exchange.h"
#include "roles/ingress/upstream/upstream.h"

struct pick {
	struct exchange *x;
	struct backend *b;
	const struct settings *set; /* the location's: limits */
	const struct settings *how; /* algorithm, hash key: the canary's own, else the location's */
	const struct settings *sticky; /* affinity: the location's, or a canary's own; NULL: none */
	struct endpoints *es;
	uint64_t now_ms;
	bool full; /* an endpoint was refused by its circuit */
};
#define PICK_NONE SIZE_MAX

/* How good an endpoint is, best first; a worse one is taken only when there is no better. */
enum rank {
	RANK_GOOD,
	RANK_RAMPING,	 /* too young to have its full share: this request is not in it */
	RANK_DRAINING,	 /* terminating */
	RANK_TRIED,	 /* x failed there */
	RANK_DOWN,	 /* unhealthy or ejected: used when all are, as ALB does */
	RANK_DOWN_TRIED,
	RANK_FULL,	 /* never */
};
enum rank rank_of(struct pick *p, size_t index);
bool endpoint_full(const struct pick *p, const struct endpoint *e);
bool endpoint_down(const struct endpoint *e, uint64_t now_ms);
bool endpoint_tried(const struct exchange *x, const struct endpoint *e);
/* Up to `want` (1 or 2) different endpoints of the best rank that there is, by chance; how many. */
size_t pick_sample(struct pick *p, size_t want, size_t out[2]);

struct endpoint *balance_pick_at(struct exchange *x, struct backend *b, uint64_t now_ms, bool *ret_full) must_check;
void balance_done_at(struct exchange *x, struct endpoint *e, bool failed, uint64_t us, uint64_t now_ms);

/* hash_by.c, affinity.c: an index, or PICK_NONE */
size_t hash_pick(struct pick *p);
size_t affinity_pick(struct pick *p);
/* Does x's cookie belong to a session at `b`? `set` says which cookie. */
bool affinity_belongs(const struct exchange *x, const struct settings *set, struct backend *b);
/* The settings whose cookie counts at `b`; NULL: none. */
const struct settings *affinity_settings(const struct location *loc, const struct backend *b);
/* The canary that sends requests to `b`; NULL: b is the primary or a default backend. */
const struct canary *canary_of(const struct location *loc, const struct backend *b);

/* outlier.c: consecutive errors eject an endpoint, for longer each time. True: now. */
bool outlier_result(struct endpoint *e, const struct endpoints *es, const struct settings *set, bool failed, uint64_t now_ms);

/* Of this thread: below `n`, which is not 0. */
uint32_t random_below(uint32_t n);
