/* origin.h - where sub-requests go: a scheme, host and port, its addresses, and a client with kept connections for each.
 * Private to subrequest.c and origin.c.
 */
#pragma once

#include "base/map.h"
#include "net/http_client.h"
#include "roles/ingress/http/subrequest.h"

#define ORIGIN_ADDRS_MAX 8 /* of a name; more are not asked */

struct target {
	struct list link; /* in its origin */
	struct addr addr;
	struct http_client *client;
	uint64_t bad_until_ms; /* 0: good */
	bool gone;	       /* the name has it no more; freed when nothing is open on it */
};

struct resolve;
struct origin {
	struct list link; /* in the set: the one used last is last */
	struct subrequests *set;
	char *key, *host;
	uint16_t port;
	bool literal;	   /* the host is an address, and needs no look-up */
	bool system_roots; /* `tls` is that of the process, whose roots are loaded before the first use */
	struct tls *tls;
	struct list targets, waiting; /* struct subrequest, by link */
	size_t n_targets, n_open;
	uint64_t resolved_ms, used_ms;
	struct resolve *resolving;
	/* Told when there are addresses, or why there are none (e). */
	void (*resolved)(struct origin *o, const struct err *e);
};

struct subrequests {
	struct loop *loop;
	struct list origins, open;
	struct map by_key; /* the origins */
	size_t n_origins, n_open;
};

/* The origin of `u`, made when it is new. */
struct origin *origin_get(struct subrequests *s, const struct url *u, struct tls *tls, struct err *e) must_check;
void origin_free(struct origin *o);
/* Starts to resolve the name when that is due. True: there are targets to use meanwhile. */
bool origin_ready(struct origin *o);
/* The next one in turn, a good one if there is any but `except`. */
struct target *origin_pick(struct origin *o, const struct target *except);
void target_failed(struct origin *o, struct target *t);
