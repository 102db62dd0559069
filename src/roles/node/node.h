/* node.h - what the parts of the node role share: clients, directories, the pods. Private to the
 * role. */
#pragma once

#include "base/map.h"
#include "kube/client/informer.h"
#include "roles/node/cri.h"
#include "roles/node/dns_config.h"
#include "roles/role.h"

struct images;
struct objects;
struct kubelet_server;
struct registration;
struct relist;
struct pods_boot;
struct network_job;
struct log_rotation;

#define NODE_COMPONENT "kubelet" /* the source that events name */

struct node {
	struct role_ctx *role;
	struct loop *loop;
	struct kube_client *kube;
	const struct config *config;
	struct cri *cri;
	const char *name, *ip;
	char *pods_dir, *logs_dir; /* below data-dir/node */
	int64_t memory_bytes, milli_cpus;
	struct pod_dns host_dns;

	struct map pods; /* uid → struct pod */
	struct informer *pod_informer, *service_informer;
	bool network_ready; /* the CNI configuration is in place */

	struct images *images;
	struct objects *objects;
	struct registration *registration;
	struct relist *relist;
	struct pods_boot *boot;
	struct network_job *network;
	struct kubelet_server *server;
	struct log_rotation *log_rotation;
};

#define GVR_PODS ((struct kube_gvr){ "", "v1", "pods" })
#define GVR_NODES ((struct kube_gvr){ "", "v1", "nodes" })
#define GVR_SERVICES ((struct kube_gvr){ "", "v1", "services" })
#define GVR_CONFIG_MAPS ((struct kube_gvr){ "", "v1", "configmaps" })
#define GVR_SECRETS ((struct kube_gvr){ "", "v1", "secrets" })
#define GVR_SERVICE_ACCOUNTS ((struct kube_gvr){ "", "v1", "serviceaccounts" })
#define GVR_LEASES ((struct kube_gvr){ "coordination.k8s.io", "v1", "leases" })
