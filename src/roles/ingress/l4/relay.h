/* relay.h - a client's connection passed on to an endpoint as bytes: ssl-passthrough and tcp-services.
 *
 * Endpoints take turns; one that does not answer is followed by the next. Either side may end its half; the other goes
 * on. Long transfers go from socket to socket (splice(2)).
 */
#pragma once

#include "roles/ingress/http/down.h"

#define RELAY_CONNECT_MS 5000	/* nginx waits 60 s; nobody waits that long for a pod */
#define RELAY_TRIES_MAX 3	/* proxy-stream-next-upstream-tries */
#define RELAY_IDLE_MS 600000	/* proxy-stream-timeout: nothing in either direction */

struct relay_options {
	bool expects_proxy_header;   /* the client's bytes begin with one; believed from proxy-real-ip-cidr only */
	unsigned send_proxy_version; /* 1, 2; 0: the endpoint gets none */
};
/* Takes over from->conn, accepted and plain, with what it has kept; `from` is as for down_h1_start. The backend is
 * referenced. */
void relay_start(struct worker *w, struct down_conn *from, struct backend *b, const struct relay_options *o);
void relay_close(struct down_conn *d);
/* An endpoint in turn, not one of those before; NULL: there is none. Referenced. */
struct endpoint *relay_pick(struct backend *b, const struct endpoint *const *before, size_t n_before);
