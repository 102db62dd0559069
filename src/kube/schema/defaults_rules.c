/* Defaults that look at other fields. Each function is the SetDefaults_* of its type upstream. */
#include "kube/schema/defaults_int.h"

#include "codec/base64.h"

#include <ctype.h>

static bool is(const json_t *obj, const char *path, const char *text)
{
	return c_eq(jx_str(obj, path), text);
}

static void set_unless(json_t *obj, const char *path, json_t *v)
{
	if (jx_at(obj, path))
		json_decref(v);
	else
		jx_set(obj, path, v);
}

static bool is_empty(const json_t *obj, const char *path)
{
	return jx_len(obj, path) == 0;
}

/* ---- core ---- */

static void service_ports(json_t *spec)
{
	size_t i;
	json_t *port;

	json_array_foreach(jx_at(spec, "ports"), i, port)
	{
		const json_t *target = json_object_get(port, "targetPort");
		bool unset = !target ||
			     (json_is_integer(target) && json_integer_value(target) == 0) ||
			     (json_is_string(target) && json_string_length(target) == 0);

		if (unset)
			jx_set_int(port, "targetPort", jx_int(port, "port", 0));
	}
}

static void service_affinity(json_t *spec)
{
	if (is(spec, "sessionAffinity", "None"))
		jx_del(spec, "sessionAffinityConfig");
	else if (is(spec, "sessionAffinity", "ClientIP") &&
		 !jx_at(spec, "sessionAffinityConfig.clientIP.timeoutSeconds"))
		jx_set(spec, "sessionAffinityConfig",
		       json_pack("{s{si}}", "clientIP", "timeoutSeconds", 10800));
}

static void service_spec(json_t *spec)
{
	bool load_balancer = is(spec, "type", "LoadBalancer"),
	     node_port = is(spec, "type", "NodePort");
	bool cluster_ip = is(spec, "type", "ClusterIP");
	bool external =
		load_balancer || node_port || (cluster_ip && !is_empty(spec, "externalIPs"));

	service_affinity(spec);
	service_ports(spec);
	if (external && !*jx_str_or(spec, "externalTrafficPolicy", ""))
		jx_set_str(spec, "externalTrafficPolicy", "Cluster");
	if (load_balancer || node_port || cluster_ip)
		set_unless(spec, "internalTrafficPolicy", json_string("Cluster"));
	if (load_balancer)
		set_unless(spec, "allocateLoadBalancerNodePorts", json_true());
}

/* Runs before its spec is defaulted; a type that is not set yet is no LoadBalancer. */
static void service(json_t *obj)
{
	size_t i;
	json_t *ingress;

	if (!is(obj, "spec.type", "LoadBalancer"))
		return;
	json_array_foreach(jx_at(obj, "status.loadBalancer.ingress"), i,
			   ingress) if (*jx_str_or(ingress, "ip", ""))
		set_unless(ingress, "ipMode", json_string("VIP"));
}

/* The tag that an image reference means: "latest" when it names neither tag nor digest, "" when
 * only a digest. */
static bool image_is_latest(const char *image)
{
	const char *slash = strrchr(image, '/'), *name = slash ? slash + 1 : image;
	struct str digest, rest, plain = str_cut(str_of(name), '@', &digest);

	if (!plain.len)
		return false;
	str_cut(plain, ':', &rest);
	return rest.ptr ? str_eq_c(rest, "latest") : !digest.ptr;
}

static void container(json_t *obj)
{
	if (!*jx_str_or(obj, "imagePullPolicy", ""))
		jx_set_str(obj, "imagePullPolicy",
			   image_is_latest(jx_str_or(obj, "image", "")) ? "Always"
									: "IfNotPresent");
}

static void volume(json_t *obj)
{
	if (json_object_size(obj) == (json_object_get(obj, "name") ? 1 : 0))
		json_object_set_new(obj, "emptyDir", json_object());
}

/* Upstream's conversion: stringData is how clients write data without base64; never stored. */
static void secret(json_t *obj)
{
	const char *key;
	json_t *value;

	json_object_foreach(json_object_get(obj, "stringData"), key, value)
	{
		struct buf text;

		buf_init(&text, json_string_length(value) * 2 + 8);
		base64_put(&text,
			   (struct str){ json_string_value(value), json_string_length(value) });
		set_unless(obj, "data", json_object());
		json_object_set_new(json_object_get(obj, "data"), key,
				    json_stringn(text.ptr ? text.ptr : "", text.len));
		buf_done(&text);
	}
	json_object_del(obj, "stringData");
}

static void requests_from_limits(json_t *resources)
{
	const char *name;
	json_t *limit;

	json_object_foreach(json_object_get(resources, "limits"), name, limit)
	{
		json_t *requests = json_object_get(resources, "requests");

		if (!requests) {
			requests = json_object();
			json_object_set_new(resources, "requests", requests);
		}
		if (!json_object_get(requests, name))
			json_object_set_new(requests, name, json_copy(limit));
	}
}

static void host_ports(json_t *ports)
{
	size_t i;
	json_t *port;

	json_array_foreach(ports, i, port) if (jx_int(port, "hostPort", 0) == 0)
		jx_set_int(port, "hostPort", jx_int(port, "containerPort", 0));
}

/* Upstream's conversion: the old name of the field is kept in step with the new one. */
static void pod_spec(json_t *spec)
{
	const char *name = jx_str_or(spec, "serviceAccountName", ""),
		   *old = jx_str_or(spec, "serviceAccount", "");

	if (!*name && *old)
		jx_set_str(spec, "serviceAccountName", old);
	else if (*name && !c_eq(name, old))
		jx_set_str(spec, "serviceAccount", name);
}

/* What holds for pods and not for pod templates. */
static void pod(json_t *obj)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };
	bool host_network = jx_bool(obj, "spec.hostNetwork", false);
	size_t i;
	json_t *one;

	for (size_t k = 0; k < ARRAY_LEN(lists); k++)
		json_array_foreach(jx_at(obj, lists[k]), i, one)
		{
			requests_from_limits(json_object_get(one, "resources"));
			if (host_network)
				host_ports(json_object_get(one, "ports"));
		}
	set_unless(obj, "spec.enableServiceLinks", json_true());
}

static void namespace(json_t *obj)
{
	const char *name = jx_name(obj);

	if (!name || !*name)
		return;
	set_unless(obj, "metadata.labels", json_object());
	json_object_set_new(jx_at(obj, "metadata.labels"), "kubernetes.io/metadata.name",
			    json_string(name));
}

static void node_status(json_t *obj)
{
	json_t *capacity = json_object_get(obj, "capacity");

	if (capacity && !json_object_get(obj, "allocatable"))
		json_object_set_new(obj, "allocatable", json_copy(capacity));
}

static void copy_labels(json_t *obj, const char *from, const char *to)
{
	json_t *labels = jx_at(obj, from);

	if (labels && is_empty(obj, to))
		jx_set(obj, to, json_copy(labels));
}

static void replication_controller(json_t *obj)
{
	copy_labels(obj, "spec.template.metadata.labels", "spec.selector");
	copy_labels(obj, "spec.template.metadata.labels", "metadata.labels");
}

static void add_missing(json_t *obj, const char *to, const char *from)
{
	const char *name;
	json_t *value;

	json_object_foreach(json_object_get(obj, from), name, value)
	{
		set_unless(obj, to, json_object());
		if (!json_object_get(json_object_get(obj, to), name))
			json_object_set_new(json_object_get(obj, to), name, json_copy(value));
	}
}

static void limit_range_item(json_t *obj)
{
	if (!is(obj, "type", "Container"))
		return;
	add_missing(obj, "default", "max");
	add_missing(obj, "defaultRequest", "default");
	add_missing(obj, "defaultRequest", "min");
}

/* ---- workloads ---- */

static void rolling_update(json_t *strategy)
{
	if (is(strategy, "type", "RollingUpdate"))
		set_unless(strategy, "rollingUpdate", json_object());
}

/* Only a strategy that nobody chose gets a partition shown. */
static void stateful_set_strategy(json_t *strategy)
{
	if (*jx_str_or(strategy, "type", ""))
		return;
	jx_set_str(strategy, "type", "RollingUpdate");
	set_unless(strategy, "rollingUpdate", json_object());
}

static void job(json_t *obj)
{
	copy_labels(obj, "spec.template.metadata.labels", "metadata.labels");
}

static void job_spec(json_t *spec)
{
	bool limited = jx_at(spec, "backoffLimitPerIndex"),
	     policy = jx_at(spec, "podFailurePolicy");

	if (!jx_at(spec, "completions") && !jx_at(spec, "parallelism"))
		jx_set_int(spec, "completions", 1);
	set_unless(spec, "parallelism", json_integer(1));
	set_unless(spec, "backoffLimit", json_integer(limited ? INT32_MAX : 6));
	set_unless(spec, "completionMode", json_string("NonIndexed"));
	set_unless(spec, "suspend", json_false());
	set_unless(spec, "podReplacementPolicy",
		   json_string(policy ? "Failed" : "TerminatingOrFailed"));
	set_unless(spec, "manualSelector", json_false());
}

static void scaling_rules(json_t *behavior, const char *name, json_t *policies)
{
	set_unless(behavior, name, json_object());
	json_t *rules = json_object_get(behavior, name);
	set_unless(rules, "selectPolicy", json_string("Max"));
	set_unless(rules, "policies", policies);
}

static void autoscaler_behavior(json_t *obj)
{
	scaling_rules(obj, "scaleUp",
		      json_pack("[{sssisi}{sssisi}]", "type", "Pods", "value", 4, "periodSeconds",
				15, "type", "Percent", "value", 100, "periodSeconds", 15));
	set_unless(obj, "scaleUp.stabilizationWindowSeconds", json_integer(0));
	scaling_rules(
		obj, "scaleDown",
		json_pack("[{sssisi}]", "type", "Percent", "value", 100, "periodSeconds", 15));
}

/* ---- the rest ---- */

static void network_policy_spec(json_t *spec)
{
	if (!is_empty(spec, "policyTypes"))
		return;
	json_t *types = json_pack("[s]", "Ingress");
	if (!is_empty(spec, "egress"))
		json_array_append_new(types, json_string("Egress"));
	json_object_set_new(spec, "policyTypes", types);
}

static void subject(json_t *obj)
{
	bool person = is(obj, "kind", "User") || is(obj, "kind", "Group");

	if (person && !*jx_str_or(obj, "apiGroup", ""))
		jx_set_str(obj, "apiGroup", "rbac.authorization.k8s.io");
}

static void device_request(json_t *obj)
{
	if (is(obj, "allocationMode", "ExactCount") && jx_int(obj, "count", 0) == 0)
		jx_set_int(obj, "count", 1);
}

static void definition(json_t *obj)
{
	size_t i;
	json_t *version;

	if (!is_empty(obj, "status.storedVersions"))
		return;
	json_array_foreach(jx_at(obj, "spec.versions"), i,
			   version) if (jx_bool(version, "storage", false))
	{
		jx_set(obj, "status.storedVersions",
		       json_pack("[s]", jx_str_or(version, "name", "")));
		return;
	}
}

static void definition_names(json_t *obj)
{
	const char *kind = jx_str_or(obj, "kind", "");

	if (!*jx_str_or(obj, "singular", "") && *kind) {
		char *singular = xstrdup(kind);
		for (char *p = singular; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		jx_set_str(obj, "singular", singular);
		free(singular);
	}
	if (!*jx_str_or(obj, "listKind", "") && *kind) {
		char *list = xasprintf("%sList", kind);
		jx_set_str(obj, "listKind", list);
		free(list);
	}
}

static void definition_spec(json_t *spec)
{
	if (json_is_object(jx_at(spec, "names")))
		definition_names(jx_at(spec, "names"));
}

const struct default_rule default_rules[] = {
	{ "apiextensions.v1.CustomResourceDefinition", definition },
	{ "apiextensions.v1.CustomResourceDefinitionSpec", definition_spec },
	{ "apps.v1.DaemonSetUpdateStrategy", rolling_update },
	{ "apps.v1.DeploymentStrategy", rolling_update },
	{ "apps.v1.StatefulSetUpdateStrategy", stateful_set_strategy },
	{ "autoscaling.v2.HorizontalPodAutoscalerBehavior", autoscaler_behavior },
	{ "batch.v1.Job", job },
	{ "batch.v1.JobSpec", job_spec },
	{ "core.v1.Container", container },
	{ "core.v1.EphemeralContainer", container },
	{ "core.v1.LimitRangeItem", limit_range_item },
	{ "core.v1.Namespace", namespace },
	{ "core.v1.NodeStatus", node_status },
	{ "core.v1.Pod", pod },
	{ "core.v1.PodSpec", pod_spec },
	{ "core.v1.ReplicationController", replication_controller },
	{ "core.v1.Secret", secret },
	{ "core.v1.Service", service },
	{ "core.v1.ServiceSpec", service_spec },
	{ "core.v1.Volume", volume },
	{ "networking.v1.NetworkPolicySpec", network_policy_spec },
	{ "rbac.v1.Subject", subject },
	{ "resource.v1.DeviceSubRequest", device_request },
	{ "resource.v1.ExactDeviceRequest", device_request },
};
const size_t n_default_rules = ARRAY_LEN(default_rules);
