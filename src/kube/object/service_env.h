/* service_env.h - the variables that tell a container about Services older than itself. Pure.
 *
 * Kubernetes: pkg/kubelet/envvars, kubelet_pods.go getServiceEnvVarMap; the form is Docker's old links.
 */
#pragma once

#include "kube/object/env.h"

/* Whether a pod of `ns` can see `service` in its environment: it has a ClusterIP, and is in the same namespace (if the pod
 * wants links at all) or is default/kubernetes. */
bool service_env_applies(const json_t *service, const char *ns, bool links);
/* The variables of one Service, in kubelet's order; the first port decides those without a port's name. */
void service_env_add(const json_t *service, struct env *v);
/* Those of all Services that a pod of `ns` sees, Services in the order of their names (kubelet's is chance). A Service
 * "kubernetes" of the pod's own namespace stands for the one in default. The array is sorted in place. */
void service_env_build(const json_t **services, size_t n, const char *ns, bool links, struct env *v);
