/* up.h - attempts at an upstream: connections of one worker, kept per endpoint and kind, spoken to by up_h1.c, up_h2.c or
 * up_fcgi.c.
 */
#pragma once

#include "net/conn.h"
#include "roles/ingress/worker.h"

/* Connections of one kind are interchangeable; of different kinds never. */
struct up_kind {
	bool tls, h2, proxy_protocol;
	struct tls *tls_context;      /* compared by pointer */
	const char *server_name;      /* SNI and verified name; NULL: none */
};

struct up_pools;
struct up_pools *up_pools_new(struct worker *w);
void up_pools_free(struct up_pools *p);

/* Starts the attempt: x->endpoint, up_method, up_target, up_host, up_headers are set. Ends with exchange_up_ready or
 * exchange_up_failed, possibly before it returns. */
void up_start(struct exchange *x);
void up_h1_start(struct exchange *x, const struct up_kind *kind);
void up_h2_start(struct exchange *x, const struct up_kind *kind);
void up_fcgi_start(struct exchange *x, const struct up_kind *kind);
void up_h2_pool_free(struct worker *w); /* when no exchange is left */
