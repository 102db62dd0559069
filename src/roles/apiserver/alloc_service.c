#include "roles/apiserver/alloc.h"

#include "kube/schema/validate.h"
#include "roles/apiserver/alloc_int.h"

#include <stdio.h>

/* When a Service gets and gives up what: k8s.io/kubernetes pkg/registry/core/service/storage. IPv4 only. */

struct services {
	json_t *now;	      /* spec; changed in place */
	const json_t *before; /* NULL on create */
	struct alloc_op op;
	struct field_errors *fe;
};

static bool has_type(const json_t *spec, const char *type)
{
	return c_eq(jx_str_or(spec, "type", "ClusterIP"), type);
}

static bool has_address(const json_t *spec)
{
	return spec && !has_type(spec, "ExternalName");
}

static bool may_have_node_ports(const json_t *spec)
{
	return spec && (has_type(spec, "NodePort") || has_type(spec, "LoadBalancer"));
}

static bool wants_node_ports(const json_t *spec)
{
	return spec && (has_type(spec, "NodePort") || (has_type(spec, "LoadBalancer") &&
						       jx_bool(spec, "allocateLoadBalancerNodePorts", true)));
}

static bool wants_health_port(const json_t *spec)
{
	return spec && has_type(spec, "LoadBalancer") && c_eq(jx_str(spec, "externalTrafficPolicy"), "Local");
}

static bool is_headless(const json_t *spec)
{
	return c_eq(json_string_value(json_array_get(json_object_get(spec, "clusterIPs"), 0)), "None");
}

static int64_t node_port(const json_t *port)
{
	return jx_int(port, "nodePort", 0);
}

static bool ports_have(const json_t *spec, int64_t wanted)
{
	json_t *port;
	size_t i;

	json_array_foreach(json_object_get(spec, "ports"), i, port)
		if (node_port(port) == wanted)
			return true;
	return false;
}

/* A client that sends back its own file without what we filled in means to keep it. */

static void keep_node_port(json_t *port, const json_t *now, const json_t *before)
{
	json_t *old;
	size_t i;

	json_array_foreach(json_object_get(before, "ports"), i, old) {
		if (strcmp(jx_str_or(old, "name", ""), jx_str_or(port, "name", "")) != 0)
			continue;
		if (node_port(old) && !ports_have(now, node_port(old)))
			json_object_set_new(port, "nodePort", json_integer(node_port(old)));
		return;
	}
}

static void keep_member(json_t *now, const json_t *before, const char *member)
{
	json_t *v = json_object_get(before, member);

	if (v && json_array_size(v) + json_string_length(v) + (size_t)json_integer_value(v) > 0)
		json_object_set_new(now, member, json_deep_copy(v));
}

static void keep_allocated(json_t *now, const json_t *before)
{
	json_t *port;
	size_t i;

	if (has_address(before) && has_address(now)) {
		if (!jx_str_or(now, "clusterIP", "")[0])
			keep_member(now, before, "clusterIP");
		if (!jx_len(now, "clusterIPs"))
			keep_member(now, before, "clusterIPs");
	}
	if (wants_node_ports(before) && wants_node_ports(now))
		json_array_foreach(json_object_get(now, "ports"), i, port)
			if (!node_port(port))
				keep_node_port(port, now, before);
	if (wants_health_port(before) && wants_health_port(now) && !jx_int(now, "healthCheckNodePort", 0))
		keep_member(now, before, "healthCheckNodePort");
}

/* clusterIP is the older spelling of clusterIPs[0]: who changes only the older one means both. */
static void sync_address_fields(json_t *now, const json_t *before)
{
	const char *ip = jx_str_or(now, "clusterIP", ""), *old_ip = jx_str_or(before, "clusterIP", "");
	bool list_unchanged =
		json_equal(json_object_get(now, "clusterIPs"), json_object_get(before, "clusterIPs"));

	if (!before) {
		if (ip[0] && !jx_len(now, "clusterIPs"))
			json_object_set_new(now, "clusterIPs", json_pack("[s]", ip));
		return;
	}
	if (strcmp(ip, old_ip) == 0 || !list_unchanged)
		return;
	if (ip[0])
		json_object_set_new(now, "clusterIPs", json_pack("[s]", ip));
	else
		json_object_del(now, "clusterIPs");
}

static void bad(struct field_errors *fe, const char *field, const json_t *value, const char *detail)
{
	cleanup(freep) char *text = value ? jx_dump_text(value) : xstrdup("null");

	field_error_add(fe, "FieldValueInvalid", field, "Invalid value: %s: %s", text, detail);
}

static void fill_policy(struct services *s)
{
	const json_t *spec = s->now;
	const char *old = jx_str(s->before, "ipFamilyPolicy");
	bool anywhere = is_headless(spec) && jx_len(spec, "selector") == 0;

	if (!jx_str(spec, "ipFamilyPolicy"))
		jx_set_str(s->now, "ipFamilyPolicy",
			   old	      ? old
			   : anywhere ? "RequireDualStack"
				      : "SingleStack");
}

static void infer_families(struct services *s)
{
	json_t *families = json_object_get(s->now, "ipFamilies"),
	       *ips = json_object_get(s->now, "clusterIPs"), *ip;
	bool single = c_eq(jx_str(s->now, "ipFamilyPolicy"), "SingleStack");
	size_t i;

	if (single && json_array_size(ips) == 2)
		bad(s->fe, "spec.ipFamilyPolicy", json_object_get(s->now, "ipFamilyPolicy"),
		    "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified");
	if (single && json_array_size(families) == 2)
		bad(s->fe, "spec.ipFamilyPolicy", json_object_get(s->now, "ipFamilyPolicy"),
		    "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified");
	json_array_foreach(ips, i, ip) {
		cleanup(freep) char *field = xasprintf("spec.clusterIPs[%zu]", i);
		if (!is_headless(s->now) && i >= json_array_size(families) &&
		    strchr(json_string_value(ip), ':'))
			bad(s->fe, field, ips, "IPv6 is not configured on this cluster");
	}
}

/* Headless and without a selector: whoever writes its endpoints may write either family. */
static void fill_families_anywhere(struct services *s)
{
	json_t *families = json_object_get(s->now, "ipFamilies");

	if (!json_array_size(families)) {
		json_object_set_new(s->now, "ipFamilies", json_pack("[s]", "IPv4"));
		families = json_object_get(s->now, "ipFamilies");
	}
	if (json_array_size(families) > 1 || c_eq(jx_str(s->now, "ipFamilyPolicy"), "SingleStack"))
		return;
	const char *other = c_eq(json_string_value(json_array_get(families, 0)), "IPv4") ? "IPv6" : "IPv4";
	json_array_append_new(families, json_string(other));
}

static void check_families(struct services *s)
{
	json_t *f;
	size_t i;

	if (c_eq(jx_str(s->now, "ipFamilyPolicy"), "RequireDualStack"))
		bad(s->fe, "spec.ipFamilyPolicy", json_object_get(s->now, "ipFamilyPolicy"),
		    "this cluster is not configured for dual-stack services");
	json_array_foreach(json_object_get(s->now, "ipFamilies"), i, f) {
		cleanup(freep) char *field = xasprintf("spec.ipFamilies[%zu]", i);
		if (!c_eq(json_string_value(f), "IPv4"))
			bad(s->fe, field, f, "not configured on this cluster");
	}
}

static int fill_families(struct services *s, const json_t *service)
{
	if (!has_address(s->now))
		return 0;
	fill_policy(s);
	service_addresses_validate(service, s->fe);
	if (!s->fe->n)
		infer_families(s);
	if (s->fe->n)
		return -1;
	if (is_headless(s->now) && jx_len(s->now, "selector") == 0) {
		fill_families_anywhere(s);
		return 0;
	}
	check_families(s);
	if (s->fe->n)
		return -1;
	if (!jx_len(s->now, "ipFamilies"))
		json_object_set_new(s->now, "ipFamilies", json_pack("[s]", "IPv4"));
	return 0;
}

static int take_address(struct services *s)
{
	json_t *ips = json_object_get(s->now, "clusterIPs");
	const char *ip = json_string_value(json_array_get(ips, 0));
	char text[ADDRESS_TEXT_BYTES], why[160];
	uint32_t v;

	if (!ip) {
		if (s->op.dry_run) {
			v = s->op.a->base;
		} else if (alloc_take_any(&s->op, &s->op.a->addresses, &v) != ALLOC_OK) {
			field_error_add(s->fe, "InternalError", "spec.clusterIPs",
					"Internal error: failed to allocate a serviceIP: range is full");
			return -1;
		}
		alloc_address_text(v, text);
		jx_set_str(s->now, "clusterIP", text);
		json_object_set_new(s->now, "clusterIPs", json_pack("[s]", text));
		return 0;
	}
	enum alloc_result result = alloc_take(&s->op, alloc_address_of(ip));
	if (result == ALLOC_OK)
		return 0;
	snprintf(why, sizeof(why), "failed to allocate IP %.40s: %s", ip,
		 result == ALLOC_TAKEN ? "provided IP is already allocated"
				       : "the provided network does not match the current range");
	bad(s->fe, "spec.clusterIPs", ips, why);
	return -1;
}

static int change_address(struct services *s)
{
	if (has_address(s->now) && !has_address(s->before))
		return is_headless(s->now) ? 0 : take_address(s);
	if (!has_address(s->now) && has_address(s->before) && !is_headless(s->before))
		alloc_drop(&s->op, alloc_address_of(jx_str(s->before, "clusterIP")));
	return 0;
}

static int take_port(struct services *s, size_t i, int64_t wanted)
{
	const struct alloc_pool *p = &s->op.a->ports;
	enum alloc_result result =
		wanted > 0 && wanted <= PORT_MAX ? alloc_take(&s->op, (uint32_t)wanted) : ALLOC_OUT_OF_RANGE;
	cleanup(freep) char *field = xasprintf("spec.ports[%zu].nodePort", i);

	if (result == ALLOC_TAKEN)
		field_error_add(s->fe, "FieldValueInvalid", field,
				"Invalid value: %lld: provided port is already allocated", (long long)wanted);
	else if (result == ALLOC_OUT_OF_RANGE)
		field_error_add(
			s->fe, "FieldValueInvalid", field,
			"Invalid value: %lld: provided port is not in the valid range. The range of valid ports is %u-%u",
			(long long)wanted, p->first, p->first + p->n - 1);
	return result == ALLOC_OK ? 0 : -1;
}

static int take_any_port(struct services *s, uint32_t *ret_port)
{
	if (s->op.dry_run) {
		*ret_port = alloc_dummy_port(&s->op);
		return 0;
	}
	if (alloc_take_any(&s->op, &s->op.a->ports, ret_port) == ALLOC_OK)
		return 0;
	field_error_add(s->fe, "InternalError", "spec.ports",
			"Internal error: failed to allocate a nodePort: range is full");
	return -1;
}

/* The node port that another entry of the same port number has (TCP and UDP 53, say), up to index `end`. */
static int64_t sibling_port(const json_t *ports, const json_t *port, size_t end)
{
	for (size_t i = 0; i < end; i++) {
		const json_t *other = json_array_get(ports, i);

		if (jx_int(other, "port", 0) == jx_int(port, "port", 0) && node_port(other))
			return node_port(other);
	}
	return 0;
}

static int create_port(struct services *s, const json_t *ports, json_t *port, size_t i)
{
	int64_t given = sibling_port(ports, port, i),
		wanted = sibling_port(ports, port, json_array_size(ports));
	uint32_t any;

	if (given && (!node_port(port) || node_port(port) == given)) {
		json_object_set_new(port, "nodePort", json_integer(given));
		return 0;
	}
	if (given || wanted) {
		int64_t mine = given ? node_port(port) : wanted;
		json_object_set_new(port, "nodePort", json_integer(mine));
		return take_port(s, i, mine);
	}
	if (take_any_port(s, &any) < 0)
		return -1;
	json_object_set_new(port, "nodePort", json_integer(any));
	return 0;
}

static int update_port(struct services *s, json_t *port, size_t i)
{
	int64_t wanted = node_port(port);
	uint32_t any;

	if (wanted) {
		bool ours = ports_have(s->before, wanted);

		for (size_t k = 0; k < s->op.change->n_take; k++)
			ours |= s->op.change->take[k] == (uint32_t)wanted;
		return ours ? 0 : take_port(s, i, wanted);
	}
	if (take_any_port(s, &any) < 0)
		return -1;
	json_object_set_new(port, "nodePort", json_integer(any));
	return 0;
}

/* Of the old ports those that the new ones do not have. */
static void drop_old_ports(struct services *s)
{
	bool keeps = may_have_node_ports(s->now);
	json_t *port;
	size_t i;

	if (!may_have_node_ports(s->before))
		return;
	json_array_foreach(json_object_get(s->before, "ports"), i, port)
		if (!keeps || !ports_have(s->now, node_port(port)))
			alloc_drop(&s->op, (uint32_t)node_port(port));
}

static int change_ports(struct services *s)
{
	json_t *ports = json_object_get(s->now, "ports"), *port;
	size_t i;

	json_array_foreach(ports, i, port) {
		if (!may_have_node_ports(s->now) || (!node_port(port) && !wants_node_ports(s->now)))
			continue;
		if ((s->before ? update_port(s, port, i) : create_port(s, ports, port, i)) < 0)
			return -1;
	}
	drop_old_ports(s);
	return 0;
}

static int change_health_port(struct services *s)
{
	int64_t wanted = jx_int(s->now, "healthCheckNodePort", 0);
	uint32_t any;

	if (wants_health_port(s->before) && !wants_health_port(s->now))
		alloc_drop(&s->op, (uint32_t)jx_int(s->before, "healthCheckNodePort", 0));
	if (!wants_health_port(s->now) || wants_health_port(s->before))
		return 0;
	if (!wanted) {
		if (take_any_port(s, &any) < 0)
			return -1;
		jx_set_int(s->now, "healthCheckNodePort", any);
		return 0;
	}
	enum alloc_result result =
		wanted > 0 && wanted <= PORT_MAX ? alloc_take(&s->op, (uint32_t)wanted) : ALLOC_OUT_OF_RANGE;
	if (result == ALLOC_OK)
		return 0;
	field_error_add(s->fe, "InternalError", "spec.healthCheckNodePort",
			"Internal error: failed to allocate requested HealthCheck NodePort %lld: %s",
			(long long)wanted,
			result == ALLOC_TAKEN ? "provided port is already allocated"
					      : "provided port is not in the valid range");
	return -1;
}

int alloc_service(struct alloc *a, json_t *service, const json_t *old, bool dry_run,
		  struct alloc_change *ret_change, struct field_errors *fe)
{
	struct services s = { .now = json_object_get(service, "spec"),
			      .before = json_object_get(old, "spec"),
			      .op = { .a = a, .change = ret_change, .dry_run = dry_run },
			      .fe = fe };

	*ret_change = (struct alloc_change){ 0 };
	if (!json_is_object(s.now))
		return 0; /* validation says what is missing */
	if (old)
		keep_allocated(s.now, s.before);
	sync_address_fields(s.now, s.before);
	if (fill_families(&s, service) < 0 || change_address(&s) < 0 || change_ports(&s) < 0 ||
	    change_health_port(&s) < 0) {
		if (dry_run)
			ret_change->n_take = 0;
		alloc_rollback(a, ret_change);
		return -1;
	}
	if (dry_run) {
		ret_change->n_take = ret_change->n_drop = 0;
		alloc_rollback(a, ret_change);
	}
	return 0;
}
