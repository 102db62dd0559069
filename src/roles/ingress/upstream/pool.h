/* pool.h - idle HTTP/1 connections to endpoints, of one worker.
 *
 * Keyed by endpoint, not by backend: hosts that share pods share connections. The newest is used first, so that the others
 * can time out (upstream-keepalive-timeout); above upstream-keepalive-connections the oldest of the worker goes.
 */
#pragma once

#include "roles/ingress/upstream/up.h"

struct up_h1;
struct pooled { /* first member of a connection that can be kept */
	struct list at_endpoint, oldest;
	uint64_t since_ms;
	struct endpoint *endpoint; /* referenced */
	struct up_kind kind;
	void (*close)(struct pooled *p); /* closes it, and takes it out (pool_remove) */
};
/* A kept connection of this kind, no longer in the pool; NULL: none. */
struct pooled *pool_take(struct up_pools *ps, const struct endpoint *e, const struct up_kind *kind);
void pool_put(struct up_pools *ps, struct pooled *p);
void pool_remove(struct up_pools *ps, struct pooled *p); /* one that is not in it is nothing */
