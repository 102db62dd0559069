/* strategy.h - what a write of each kind may change, and what the server fills in itself.
 *
 * k8s.io/kubernetes pkg/registry/<group>/<kind>/strategy.go and k8s.io/apiserver pkg/registry/rest
 * as one table: a row says which parts of an object belong to whom. Objects are in their storage
 * version, decoded and defaulted. Nothing here reads the clock, the store or the configuration.
 *
 * The order of a create: object_decode, object_convert to the storage version, object_default,
 * admission_check, alloc_service (Services), strategy_prepare_create, object_validate, the store,
 * alloc_commit. Of an update: decode or patch, convert, default, admission_check, alloc_service (not for
 * "status"), strategy_prepare_update, object_validate (object_validate_status for "status"), the store,
 * alloc_commit. Any failure behind alloc_service rolls it back. Allocation comes before validation because
 * upstream's does: of a Service with a taken node port and a bad name, only the first is told.
 */
#pragma once

#include "kube/schema/schema.h"

enum {
	STRATEGY_GENERATION = 2, /* metadata.generation: 1, +1 with each change of the spec */
	STRATEGY_CREATE_BY_PUT =
		4, /* a PUT of a missing object creates it (with its resourceVersion empty) */
	STRATEGY_NEEDS_VERSION = 8, /* an update must carry metadata.resourceVersion */
	STRATEGY_GRACEFUL =
		16, /* deletion is announced first and done by a second DELETE with grace 0 (Pod) */
	STRATEGY_REPLY_OBJECT =
		32, /* a complete deletion answers the object, not a Status (Pod, Service, …) */
	STRATEGY_ORPHAN =
		64, /* dependents are orphaned when the DELETE does not say (Job, ReplicationController) */
	STRATEGY_CREATE_STATUS = 128, /* a create may carry a status (Node) */
};

struct strategy {
	const char *group, *kind;
	unsigned flags;
	const char *spec; /* what generation watches: comma-separated paths; NULL is "spec" */
	void (*create)(json_t *obj);
	void (*update)(json_t *obj, const json_t *old);
	void (*update_status)(json_t *obj, const json_t *old);
};
/* Never NULL: kinds without a row have no flags. Whether status is apart follows from the resource's
 * subresources. */
const struct strategy *strategy_of(const struct resource *r);

/* Fills in namespace (NULL for cluster-scoped), generated name, uid, creationTimestamp; drops what a client
 * may not set (status, deletionTimestamp, selfLink, generation, resourceVersion). The name may be made anew
 * after a collision: strategy_generate_name again. */
void strategy_prepare_create(const struct resource *r, json_t *obj, const char *ns, int64_t now_ms);
/* From metadata.generateName, when that is set; the old name is overwritten. */
void strategy_generate_name(json_t *obj);
/* subresource: NULL, "status", or another that writes the whole object ("ephemeralcontainers", "resize",
 * "finalize", "approval"); what it does not own is taken from `old`. resourceVersion is left as the client
 * sent it. */
void strategy_prepare_update(const struct resource *r, json_t *obj, const json_t *old,
			     const char *subresource);

/* Deletion. Seconds of grace: what the client asked (-1: nothing), else the kind's own; 0 means at once.
 * Pods that were never bound or have ended get 0. */
int64_t strategy_grace_s(const struct resource *r, const json_t *obj, int64_t asked_s);
/* Sets deletionTimestamp and deletionGracePeriodSeconds and raises generation; a second call may only shorten
 * it. false when the object stays as it was. */
bool strategy_mark_deleted(const struct resource *r, json_t *obj, int64_t grace_s, int64_t now_ms);
