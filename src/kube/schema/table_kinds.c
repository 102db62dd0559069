#include "kube/schema/table_int.h"

/* The columns of each kind: k8s.io/kubernetes pkg/printers/internalversion. */

/* clang-format off */
/* A column of strings, and the same that only `-o wide` shows. */
#define S(name, fn, arg) { name, "string", fn, arg, false }
#define W(name, fn, arg) { name, "string", fn, arg, true }
#define INT(name, path) { name, "integer", cell_int, path, false }
#define TEXT(name, path) S(name, cell_text, path)
#define NAME TEXT("Name", "metadata.name")
#define AGE S("Age", cell_age, "metadata.creationTimestamp")
#define WIDE_TEMPLATE(path) W("Containers", cell_names, path ".containers"), W("Images", cell_images, path ".containers")

static const struct column pods[] = {
	NAME, S("Ready", pod_ready, NULL), S("Status", pod_status, NULL), S("Restarts", pod_restarts, NULL), AGE,
	W("IP", cell_text, "status.podIP|<none>"), W("Node", cell_text, "spec.nodeName|<none>"),
	W("Nominated Node", cell_text, "status.nominatedNodeName|<none>"), W("Readiness Gates", pod_gates, NULL),
};
static const struct column podtemplates[] = {
	NAME, S("Containers", cell_names, "template.spec.containers"), S("Images", cell_images, "template.spec.containers"),
	S("Pod Labels", cell_label_map, "template.metadata.labels"),
};
static const struct column deployments[] = {
	NAME, S("Ready", cell_ready, NULL), S("Up-to-date", cell_int, "status.updatedReplicas"),
	S("Available", cell_int, "status.availableReplicas"), AGE, WIDE_TEMPLATE("spec.template.spec"),
	W("Selector", deployment_selector, NULL),
};
static const struct column replicasets[] = {
	NAME, INT("Desired", "spec.replicas"), INT("Current", "status.replicas"), INT("Ready", "status.readyReplicas"), AGE,
	WIDE_TEMPLATE("spec.template.spec"), W("Selector", cell_selector, "spec.selector"),
};
static const struct column replicationcontrollers[] = {
	NAME, INT("Desired", "spec.replicas"), INT("Current", "status.replicas"), INT("Ready", "status.readyReplicas"), AGE,
	WIDE_TEMPLATE("spec.template.spec"), W("Selector", cell_label_map, "spec.selector"),
};
static const struct column daemonsets[] = {
	NAME, INT("Desired", "status.desiredNumberScheduled"), INT("Current", "status.currentNumberScheduled"),
	INT("Ready", "status.numberReady"), INT("Up-to-date", "status.updatedNumberScheduled"),
	INT("Available", "status.numberAvailable"), S("Node Selector", cell_label_map, "spec.template.spec.nodeSelector"), AGE,
	WIDE_TEMPLATE("spec.template.spec"), W("Selector", cell_selector, "spec.selector"),
};
static const struct column statefulsets[] = {
	NAME, S("Ready", cell_ready, NULL), AGE, WIDE_TEMPLATE("spec.template.spec"),
};
static const struct column controllerrevisions[] = {
	NAME, S("Controller", revision_controller, NULL), S("Revision", cell_int, "revision"), AGE,
};
static const struct column jobs[] = {
	NAME, S("Status", job_status, NULL), S("Completions", job_completions, NULL), S("Duration", job_duration, NULL), AGE,
	WIDE_TEMPLATE("spec.template.spec"), W("Selector", cell_selector, "spec.selector"),
};
static const struct column cronjobs[] = {
	NAME, TEXT("Schedule", "spec.schedule"), TEXT("Timezone", "spec.timeZone|<none>"),
	{ "Suspend", "boolean", cell_bool_word, "spec.suspend", false },
	{ "Active", "integer", cell_count, "status.active", false },
	S("Last Schedule", cell_age, "status.lastScheduleTime|<none>"), AGE,
	WIDE_TEMPLATE("spec.jobTemplate.spec.template.spec"), W("Selector", cell_selector, "spec.jobTemplate.spec.selector"),
};
static const struct column services[] = {
	NAME, TEXT("Type", "spec.type"), TEXT("Cluster-IP", "spec.clusterIP|<none>"),
	S("External-IP", service_external_ip, NULL), S("Port(s)", service_ports, NULL), AGE,
	W("Selector", cell_label_map, "spec.selector"),
};
static const struct column ingresses[] = {
	NAME, TEXT("Class", "spec.ingressClassName|<none>"), S("Hosts", ingress_hosts, NULL),
	S("Address", ingress_address, NULL), S("Ports", ingress_ports, NULL), AGE,
};
static const struct column ingressclasses[] = {
	NAME, TEXT("Controller", "spec.controller"), S("Parameters", ingressclass_parameters, NULL), AGE,
};
static const struct column networkpolicies[] = { NAME, S("Pod-Selector", cell_selector, "spec.podSelector"), AGE };
static const struct column servicecidrs[] = { NAME, S("CIDRs", cell_joined, "spec.cidrs"), AGE };
static const struct column ipaddresses[] = { NAME, S("ParentRef", ipaddress_parent, NULL) };
static const struct column endpoints[] = { NAME, S("Endpoints", endpoints_list, NULL), AGE };
static const struct column endpointslices[] = {
	NAME, TEXT("AddressType", "addressType"), S("Ports", slice_ports, NULL), S("Endpoints", slice_endpoints, NULL), AGE,
};
static const struct column nodes[] = {
	NAME, S("Status", node_status, NULL), S("Roles", node_roles, NULL), AGE,
	TEXT("Version", "status.nodeInfo.kubeletVersion"), W("Internal-IP", node_address, "InternalIP"),
	W("External-IP", node_address, "ExternalIP"), W("OS-Image", cell_text, "status.nodeInfo.osImage|<unknown>"),
	W("Kernel-Version", cell_text, "status.nodeInfo.kernelVersion|<unknown>"),
	W("Container-Runtime", cell_text, "status.nodeInfo.containerRuntimeVersion|<unknown>"),
};
static const struct column namespaces[] = { NAME, TEXT("Status", "status.phase"), AGE };
static const struct column secrets[] = { NAME, TEXT("Type", "type"), S("Data", cell_count, "data"), AGE };
static const struct column configmaps[] = { NAME, S("Data", configmap_data, NULL), AGE };
static const struct column serviceaccounts[] = { NAME, S("Secrets", cell_count, "secrets"), AGE };
static const struct column events[] = {
	S("Last Seen", event_last_seen, NULL), TEXT("Type", "type"), TEXT("Reason", "reason"), S("Object", event_object, NULL),
	W("Subobject", event_subobject, NULL), W("Source", event_source, NULL), S("Message", event_message, NULL),
	W("First Seen", event_first_seen, NULL), W("Count", event_count, NULL), W("Name", cell_text, "metadata.name"),
};
static const struct column leases[] = { NAME, TEXT("Holder", "spec.holderIdentity"), AGE };
static const struct column disruptionbudgets[] = {
	NAME, S("Min Available", cell_int_or_text, "spec.minAvailable|N/A"),
	S("Max Unavailable", cell_int_or_text, "spec.maxUnavailable|N/A"),
	INT("Allowed Disruptions", "status.disruptionsAllowed"), AGE,
};
static const struct column autoscalers[] = {
	NAME, S("Reference", hpa_reference, NULL), S("Targets", hpa_targets, NULL),
	S("MinPods", cell_int_or_text, "spec.minReplicas|<unset>"), S("MaxPods", cell_int, "spec.maxReplicas"),
	S("Replicas", cell_int, "status.currentReplicas"), AGE,
};
static const struct column scales[] = {
	NAME, INT("Desired", "spec.replicas"), INT("Available", "status.replicas"), AGE,
};
static const struct column bindings[] = {
	NAME, S("Role", binding_role, NULL), AGE, W("Users", binding_subjects, "User"),
	W("Groups", binding_subjects, "Group"), W("ServiceAccounts", binding_subjects, "ServiceAccount"),
};
static const struct column volumes[] = {
	NAME, TEXT("Capacity", "spec.capacity.storage"), S("Access Modes", access_modes, "spec.accessModes"),
	TEXT("Reclaim Policy", "spec.persistentVolumeReclaimPolicy"), S("Status", volume_phase, NULL),
	S("Claim", volume_claim, NULL), S("StorageClass", volume_class, NULL),
	TEXT("VolumeAttributesClass", "spec.volumeAttributesClassName|<unset>"), TEXT("Reason", "status.reason"), AGE,
	W("VolumeMode", cell_text, "spec.volumeMode|<unset>"),
};
static const struct column claims[] = {
	NAME, S("Status", volume_phase, NULL), TEXT("Volume", "spec.volumeName"), S("Capacity", claim_capacity, NULL),
	S("Access Modes", claim_access_modes, NULL), S("StorageClass", volume_class, NULL),
	TEXT("VolumeAttributesClass", "spec.volumeAttributesClassName|<unset>"), AGE,
	W("VolumeMode", cell_text, "spec.volumeMode|<unset>"),
};
static const struct column storageclasses[] = {
	S("Name", storageclass_name, NULL), TEXT("Provisioner", "provisioner"), TEXT("ReclaimPolicy", "reclaimPolicy|Delete"),
	TEXT("VolumeBindingMode", "volumeBindingMode|Immediate"), S("AllowVolumeExpansion", cell_bool, "allowVolumeExpansion"),
	AGE,
};
static const struct column csinodes[] = { NAME, { "Drivers", "integer", cell_count, "spec.drivers", false }, AGE };
static const struct column csidrivers[] = {
	NAME, { "AttachRequired", "boolean", cell_bool, "spec.attachRequired|true", false },
	{ "PodInfoOnMount", "boolean", cell_bool, "spec.podInfoOnMount", false },
	{ "StorageCapacity", "boolean", cell_bool, "spec.storageCapacity", false },
	{ "RequiresRepublish", "boolean", cell_bool, "spec.requiresRepublish", false },
	S("Modes", cell_joined, "spec.volumeLifecycleModes"), AGE,
};
static const struct column capacities[] = {
	NAME, TEXT("StorageClassName", "storageClassName"), TEXT("Capacity", "capacity|<unset>"),
};
static const struct column attachments[] = {
	NAME, TEXT("Attacher", "spec.attacher"), TEXT("PV", "spec.source.persistentVolumeName"), TEXT("Node", "spec.nodeName"),
	{ "Attached", "boolean", cell_bool, "status.attached", false }, AGE,
};
static const struct column attributeclasses[] = { NAME, TEXT("DriverName", "driverName"), AGE };
static const struct column quotas[] = {
	NAME, S("Request", quota_list, "requests"), S("Limit", quota_list, "limits"), AGE,
};
static const struct column priorityclasses[] = {
	NAME, INT("Value", "value"), { "Global-Default", "boolean", cell_bool, "globalDefault", false }, AGE,
	TEXT("PreemptionPolicy", "preemptionPolicy"),
};
static const struct column runtimeclasses[] = { NAME, TEXT("Handler", "handler"), AGE };
static const struct column signingrequests[] = {
	NAME, AGE, TEXT("SignerName", "spec.signerName|<none>"), TEXT("Requestor", "spec.username"),
	S("RequestedDuration", csr_duration, NULL), S("Condition", csr_condition, NULL),
};
static const struct column webhooks[] = { NAME, { "Webhooks", "integer", cell_count, "webhooks", false }, AGE };
static const struct column admissionpolicies[] = {
	NAME, { "Validations", "integer", cell_count, "spec.validations", false }, S("ParamKind", policy_param, NULL), AGE,
};
static const struct column apiservices[] = {
	NAME, S("Service", apiservice_service, NULL), S("Available", apiservice_available, NULL), AGE,
};
static const struct column flowschemas[] = {
	NAME, TEXT("PriorityLevel", "spec.priorityLevelConfiguration.name"),
	S("MatchingPrecedence", cell_int, "spec.matchingPrecedence"),
	TEXT("DistinguisherMethod", "spec.distinguisherMethod.type|<none>"), AGE, S("MissingPL", flowschema_missing, NULL),
};
static const struct column prioritylevels[] = {
	NAME, TEXT("Type", "spec.type"),
	S("NominalConcurrencyShares", cell_int_or_text, "spec.limited.nominalConcurrencyShares|<none>"),
	S("Queues", cell_int_or_text, "spec.limited.limitResponse.queuing.queues|<none>"),
	S("HandSize", cell_int_or_text, "spec.limited.limitResponse.queuing.handSize|<none>"),
	S("QueueLengthLimit", cell_int_or_text, "spec.limited.limitResponse.queuing.queueLengthLimit|<none>"), AGE,
};
static const struct column componentstatuses[] = {
	NAME, S("Status", component_status, "status"), S("Message", component_status, "message"),
	S("Error", component_status, "error"),
};
static const struct column named_with_age[] = { NAME, AGE };
static const struct column statuses[] = {
	TEXT("Status", "status"), TEXT("Reason", "reason"), TEXT("Message", "message"),
};

#define ROW(group, kind, columns) { group, kind, columns, ARRAY_LEN(columns) }
const struct printer printers[] = {
	ROW("", "Pod", pods),
	ROW("", "PodTemplate", podtemplates),
	ROW("", "Service", services),
	ROW("", "Endpoints", endpoints),
	ROW("", "Node", nodes),
	ROW("", "Namespace", namespaces),
	ROW("", "Secret", secrets),
	ROW("", "ConfigMap", configmaps),
	ROW("", "ServiceAccount", serviceaccounts),
	ROW("", "Event", events),
	ROW("", "ReplicationController", replicationcontrollers),
	ROW("", "PersistentVolume", volumes),
	ROW("", "PersistentVolumeClaim", claims),
	ROW("", "ResourceQuota", quotas),
	ROW("", "ComponentStatus", componentstatuses),
	ROW("", "Status", statuses),
	ROW("events.k8s.io", "Event", events),
	ROW("apps", "Deployment", deployments),
	ROW("apps", "ReplicaSet", replicasets),
	ROW("apps", "DaemonSet", daemonsets),
	ROW("apps", "StatefulSet", statefulsets),
	ROW("apps", "ControllerRevision", controllerrevisions),
	ROW("batch", "Job", jobs),
	ROW("batch", "CronJob", cronjobs),
	ROW("networking.k8s.io", "Ingress", ingresses),
	ROW("networking.k8s.io", "IngressClass", ingressclasses),
	ROW("networking.k8s.io", "NetworkPolicy", networkpolicies),
	ROW("networking.k8s.io", "ServiceCIDR", servicecidrs),
	ROW("networking.k8s.io", "IPAddress", ipaddresses),
	ROW("discovery.k8s.io", "EndpointSlice", endpointslices),
	ROW("coordination.k8s.io", "Lease", leases),
	ROW("policy", "PodDisruptionBudget", disruptionbudgets),
	ROW("autoscaling", "HorizontalPodAutoscaler", autoscalers),
	ROW("autoscaling", "Scale", scales),
	ROW("rbac.authorization.k8s.io", "RoleBinding", bindings),
	ROW("rbac.authorization.k8s.io", "ClusterRoleBinding", bindings),
	ROW("storage.k8s.io", "StorageClass", storageclasses),
	ROW("storage.k8s.io", "CSINode", csinodes),
	ROW("storage.k8s.io", "CSIDriver", csidrivers),
	ROW("storage.k8s.io", "CSIStorageCapacity", capacities),
	ROW("storage.k8s.io", "VolumeAttachment", attachments),
	ROW("storage.k8s.io", "VolumeAttributesClass", attributeclasses),
	ROW("scheduling.k8s.io", "PriorityClass", priorityclasses),
	ROW("node.k8s.io", "RuntimeClass", runtimeclasses),
	ROW("certificates.k8s.io", "CertificateSigningRequest", signingrequests),
	ROW("admissionregistration.k8s.io", "MutatingWebhookConfiguration", webhooks),
	ROW("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", webhooks),
	ROW("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", admissionpolicies),
	ROW("apiregistration.k8s.io", "APIService", apiservices),
	ROW("flowcontrol.apiserver.k8s.io", "FlowSchema", flowschemas),
	ROW("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", prioritylevels),
	ROW("resource.k8s.io", "DeviceClass", named_with_age),
	ROW("resource.k8s.io", "ResourceClaimTemplate", named_with_age),
};
/* clang-format on */
const size_t n_printers = ARRAY_LEN(printers);
