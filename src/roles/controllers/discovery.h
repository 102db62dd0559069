/* discovery.h - which resources the API server has, from aggregated discovery (KEP-3352). */
#pragma once

#include "kube/client/client.h"

enum { DISC_LIST = 1, DISC_WATCH = 2, DISC_DELETE = 4, DISC_DELETE_COLLECTION = 8 };

struct disc_resource { /* owns its strings */
	char *group, *version, *resource, *kind;
	bool namespaced;
	unsigned verbs; /* DISC_x */
};
struct discovery {
	struct disc_resource *at; /* a resource once, in its group's preferred version */
	size_t n;
};
/* Adds what an APIGroupDiscoveryList holds; resources that are there already are left out. */
void discovery_add(struct discovery *d, const json_t *list);
void discovery_done(struct discovery *d);
const struct disc_resource *discovery_kind(const struct discovery *d, const char *api_version, const char *kind);
struct kube_gvr disc_gvr(const struct disc_resource *r);

/* Asks /api and /apis. `done` gets NULL and the error, or what was found, which it takes over. */
struct discovery_call;
struct discovery_call *discovery_fetch(struct kube_client *k,
				       void (*done)(void *ctx, struct discovery *d, const struct err *e), void *ctx);
void discovery_cancel(struct discovery_call *c); /* no call-back; NULL is nothing */
