/* env_source.h - what this node knows, for a container's environment (kube/object/pod_env.h). */
#pragma once

#include "base/err.h"
#include "kube/object/env.h"
#include "roles/node/pod.h"

/* Errors as pod_env_build's. */
int ctr_env_build(struct ctr *c, struct env *ret_env, struct err *e) must_check;
/* resourceFieldRef of a container's own, or of the one that it names; on the heap, NULL when it is unknown. */
char *resource_field_value(const struct pod *p, const json_t *container, const json_t *ref);
