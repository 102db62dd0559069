/* worker.h - a thread with a loop of its own that serves connections; workers share nothing they write often.
 *
 * The main thread watches the cluster and publishes routes; N workers accept from the same listening sockets.
 */
#pragma once

#include "loop/crowd.h"
#include "roles/ingress/http/exchange.h"

struct metrics_shard; /* observe/metrics.h: this worker's counters */
struct access_log;
struct l4_worker;

/* What all workers read; made before the first starts, the atomics change. */
struct shared {
	struct loop *main_loop;
	struct quiesce *quiesce;
	struct routes *routes;
	struct backends *backends;
	const struct globals *globals; /* atomic pointer; globals_now() */
	struct tls_front *tls_front;   /* tls/server.h: what clients of https are accepted with */
	struct tls *default_tls;       /* atomic pointer: the certificate for names without one */
	struct tls *upstream_tls;      /* verifies nothing: backend-protocol HTTPS without proxy-ssl-verify */
	struct metrics *metrics;
	struct access_log *access_log; /* NULL: none */
	struct trace *trace;	       /* NULL: no OTLP export */
	struct auth_cache *auth_cache; /* atomic: filter/auth_cache.h, made when first needed; NULL until then */
	unsigned n_workers;
	char http_port[8];	       /* that we listen on, as X-Forwarded-Port has it; "": none */
	bool synced;		       /* atomic: false answers 503 */
};

struct worker {
	struct loop *loop;
	struct shared *shared;
	unsigned number;
	struct metrics_shard *metrics;
	struct list downs;	       /* client connections */
	size_t n_downs, n_idle_downs;
	struct crowd crowd;	       /* of these connections */
	struct up_pools *pools;	       /* upstream/pool.h */
	struct up_h2_pool *up_h2;      /* upstream/up_h2.c; NULL until needed */
	struct h2_mem *h2_mem;	       /* http/h2_mem.h; NULL until needed */
	struct list free_exchanges, ended_exchanges;
	struct list named_exchanges;   /* whose hosts memory is asked for: http/exchange.c */
	struct defer begin;	       /* of these */
	struct list free_h1, ended_h1; /* http/down_h1.c */
	size_t n_free_h1;
	struct defer reap;	       /* what ended in this turn */
	size_t n_free_exchanges;
	size_t paced_bytes;	       /* that answers hold: http/pace.c */
	uint64_t request_count;	       /* of X-Request-IDs made */
	bool draining;		       /* finish what is under way, keep nothing alive */
	/* Made by their owners when first needed, freed with the worker; NULL until then. */
	struct subrequests *subrequests; /* http/subrequest.h */
	struct coders *coders;	       /* filter/coding.h: coders_free */
	struct jwt_cache *jwt_cache;   /* filter/jwt.h: jwt_cache_free */
	struct mirrors *mirrors;       /* filter/mirror.h: mirrors_free */
	struct l4_worker *l4;	       /* l4/l4.h: l4_worker_free */
};

/* n_downs, n_idle_downs: one thread writes, the main one reads. */
static inline void worker_count(size_t *n, int by)
{
	__atomic_store_n(n, *n + (size_t)by, __ATOMIC_RELAXED);
}

const struct globals *globals_now(const struct shared *s); /* valid within the call-back */
