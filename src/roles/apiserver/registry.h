/* registry.h - the one way by which objects are written: admission, strategy, validation,
 * allocation, store.
 *
 * Trees are in the storage version, decoded and defaulted. On success the result is in memory and
 * on its way to disk: replies wait for it by themselves (request.h), other callers with store_wait.
 */
#pragma once

#include "roles/apiserver/apiserver.h"
#include "roles/apiserver/request_info.h"
#include "roles/apiserver/store/store.h"

struct write {
	struct apiserver *api;
	struct table *table;
	const char *ns;		 /* NULL for cluster-scoped kinds */
	const char *subresource; /* NULL for the object itself */
	bool dry_run;
};
/* The result of a write that was refused is a Status; of one that was done, the object's new state.
 */
struct written {
	struct object *obj; /* an owned reference, or NULL */
	json_t *status; /* owned, or NULL; a deletion that was complete may give both: the Status is
			   the answer */
};
void written_done(struct written *w);

/* -1: ret->status says why. `obj` is changed in place. */
int registry_create(const struct write *w, json_t *obj, struct written *ret) must_check;
int registry_update(const struct write *w, json_t *obj, struct object *old,
		    struct written *ret) must_check;

/* Stores `obj` as it is: for subresources whose rules are their own (binding, scale's status). */
int registry_store(const struct write *w, json_t *obj, struct written *ret) must_check;

struct delete_options {
	int64_t grace_s; /* -1: the kind's own */
	enum propagation propagation;
	const char *uid, *resource_version; /* preconditions, or NULL */
};
int registry_delete(const struct write *w, struct object *old, const struct delete_options *o,
		    struct written *ret) must_check;
