/* ctr_mounts.h - what is mounted into a container: volumes, sub-paths, hosts file, termination log.
 */
#pragma once

#include "base/err.h"
#include "kube/object/env.h"
#include "roles/node/pod.h"

#define TERMINATION_LOG_BYTES 4096 /* kubelet's MaxPodTerminationMessageLogLength per container */

struct ctr_mount {
	char *host_path, *container_path;
	bool readonly;
	int propagation; /* Cri__MountPropagation */
};
struct ctr_mounts {
	struct ctr_mount *at;
	size_t n;
};
void ctr_mounts_done(struct ctr_mounts *m);
int ctr_mounts_build(struct ctr *c, const struct env *env, struct ctr_mounts *ret_mounts,
		     struct err *e) must_check;
char *ctr_termination_log(const struct ctr *c, unsigned attempt); /* host path, on the heap */
