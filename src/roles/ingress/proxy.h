/* proxy.h - the HTTP/1.1 reverse proxy: client connections, upstream pools, errors as ingress-nginx answers them.
 *
 * Requests and answers stream through with back-pressure in both directions. A request keeps the routing table it was
 * matched with. What failed before an upstream saw it, or is idempotent, is tried on up to three endpoints.
 */
#pragma once

#include "loop/loop.h"
#include "roles/ingress/route.h"

struct proxy;
struct proxy_config {
	struct route_table *(*table)(void *ctx); /* the current one, borrowed; NULL before the first */
	void *ctx;
	struct tls *default_tls; /* certificate for names that have none */
};
struct proxy *proxy_new(struct loop *l, const struct proxy_config *c);
int proxy_listen(struct proxy *p, int fd, bool https, struct err *e) must_check; /* fd stays the caller's */
void proxy_free(struct proxy *p);
