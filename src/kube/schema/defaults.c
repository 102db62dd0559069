/* Defaults by type, as upstream's SetDefaults_* functions are: outer objects first. A value is set
 * where there is none, and also where there is a zero that cannot be told from none (no pointer in
 * Go). k8s.io/kubernetes pkg/apis/.../defaults.go and zz_generated.defaults.go. */
#include "kube/schema/decode.h"

#include "base/limits.h"
#include "kube/object/quantity.h"
#include "kube/schema/defaults_int.h"

#include <stdio.h>

/* Those that depend on nothing else and that the types do not declare. Sorted by type. */
static const struct default_row {
	const char *type, *field, *json;
} rows[] = {
	{ "admissionregistration.v1.MatchResources", "matchPolicy", "\"Equivalent\"" },
	{ "admissionregistration.v1.MatchResources", "namespaceSelector", "{}" },
	{ "admissionregistration.v1.MatchResources", "objectSelector", "{}" },
	{ "admissionregistration.v1.MutatingWebhook", "failurePolicy", "\"Fail\"" },
	{ "admissionregistration.v1.MutatingWebhook", "matchPolicy", "\"Equivalent\"" },
	{ "admissionregistration.v1.MutatingWebhook", "namespaceSelector", "{}" },
	{ "admissionregistration.v1.MutatingWebhook", "objectSelector", "{}" },
	{ "admissionregistration.v1.MutatingWebhook", "reinvocationPolicy", "\"Never\"" },
	{ "admissionregistration.v1.MutatingWebhook", "timeoutSeconds", "10" },
	{ "admissionregistration.v1.NamedRuleWithOperations", "scope", "\"*\"" },
	{ "admissionregistration.v1.RuleWithOperations", "scope", "\"*\"" },
	{ "admissionregistration.v1.ServiceReference", "port", "443" },
	{ "admissionregistration.v1.ValidatingAdmissionPolicySpec", "failurePolicy", "\"Fail\"" },
	{ "admissionregistration.v1.ValidatingWebhook", "failurePolicy", "\"Fail\"" },
	{ "admissionregistration.v1.ValidatingWebhook", "matchPolicy", "\"Equivalent\"" },
	{ "admissionregistration.v1.ValidatingWebhook", "namespaceSelector", "{}" },
	{ "admissionregistration.v1.ValidatingWebhook", "objectSelector", "{}" },
	{ "admissionregistration.v1.ValidatingWebhook", "timeoutSeconds", "10" },
	{ "apiextensions.v1.CustomResourceDefinitionSpec", "conversion",
	  "{\"strategy\":\"None\"}" },
	{ "apiextensions.v1.ServiceReference", "port", "443" },
	{ "apiregistration.v1.ServiceReference", "port", "443" },
	{ "apps.v1.DaemonSetSpec", "revisionHistoryLimit", "10" },
	{ "apps.v1.DaemonSetUpdateStrategy", "type", "\"RollingUpdate\"" },
	{ "apps.v1.DeploymentSpec", "progressDeadlineSeconds", "600" },
	{ "apps.v1.DeploymentSpec", "replicas", "1" },
	{ "apps.v1.DeploymentSpec", "revisionHistoryLimit", "10" },
	{ "apps.v1.DeploymentStrategy", "type", "\"RollingUpdate\"" },
	{ "apps.v1.ReplicaSetSpec", "replicas", "1" },
	{ "apps.v1.RollingUpdateDaemonSet", "maxSurge", "0" },
	{ "apps.v1.RollingUpdateDaemonSet", "maxUnavailable", "1" },
	{ "apps.v1.RollingUpdateDeployment", "maxSurge", "\"25%\"" },
	{ "apps.v1.RollingUpdateDeployment", "maxUnavailable", "\"25%\"" },
	{ "apps.v1.RollingUpdateStatefulSetStrategy", "partition", "0" },
	{ "apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenDeleted", "\"Retain\"" },
	{ "apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy", "whenScaled", "\"Retain\"" },
	{ "apps.v1.StatefulSetSpec", "persistentVolumeClaimRetentionPolicy", "{}" },
	{ "apps.v1.StatefulSetSpec", "podManagementPolicy", "\"OrderedReady\"" },
	{ "apps.v1.StatefulSetSpec", "replicas", "1" },
	{ "apps.v1.StatefulSetSpec", "revisionHistoryLimit", "10" },
	{ "authentication.v1.TokenRequestSpec", "expirationSeconds", "3600" },
	{ "autoscaling.v1.HorizontalPodAutoscalerSpec", "minReplicas", "1" },
	{ "autoscaling.v2.HorizontalPodAutoscalerSpec", "metrics",
	  "[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\",\"averageUtilization\":80}}}]" },
	{ "autoscaling.v2.HorizontalPodAutoscalerSpec", "minReplicas", "1" },
	{ "batch.v1.CronJobSpec", "concurrencyPolicy", "\"Allow\"" },
	{ "batch.v1.CronJobSpec", "failedJobsHistoryLimit", "1" },
	{ "batch.v1.CronJobSpec", "successfulJobsHistoryLimit", "3" },
	{ "batch.v1.CronJobSpec", "suspend", "false" },
	{ "batch.v1.PodFailurePolicyOnPodConditionsPattern", "status", "\"True\"" },
	{ "core.v1.ConfigMapVolumeSource", "defaultMode", "420" },
	{ "core.v1.Container", "terminationMessagePath", "\"/dev/termination-log\"" },
	{ "core.v1.Container", "terminationMessagePolicy", "\"File\"" },
	{ "core.v1.DownwardAPIVolumeSource", "defaultMode", "420" },
	{ "core.v1.EndpointPort", "protocol", "\"TCP\"" },
	{ "core.v1.EphemeralContainer", "terminationMessagePath", "\"/dev/termination-log\"" },
	{ "core.v1.EphemeralContainer", "terminationMessagePolicy", "\"File\"" },
	{ "core.v1.HTTPGetAction", "path", "\"/\"" },
	{ "core.v1.HTTPGetAction", "scheme", "\"HTTP\"" },
	{ "core.v1.HostPathVolumeSource", "type", "\"\"" },
	{ "core.v1.NamespaceStatus", "phase", "\"Active\"" },
	{ "core.v1.ObjectFieldSelector", "apiVersion", "\"v1\"" },
	{ "core.v1.PersistentVolumeClaimSpec", "volumeMode", "\"Filesystem\"" },
	{ "core.v1.PersistentVolumeClaimStatus", "phase", "\"Pending\"" },
	{ "core.v1.PersistentVolumeSpec", "persistentVolumeReclaimPolicy", "\"Retain\"" },
	{ "core.v1.PersistentVolumeSpec", "volumeMode", "\"Filesystem\"" },
	{ "core.v1.PersistentVolumeStatus", "phase", "\"Pending\"" },
	{ "core.v1.PodSpec", "dnsPolicy", "\"ClusterFirst\"" },
	{ "core.v1.PodSpec", "restartPolicy", "\"Always\"" },
	{ "core.v1.PodSpec", "schedulerName", "\"default-scheduler\"" },
	{ "core.v1.PodSpec", "securityContext", "{}" },
	{ "core.v1.PodSpec", "terminationGracePeriodSeconds", "30" },
	{ "core.v1.Probe", "failureThreshold", "3" },
	{ "core.v1.Probe", "periodSeconds", "10" },
	{ "core.v1.Probe", "successThreshold", "1" },
	{ "core.v1.Probe", "timeoutSeconds", "1" },
	{ "core.v1.ProjectedVolumeSource", "defaultMode", "420" },
	{ "core.v1.Secret", "type", "\"Opaque\"" },
	{ "core.v1.SecretVolumeSource", "defaultMode", "420" },
	{ "core.v1.ServiceAccountTokenProjection", "expirationSeconds", "3600" },
	{ "core.v1.ServiceSpec", "sessionAffinity", "\"None\"" },
	{ "core.v1.ServiceSpec", "type", "\"ClusterIP\"" },
	{ "discovery.v1.EndpointPort", "name", "\"\"" },
	{ "discovery.v1.EndpointPort", "protocol", "\"TCP\"" },
	{ "flowcontrol.v1.ExemptPriorityLevelConfiguration", "lendablePercent", "0" },
	{ "flowcontrol.v1.ExemptPriorityLevelConfiguration", "nominalConcurrencyShares", "0" },
	{ "flowcontrol.v1.FlowSchemaSpec", "matchingPrecedence", "1000" },
	{ "flowcontrol.v1.LimitedPriorityLevelConfiguration", "lendablePercent", "0" },
	{ "flowcontrol.v1.LimitedPriorityLevelConfiguration", "nominalConcurrencyShares", "30" },
	{ "flowcontrol.v1.QueuingConfiguration", "handSize", "8" },
	{ "flowcontrol.v1.QueuingConfiguration", "queueLengthLimit", "50" },
	{ "flowcontrol.v1.QueuingConfiguration", "queues", "64" },
	{ "networking.v1.IngressClassParametersReference", "scope", "\"Cluster\"" },
	{ "networking.v1.NetworkPolicyPort", "protocol", "\"TCP\"" },
	{ "networking.v1beta1.HTTPIngressPath", "pathType", "\"ImplementationSpecific\"" },
	{ "networking.v1beta1.IngressClassParametersReference", "scope", "\"Cluster\"" },
	{ "rbac.v1.RoleRef", "apiGroup", "\"rbac.authorization.k8s.io\"" },
	{ "resource.v1.DeviceSubRequest", "allocationMode", "\"ExactCount\"" },
	{ "resource.v1.ExactDeviceRequest", "allocationMode", "\"ExactCount\"" },
	{ "scheduling.v1.PriorityClass", "preemptionPolicy", "\"PreemptLowerPriority\"" },
	{ "storage.v1.CSIDriverSpec", "attachRequired", "true" },
	{ "storage.v1.CSIDriverSpec", "fsGroupPolicy", "\"ReadWriteOnceWithFSType\"" },
	{ "storage.v1.CSIDriverSpec", "podInfoOnMount", "false" },
	{ "storage.v1.CSIDriverSpec", "requiresRepublish", "false" },
	{ "storage.v1.CSIDriverSpec", "seLinuxMount", "false" },
	{ "storage.v1.CSIDriverSpec", "storageCapacity", "false" },
	{ "storage.v1.CSIDriverSpec", "volumeLifecycleModes", "[\"Persistent\"]" },
	{ "storage.v1.StorageClass", "reclaimPolicy", "\"Delete\"" },
	{ "storage.v1.StorageClass", "volumeBindingMode", "\"Immediate\"" },
};

static bool is_zero(const json_t *v)
{
	return !v || json_is_null(v) || json_is_false(v) ||
	       (json_is_integer(v) && json_integer_value(v) == 0) ||
	       (json_is_string(v) && json_string_length(v) == 0) ||
	       (json_is_array(v) && json_array_size(v) == 0);
}

static void set_if_unset(const struct schema_field *f, json_t *obj, const char *json)
{
	json_t *v = json_object_get(obj, f->name);

	if (f->pointer ? v != NULL : !is_zero(v))
		return;
	v = json_loads(json, JSON_DECODE_ANY, NULL);
	assert(v); /* our own text */
	json_object_set_new(obj, f->name, v);
}

/* The first row, of `size` bytes each and sorted by the type name that they start with, that is of
 * type `name`. */
static size_t first_of(const void *table, size_t n, size_t size, const char *name)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const char *type = *(const char *const *)((const char *)table + mid * size);

		if (strcmp(type, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void apply_rows(const struct schema_type *t, json_t *obj)
{
	size_t i = first_of(rows, ARRAY_LEN(rows), sizeof(rows[0]), t->name);

	for (; i < ARRAY_LEN(rows) && c_eq(rows[i].type, t->name); i++)
		set_if_unset(schema_field_find(t, str_of(rows[i].field)), obj, rows[i].json);
	for (const struct schema_field *f = t->fields; f < t->fields + t->n_fields; f++)
		if (f->dflt)
			set_if_unset(f, obj, f->dflt);
}

static void apply_rules(const struct schema_type *t, json_t *obj)
{
	size_t i = first_of(default_rules, n_default_rules, sizeof(default_rules[0]), t->name);

	for (; i < n_default_rules && c_eq(default_rules[i].type, t->name); i++)
		default_rules[i].apply(obj);
}

/* What Go serialises though nobody set it: structs that are no pointers ("status: {}"), and
 * optional values without omitempty. Required values stay absent, so that validation misses them. */
static void apply_zeros(const struct schema_type *t, json_t *obj)
{
	for (const struct schema_field *f = t->fields; f < t->fields + t->n_fields; f++) {
		if (!f->always || f->shape != SS_ONE || json_object_get(obj, f->name))
			continue;
		if (f->kind == SK_OBJECT)
			json_object_set_new(obj, f->name, json_object());
		else if (!f->required && f->kind == SK_STRING)
			json_object_set_new(obj, f->name, json_string(""));
		else if (!f->required && f->kind == SK_QUANTITY)
			json_object_set_new(obj, f->name, json_string("0"));
	}
}

/* Resource lists are rounded up to thousandths. */
static void round_quantities(json_t *list)
{
	const char *name;
	json_t *value;
	void *tmp;
	int64_t milli;
	char text[32];

	json_object_foreach_safe(list, tmp, name, value)
	{
		struct str s = { json_string_value(value), json_string_length(value) };

		if (!s.len || !memchr("nu", s.ptr[s.len - 1], 2) || quantity_milli(s, &milli) < 0)
			continue;
		snprintf(text, sizeof(text), "%lldm", (long long)milli);
		char *canonical = quantity_canonical(str_of(text));
		json_object_set_new(list, name, json_string(canonical));
		free(canonical);
	}
}

static void default_object(const struct schema_type *t, json_t *obj, unsigned depth);

static void default_field(const struct schema_field *f, json_t *v, unsigned depth)
{
	const char *key;
	json_t *item;
	size_t i;

	if (f->kind == SK_QUANTITY && c_eq(f->go_type, "v1.ResourceList"))
		round_quantities(v);
	if (f->kind != SK_OBJECT)
		return;
	switch ((enum schema_shape)f->shape) {
	case SS_ONE:
		default_object(f->sub, v, depth + 1);
		break;
	case SS_LIST:
		json_array_foreach(v, i, item) default_object(f->sub, item, depth + 1);
		break;
	case SS_MAP:
		json_object_foreach(v, key, item) default_object(f->sub, item, depth + 1);
		break;
	case SS_MAP_OF_LISTS:
		break;
	}
}

/* CRDs' schemas have no defaults inside, and are the one type that nests without end. */
static void default_object(const struct schema_type *t, json_t *obj, unsigned depth)
{
	if (!json_is_object(obj) || depth > LIMIT_JSON_DEPTH ||
	    c_eq(t->name, "apiextensions.v1.JSONSchemaProps"))
		return;
	apply_zeros(t, obj);
	apply_rows(t, obj);
	apply_rules(t, obj);
	for (const struct schema_field *f = t->fields; f < t->fields + t->n_fields; f++) {
		json_t *v = json_object_get(obj, f->name);
		if (v)
			default_field(f, v, depth);
	}
}

void object_default(const struct resource *r, json_t *obj)
{
	default_object(r->type, obj, 0);
}
