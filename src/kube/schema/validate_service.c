#include "kube/schema/validate_int.h"

#include <stdio.h>

/* The rules and their order: k8s.io/kubernetes pkg/apis/core/validation, Service. */

#define AFFINITY_TIMEOUT_S_MAX 86400
static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };
static const char *const types[] = { "ClusterIP", "ExternalName", "LoadBalancer", "NodePort", NULL };
static const char *const affinities[] = { "ClientIP", "None", NULL };
static const char *const policies[] = { "Cluster", "Local", NULL };
static const char *const families[] = { "IPv4", "IPv6", NULL };
static const char *const family_policies[] = { "PreferDualStack", "RequireDualStack", "SingleStack", NULL };
static const char *const distributions[] = { "PreferClose", NULL };

static bool has_type(const json_t *spec, const char *type)
{
	return strcmp(text_of(spec, "type"), type) == 0;
}

static bool is_headless(const json_t *spec)
{
	const json_t *ips = json_object_get(spec, "clusterIPs");

	return json_array_size(ips) == 1 && c_eq(json_string_value(json_array_get(ips, 0)), "None");
}

static bool is_external(const json_t *spec)
{
	return has_type(spec, "LoadBalancer") || has_type(spec, "NodePort") ||
	       (has_type(spec, "ClusterIP") && jx_len(spec, "externalIPs") > 0);
}

static bool needs_health_check(const json_t *spec)
{
	return has_type(spec, "LoadBalancer") && strcmp(text_of(spec, "externalTrafficPolicy"), "Local") == 0;
}

static void check_external_name(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	static const char *const unfit[] = { "clusterIPs", "ipFamilies", "ipFamilyPolicy" };
	cleanup(freep) char *cname = xstrdup(text_of(spec, "externalName"));
	size_t n = strlen(cname);

	for (size_t i = 0; i < ARRAY_LEN(unfit); i++)
		if (!is_zero(json_object_get(spec, unfit[i])))
			forbidden(fe, AT(p, unfit[i]), "may not be set for ExternalName services");
	if (n && cname[n - 1] == '.')
		cname[n - 1] = '\0';
	if (cname[0])
		check_format(fe, AT(p, "externalName"), FORMAT_DNS1123_SUBDOMAIN, cname);
	else
		missing(fe, AT(p, "externalName"), "");
}

static void check_type_and_ports(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	bool headless = is_headless(spec), external_name = has_type(spec, "ExternalName");

	if (!jx_len(spec, "ports") && !headless && !external_name)
		missing(fe, AT(p, "ports"), "");
	if (external_name)
		check_external_name(fe, p, spec);
	else if (headless && (has_type(spec, "LoadBalancer") || has_type(spec, "NodePort")))
		bad_string(fe, AT_INDEX(AT(p, "clusterIPs"), 0), "None",
			   "may not be set to 'None' for %s services", text_of(spec, "type"));
}

static void check_service_port(struct field_errors *fe, const struct place *p, const json_t *ports, size_t at)
{
	const json_t *port = json_array_get(ports, at);
	const char *name = text_of(port, "name"), *app = jx_str(port, "appProtocol");

	if (!name[0] && json_array_size(ports) > 1)
		missing(fe, AT(p, "name"), "");
	if (name[0])
		check_format(fe, AT(p, "name"), FORMAT_DNS1123_LABEL, name);
	for (size_t i = 0; name[0] && i < at; i++) {
		if (strcmp(name, text_of(json_array_get(ports, i), "name")) == 0) {
			duplicate(fe, AT(p, "name"), name);
			break;
		}
	}
	check_port(fe, AT(p, "port"), jx_int(port, "port", 0));
	check_enum(fe, AT(p, "protocol"), text_of(port, "protocol"), protocols);
	check_port_or_name(fe, AT(p, "targetPort"), json_object_get(port, "targetPort"));
	if (app)
		check_format(fe, AT(p, "appProtocol"), FORMAT_QUALIFIED_NAME, app);
}

static void check_affinity(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	const char *affinity = text_of(spec, "sessionAffinity");
	const json_t *config = json_object_get(spec, "sessionAffinityConfig"),
		     *timeout = jx_at(config, "clientIP.timeoutSeconds");
	const struct place *at = AT(p, "sessionAffinityConfig");

	check_enum(fe, AT(p, "sessionAffinity"), affinity, affinities);
	if (strcmp(affinity, "None") == 0 && config)
		forbidden(fe, at, "must not be set when session affinity is None");
	if (strcmp(affinity, "ClientIP") != 0)
		return;
	if (!config)
		missing(fe, at, "when session affinity type is ClientIP");
	else if (!json_object_get(config, "clientIP"))
		missing(fe, AT(at, "clientIP"), "when session affinity type is ClientIP");
	else if (!timeout)
		missing(fe, AT(AT(at, "clientIP"), "timeoutSeconds"),
			"when session affinity type is ClientIP");
	else if (json_integer_value(timeout) <= 0 || json_integer_value(timeout) > AFFINITY_TIMEOUT_S_MAX)
		bad_int(fe, AT(AT(at, "clientIP"), "timeoutSeconds"), json_integer_value(timeout),
			"must be greater than 0 and less than %d", AFFINITY_TIMEOUT_S_MAX);
}

static void check_families(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	const char *policy = jx_str(spec, "ipFamilyPolicy");
	json_t *list = json_object_get(spec, "ipFamilies"), *f;
	size_t i;

	json_array_foreach(list, i, f) {
		const char *family = json_is_string(f) ? json_string_value(f) : "";

		if (!one_of(family, families))
			unsupported(fe, AT_INDEX(AT(p, "ipFamilies"), i), family, families);
		for (size_t j = 0; j < i; j++)
			if (c_eq(family, json_string_value(json_array_get(list, j))))
				duplicate(fe, AT_INDEX(AT(p, "ipFamilies"), i), family);
	}
	if (policy && !one_of(policy, family_policies))
		unsupported(fe, AT(p, "ipFamilyPolicy"), policy, family_policies);
}

/* false when an address cannot be read: what follows would only confuse. */
static bool check_addresses(struct field_errors *fe, const struct place *p, const json_t *ips)
{
	size_t before = fe->n, i;
	json_t *ip;

	json_array_foreach((json_t *)ips, i, ip) {
		const char *text = json_is_string(ip) ? json_string_value(ip) : "";

		if (i > 0 || strcmp(text, "None") != 0)
			check_ip(fe, AT_INDEX(p, i), text);
		else if (json_array_size(ips) > 1)
			bad_value(fe, p, ips, "'None' must be the first and only value");
	}
	bool good = fe->n == before;
	if (json_array_size(ips) > 2)
		bad_value(fe, p, ips, "may only hold up to 2 values");
	return good;
}

static void check_address_families(struct field_errors *fe, const struct place *p, const json_t *ips,
				   const json_t *want)
{
	unsigned char bytes[16];
	size_t n_v6 = 0, i;
	json_t *ip;

	json_array_foreach((json_t *)ips, i, ip) {
		bool v6;
		if (ip_parse(json_string_value(ip), bytes, &v6))
			n_v6 += v6;
	}
	if (json_array_size(ips) > 1 && (n_v6 == 0 || n_v6 == json_array_size(ips)))
		bad_value(fe, p, ips, "may specify no more than one IP for each IP family");
	json_array_foreach((json_t *)ips, i, ip) {
		const char *text = json_string_value(ip),
			   *family = json_string_value(json_array_get(want, i));
		bool v6;

		if (family && ip_parse(text, bytes, &v6) && v6 != (strcmp(family, "IPv6") == 0))
			bad_string(fe, AT_INDEX(p, i), text,
				   "expected an %s value as indicated by `ipFamilies[%zu]`", family, i);
	}
}

void validate_cluster_ips(struct field_errors *fe, const json_t *spec)
{
	const struct place *p = AT(NULL, "spec"), *at = AT(p, "clusterIPs");
	const json_t *ips = json_object_get(spec, "clusterIPs");
	const char *ip = text_of(spec, "clusterIP"), *first = json_string_value(json_array_get(ips, 0));

	if (has_type(spec, "ExternalName"))
		return;
	if (ip[0] && !first)
		missing(fe, at, "");
	else if (ip[0] && strcmp(first, ip) != 0)
		bad_value(fe, at, ips, "first value must match `clusterIP`");
	else if (!ip[0] && first)
		bad_value(fe, at, ips, "must be empty when `clusterIP` is not specified");
	check_families(fe, p, spec);
	if (check_addresses(fe, at, ips) && !is_headless(spec))
		check_address_families(fe, at, ips, json_object_get(spec, "ipFamilies"));
}

void service_addresses_validate(const json_t *service, struct field_errors *fe)
{
	validate_cluster_ips(fe, json_object_get(service, "spec"));
}

static void check_external_ips(struct field_errors *fe, const struct place *p, const json_t *ips)
{
	json_t *ip;
	size_t i;

	json_array_foreach((json_t *)ips, i, ip)
		check_endpoint_ip(fe, AT_INDEX(p, i), json_is_string(ip) ? json_string_value(ip) : "");
}

static bool same_protocol(const json_t *a, const json_t *b)
{
	return strcmp(text_of(a, "protocol"), text_of(b, "protocol")) == 0;
}

static bool came_before(const json_t *ports, size_t at, const char *member)
{
	const json_t *port = json_array_get(ports, at);

	for (size_t i = 0; i < at; i++) {
		const json_t *other = json_array_get(ports, i);

		if (same_protocol(other, port) && jx_int(other, member, 0) == jx_int(port, member, 0))
			return true;
	}
	return false;
}

static void check_port_duplicates(struct field_errors *fe, const struct place *p, const json_t *ports)
{
	char text[192];
	json_t *port;
	size_t i;

	json_array_foreach((json_t *)ports, i, port) {
		if (jx_int(port, "nodePort", 0) == 0 || !came_before(ports, i, "nodePort"))
			continue;
		snprintf(text, sizeof(text), "%lld", (long long)jx_int(port, "nodePort", 0));
		duplicate_json(fe, AT(AT_INDEX(p, i), "nodePort"), text);
	}
	json_array_foreach((json_t *)ports, i, port) {
		if (!came_before(ports, i, "port"))
			continue;
		/* Upstream shows its internal type here, and kubectl users know the line. */
		snprintf(
			text, sizeof(text),
			"{\"Name\":\"\",\"Protocol\":\"%.10s\",\"AppProtocol\":null,\"Port\":%lld,\"TargetPort\":0,\"NodePort\":0}",
			text_of(port, "protocol"), (long long)jx_int(port, "port", 0));
		duplicate_json(fe, AT_INDEX(p, i), text);
	}
}

static void check_cidr(struct field_errors *fe, const struct place *p, const char *padded)
{
	cleanup(freep) char *cidr = str_dup(str_trim(str_of(padded)));

	if (!cidr_ok(cidr))
		bad_string(fe, p, cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
}

/* The older spelling of loadBalancerSourceRanges: an annotation with commas. */
static void check_source_annotation(struct field_errors *fe, const json_t *obj, bool is_lb)
{
	static const char name[] = "service.beta.kubernetes.io/load-balancer-source-ranges";
	const struct place *p = AT_KEY(AT(AT(NULL, "metadata"), "annotations"), name);
	const char *value = jx_annotation(obj, name);
	struct str rest = str_trim(str_of(value));

	if (value && !is_lb)
		forbidden(fe, p, "may only be used when `type` is 'LoadBalancer'");
	while (rest.len) {
		cleanup(freep) char *cidr = str_dup(str_cut(rest, ',', &rest));
		check_cidr(fe, p, cidr);
	}
}

static void check_source_ranges(struct field_errors *fe, const json_t *obj, const struct place *spec_place,
				const json_t *spec)
{
	const struct place *p = AT(spec_place, "LoadBalancerSourceRanges"); /* upstream's capital letter */
	json_t *ranges = json_object_get(spec, "loadBalancerSourceRanges"), *r;
	bool is_lb = has_type(spec, "LoadBalancer");
	size_t i;

	if (!json_array_size(ranges)) {
		check_source_annotation(fe, obj, is_lb);
		return;
	}
	if (!is_lb)
		forbidden(fe, p, "may only be used when `type` is 'LoadBalancer'");
	json_array_foreach(ranges, i, r)
		check_cidr(fe, AT_INDEX(p, i), json_is_string(r) ? json_string_value(r) : "");
}

static void check_load_balancer(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	const char *class = jx_str(spec, "loadBalancerClass");
	bool is_lb = has_type(spec, "LoadBalancer");

	if (!is_lb && json_object_get(spec, "allocateLoadBalancerNodePorts"))
		forbidden(fe, AT(p, "allocateLoadBalancerNodePorts"),
			  "may only be used when `type` is 'LoadBalancer'");
	if (class && is_lb)
		check_format(fe, AT(p, "loadBalancerClass"), FORMAT_QUALIFIED_NAME, class);
	else if (class)
		forbidden(fe, AT(p, "loadBalancerClass"), "may only be used when `type` is 'LoadBalancer'");
}

static void check_traffic_policies(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	const char *external = text_of(spec, "externalTrafficPolicy"),
		   *internal = text_of(spec, "internalTrafficPolicy");
	const char *distribution = jx_str(spec, "trafficDistribution");
	int64_t health_port = jx_int(spec, "healthCheckNodePort", 0);

	if (is_external(spec))
		check_enum(fe, AT(p, "externalTrafficPolicy"), external, policies);
	else if (external[0])
		bad_string(fe, AT(p, "externalTrafficPolicy"), external,
			   "may only be set for externally-accessible services");
	if (needs_health_check(spec) && health_port == 0)
		missing(fe, AT(p, "healthCheckNodePort"), "");
	else if (needs_health_check(spec))
		check_port(fe, AT(p, "healthCheckNodePort"), health_port);
	else if (health_port != 0)
		bad_int(fe, AT(p, "healthCheckNodePort"), health_port,
			"may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
	if (internal[0] || has_type(spec, "ClusterIP") || has_type(spec, "NodePort") ||
	    has_type(spec, "LoadBalancer"))
		check_enum(fe, AT(p, "internalTrafficPolicy"), internal, policies);
	if (distribution && !one_of(distribution, distributions))
		unsupported(fe, AT(p, "trafficDistribution"), distribution, distributions);
}

static void check_topology_annotations(struct field_errors *fe, const json_t *obj)
{
	static const char mode[] = "service.kubernetes.io/topology-mode",
			  hints[] = "service.kubernetes.io/topology-aware-hints";
	const char *m = jx_annotation(obj, mode), *h = jx_annotation(obj, hints);

	if (m && h && strcmp(m, h) != 0)
		bad_string(fe, AT_KEY(AT(AT(NULL, "metadata"), "annotations"), mode), m,
			   "must match annotations[%s] when both are specified", hints);
}

/* ClusterIPs and families stay as they are; a Service may only go from and to ExternalName, or give up its
 * second. */
static void check_cluster_ips_update(struct field_errors *fe, const struct place *p, const json_t *spec,
				     const json_t *old)
{
	const struct place *at = AT(p, "clusterIPs");
	const json_t *ips = json_object_get(spec, "clusterIPs"),
		     *old_ips = json_object_get(old, "clusterIPs");
	size_t n = json_array_size(ips), old_n = json_array_size(old_ips);

	if (is_headless(spec) && is_headless(old))
		return;
	if (old_n > n && n == 0)
		bad_value(fe, AT_INDEX(at, 0), json_is_array(ips) ? ips : NULL,
			  "primary clusterIP can not be unset");
	for (size_t i = 0; i < MIN(n, old_n); i++)
		if (!json_equal(json_array_get(ips, i), json_array_get(old_ips, i)) && (i == 0 || n == old_n))
			bad_value(fe, AT_INDEX(at, i), ips, "may not change once set");
	if (old_n > n && n == 1 && strcmp(text_of(spec, "ipFamilyPolicy"), "SingleStack") != 0)
		bad_value(fe, AT(p, "ipFamilyPolicy"), json_object_get(spec, "ipFamilyPolicy"),
			  "must be set to 'SingleStack' when releasing the secondary clusterIP");
}

static void check_families_update(struct field_errors *fe, const struct place *p, const json_t *spec,
				  const json_t *old)
{
	const json_t *now = json_object_get(spec, "ipFamilies"), *before = json_object_get(old, "ipFamilies");

	if (is_headless(spec) || is_headless(old) || !json_array_size(now) || !json_array_size(before))
		return;
	if (!json_equal(json_array_get(now, 0), json_array_get(before, 0)))
		bad_value(fe, AT_INDEX(AT(p, "ipFamilies"), 0), now, "may not change once set");
	if (json_array_size(before) > json_array_size(now) &&
	    strcmp(text_of(spec, "ipFamilyPolicy"), "SingleStack") != 0)
		bad_value(fe, AT(p, "ipFamilyPolicy"), json_object_get(spec, "ipFamilyPolicy"),
			  "must be set to 'SingleStack' when releasing the secondary ipFamily");
}

static void check_service_update(struct field_errors *fe, const struct place *p, const json_t *spec,
				 const json_t *old)
{
	if (!has_type(spec, "ExternalName") && !has_type(old, "ExternalName")) {
		check_cluster_ips_update(fe, p, spec, old);
		check_families_update(fe, p, spec, old);
	}
	if (has_type(spec, "LoadBalancer") && has_type(old, "LoadBalancer") &&
	    !same(json_object_get(spec, "loadBalancerClass"), json_object_get(old, "loadBalancerClass")))
		bad_value(fe, AT(p, "loadBalancerClass"), json_object_get(spec, "loadBalancerClass"),
			  "may not change once set");
	if (needs_health_check(spec) && needs_health_check(old) &&
	    jx_int(spec, "healthCheckNodePort", 0) != jx_int(old, "healthCheckNodePort", 0))
		forbidden(fe, AT(p, "healthCheckNodePort"), "field is immutable");
}

void validate_service(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const json_t *spec = json_object_get(obj, "spec"), *ports = json_object_get(spec, "ports");
	const struct place *p = AT(NULL, "spec");
	json_t *port;
	size_t i;

	if (old)
		check_service_update(fe, p, spec, json_object_get(old, "spec"));
	check_topology_annotations(fe, obj);
	check_type_and_ports(fe, p, spec);
	for (i = 0; i < json_array_size(ports); i++)
		check_service_port(fe, AT_INDEX(AT(p, "ports"), i), ports, i);
	check_labels(fe, AT(p, "selector"), json_object_get(spec, "selector"));
	check_affinity(fe, p, spec);
	validate_cluster_ips(fe, spec);
	check_external_ips(fe, AT(p, "externalIPs"), json_object_get(spec, "externalIPs"));
	check_enum(fe, AT(p, "type"), text_of(spec, "type"), types);
	json_array_foreach((json_t *)ports, i, port)
		if (has_type(spec, "ClusterIP") && jx_int(port, "nodePort", 0) != 0)
			forbidden(fe, AT(AT_INDEX(AT(p, "ports"), i), "nodePort"),
				  "may not be used when `type` is 'ClusterIP'");
	check_port_duplicates(fe, AT(p, "ports"), ports);
	check_source_ranges(fe, obj, p, spec);
	check_load_balancer(fe, p, spec);
	check_traffic_policies(fe, p, spec);
}

static void check_lb_ingress(struct field_errors *fe, const struct place *p, const json_t *ingress)
{
	static const char *const modes[] = { "Proxy", "VIP", NULL };
	const char *ip = text_of(ingress, "ip"), *mode = jx_str(ingress, "ipMode"),
		   *host = text_of(ingress, "hostname");
	unsigned char bytes[16];
	bool v6;

	if (ip[0])
		check_ip(fe, AT(p, "ip"), ip);
	if (mode && !ip[0])
		forbidden(fe, AT(p, "ipMode"), "may not be specified when `ip` is not set");
	else if (mode && !one_of(mode, modes))
		unsupported(fe, AT(p, "ipMode"), mode, modes);
	if (host[0])
		check_format(fe, AT(p, "hostname"), FORMAT_DNS1123_SUBDOMAIN, host);
	if (host[0] && ip_parse(host, bytes, &v6))
		bad_string(fe, AT(p, "hostname"), host, "must be a DNS name, not an IP address");
}

static void check_lb_ingresses(struct field_errors *fe, const struct place *p, const json_t *list)
{
	json_t *ingress;
	size_t i;

	json_array_foreach((json_t *)list, i, ingress)
		check_lb_ingress(fe, AT_INDEX(p, i), ingress);
}

void validate_service_status(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const struct place *p = AT(AT(AT(NULL, "status"), "loadBalancer"), "ingress");
	const json_t *list = jx_at(obj, "status.loadBalancer.ingress");

	(void)old;
	if (json_array_size(list) && !has_type(json_object_get(obj, "spec"), "LoadBalancer"))
		forbidden(fe, p, "may only be used when `spec.type` is 'LoadBalancer'");
	else
		check_lb_ingresses(fe, p, list);
}

void validate_load_balancer_status(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	(void)old;
	check_lb_ingresses(fe, AT(AT(AT(NULL, "status"), "loadBalancer"), "ingress"),
			   jx_at(obj, "status.loadBalancer.ingress"));
}
