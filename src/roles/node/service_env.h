/* service_env.h - the variables that tell a container about Services older than itself. Pure.
 *
 * Kubernetes: pkg/kubelet/envvars (the form is Docker's old links).
 */
#pragma once

#include "codec/jx.h"
#include "roles/node/env.h"

/* Whether a pod of `ns` sees `service` in its environment: it has a ClusterIP, and is in the same
 * namespace (if the pod wants links at all) or is default/kubernetes. */
bool service_env_applies(const json_t *service, const char *ns, bool links);
void service_env_add(const json_t *service, struct env *v);
