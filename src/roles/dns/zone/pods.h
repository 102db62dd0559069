/* pods.h - which pods have an address, for names of pods that are verified and for who asks from where.
 *
 * Looked up by any worker, changed by the main thread.
 */
#pragma once

#include "codec/dns.h"
#include "codec/jx.h"
#include "roles/dns/zone/service.h"
#include "roles/dns/zone/table.h"

struct pod {
	uint64_t id; /* namespace and name, hashed with the key: equal is the same */
	bool host_network;
	uint8_t n_ips;
	uint8_t bytes[]; /* the namespace's label, then for each address its length and its bytes */
};
struct pods {
	struct table by_id, by_ip;
};
void pods_init(struct pods *p, struct quiesce *q);
void pods_done(struct pods *p);
/* Adds, replaces, or removes a pod that has ended. True: something is different now. */
bool pods_put(struct pods *p, const json_t *obj);
bool pods_del(struct pods *p, const json_t *obj);
/* The pods that have this address: NULL at the end. */
struct pods_search {
	struct table_search search;
	struct ip ip;
};
struct pods_search pods_search(const struct pods *p, const struct ip *ip);
const struct pod *pods_next(struct pods_search *s);
