/* env_source.h - a container's whole environment: services, envFrom, env with valueFrom. */
#pragma once

#include "base/err.h"
#include "roles/node/env.h"
#include "roles/node/pod.h"

/* ERR_UNAVAILABLE: an object is not known yet. ERR_NOT_FOUND and others: the message of
 * CreateContainerConfigError. */
int ctr_env_build(struct ctr *c, struct env *ret_env, struct err *e) must_check;
/* resourceFieldRef of `container`; on the heap, NULL when the resource is unknown. */
char *resource_field_value(const struct node *n, const json_t *container, const json_t *ref);
