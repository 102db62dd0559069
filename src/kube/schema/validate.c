#include "kube/schema/validate_int.h"

/* object NULL: the tables' rules; status NULL: only metadata is looked at. */
static const struct rules {
	const char *group, *kind;
	enum format name;
	void (*object)(struct field_errors *fe, const json_t *obj, const json_t *old);
	void (*status)(struct field_errors *fe, const json_t *obj, const json_t *old);
} rules[] = {
	{ "", "Service", FORMAT_DNS1035_LABEL, validate_service, validate_service_status },
	{ "", "Pod", FORMAT_DNS1123_SUBDOMAIN, validate_pod, validate_pod_status },
	{ "", "ConfigMap", FORMAT_DNS1123_SUBDOMAIN, validate_configmap, NULL },
	{ "", "Secret", FORMAT_DNS1123_SUBDOMAIN, validate_secret, NULL },
	{ "", "Namespace", FORMAT_DNS1123_LABEL, validate_namespace, NULL },
	{ "", "Node", FORMAT_DNS1123_SUBDOMAIN, validate_node, NULL },
	{ "", "Event", FORMAT_PATH_SEGMENT, validate_event, NULL },
	{ "", "Endpoints", FORMAT_DNS1123_SUBDOMAIN, validate_endpoints, NULL },
	{ "apps", "Deployment", FORMAT_DNS1123_SUBDOMAIN, validate_deployment, validate_replicas_status },
	{ "apps", "ReplicaSet", FORMAT_DNS1123_SUBDOMAIN, validate_replicaset, validate_replicas_status },
	{ "apps", "DaemonSet", FORMAT_DNS1123_SUBDOMAIN, validate_daemonset, NULL },
	{ "apps", "StatefulSet", FORMAT_DNS1123_SUBDOMAIN, validate_statefulset, NULL },
	{ "networking.k8s.io", "Ingress", FORMAT_DNS1123_SUBDOMAIN, validate_ingress,
	  validate_ingress_status },
	{ "networking.k8s.io", "IngressClass", FORMAT_DNS1123_SUBDOMAIN, validate_ingressclass, NULL },
	{ "networking.k8s.io", "NetworkPolicy", FORMAT_DNS1123_SUBDOMAIN, validate_networkpolicy, NULL },
	{ "discovery.k8s.io", "EndpointSlice", FORMAT_DNS1123_SUBDOMAIN, validate_endpointslice, NULL },
	{ "coordination.k8s.io", "Lease", FORMAT_DNS1123_SUBDOMAIN, validate_lease, NULL },
	{ "rbac.authorization.k8s.io", "Role", FORMAT_PATH_SEGMENT, validate_role, NULL },
	{ "rbac.authorization.k8s.io", "ClusterRole", FORMAT_PATH_SEGMENT, validate_clusterrole, NULL },
	{ "rbac.authorization.k8s.io", "RoleBinding", FORMAT_PATH_SEGMENT, validate_rolebinding, NULL },
	{ "rbac.authorization.k8s.io", "ClusterRoleBinding", FORMAT_PATH_SEGMENT, validate_clusterrolebinding,
	  NULL },
	{ "events.k8s.io", "Event", FORMAT_PATH_SEGMENT, NULL, NULL },
	{ "apiregistration.k8s.io", "APIService", FORMAT_DNS1123_SUBDOMAIN, NULL, NULL },
	{ "networking.k8s.io", "IPAddress", FORMAT_PATH_SEGMENT, NULL, NULL },
};

static enum format service_name = FORMAT_DNS1035_LABEL;

void validate_relax_service_names(void)
{
	service_name = FORMAT_DNS1123_LABEL;
}

enum format validate_service_name_format(void)
{
	return service_name;
}

static const struct rules other_kinds = { NULL, NULL, FORMAT_DNS1123_SUBDOMAIN, NULL, NULL };

static const struct rules *rules_of(const struct resource *r)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (strcmp(rules[i].kind, r->kind) == 0 && strcmp(rules[i].group, r->group) == 0)
			return &rules[i];
	return &other_kinds;
}

/* On an update the name is what it is: only on create it is held against its kind's format. */
static void check_all_metadata(struct field_errors *fe, const struct resource *r, enum format name,
			       const json_t *obj, const json_t *old)
{
	const struct place *p = AT(NULL, "metadata");

	if (name == FORMAT_DNS1035_LABEL)
		name = service_name;
	check_metadata(fe, p, obj, r->namespaced, old ? FORMAT_PATH_SEGMENT : name);
	if (old)
		check_metadata_update(fe, p, obj, old);
}

void object_validate(const struct resource *r, const json_t *obj, const json_t *old, struct field_errors *fe)
{
	const struct rules *of = rules_of(r);

	check_all_metadata(fe, r, of->name, obj, old);
	if (of->object)
		of->object(fe, obj, old);
	else if (r->type)
		validate_by_table(fe, NULL, r->type, obj);
}

void object_validate_status(const struct resource *r, const json_t *obj, const json_t *old,
			    struct field_errors *fe)
{
	const struct rules *of = rules_of(r);

	check_all_metadata(fe, r, of->name, obj, old);
	if (of->status)
		of->status(fe, obj, old);
}

void object_validate_update(const struct resource *r, const json_t *obj, const json_t *old,
			    const char *subresource, struct field_errors *fe)
{
	const struct rules *of = rules_of(r);

	if (c_eq(subresource, "status")) {
		object_validate_status(r, obj, old, fe);
	} else if (of->object == validate_pod && subresource) {
		check_all_metadata(fe, r, of->name, obj, old);
		validate_pod_part(fe, obj, old);
	} else {
		object_validate(r, obj, old, fe);
	}
}
