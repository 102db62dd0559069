/* The resources that are served, in discovery's order. Sources: Kubernetes' published discovery documents
 * (v1.34); networking.k8s.io/v1beta1 Ingress and IngressClass as v1.21 served them. */
#include "kube/schema/schema.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define ALL LIST("all")
#define API_EXTENSIONS LIST("api-extensions")
#define STATUS LIST("status")
#define SCALE_STATUS LIST("scale", "status")
#define READ_ONLY (VERB_GET | VERB_LIST)
#define IN_NAMESPACE true
#define IN_CLUSTER false
#define ADMISSION "admissionregistration.k8s.io"
#define AUTHZ "authorization.k8s.io"
#define NETWORKING "networking.k8s.io"
#define RBAC "rbac.authorization.k8s.io"
#define STORAGE "storage.k8s.io"
#define FLOWCONTROL "flowcontrol.apiserver.k8s.io"
#define RESOURCE "resource.k8s.io"
#define POD_SUBRESOURCES \
	LIST("attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "proxy", "resize", "status")

/* clang-format off */
/* group, version, Kind, plural, singular, short names, categories, subresources, type, scope, verbs, storage's type */
#define RESOURCES(X) \
	X("", "v1", Binding, "bindings", "binding", NULL, NULL, NULL, core_v1_Binding, IN_NAMESPACE, VERB_CREATE, ) \
	X("", "v1", ComponentStatus, "componentstatuses", "componentstatus", LIST("cs"), NULL, NULL, core_v1_ComponentStatus, IN_CLUSTER, READ_ONLY, ) \
	X("", "v1", ConfigMap, "configmaps", "configmap", LIST("cm"), NULL, NULL, core_v1_ConfigMap, IN_NAMESPACE, VERB_ALL, ) \
	X("", "v1", Endpoints, "endpoints", "endpoints", LIST("ep"), NULL, NULL, core_v1_Endpoints, IN_NAMESPACE, VERB_ALL, ) \
	X("", "v1", Event, "events", "event", LIST("ev"), NULL, NULL, core_v1_Event, IN_NAMESPACE, VERB_ALL, ) \
	X("", "v1", LimitRange, "limitranges", "limitrange", LIST("limits"), NULL, NULL, core_v1_LimitRange, IN_NAMESPACE, VERB_ALL, ) \
	X("", "v1", Namespace, "namespaces", "namespace", LIST("ns"), NULL, LIST("finalize", "status"), core_v1_Namespace, IN_CLUSTER, VERB_ALL & ~VERB_DELETE_COLLECTION, ) \
	X("", "v1", Node, "nodes", "node", LIST("no"), NULL, LIST("proxy", "status"), core_v1_Node, IN_CLUSTER, VERB_ALL, ) \
	X("", "v1", PersistentVolumeClaim, "persistentvolumeclaims", "persistentvolumeclaim", LIST("pvc"), NULL, STATUS, core_v1_PersistentVolumeClaim, IN_NAMESPACE, VERB_ALL, ) \
	X("", "v1", PersistentVolume, "persistentvolumes", "persistentvolume", LIST("pv"), NULL, STATUS, core_v1_PersistentVolume, IN_CLUSTER, VERB_ALL, ) \
	X("", "v1", Pod, "pods", "pod", LIST("po"), ALL, POD_SUBRESOURCES, core_v1_Pod, IN_NAMESPACE, VERB_ALL, ) \
	X("", "v1", PodTemplate, "podtemplates", "podtemplate", NULL, NULL, NULL, core_v1_PodTemplate, IN_NAMESPACE, VERB_ALL, ) \
	X("", "v1", ReplicationController, "replicationcontrollers", "replicationcontroller", LIST("rc"), ALL, SCALE_STATUS, core_v1_ReplicationController, IN_NAMESPACE, VERB_ALL, ) \
	X("", "v1", ResourceQuota, "resourcequotas", "resourcequota", LIST("quota"), NULL, STATUS, core_v1_ResourceQuota, IN_NAMESPACE, VERB_ALL, ) \
	X("", "v1", Secret, "secrets", "secret", NULL, NULL, NULL, core_v1_Secret, IN_NAMESPACE, VERB_ALL, ) \
	X("", "v1", ServiceAccount, "serviceaccounts", "serviceaccount", LIST("sa"), NULL, LIST("token"), core_v1_ServiceAccount, IN_NAMESPACE, VERB_ALL, ) \
	X("", "v1", Service, "services", "service", LIST("svc"), ALL, LIST("proxy", "status"), core_v1_Service, IN_NAMESPACE, VERB_ALL, ) \
	X("apiregistration.k8s.io", "v1", APIService, "apiservices", "apiservice", NULL, API_EXTENSIONS, STATUS, apiregistration_v1_APIService, IN_CLUSTER, VERB_ALL, ) \
	X("apps", "v1", ControllerRevision, "controllerrevisions", "controllerrevision", NULL, NULL, NULL, apps_v1_ControllerRevision, IN_NAMESPACE, VERB_ALL, ) \
	X("apps", "v1", DaemonSet, "daemonsets", "daemonset", LIST("ds"), ALL, STATUS, apps_v1_DaemonSet, IN_NAMESPACE, VERB_ALL, ) \
	X("apps", "v1", Deployment, "deployments", "deployment", LIST("deploy"), ALL, SCALE_STATUS, apps_v1_Deployment, IN_NAMESPACE, VERB_ALL, ) \
	X("apps", "v1", ReplicaSet, "replicasets", "replicaset", LIST("rs"), ALL, SCALE_STATUS, apps_v1_ReplicaSet, IN_NAMESPACE, VERB_ALL, ) \
	X("apps", "v1", StatefulSet, "statefulsets", "statefulset", LIST("sts"), ALL, SCALE_STATUS, apps_v1_StatefulSet, IN_NAMESPACE, VERB_ALL, ) \
	X("events.k8s.io", "v1", Event, "events", "event", LIST("ev"), NULL, NULL, events_v1_Event, IN_NAMESPACE, VERB_ALL, core_v1_Event) \
	X("authentication.k8s.io", "v1", SelfSubjectReview, "selfsubjectreviews", "selfsubjectreview", NULL, NULL, NULL, authentication_v1_SelfSubjectReview, IN_CLUSTER, VERB_CREATE, ) \
	X("authentication.k8s.io", "v1", TokenReview, "tokenreviews", "tokenreview", NULL, NULL, NULL, authentication_v1_TokenReview, IN_CLUSTER, VERB_CREATE, ) \
	X(AUTHZ, "v1", LocalSubjectAccessReview, "localsubjectaccessreviews", "localsubjectaccessreview", NULL, NULL, NULL, authorization_v1_LocalSubjectAccessReview, IN_NAMESPACE, VERB_CREATE, ) \
	X(AUTHZ, "v1", SelfSubjectAccessReview, "selfsubjectaccessreviews", "selfsubjectaccessreview", NULL, NULL, NULL, authorization_v1_SelfSubjectAccessReview, IN_CLUSTER, VERB_CREATE, ) \
	X(AUTHZ, "v1", SelfSubjectRulesReview, "selfsubjectrulesreviews", "selfsubjectrulesreview", NULL, NULL, NULL, authorization_v1_SelfSubjectRulesReview, IN_CLUSTER, VERB_CREATE, ) \
	X(AUTHZ, "v1", SubjectAccessReview, "subjectaccessreviews", "subjectaccessreview", NULL, NULL, NULL, authorization_v1_SubjectAccessReview, IN_CLUSTER, VERB_CREATE, ) \
	X("autoscaling", "v2", HorizontalPodAutoscaler, "horizontalpodautoscalers", "horizontalpodautoscaler", LIST("hpa"), ALL, STATUS, autoscaling_v2_HorizontalPodAutoscaler, IN_NAMESPACE, VERB_ALL, ) \
	X("autoscaling", "v1", HorizontalPodAutoscaler, "horizontalpodautoscalers", "horizontalpodautoscaler", LIST("hpa"), ALL, STATUS, autoscaling_v1_HorizontalPodAutoscaler, IN_NAMESPACE, VERB_ALL, ) \
	X("batch", "v1", CronJob, "cronjobs", "cronjob", LIST("cj"), ALL, STATUS, batch_v1_CronJob, IN_NAMESPACE, VERB_ALL, ) \
	X("batch", "v1", Job, "jobs", "job", NULL, ALL, STATUS, batch_v1_Job, IN_NAMESPACE, VERB_ALL, ) \
	X("certificates.k8s.io", "v1", CertificateSigningRequest, "certificatesigningrequests", "certificatesigningrequest", LIST("csr"), NULL, LIST("approval", "status"), certificates_v1_CertificateSigningRequest, IN_CLUSTER, VERB_ALL, ) \
	X(NETWORKING, "v1", IngressClass, "ingressclasses", "ingressclass", NULL, NULL, NULL, networking_v1_IngressClass, IN_CLUSTER, VERB_ALL, ) \
	X(NETWORKING, "v1", Ingress, "ingresses", "ingress", LIST("ing"), NULL, STATUS, networking_v1_Ingress, IN_NAMESPACE, VERB_ALL, ) \
	X(NETWORKING, "v1", IPAddress, "ipaddresses", "ipaddress", LIST("ip"), NULL, NULL, networking_v1_IPAddress, IN_CLUSTER, VERB_ALL, ) \
	X(NETWORKING, "v1", NetworkPolicy, "networkpolicies", "networkpolicy", LIST("netpol"), NULL, NULL, networking_v1_NetworkPolicy, IN_NAMESPACE, VERB_ALL, ) \
	X(NETWORKING, "v1", ServiceCIDR, "servicecidrs", "servicecidr", NULL, NULL, STATUS, networking_v1_ServiceCIDR, IN_CLUSTER, VERB_ALL, ) \
	X(NETWORKING, "v1beta1", IngressClass, "ingressclasses", "ingressclass", NULL, NULL, NULL, networking_v1beta1_IngressClass, IN_CLUSTER, VERB_ALL, networking_v1_IngressClass) \
	X(NETWORKING, "v1beta1", Ingress, "ingresses", "ingress", LIST("ing"), NULL, STATUS, networking_v1beta1_Ingress, IN_NAMESPACE, VERB_ALL, networking_v1_Ingress) \
	X("policy", "v1", PodDisruptionBudget, "poddisruptionbudgets", "poddisruptionbudget", LIST("pdb"), NULL, STATUS, policy_v1_PodDisruptionBudget, IN_NAMESPACE, VERB_ALL, ) \
	X(RBAC, "v1", ClusterRoleBinding, "clusterrolebindings", "clusterrolebinding", NULL, NULL, NULL, rbac_v1_ClusterRoleBinding, IN_CLUSTER, VERB_ALL, ) \
	X(RBAC, "v1", ClusterRole, "clusterroles", "clusterrole", NULL, NULL, NULL, rbac_v1_ClusterRole, IN_CLUSTER, VERB_ALL, ) \
	X(RBAC, "v1", RoleBinding, "rolebindings", "rolebinding", NULL, NULL, NULL, rbac_v1_RoleBinding, IN_NAMESPACE, VERB_ALL, ) \
	X(RBAC, "v1", Role, "roles", "role", NULL, NULL, NULL, rbac_v1_Role, IN_NAMESPACE, VERB_ALL, ) \
	X(STORAGE, "v1", CSIDriver, "csidrivers", "csidriver", NULL, NULL, NULL, storage_v1_CSIDriver, IN_CLUSTER, VERB_ALL, ) \
	X(STORAGE, "v1", CSINode, "csinodes", "csinode", NULL, NULL, NULL, storage_v1_CSINode, IN_CLUSTER, VERB_ALL, ) \
	X(STORAGE, "v1", CSIStorageCapacity, "csistoragecapacities", "csistoragecapacity", NULL, NULL, NULL, storage_v1_CSIStorageCapacity, IN_NAMESPACE, VERB_ALL, ) \
	X(STORAGE, "v1", StorageClass, "storageclasses", "storageclass", LIST("sc"), NULL, NULL, storage_v1_StorageClass, IN_CLUSTER, VERB_ALL, ) \
	X(STORAGE, "v1", VolumeAttachment, "volumeattachments", "volumeattachment", NULL, NULL, STATUS, storage_v1_VolumeAttachment, IN_CLUSTER, VERB_ALL, ) \
	X(STORAGE, "v1", VolumeAttributesClass, "volumeattributesclasses", "volumeattributesclass", LIST("vac"), NULL, NULL, storage_v1_VolumeAttributesClass, IN_CLUSTER, VERB_ALL, ) \
	X(ADMISSION, "v1", MutatingWebhookConfiguration, "mutatingwebhookconfigurations", "mutatingwebhookconfiguration", NULL, API_EXTENSIONS, NULL, admissionregistration_v1_MutatingWebhookConfiguration, IN_CLUSTER, VERB_ALL, ) \
	X(ADMISSION, "v1", ValidatingAdmissionPolicy, "validatingadmissionpolicies", "validatingadmissionpolicy", NULL, API_EXTENSIONS, STATUS, admissionregistration_v1_ValidatingAdmissionPolicy, IN_CLUSTER, VERB_ALL, ) \
	X(ADMISSION, "v1", ValidatingAdmissionPolicyBinding, "validatingadmissionpolicybindings", "validatingadmissionpolicybinding", NULL, API_EXTENSIONS, NULL, admissionregistration_v1_ValidatingAdmissionPolicyBinding, IN_CLUSTER, VERB_ALL, ) \
	X(ADMISSION, "v1", ValidatingWebhookConfiguration, "validatingwebhookconfigurations", "validatingwebhookconfiguration", NULL, API_EXTENSIONS, NULL, admissionregistration_v1_ValidatingWebhookConfiguration, IN_CLUSTER, VERB_ALL, ) \
	X("apiextensions.k8s.io", "v1", CustomResourceDefinition, "customresourcedefinitions", "customresourcedefinition", LIST("crd", "crds"), API_EXTENSIONS, STATUS, apiextensions_v1_CustomResourceDefinition, IN_CLUSTER, VERB_ALL, ) \
	X("scheduling.k8s.io", "v1", PriorityClass, "priorityclasses", "priorityclass", LIST("pc"), NULL, NULL, scheduling_v1_PriorityClass, IN_CLUSTER, VERB_ALL, ) \
	X("coordination.k8s.io", "v1", Lease, "leases", "lease", NULL, NULL, NULL, coordination_v1_Lease, IN_NAMESPACE, VERB_ALL, ) \
	X("node.k8s.io", "v1", RuntimeClass, "runtimeclasses", "runtimeclass", NULL, NULL, NULL, node_v1_RuntimeClass, IN_CLUSTER, VERB_ALL, ) \
	X("discovery.k8s.io", "v1", EndpointSlice, "endpointslices", "endpointslice", NULL, NULL, NULL, discovery_v1_EndpointSlice, IN_NAMESPACE, VERB_ALL, ) \
	X(RESOURCE, "v1", DeviceClass, "deviceclasses", "deviceclass", NULL, NULL, NULL, resource_v1_DeviceClass, IN_CLUSTER, VERB_ALL, ) \
	X(RESOURCE, "v1", ResourceClaim, "resourceclaims", "resourceclaim", NULL, NULL, STATUS, resource_v1_ResourceClaim, IN_NAMESPACE, VERB_ALL, ) \
	X(RESOURCE, "v1", ResourceClaimTemplate, "resourceclaimtemplates", "resourceclaimtemplate", NULL, NULL, NULL, resource_v1_ResourceClaimTemplate, IN_NAMESPACE, VERB_ALL, ) \
	X(RESOURCE, "v1", ResourceSlice, "resourceslices", "resourceslice", NULL, NULL, NULL, resource_v1_ResourceSlice, IN_CLUSTER, VERB_ALL, ) \
	X(FLOWCONTROL, "v1", FlowSchema, "flowschemas", "flowschema", NULL, NULL, STATUS, flowcontrol_v1_FlowSchema, IN_CLUSTER, VERB_ALL, ) \
	X(FLOWCONTROL, "v1", PriorityLevelConfiguration, "prioritylevelconfigurations", "prioritylevelconfiguration", NULL, NULL, STATUS, flowcontrol_v1_PriorityLevelConfiguration, IN_CLUSTER, VERB_ALL, )
/* clang-format on */

/* The generated types, and each row's place in the table. */
#define X(group, version, kind, plural, singular, shorts, cats, subs, type, scope, verbs, storage) \
	extern const struct schema_type type_##type;
RESOURCES(X)
#undef X
enum {
	AT_ = -1, /* a row without a storage type is its own */
#define X(group, version, kind, plural, singular, shorts, cats, subs, type, scope, verbs, storage) AT_##type,
	RESOURCES(X)
#undef X
};

const struct resource resources[] = {
#define X(g, v, k, p, s, shorts, cats, subs, t, scope, what, stored)                                  \
	{ g, v, #k, p, s, shorts, cats, subs, &type_##t, scope, what,                                 \
	  AT_##stored < 0 ? NULL : &resources[AT_##stored < 0 ? 0 : AT_##stored] },
	RESOURCES(X)
#undef X
};
const size_t n_resources = ARRAY_LEN(resources);
