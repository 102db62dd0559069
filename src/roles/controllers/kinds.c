/* The kinds that controllers watch, and what of them is worth keeping in memory. */
#include "roles/controllers/actions.h"

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

static void drop_last_applied(json_t *obj)
{
	json_object_del(jx_at(obj, "metadata.annotations"), LAST_APPLIED);
}

static void slim_containers(json_t *containers)
{
	static const char *const unread[] = { "args",	      "command",	 "env",		    "envFrom",
					      "image",	      "imagePullPolicy", "lifecycle",	    "livenessProbe",
					      "readinessProbe", "securityContext", "startupProbe",  "volumeMounts",
					      "volumeDevices", "workingDir" };
	json_t *c;
	size_t i;

	json_array_foreach(containers, i, c)
		for (size_t k = 0; k < ARRAY_LEN(unread); k++)
			json_object_del(c, unread[k]);
}

static void slim_statuses(json_t *statuses)
{
	static const char *const unread[] = { "containerID", "image", "imageID", "lastState",
					      "resources",   "state", "volumeMounts", "allocatedResources" };
	json_t *s;
	size_t i;

	json_array_foreach(statuses, i, s)
		for (size_t k = 0; k < ARRAY_LEN(unread); k++)
			json_object_del(s, unread[k]);
}

/* Pods are most of the cache; a controller reads a tenth of one. */
static void slim_pod(json_t *pod)
{
	drop_last_applied(pod);
	slim_containers(jx_at(pod, "spec.containers"));
	slim_containers(jx_at(pod, "spec.initContainers"));
	jx_del(pod, "spec.ephemeralContainers");
	jx_del(pod, "spec.volumes");
	jx_del(pod, "spec.securityContext");
	jx_del(pod, "spec.dnsConfig");
	slim_statuses(jx_at(pod, "status.containerStatuses"));
	jx_del(pod, "status.initContainerStatuses");
	jx_del(pod, "status.ephemeralContainerStatuses");
}

static void slim_node(json_t *node)
{
	jx_del(node, "status.images");
	jx_del(node, "status.volumesInUse");
	jx_del(node, "status.volumesAttached");
}

#define CORE(resource) { "", "v1", resource }
#define APPS(resource) { "apps", "v1", resource }

const struct kit_kind_row kit_kinds[KK_COUNT] = {
	[KK_POD] = { CORE("pods"), "v1", "Pod", .transform = slim_pod },
	[KK_NODE] = { CORE("nodes"), "v1", "Node", .transform = slim_node },
	[KK_SERVICE] = { CORE("services"), "v1", "Service", .transform = drop_last_applied },
	[KK_DEPLOYMENT] = { APPS("deployments"), "apps/v1", "Deployment", .transform = drop_last_applied },
	[KK_REPLICASET] = { APPS("replicasets"), "apps/v1", "ReplicaSet", .transform = drop_last_applied },
	[KK_ENDPOINTSLICE] = { { "discovery.k8s.io", "v1", "endpointslices" },
			       "discovery.k8s.io/v1", "EndpointSlice" },
	[KK_ENDPOINTS] = { CORE("endpoints"), "v1", "Endpoints" },
	[KK_NAMESPACE] = { CORE("namespaces"), "v1", "Namespace", .transform = drop_last_applied },
	[KK_SERVICEACCOUNT] = { CORE("serviceaccounts"), "v1", "ServiceAccount",
				.field_selector = "metadata.name=default" },
	[KK_CONFIGMAP] = { CORE("configmaps"), "v1", "ConfigMap",
			   .field_selector = "metadata.name=kube-root-ca.crt" },
	[KK_LEASE] = { { "coordination.k8s.io", "v1", "leases" }, "coordination.k8s.io/v1", "Lease",
		       .ns = "kube-node-lease" },
};
