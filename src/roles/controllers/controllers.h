/* controllers.h - the rows of the role: one per controller, run by the kit. */
#pragma once

#include "roles/controllers/kit.h"

extern const struct controller controller_deployment, controller_replicaset, controller_endpointslice,
	controller_endpoints, controller_namespace, controller_serviceaccount, controller_root_ca, controller_gc,
	controller_node_ipam, controller_node_lifecycle, controller_taint_eviction, controller_pod_gc,
	controller_scheduler;
