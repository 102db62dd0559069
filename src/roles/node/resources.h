/* resources.h - requests and limits of a pod as the kernel wants them. Pure.
 *
 * Kubernetes: pkg/apis/core/v1/helper/qos, pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/qos.
 */
#pragma once

#include "codec/jx.h"

enum qos { QOS_GUARANTEED, QOS_BURSTABLE, QOS_BEST_EFFORT };
enum qos qos_of_pod(const json_t *pod);
const char *qos_name(enum qos q); /* "BestEffort" */
/* "/kubepods/burstable/pod<uid>"; on the heap. Guaranteed pods stand directly below /kubepods. */
char *pod_cgroup_path(const json_t *pod);

struct cpu_memory {
	int64_t cpu_shares, cpu_quota_us, cpu_period_us; /* quota 0: unlimited */
	int64_t memory_limit_bytes;			 /* 0: unlimited */
	int64_t oom_score_adj;
};
struct cpu_memory container_resources(const json_t *pod, const json_t *container,
				      int64_t node_memory_bytes);
