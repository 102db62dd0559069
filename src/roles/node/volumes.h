/* volumes.h - the directories behind a pod's volumes: made, filled, kept current, removed. */
#pragma once

#include "base/err.h"
#include "roles/node/pod.h"

struct volumes;
struct volumes *volumes_new(struct pod *p);
void volumes_free(struct volumes *v); /* leaves the files */
/* Does what is due; true when every volume is in place. The pod is woken when that may have
 * changed. */
bool volumes_step(struct volumes *v);
void volumes_changed(struct volumes *v); /* sources of files changed, or the pod's own metadata */
/* The directory or host path of a volume; NULL if there is none of that name. */
const char *volume_path(const struct volumes *v, const char *name);
bool volume_allows_creation(const struct volumes *v, const char *name); /* of subPath directories */
const json_t *volumes_object(const struct volumes *v, const char *resource, const char *name,
			     bool *ret_known);
/* Unmounts and removes everything of the pod; `done` runs later. No job may be under way:
 * volumes_busy. */
bool volumes_busy(const struct volumes *v);
void volumes_teardown(struct volumes *v, void (*done)(void *ctx), void *ctx);
char *pod_dir(const struct pod *p); /* on the heap */
