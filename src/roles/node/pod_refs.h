/* pod_refs.h - the ConfigMaps and Secrets that a pod names in its volumes and environment. */
#pragma once

#include "roles/node/pod.h"

struct pod_refs;
/* Starts watching all of them; the pod is woken when one becomes known or changes. */
struct pod_refs *pod_refs_new(struct pod *p);
void pod_refs_free(struct pod_refs *r);
/* resource: "configmaps" or "secrets". *ret_known false: not yet answered. */
const json_t *pod_refs_get(const struct pod_refs *r, const char *resource, const char *name,
			   bool *ret_known);
