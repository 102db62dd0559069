/* cri_spec.h - pods and containers in the words of the runtime interface.
 *
 * Everything in a result lives in the arena, or is borrowed from the pod and the inputs.
 */
#pragma once

#include "roles/node/cri.h"
#include "roles/node/ctr_mounts.h"
#include "kube/object/env.h"
#include "roles/node/pod.h"

#define CRI_SPEC_BYTES (8u << 20) /* environment and mounts of one container, with room */

/* Labels and annotations by which a restarted node role knows what is whose; the names are
 * kubelet's. */
#define LABEL_POD_NAME "io.kubernetes.pod.name"
#define LABEL_POD_NAMESPACE "io.kubernetes.pod.namespace"
#define LABEL_POD_UID "io.kubernetes.pod.uid"
#define LABEL_CONTAINER_NAME "io.kubernetes.container.name"
#define ANNOTATION_RESTART_COUNT "io.kubernetes.container.restartCount"
#define ANNOTATION_HASH "io.kubernetes.container.hash"

/* NULL when the arena's limit is reached. */
Cri__PodSandboxConfig *cri_sandbox_config(const struct pod *p, unsigned attempt,
					  struct arena *a) must_check;
struct ctr_inputs {
	const struct env *env;
	const struct ctr_mounts *mounts;
	int64_t image_uid; /* -1: unknown */
};
Cri__ContainerConfig *cri_ctr_config(const struct ctr *c, const struct ctr_inputs *in,
				     struct arena *a, struct err *e) must_check;
uint64_t ctr_spec_hash(const json_t *spec); /* of what a running container cannot change */
char *pod_log_dir(const struct pod *p);	    /* on the heap */
char *ctr_log_path(const struct ctr *c, unsigned attempt);
