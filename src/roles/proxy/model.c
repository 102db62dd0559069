#include "roles/proxy/model.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define LABEL_SERVICE "kubernetes.io/service-name"
#define LABEL_OTHER_PROXY "service.kubernetes.io/service-proxy-name"
#define LABEL_HEADLESS "service.kubernetes.io/headless"
#define AFFINITY_DEFAULT_S 10800 /* core/v1 DefaultClientIPServiceAffinitySeconds */

int model_ip_parse(const char *text, __be32 *ret_addr)
{
	struct in_addr a;

	if (!text || inet_pton(AF_INET, text, &a) != 1)
		return -1;
	*ret_addr = a.s_addr;
	return 0;
}

__be32 model_prefix_mask(uint32_t prefix_len)
{
	return prefix_len ? htonl(~0u << (32 - prefix_len)) : 0;
}

int model_ip_range_parse(const char *text, struct ip_range *ret_range)
{
	struct str bits, net = str_cut(str_trim(str_of(text)), '/', &bits);
	char ip[INET_ADDRSTRLEN];
	uint64_t len = 32;
	__be32 addr;

	if (!net.ptr || net.len >= sizeof(ip))
		return -1;
	memcpy(ip, net.ptr, net.len);
	ip[net.len] = '\0';
	if (model_ip_parse(ip, &addr) < 0 || (bits.ptr && !str_to_u64(bits, 32, &len)))
		return -1;
	*ret_range = (struct ip_range){ .addr = addr & model_prefix_mask(len), .prefix_len = len };
	return 0;
}

static bool proto_parse(const char *name, uint8_t *ret_proto)
{
	if (!name || c_eq(name, "TCP"))
		*ret_proto = IPPROTO_TCP;
	else if (c_eq(name, "UDP"))
		*ret_proto = IPPROTO_UDP;
	else
		return false;
	return true;
}

static __be16 port_of(const json_t *obj, const char *path)
{
	int64_t n = jx_int(obj, path, 0);

	return n > 0 && n <= UINT16_MAX ? htons(n) : 0;
}

static void *array_for(const json_t *list, size_t max, size_t size)
{
	size_t n = MIN(json_array_size(list), max);

	return n ? xcalloc(n, size) : NULL;
}

/* `member` NULL: the elements are the addresses themselves. */
static void ip_set_parse(struct ip_set *set, const json_t *list, const char *member)
{
	const json_t *v;
	size_t i;

	set->at = array_for(list, MODEL_ADDRS_MAX, sizeof(*set->at));
	json_array_foreach(list, i, v) {
		if (i >= MODEL_ADDRS_MAX)
			break;
		/* ipMode Proxy: the load balancer itself wants to see the connection. */
		if (member && c_eq(jx_str(v, "ipMode"), "Proxy"))
			continue;
		if (model_ip_parse(member ? jx_str(v, member) : json_string_value(v), &set->at[set->n]) == 0)
			set->n++;
	}
}

static void service_ports_parse(struct service *s, const json_t *spec, bool node_ports)
{
	const json_t *list = jx_at(spec, "ports"), *v;
	size_t i;

	s->ports = array_for(list, MODEL_PORTS_MAX, sizeof(*s->ports));
	json_array_foreach(list, i, v) {
		struct service_port p = { .port = port_of(v, "port") };

		if (s->n_ports >= MODEL_PORTS_MAX || !p.port || !proto_parse(jx_str(v, "protocol"), &p.proto))
			continue;
		if (node_ports)
			p.node_port = port_of(v, "nodePort");
		p.name = xstrdup(jx_str_or(v, "name", ""));
		s->ports[s->n_ports++] = p;
	}
}

static void service_sources_parse(struct service *s, const json_t *list)
{
	const json_t *v;
	size_t i;

	s->sources = array_for(list, MODEL_ADDRS_MAX, sizeof(*s->sources));
	json_array_foreach(list, i, v) {
		const char *text = json_string_value(v);

		if (i < MODEL_ADDRS_MAX && text && model_ip_range_parse(text, &s->sources[s->n_sources]) == 0)
			s->n_sources++;
	}
}

static void service_addresses_parse(struct service *s, const json_t *obj, const json_t *spec)
{
	const json_t *ips = jx_at(spec, "clusterIPs");

	if (json_array_size(ips) > 0) {
		ip_set_parse(&s->cluster_ips, ips, NULL);
	} else {
		s->cluster_ips.at = xcalloc(1, sizeof(*s->cluster_ips.at));
		s->cluster_ips.n = model_ip_parse(jx_str(spec, "clusterIP"), s->cluster_ips.at) == 0;
	}
	ip_set_parse(&s->external_ips, jx_at(spec, "externalIPs"), NULL);
	if (c_eq(jx_str(spec, "type"), "LoadBalancer"))
		ip_set_parse(&s->balancer_ips, jx_at(obj, "status.loadBalancer.ingress"), "ip");
}

struct service *model_service_parse(const json_t *obj)
{
	const json_t *spec = jx_at(obj, "spec");
	const char *type = jx_str_or(spec, "type", "ClusterIP"), *ip = jx_str(spec, "clusterIP");

	if (c_eq(type, "ExternalName") || !ip || !ip[0] || c_eq(ip, "None"))
		return NULL;
	if (jx_label(obj, LABEL_OTHER_PROXY) || jx_label(obj, LABEL_HEADLESS))
		return NULL;
	struct service *s = xcalloc(1, sizeof(*s));
	service_ports_parse(s, spec, !c_eq(type, "ClusterIP"));
	service_addresses_parse(s, obj, spec);
	service_sources_parse(s, jx_at(spec, "loadBalancerSourceRanges"));
	s->external_local = c_eq(jx_str(spec, "externalTrafficPolicy"), "Local");
	s->internal_local = c_eq(jx_str(spec, "internalTrafficPolicy"), "Local");
	if (c_eq(jx_str(spec, "sessionAffinity"), "ClientIP"))
		s->affinity_s = jx_int(spec, "sessionAffinityConfig.clientIP.timeoutSeconds", AFFINITY_DEFAULT_S);
	return s;
}

void model_service_free(struct service *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_ports; i++)
		free(s->ports[i].name);
	free(s->ports);
	free(s->cluster_ips.at);
	free(s->external_ips.at);
	free(s->balancer_ips.at);
	free(s->sources);
	free(s);
}

static void slice_ports_parse(struct slice *s, const json_t *list)
{
	const json_t *v;
	size_t i;

	s->ports = array_for(list, MODEL_PORTS_MAX, sizeof(*s->ports));
	json_array_foreach(list, i, v) {
		struct slice_port p = { .port = port_of(v, "port") };

		if (s->n_ports >= MODEL_PORTS_MAX || !p.port || !proto_parse(jx_str(v, "protocol"), &p.proto))
			continue;
		p.name = xstrdup(jx_str_or(v, "name", ""));
		s->ports[s->n_ports++] = p;
	}
}

/* An absent condition is read as discovery/v1 says: ready is true, serving is what ready is. */
static void slice_endpoints_parse(struct slice *s, const json_t *list, const char *node_name)
{
	const json_t *v;
	size_t i;

	s->endpoints = array_for(list, MODEL_ENDPOINTS_MAX, sizeof(*s->endpoints));
	json_array_foreach(list, i, v) {
		struct slice_endpoint ep = { .ready = jx_bool(v, "conditions.ready", true) };
		const json_t *first = json_array_get(jx_at(v, "addresses"), 0); /* the others mean nothing (v1) */

		if (s->n_endpoints >= MODEL_ENDPOINTS_MAX || model_ip_parse(json_string_value(first), &ep.addr) < 0)
			continue;
		ep.serving = jx_bool(v, "conditions.serving", ep.ready);
		ep.terminating = jx_bool(v, "conditions.terminating", false);
		ep.local = node_name && c_eq(jx_str(v, "nodeName"), node_name);
		s->endpoints[s->n_endpoints++] = ep;
	}
}

struct slice *model_slice_parse(const json_t *obj, const char *node_name)
{
	const char *service = jx_label(obj, LABEL_SERVICE), *ns = jx_namespace(obj);

	if (!service || !ns || !c_eq(jx_str_or(obj, "addressType", "IPv4"), "IPv4"))
		return NULL;
	struct slice *s = xcalloc(1, sizeof(*s));
	s->service = xasprintf("%s/%s", ns, service);
	slice_ports_parse(s, jx_at(obj, "ports"));
	slice_endpoints_parse(s, jx_at(obj, "endpoints"), node_name);
	return s;
}

void model_slice_free(struct slice *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_ports; i++)
		free(s->ports[i].name);
	free(s->ports);
	free(s->endpoints);
	free(s->service);
	free(s);
}
