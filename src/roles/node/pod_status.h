/* pod_status.h - the status of a pod as the API shows it, computed from what the node knows. Pure.
 *
 * Kubernetes: pkg/kubelet/kubelet_pods.go (phase, container statuses),
 * pkg/kubelet/status/generate.go.
 */
#pragma once

#include "roles/node/pod.h"

/* A new v1.PodStatus. Transition times and foreign conditions are carried over from pod->obj. */
json_t *pod_status_compute(const struct pod *p, const char *host_ip, int64_t now_ms);
const char *pod_phase(const struct pod *p);
/* A merge patch of "status" that turns `old` into `status`: members that are gone become null. */
json_t *pod_status_patch(const json_t *old, const json_t *status);
