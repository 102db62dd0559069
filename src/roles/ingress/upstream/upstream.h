/* upstream.h - where requests go: backends (a Service's port) and endpoints (an address), shared by all workers.
 *
 * The main thread makes and changes them; workers pick. An endpoint lives once for the whole process, however many backends
 * name its address, so connection pools and health are per address. Counters are relaxed atomics: they steer, they do
 * not account.
 */
#pragma once

#include "net/addr.h"
#include "roles/ingress/config/settings.h"

struct exchange;
struct worker;
struct quiesce;

enum endpoint_health { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN };

struct endpoint {
	unsigned refs_;
	struct addr addr;
	char text[64];		       /* "10.0.0.1:80", for logs and X-… */
	char *pod;		       /* "ns/name" of targetRef; NULL if none */
	char *host_name;	       /* an ExternalName's: resolved again and again; NULL otherwise */
	uint64_t id;		       /* stable hash of the address: cookie value, ketama points */
	unsigned index;		       /* small, unique while it lives: slot in each worker's pools */
	/* relaxed atomics */
	uint32_t in_flight;	       /* requests at it now, all workers */
	uint32_t waiting;	       /* of those, without an answer's head yet; counted where max_pending is set */
	uint32_t ewma_us;	       /* decaying average of the time of an attempt */
	uint64_t ewma_at_ms;	       /* when it was last fed; 0: never */
	uint32_t consecutive_errors;
	uint32_t ejections;	       /* how often lately: each lasts longer (outlier.c) */
	uint64_t ejected_until_ms;     /* 0: not; loop_now_ms's clock */
	uint64_t since_ms;	       /* first seen ready: slow start */
	uint32_t health;	       /* enum endpoint_health, by active checks */
	uint32_t health_reason, health_status; /* enum health_reason, last HTTP status: upstream/health.h */
	uint64_t requests, errors;     /* totals, for `portico top` and `explain` */
};

/* An immutable snapshot of a backend's endpoints. */
struct endpoints {
	size_t n;
	struct endpoint **at;	 /* referenced */
	bool *draining;		 /* serving but terminating: only sticky sessions still go there, and when nothing else is left */
	void *ring;		 /* atomic; made by whoever needs it first, freed by hash_ring_free(): upstream/hash.h */
};

struct backend {
	unsigned refs_;
	char *key;		  /* "ns/service:port" */
	char *ns, *service, *port; /* port as text: a name or a number */
	char *name;		  /* "<ns>-<svc>-<port>": $proxy_upstream_name */
	bool service_missing, cluster_ip; /* cluster_ip: through the Service's address */
	char *external_name;	  /* of an ExternalName Service; NULL otherwise */
	struct endpoints *now_;	  /* atomic pointer; backend_endpoints() reads it */
	/* relaxed atomics */
	uint32_t in_flight, retries_in_flight;
	uint32_t next;		  /* round robin */
	uint32_t hashes;	  /* somebody asked for a ring: new endpoints get one before they are published (hash_ring_prepare) */
};
struct endpoints *backend_endpoints(const struct backend *b); /* valid within the call-back; never NULL */
struct backend *backend_ref(struct backend *b);
void backend_unref(struct backend *b);

struct endpoint *endpoint_ref(struct endpoint *e);
void endpoint_unref(struct endpoint *e);

/* ---- balancing: balance.c, any worker ---- */
/* The endpoint for x's next try, referenced (endpoint_unref); NULL: there is none (503), or every circuit is full
 * (*ret_full). Skips what is in x->tried unless nothing else is left. Reads x's location for the algorithm, affinity cookie
 * and hash key. Counts the request as in flight until balance_done: b stays x->backend so long. */
struct endpoint *balance_pick(struct exchange *x, struct backend *b, bool *ret_full) must_check;
/* The attempt's answer has begun: it no longer counts as waiting (max_pending). */
void balance_head(struct exchange *x, struct endpoint *e);
/* As if `e` had not been picked: for `portico explain`. Gives the reference back. */
void balance_undo(struct exchange *x, struct endpoint *e);
/* An attempt ended: feeds ewma, outlier ejection, retry budget. `failed`: no answer, or one that counts against it.
 * `us`: from its start to the answer's head, or to the failure. */
void balance_done(struct exchange *x, struct endpoint *e, bool failed, uint64_t us);
/* May x be tried again (retry budget)? Counts it when so; balance_retry_done gives it back. */
bool balance_retry_begin(struct exchange *x, struct backend *b);
void balance_retry_done(struct backend *b);

/* ---- canary.c, affinity.c ---- */
/* Chooses among primary and canaries (session, header, cookie, weight; any number of canaries): borrowed from x->loc.
 * *ret_why: "affinity", "header", "cookie", "weight"; NULL with the primary. */
struct backend *canary_choose(struct exchange *x, const char **ret_why);
/* Appends the Set-Cookie header that affinity asks for, to x's answer. */
void affinity_set_cookie(struct exchange *x);

/* ---- the set of endpoints and backends: backends.c, main thread ---- */
struct backends;
struct backends *backends_new(struct quiesce *q); /* q NULL: nothing reads concurrently (tests) */
void backends_free(struct backends *bs);
/* The backend of this name, made when it is new; referenced. `port` "": the Service's first. */
struct backend *backends_get(struct backends *bs, const char *ns, const char *service, const char *port);
/* The same port through the Service's ClusterIP (service-upstream), which is a backend of its own. */
struct backend *backends_get_cluster_ip(struct backends *bs, const char *ns, const char *service, const char *port);
struct endpoint_want {
	struct addr addr;
	const char *pod, *host_name; /* borrowed; may be NULL */
	bool draining;
};
/* What its ExternalName Service points to; NULL or "": it is none. Workers read b->external_name within a turn. */
void backend_set_external_name(struct backends *bs, struct backend *b, const char *name);
/* Its endpoints from now on; those that stay keep their state. */
void backend_set(struct backends *bs, struct backend *b, const struct endpoint_want *want, size_t n);
void backends_each(const struct backends *bs, void (*fn)(void *ctx, struct backend *b), void *ctx);
/* Frees backends that nobody but the set refers to (`gone` is told first; may be NULL), and endpoints likewise. */
void backends_sweep(struct backends *bs, void (*gone)(void *ctx, struct backend *b), void *ctx);
