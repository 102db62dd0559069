#include "roles/apiserver/bootstrap_rbac.h"

#define VIEW "get list watch"
#define EDIT "create delete deletecollection patch update"
#define ALL VIEW " " EDIT
#define DISCOVERY_URLS "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"
#define PUBLIC_URLS "/healthz /livez /readyz /version /version/"
#define EVENTS "core events.k8s.io"

const struct rbac_role_row rbac_role_rows[] = {
	{ "cluster-admin", NULL, NULL },
	{ "admin", NULL, "admin" },
	{ "edit", "admin", "edit" },
	{ "view", "edit", "view" },
	{ "system:aggregate-to-admin", "admin", NULL },
	{ "system:aggregate-to-edit", "edit", NULL },
	{ "system:aggregate-to-view", "view", NULL },
	{ "system:discovery", NULL, NULL },
	{ "system:basic-user", NULL, NULL },
	{ "system:public-info-viewer", NULL, NULL },
	{ "system:monitoring", NULL, NULL },
	{ "system:service-account-issuer-discovery", NULL, NULL },
	{ "system:auth-delegator", NULL, NULL },
	{ "system:node", NULL, NULL },
	{ "system:node-proxier", NULL, NULL },
	{ "system:coredns", NULL, NULL },
	{ "system:kube-scheduler", NULL, NULL },
	{ "system:kube-controller-manager", NULL, NULL },
	{ "system:portico:controllers", NULL, NULL },
	{ "system:portico:proxy", NULL, NULL },
	{ "system:portico:dns", NULL, NULL },
	{ "system:portico:lb", NULL, NULL },
	{ "system:portico:ingress", NULL, NULL },
};
const size_t n_rbac_role_rows = ARRAY_LEN(rbac_role_rows);

const struct rbac_rule_row rbac_rule_rows[] = {
	{ "cluster-admin", "*", "*", "*", NULL },
	{ "cluster-admin", "*", NULL, "*", NULL },

	{ "system:aggregate-to-view", VIEW, "core",
	  "configmaps endpoints events limitranges namespaces namespaces/status persistentvolumeclaims "
	  "persistentvolumeclaims/status pods pods/log pods/status replicationcontrollers replicationcontrollers/scale "
	  "replicationcontrollers/status resourcequotas resourcequotas/status serviceaccounts services services/status", NULL },
	{ "system:aggregate-to-view", VIEW, "apps",
	  "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets "
	  "replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status", NULL },
	{ "system:aggregate-to-view", VIEW, "autoscaling",
	  "horizontalpodautoscalers horizontalpodautoscalers/status", NULL },
	{ "system:aggregate-to-view", VIEW, "batch", "cronjobs cronjobs/status jobs jobs/status", NULL },
	{ "system:aggregate-to-view", VIEW, "discovery.k8s.io", "endpointslices", NULL },
	{ "system:aggregate-to-view", VIEW, "networking.k8s.io", "ingresses ingresses/status networkpolicies", NULL },
	{ "system:aggregate-to-view", VIEW, "policy", "poddisruptionbudgets poddisruptionbudgets/status", NULL },

	{ "system:aggregate-to-edit", VIEW, "core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy",
	  NULL },
	{ "system:aggregate-to-edit", "impersonate", "core", "serviceaccounts", NULL },
	{ "system:aggregate-to-edit", EDIT, "core",
	  "pods pods/attach pods/exec pods/portforward pods/proxy configmaps events persistentvolumeclaims "
	  "replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy", NULL },
	{ "system:aggregate-to-edit", "create", "core", "pods/eviction serviceaccounts/token", NULL },
	{ "system:aggregate-to-edit", EDIT, "apps",
	  "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets "
	  "statefulsets/scale", NULL },
	{ "system:aggregate-to-edit", EDIT, "autoscaling", "horizontalpodautoscalers", NULL },
	{ "system:aggregate-to-edit", EDIT, "batch", "cronjobs jobs", NULL },
	{ "system:aggregate-to-edit", EDIT, "networking.k8s.io", "ingresses networkpolicies", NULL },
	{ "system:aggregate-to-edit", EDIT, "policy", "poddisruptionbudgets", NULL },
	{ "system:aggregate-to-edit", ALL, "coordination.k8s.io", "leases", NULL },

	{ "system:aggregate-to-admin", "create", "authorization.k8s.io", "localsubjectaccessreviews", NULL },
	{ "system:aggregate-to-admin", ALL, "rbac.authorization.k8s.io", "rolebindings roles", NULL },

	{ "system:discovery", "get", NULL, DISCOVERY_URLS, NULL },
	{ "system:public-info-viewer", "get", NULL, PUBLIC_URLS, NULL },
	{ "system:monitoring", "get", NULL, "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*", NULL },
	{ "system:service-account-issuer-discovery", "get", NULL, "/.well-known/openid-configuration /openid/v1/jwks", NULL },
	{ "system:basic-user", "create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", NULL },
	{ "system:basic-user", "create", "authentication.k8s.io", "selfsubjectreviews", NULL },
	{ "system:auth-delegator", "create", "authentication.k8s.io", "tokenreviews", NULL },
	{ "system:auth-delegator", "create", "authorization.k8s.io", "subjectaccessreviews", NULL },

	/* What the Node authorizer narrows to a node's own objects is granted for all of them: one node trusts itself. */
	{ "system:node", "create", "authentication.k8s.io", "tokenreviews", NULL },
	{ "system:node", "create", "authorization.k8s.io", "localsubjectaccessreviews subjectaccessreviews", NULL },
	{ "system:node", VIEW, "core", "services endpoints configmaps secrets persistentvolumeclaims persistentvolumes "
	  "serviceaccounts namespaces", NULL },
	{ "system:node", VIEW " create update patch delete", "core", "nodes", NULL },
	{ "system:node", "patch update", "core", "nodes/status", NULL },
	{ "system:node", "create patch update", EVENTS, "events", NULL },
	{ "system:node", VIEW " create delete", "core", "pods", NULL },
	{ "system:node", "patch update", "core", "pods/status", NULL },
	{ "system:node", "create", "core", "pods/eviction serviceaccounts/token", NULL },
	{ "system:node", "create delete get patch update", "coordination.k8s.io", "leases", NULL },
	{ "system:node", VIEW, "storage.k8s.io", "csidrivers csinodes volumeattachments", NULL },
	{ "system:node", "create delete patch update", "storage.k8s.io", "csinodes", NULL },
	{ "system:node", VIEW, "node.k8s.io", "runtimeclasses", NULL },
	{ "system:node", "create get list watch", "certificates.k8s.io", "certificatesigningrequests", NULL },
	{ "system:node", VIEW, "resource.k8s.io", "resourceclaims resourceslices", NULL },

	{ "system:node-proxier", VIEW, "core", "services endpoints nodes", NULL },
	{ "system:node-proxier", VIEW, "discovery.k8s.io", "endpointslices", NULL },
	{ "system:node-proxier", VIEW, "networking.k8s.io", "servicecidrs", NULL },
	{ "system:node-proxier", "create patch update", EVENTS, "events", NULL },
	{ "system:coredns", VIEW, "core", "endpoints services pods namespaces", NULL },
	{ "system:coredns", VIEW, "discovery.k8s.io", "endpointslices", NULL },

	{ "system:kube-scheduler", "create patch update", EVENTS, "events", NULL },
	{ "system:kube-scheduler", "create get list update watch", "coordination.k8s.io", "leases", NULL },
	{ "system:kube-scheduler", VIEW, "core",
	  "nodes pods namespaces replicationcontrollers services persistentvolumeclaims persistentvolumes configmaps", NULL },
	{ "system:kube-scheduler", "delete", "core", "pods", NULL },
	{ "system:kube-scheduler", "create", "core", "bindings pods/binding", NULL },
	{ "system:kube-scheduler", "patch update", "core", "pods/status persistentvolumeclaims persistentvolumes", NULL },
	{ "system:kube-scheduler", VIEW, "apps", "replicasets statefulsets", NULL },
	{ "system:kube-scheduler", VIEW, "policy", "poddisruptionbudgets", NULL },
	{ "system:kube-scheduler", VIEW, "storage.k8s.io",
	  "csinodes csidrivers csistoragecapacities storageclasses volumeattachments", NULL },
	{ "system:kube-scheduler", VIEW, "resource.k8s.io", "deviceclasses resourceclaims resourceslices", NULL },
	{ "system:kube-scheduler", "patch update", "resource.k8s.io", "resourceclaims/status", NULL },
	{ "system:kube-scheduler", "create", "authentication.k8s.io", "tokenreviews", NULL },
	{ "system:kube-scheduler", "create", "authorization.k8s.io", "subjectaccessreviews", NULL },

	{ "system:kube-controller-manager", "*", "*", "*", NULL },
	{ "system:kube-controller-manager", "get", NULL, "*", NULL },

	/* The garbage collector and the namespace controller read and delete every kind there is. */
	{ "system:portico:controllers", VIEW " delete deletecollection patch update", "*", "*", NULL },
	{ "system:portico:controllers", "create", "core", "pods endpoints serviceaccounts configmaps pods/binding bindings",
	  NULL },
	{ "system:portico:controllers", "create", EVENTS, "events", NULL },
	{ "system:portico:controllers", "create", "apps", "replicasets", NULL },
	{ "system:portico:controllers", "create", "discovery.k8s.io", "endpointslices", NULL },
	{ "system:portico:controllers", "create", "coordination.k8s.io", "leases", NULL },
	{ "system:portico:proxy", VIEW, "core", "services", NULL },
	{ "system:portico:proxy", VIEW, "discovery.k8s.io", "endpointslices", NULL },
	{ "system:portico:dns", VIEW, "core", "services namespaces pods", NULL },
	{ "system:portico:dns", VIEW, "discovery.k8s.io", "endpointslices", NULL },
	{ "system:portico:dns", "create", "core", "services", NULL },
	{ "system:portico:dns", "create", "discovery.k8s.io", "endpointslices", NULL },
	{ "system:portico:dns", "delete", "discovery.k8s.io", "endpointslices", "kube-dns-portico" },
	{ "system:portico:lb", VIEW, "core", "services", NULL },
	{ "system:portico:lb", "patch", "core", "services/status", NULL },
	{ "system:portico:lb", "create patch update", EVENTS, "events", NULL },
	{ "system:portico:ingress", VIEW, "core", "configmaps services secrets", NULL },
	{ "system:portico:ingress", VIEW, "discovery.k8s.io", "endpointslices", NULL },
	{ "system:portico:ingress", VIEW, "networking.k8s.io", "ingresses ingressclasses", NULL },
	{ "system:portico:ingress", "patch", "networking.k8s.io", "ingresses/status", NULL },
	{ "system:portico:ingress", "create", "networking.k8s.io", "ingressclasses", NULL },
	{ "system:portico:ingress", "create", "core", "namespaces services", NULL },
	{ "system:portico:ingress", "create", "discovery.k8s.io", "endpointslices", NULL },
	{ "system:portico:ingress", "create patch update", EVENTS, "events", NULL },
	{ "system:portico:ingress", VIEW " create patch delete", "coordination.k8s.io", "leases", NULL },
};
const size_t n_rbac_rule_rows = ARRAY_LEN(rbac_rule_rows);

const struct rbac_binding_row rbac_binding_rows[] = {
	{ "cluster-admin", "cluster-admin", NULL, "system:masters", NULL },
	{ "system:discovery", "system:discovery", NULL, "system:authenticated", NULL },
	{ "system:basic-user", "system:basic-user", NULL, "system:authenticated", NULL },
	{ "system:public-info-viewer", "system:public-info-viewer", NULL, "system:authenticated system:unauthenticated", NULL },
	{ "system:monitoring", "system:monitoring", NULL, "system:monitoring", NULL },
	{ "system:service-account-issuer-discovery", "system:service-account-issuer-discovery", NULL,
	  "system:serviceaccounts", NULL },
	{ "system:node", "system:node", NULL, "system:nodes", NULL },
	{ "system:node-proxier", "system:node-proxier", "system:kube-proxy", NULL, NULL },
	{ "system:coredns", "system:coredns", NULL, NULL, "kube-system:coredns" },
	{ "system:kube-scheduler", "system:kube-scheduler", "system:kube-scheduler", NULL, NULL },
	{ "system:kube-controller-manager", "system:kube-controller-manager", "system:kube-controller-manager", NULL, NULL },
	{ "system:portico:controllers", "system:portico:controllers", "system:portico:controllers", NULL, NULL },
	{ "system:portico:proxy", "system:portico:proxy", "system:portico:proxy", NULL, NULL },
	{ "system:portico:dns", "system:portico:dns", "system:portico:dns", NULL, NULL },
	{ "system:portico:lb", "system:portico:lb", "system:portico:lb", NULL, NULL },
	{ "system:portico:ingress", "system:portico:ingress", "system:portico:ingress", NULL, NULL },
};
const size_t n_rbac_binding_rows = ARRAY_LEN(rbac_binding_rows);
