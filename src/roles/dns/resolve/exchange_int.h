/* exchange_int.h - what exchange.c (one question's way), and ways.c (a worker's ways to the upstreams) share. */
#pragma once

#include "base/map.h"
#include "roles/dns/resolve/forwarder.h"

struct way {
	struct line line;
	struct health health;
	struct try probe;
};

/* A worker's ways to one set of upstreams: kept while questions are under way on them, also when the set was replaced. */
struct ways {
	unsigned refs;
	struct upstream_set *set;
	size_t n;
	struct way at[];
};

struct forwarder_worker {
	struct forwarder *f;
	struct line_pool pool;
	struct ways *ways;	 /* to the newest set */
	struct map exchanges;	 /* key → struct exchange */
	struct list by_age;	 /* the same, the oldest first */
	struct defer crowd;	 /* makes room */
	size_t n_askers;
	size_t turn;		 /* round_robin */
	uint8_t out[DNS_MESSAGE_BYTES_MAX];
};

struct ways *ways_now(struct forwarder_worker *fw); /* a reference */
void ways_unref(struct ways *w);
/* In which order they are asked: by policy, those in doubt last, without those that are down (when all are: one of them, by
 * chance). Returns how many. */
size_t ways_order(struct forwarder_worker *fw, const struct ways *w, uint8_t order[UPSTREAMS_MAX]);
