/* The kinds that controllers watch, and what of them is worth keeping in memory: trees are large, and a
 * controller reads a tenth of one. Kinds that are written back whole keep all. */
#include "roles/controllers/actions.h"

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"
#define DELETION_COST "controller.kubernetes.io/pod-deletion-cost"

static bool listed(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (c_eq(*names, name))
			return true;
	return false;
}

static void keep_members(json_t *obj, const char *const *names)
{
	const char *name;
	json_t *v;
	void *tmp;

	json_object_foreach_safe(obj, tmp, name, v)
		if (!listed(names, name))
			json_object_del(obj, name);
}

static void keep_members_each(json_t *list, const char *const *names)
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
		keep_members(v, names);
}

static void drop_last_applied(json_t *obj)
{
	json_object_del(jx_at(obj, "metadata.annotations"), LAST_APPLIED);
}

static const char *const read_metadata[] = { "name",
					     "namespace",
					     "uid",
					     "resourceVersion",
					     "labels",
					     "annotations",
					     "finalizers",
					     "creationTimestamp",
					     "generation",
					     "ownerReferences",
					     "deletionTimestamp",
					     NULL };

/* ---- pods ---- */

static const char *const read_pod[] = { "kind", "apiVersion", "metadata", "spec", "status", NULL };
static const char *const read_pod_annotations[] = { DELETION_COST, NULL };
static const char *const read_pod_spec[] = { "nodeName",       "schedulerName", "schedulingGates",
					     "nodeSelector",   "affinity",	"tolerations",
					     "hostname",       "subdomain",	"containers",
					     "initContainers", "overhead",	NULL };
static const char *const read_container[] = { "ports", "resources", "restartPolicy", NULL };
static const char *const read_resources[] = { "requests", NULL };
static const char *const read_pod_status[] = {
	"phase", "podIP", "podIPs", "conditions", "containerStatuses", NULL
};
static const char *const read_container_status[] = { "restartCount", NULL };
static const char *const read_pod_conditions[] = { "Ready", "PodScheduled", NULL };

static void slim_containers(json_t *containers)
{
	json_t *c;
	size_t i;

	keep_members_each(containers, read_container);
	json_array_foreach(containers, i, c)
		keep_members(json_object_get(c, "resources"), read_resources);
}

static void slim_conditions(json_t *conditions)
{
	for (size_t i = json_array_size(conditions); i-- > 0;)
		if (!listed(read_pod_conditions, jx_str(json_array_get(conditions, i), "type")))
			json_array_remove(conditions, i);
}

static void slim_pod(json_t *pod)
{
	keep_members(pod, read_pod);
	keep_members(json_object_get(pod, "metadata"), read_metadata);
	keep_members(jx_at(pod, "metadata.annotations"), read_pod_annotations);
	keep_members(json_object_get(pod, "spec"), read_pod_spec);
	slim_containers(jx_at(pod, "spec.containers"));
	slim_containers(jx_at(pod, "spec.initContainers"));
	keep_members(json_object_get(pod, "status"), read_pod_status);
	keep_members_each(jx_at(pod, "status.containerStatuses"), read_container_status);
	slim_conditions(jx_at(pod, "status.conditions"));
}

/* ---- the rest ---- */

static const char *const read_node_status[] = { "allocatable", "conditions", NULL };

static void slim_node(json_t *node)
{
	keep_members(json_object_get(node, "status"), read_node_status);
}

static const char *const read_service[] = { "kind", "apiVersion", "metadata", "spec", NULL };
static const char *const read_service_spec[] = {
	"selector", "ports", "clusterIP", "type", "ipFamilies", "publishNotReadyAddresses", NULL
};

static void slim_service(json_t *service)
{
	keep_members(service, read_service);
	keep_members(json_object_get(service, "metadata"), read_metadata);
	jx_del(service, "metadata.annotations");
	keep_members(json_object_get(service, "spec"), read_service_spec);
}

static const char *const read_lease_spec[] = { "renewTime", NULL };

static void slim_lease(json_t *lease)
{
	keep_members(json_object_get(lease, "spec"), read_lease_spec);
}

#define CORE(resource)                                                                             \
	{                                                                                          \
		"", "v1", resource                                                                 \
	}
#define APPS(resource)                                                                             \
	{                                                                                          \
		"apps", "v1", resource                                                             \
	}

const struct kit_kind_row kit_kinds[KK_COUNT] = {
	[KK_POD] = { CORE("pods"), "v1", "Pod", .transform = slim_pod },
	[KK_NODE] = { CORE("nodes"), "v1", "Node", .transform = slim_node },
	[KK_SERVICE] = { CORE("services"), "v1", "Service", .transform = slim_service },
	[KK_DEPLOYMENT] = { APPS("deployments"), "apps/v1", "Deployment",
			    .transform = drop_last_applied },
	[KK_REPLICASET] = { APPS("replicasets"), "apps/v1", "ReplicaSet",
			    .transform = drop_last_applied },
	[KK_ENDPOINTSLICE] = { { "discovery.k8s.io", "v1", "endpointslices" },
			       "discovery.k8s.io/v1",
			       "EndpointSlice" },
	[KK_ENDPOINTS] = { CORE("endpoints"), "v1", "Endpoints" },
	[KK_NAMESPACE] = { CORE("namespaces"), "v1", "Namespace", .transform = drop_last_applied },
	[KK_SERVICEACCOUNT] = { CORE("serviceaccounts"), "v1", "ServiceAccount",
				.field_selector = "metadata.name=default" },
	[KK_CONFIGMAP] = { CORE("configmaps"), "v1", "ConfigMap",
			   .field_selector = "metadata.name=kube-root-ca.crt" },
	[KK_LEASE] = { { "coordination.k8s.io", "v1", "leases" },
		       "coordination.k8s.io/v1",
		       "Lease",
		       .ns = "kube-node-lease",
		       .transform = slim_lease },
};
