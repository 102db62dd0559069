/* pod_env.h - a container's whole environment: envFrom, env with valueFrom, Services. Pure.
 *
 * Kubernetes: kubelet_pods.go makeEnvironmentVariables. What env declares wins over envFrom, later over earlier; Services
 * only fill names that are still free, but $(NAME) sees them.
 */
#pragma once

#include "base/err.h"
#include "kube/object/env.h"

struct pod_env_input {
	const json_t *pod, *container; /* container: the entry of the pod's spec */
	const json_t **services;       /* at least those of the pod's namespace, and default/kubernetes; is sorted */
	size_t n_services;
	const json_t *allocatable;     /* of the pod's Node: the limits of containers without; NULL: unknown, 0 */
	/* Known before the pod's status shows them; NULL: from the status. */
	const char *pod_ip, *host_ip;
	void *ctx;
	/* resource: "configmaps" or "secrets", of the pod's namespace; NULL: there is none of that name, or (*ret_known
	 * false) nothing is known about it. */
	const json_t *(*object)(void *ctx, const char *resource, const char *name, bool *ret_known);
	/* NULL: the first error ends it. Otherwise each is told, `part` being the entry of env or envFrom, and the rest goes
	 * on without. */
	void (*problem)(void *ctx, const json_t *part, const struct err *e);
};
/* ERR_UNAVAILABLE: an object is not known yet. ERR_NOT_FOUND and others: the message of CreateContainerConfigError. */
int pod_env_build(const struct pod_env_input *in, struct env *ret_env, struct err *e) must_check;
/* A ConfigMap's or Secret's value as text: on the heap, NULL if there is no such key. */
char *env_object_key(const json_t *obj, const char *key, bool secret);
