/* l4.h - ports whose connections and datagrams go to a Service as they are: the ConfigMaps tcp-services and udp-services.
 *
 * The main thread opens and closes sockets as the ConfigMaps change; every worker accepts from all of them. An entry that
 * stays is not touched; one that changes its Service keeps its socket, and the connections it has.
 */
#pragma once

#include "codec/jx.h"
#include "roles/ingress/workers.h"

#define L4_PORTS_MAX 256 /* of each protocol: a descriptor for each, of udp one for each worker */

struct l4;
struct l4_options {
	struct shared *shared;
	/* As sync_backend: referenced, and kept filled; ports of UDP are "53/udp". */
	struct backend *(*backend)(void *arg, const char *ns, const char *service, const char *port);
	/* What is wrong with an entry: said once, again when it comes back. `configmap`: the object, for an event. */
	void (*problem)(void *arg, const json_t *configmap, const char *reason, const char *message);
	void *arg;
};
struct l4 *l4_new(const struct l4_options *o);
void l4_free(struct l4 *l); /* when the workers have ended; NULL is nothing */
/* The ConfigMaps as they are now; either may be NULL. Main thread. */
void l4_set(struct l4 *l, const json_t *tcp, const json_t *udp);
/* The workers run: from now on they accept. */
void l4_serve(struct l4 *l, struct workers *ws);
/* No new connections any more; those that are go on. */
void l4_drain(struct l4 *l);

struct l4_worker; /* what a worker has of this: worker->l4 */
void l4_worker_free(struct l4_worker *w); /* NULL is nothing */
