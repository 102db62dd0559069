/* assign.h - which LoadBalancer Service has which address: decisions only, no I/O.
 *
 * An address belongs to one Service. A Service keeps the address that its status names, across restarts
 * too, while that address is in the pool and it asks for no other.
 */
#pragma once

#include "base/map.h"
#include "codec/jx.h"
#include "roles/lb/pool.h"

#define LB_CLASS "portico.io/lb"
#define LB_ANNOTATION_IP "portico.io/load-balancer-ip"

enum assign_verdict {
	ASSIGN_NOT_OURS, /* no LoadBalancer Service, another class, or being deleted */
	ASSIGN_HAS,	 /* `ip` is its address */
	ASSIGN_PENDING,	 /* none: `why` says why, and the way out */
};
#define ASSIGN_WHY_BYTES 320
struct assign_result {
	enum assign_verdict verdict;
	uint32_t ip;
	uint32_t released; /* the address it had and has no more; 0: none */
	char why[ASSIGN_WHY_BYTES];
};

struct assign {
	struct pool pool;
	struct map by_key; /* "ns/name" → struct assigned */
	struct map by_ip;  /* 4 bytes → the same */
	/* The interface of this machine that has the address for its own purposes; NULL when none does. */
	const char *(*in_use)(void *ctx, uint32_t ip);
	void *ctx;
};
void assign_init(struct assign *a, const struct pool *pool, const char *(*in_use)(void *ctx, uint32_t ip), void *ctx);
void assign_done(struct assign *a);

/* Before the first decision, for each Service there is: an address it has been given already stays its own. */
void assign_adopt(struct assign *a, const char *key, const json_t *svc);
/* svc NULL: it is gone. */
void assign_decide(struct assign *a, const char *key, const json_t *svc, struct assign_result *ret_result);
const char *assign_owner(const struct assign *a, uint32_t ip); /* the key, or NULL */
/* The address in status.loadBalancer; 0 when there is none or not exactly one. */
uint32_t assign_status_ip(const json_t *svc);
