/* admission.h - what a cluster adds to an object, or refuses, before it is validated.
 *
 * Namespace life-cycle, service accounts of pods, tolerations, priority, default IngressClass: the plug-ins
 * that kube-apiserver enables by default (k8s.io/kubernetes plugin/pkg/admission), in its order. Does no I/O;
 * other objects are seen through a view that the caller answers from memory.
 */
#pragma once

#include "kube/schema/schema.h"

struct admission_view {
	void *ctx;
	/* A new reference, or NULL when there is none. ns is NULL for cluster-scoped kinds. */
	json_t *(*get)(void *ctx, const struct resource *r, const char *ns, const char *name);
	/* Calls fn for each object of `r` (cluster-scoped kinds only) until it returns false. */
	void (*each)(void *ctx, const struct resource *r, bool (*fn)(void *arg, const json_t *obj),
		     void *arg);
};

enum admission_op { ADMIT_CREATE, ADMIT_UPDATE, ADMIT_DELETE };
struct admission_request {
	enum admission_op op;
	const struct resource *r; /* the storage version */
	const char *subresource;  /* NULL for the object itself */
	const char *ns, *name; /* of the request; name may be NULL on create, ns for cluster-scoped kinds */
	json_t *obj;	       /* changed in place; NULL when deleting */
	const json_t *old;     /* NULL when creating */
};
/* -1: 403 or 404 with upstream's text. `ret_causes` (may be NULL) gets a JSON array for details.causes, or
 * NULL. */
int admission_check(const struct admission_view *v, const struct admission_request *q, json_t **ret_causes,
		    struct err *e) must_check;
