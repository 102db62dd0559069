/* node_facts.h - what the Node object says about this machine. */
#pragma once

#include "roles/node/node.h"

int64_t machine_memory_bytes(void);
int64_t machine_milli_cpus(void);
/* A new v1.NodeSystemInfo; runtime_version is like "containerd://1.6.20". */
json_t *node_info(const char *runtime_version);
/* capacity, and the same as allocatable: nothing is reserved for the system. */
json_t *node_capacity(const struct node *n);
json_t *node_labels(const char *node_name);
