/* Services and EndpointSlices as the API serves them. What makes no sense is left out. */
#include "roles/dns/zone/zone_int.h"

#include <ctype.h>

static uint8_t protocol_of(const char *text)
{
	static const char *const names[] = { [PROTOCOL_TCP] = "TCP", [PROTOCOL_UDP] = "UDP", [PROTOCOL_SCTP] = "SCTP" };

	for (uint8_t i = PROTOCOL_TCP; i < ARRAY_LEN(names); i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	return 0;
}

static uint8_t *put_label(uint8_t *p, const char *text, size_t n)
{
	*p++ = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		*p++ = (uint8_t)tolower((unsigned char)text[i]);
	return p;
}

/* A slice's port without a number stands for all ports: the name exists, but there is nothing to say in an SRV record. */
static struct draft_ports load_ports(struct draft *d, const json_t *list, bool of_slice)
{
	struct draft_ports ports = { 0 };
	size_t n = MIN(json_array_size(list), (size_t)PORTS_MAX);
	uint8_t *p = n ? arena_alloc(&d->arena, n * (PORT_ENTRY_BYTES + DNS_LABEL_BYTES_MAX)) : NULL;

	ports.bytes = p;
	for (size_t i = 0; p && i < n; i++) {
		const json_t *port = json_array_get(list, i);
		int64_t number = jx_int(port, "port", 0);
		const char *name = jx_str_or(port, "name", "");
		uint8_t protocol = protocol_of(jx_str_or(port, "protocol", "TCP"));
		if (!json_is_object(port) || !protocol || number < 0 || number > UINT16_MAX || (!number && !of_slice) ||
		    strlen(name) > DNS_LABEL_BYTES_MAX)
			continue;
		*p++ = (uint8_t)(number >> 8);
		*p++ = (uint8_t)number;
		*p++ = protocol;
		p = put_label(p, name, strlen(name));
		ports.n++;
	}
	ports.len = p ? (size_t)(p - ports.bytes) : 0;
	return ports;
}

static void load_cluster_ips(struct draft *d, const json_t *obj)
{
	const json_t *list = jx_at(obj, "spec.clusterIPs");

	for (size_t i = 0; i < json_array_size(list) && d->n_ips < CLUSTER_IPS_MAX; i++)
		if (ip_read(json_string_value(json_array_get(list, i)), &d->ips[d->n_ips]))
			d->n_ips++;
	if (!d->n_ips && ip_read(jx_str(obj, "spec.clusterIP"), &d->ips[0]))
		d->n_ips = 1;
}

/* A name, not an address: of an address there can be no CNAME. */
static void load_external(struct draft *d, const char *text)
{
	struct ip ip;

	if (!text || !text[0] || ip_read(text, &ip) || !dns_name_from_text(str_of(text), &d->external))
		d->external.len = 0;
}

static bool is_headless(const json_t *obj)
{
	const json_t *first = json_array_get(jx_at(obj, "spec.clusterIPs"), 0);

	return c_eq(first ? json_string_value(first) : jx_str(obj, "spec.clusterIP"), "None");
}

void load_service(struct draft *d, const json_t *obj)
{
	d->present = true;
	d->n_ips = 0;
	d->external.len = 0;
	d->ports = (struct draft_ports){ 0 };
	if (c_eq(jx_str(obj, "spec.type"), "ExternalName")) {
		d->kind = KIND_EXTERNAL;
		load_external(d, jx_str(obj, "spec.externalName"));
		return;
	}
	d->kind = is_headless(obj) ? KIND_HEADLESS : KIND_CLUSTER_IP;
	d->ports = load_ports(d, jx_at(obj, "spec.ports"), false);
	if (d->kind == KIND_CLUSTER_IP)
		load_cluster_ips(d, obj);
}

size_t load_count_addresses(const json_t *slice)
{
	const json_t *endpoints = json_object_get(slice, "endpoints");
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(endpoints); i++)
		n += jx_len(json_array_get(endpoints, i), "addresses");
	return n;
}

static const uint8_t *label_of(struct draft *d, const char *text)
{
	size_t n = text ? strlen(text) : 0;
	uint8_t *label = n && n <= DNS_LABEL_BYTES_MAX ? arena_alloc(&d->arena, n + 1) : NULL;

	if (label)
		put_label(label, text, n);
	return label;
}

/* NULL where the address alone makes the same name. */
static const uint8_t *host_of(struct draft *d, const json_t *endpoint, const char *address, const struct ip *ip, bool pod_names)
{
	uint8_t usual[DNS_LABEL_BYTES_MAX + 1];
	const uint8_t *label = label_of(d, jx_str(endpoint, "hostname"));
	char dashed[DNS_LABEL_BYTES_MAX + 1];
	size_t n = strlen(address);

	if (!label && pod_names)
		label = label_of(d, jx_str(endpoint, "targetRef.name"));
	if (!label && n < sizeof(dashed) - 1) {
		for (size_t i = 0; i <= n; i++)
			dashed[i] = address[i] == '.' || address[i] == ':' ? '-' : address[i];
		if (n && dashed[n - 1] == '-')
			memcpy(dashed + n, "0", 2);
		label = label_of(d, dashed);
	}
	return label && label_cmp(label, ip_label(ip->bytes, ip->len, usual)) == 0 ? NULL : label;
}

static void load_endpoint(struct draft *d, const json_t *endpoint, uint16_t slice, bool pod_names)
{
	const json_t *addresses = json_object_get(endpoint, "addresses");

	/* Ready, or not said (then it is ready too). publishNotReadyAddresses is in the condition already. */
	if (!jx_bool(endpoint, "conditions.ready", true))
		return;
	for (size_t i = 0; i < json_array_size(addresses) && d->n_endpoints < ENDPOINTS_MAX; i++) {
		const char *text = json_string_value(json_array_get(addresses, i));
		struct draft_endpoint *to = &d->endpoints[d->n_endpoints];
		if (!ip_read(text, &to->ip))
			continue;
		to->slice = slice;
		to->host = host_of(d, endpoint, text, &to->ip, pod_names);
		d->n_endpoints++;
	}
}

void load_slice(struct draft *d, const json_t *obj, uint64_t id, bool pod_names)
{
	struct draft_ports ports = load_ports(d, json_object_get(obj, "ports"), true);
	uint16_t slice = draft_add_slice(d, id, &ports);
	const json_t *endpoints = json_object_get(obj, "endpoints");

	for (size_t i = 0; i < json_array_size(endpoints); i++)
		load_endpoint(d, json_array_get(endpoints, i), slice, pod_names);
}
