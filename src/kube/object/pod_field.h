/* pod_field.h - what fieldRef and resourceFieldRef of a pod stand for (the "downward API"). Pure.
 *
 * Kubernetes: pkg/fieldpath, pkg/api/v1/resource, kubelet_pods.go podFieldSelectorRuntimeValue.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* "metadata.name", "metadata.labels['x']", "status.podIPs", …; on the heap, NULL when it is none of those. */
char *pod_field_value(const json_t *pod, const char *field_path);
/* resourceFieldRef: of the container it names, else of `container`. `allocatable` is what the node has, the limit of who
 * has none. On the heap, NULL when there is no such container or resource. */
char *pod_resource_value(const json_t *pod, const json_t *container, const json_t *ref, const json_t *allocatable);
/* spec.containers[].resources.<section>.<name>, in thousandths; -1 if absent. */
int64_t resource_milli(const json_t *container, const char *section, const char *name);
