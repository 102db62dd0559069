/* objects.h - questions about objects that several controllers ask. Pure: no clock, no I/O. */
#pragma once

#include "codec/jx.h"

/* A borrowed set of borrowed objects. */
struct objects {
	const json_t **at;
	size_t n;
};
void objects_append(struct objects *to, struct objects from); /* `to` has the room */

/* The ownerReference with controller: true, or NULL; and its uid. */
const json_t *controller_ref(const json_t *obj);
const char *controller_uid(const json_t *obj);
/* A new ownerReference to `owner` (which has kind and apiVersion) with controller and blockOwnerDeletion set. */
json_t *controller_ref_new(const json_t *owner);
/* The strategic merge patches that make `owner` the controller of `obj`, and that undo it. */
json_t *adopt_patch(const json_t *obj, const json_t *owner);
json_t *release_patch(const json_t *obj, const json_t *owner);

bool being_deleted(const json_t *obj); /* has a deletionTimestamp */
int64_t created_ms(const json_t *obj); /* 0 if unknown */

/* spec.selector and spec.template.spec are objects, and the selector chooses something: validation lets in nothing else,
 * but an API server may be older than its validation. */
bool workload_is_sound(const json_t *workload);

/* conditions: arrays of {type,status,reason,message,lastTransitionTime,…} */
const json_t *condition_get(const json_t *obj, const char *type); /* of status.conditions, or NULL */
bool condition_is(const json_t *obj, const char *type, const char *status);
size_t condition_at(const json_t *conditions, const char *type); /* SIZE_MAX when there is none */

bool pod_is_terminal(const json_t *pod); /* Succeeded or Failed */
bool pod_is_active(const json_t *pod);	 /* neither terminal nor being deleted */
bool pod_is_ready(const json_t *pod);
int64_t pod_ready_since_ms(const json_t *pod); /* 0 when not ready or unknown */
bool pod_is_available(const json_t *pod, int64_t min_ready_s, int64_t now_ms);

/* Whether one toleration covers a taint. */
bool toleration_covers(const json_t *toleration, const json_t *taint);

/* An IntOrString of `total`: "25%" rounded up or down; absent gives `fallback`. */
int64_t int_or_percent(const json_t *v, int64_t total, bool round_up, int64_t fallback);
/* A merge patch member that turns `old` into `wanted`: `wanted` with a null for every top-level member that
 * only `old` has. New reference; `wanted` is stolen. */
json_t *merge_members(const json_t *old, json_t *wanted);
void set_nonzero(json_t *obj, const char *name, int64_t n); /* Go's omitempty: 0 is left out */
