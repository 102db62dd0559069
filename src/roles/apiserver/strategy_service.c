#include "roles/apiserver/strategy_int.h"

/* A Service that changes its type loses what the new one has no use for, unless the client touched it too
 * (then validation says no). k8s.io/kubernetes pkg/registry/core/service, dropTypeDependentFields. */

static bool has_type(const json_t *spec, const char *type)
{
	return c_eq(jx_str_or(spec, "type", "ClusterIP"), type);
}

static bool needs_address(const json_t *spec)
{
	return !has_type(spec, "ExternalName");
}

static bool needs_node_port(const json_t *spec)
{
	return has_type(spec, "NodePort") || has_type(spec, "LoadBalancer");
}

static bool needs_health_port(const json_t *spec)
{
	return has_type(spec, "LoadBalancer") && c_eq(jx_str(spec, "externalTrafficPolicy"), "Local");
}

static bool is_load_balancer(const json_t *spec)
{
	return has_type(spec, "LoadBalancer");
}

static bool is_external(const json_t *spec)
{
	return needs_node_port(spec) || (has_type(spec, "ClusterIP") && jx_len(spec, "externalIPs") > 0);
}

static const struct {
	const char *member;
	bool (*needed)(const json_t *spec);
} dependents[] = {
	{ "ipFamilies", needs_address },
	{ "ipFamilyPolicy", needs_address },
	{ "healthCheckNodePort", needs_health_port },
	{ "allocateLoadBalancerNodePorts", is_load_balancer },
	{ "loadBalancerClass", is_load_balancer },
	{ "externalTrafficPolicy", is_external },
};

static bool has_new_node_port(const json_t *spec, const json_t *old)
{
	json_t *port, *other;
	size_t i, j;

	json_array_foreach(json_object_get(spec, "ports"), i, port) {
		bool known = jx_int(port, "nodePort", 0) == 0;

		json_array_foreach(json_object_get(old, "ports"), j, other)
			known |= jx_int(other, "nodePort", 0) == jx_int(port, "nodePort", 0);
		if (!known)
			return true;
	}
	return false;
}

void service_update(json_t *obj, const json_t *old_obj)
{
	json_t *spec = json_object_get(obj, "spec"), *port;
	const json_t *old = json_object_get(old_obj, "spec");
	size_t i;

	if (needs_address(old) && !needs_address(spec) &&
	    json_same(json_object_get(spec, "clusterIP"), json_object_get(old, "clusterIP")) &&
	    json_same(json_object_get(spec, "clusterIPs"), json_object_get(old, "clusterIPs"))) {
		json_object_del(spec, "clusterIP");
		json_object_del(spec, "clusterIPs");
	}
	if (needs_node_port(old) && !needs_node_port(spec) && !has_new_node_port(spec, old))
		json_array_foreach(json_object_get(spec, "ports"), i, port)
			json_object_del(port, "nodePort");
	/* Decided before anything is dropped: one field's need may hang on another's value. */
	bool drop[ARRAY_LEN(dependents)];
	for (i = 0; i < ARRAY_LEN(dependents); i++)
		drop[i] = dependents[i].needed(old) && !dependents[i].needed(spec) &&
			  json_same(json_object_get(spec, dependents[i].member),
				    json_object_get(old, dependents[i].member));
	for (i = 0; i < ARRAY_LEN(dependents); i++)
		if (drop[i])
			json_object_del(spec, dependents[i].member);
	if (!is_load_balancer(spec))
		jx_set(obj, "status.loadBalancer", json_object());
}
