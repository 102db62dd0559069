/* object_cache.h - the ConfigMaps and Secrets that pods of this node name, each watched on its own.
 *
 * The node must not see the others (as kubelet's node authorisation), so there is one watch per
 * object; users are called when it is first known and whenever it changes.
 */
#pragma once

#include "kube/client/informer.h"

struct objects;
struct object_user;
struct objects *objects_new(struct kube_client *k);
void objects_free(struct objects *o);
struct object_user *object_use(struct objects *o, struct kube_gvr gvr, const char *ns,
			       const char *name, void (*changed)(void *ctx), void *ctx);
void object_unuse(struct object_user *u); /* NULL is nothing */
/* *ret_known is false until the first answer; then NULL means that there is no such object. */
const json_t *object_value(const struct object_user *u, bool *ret_known);
