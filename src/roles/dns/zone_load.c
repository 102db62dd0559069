#include "roles/dns/zone_int.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>

bool old_zone_ip_parse(const char *text, struct zone_ip *ret)
{
	ret->len = 0;
	if (!text)
		return false;
	if (inet_pton(AF_INET, text, ret->bytes) == 1)
		ret->len = 4;
	else if (inet_pton(AF_INET6, text, ret->bytes) == 1)
		ret->len = 16;
	return ret->len != 0;
}

static void lower_copy(char *out, size_t size, const char *s)
{
	size_t n = 0;

	for (; s[n] && n + 1 < size; n++)
		out[n] = (char)tolower((unsigned char)s[n]);
	out[n] = '\0';
}

/* Service ports and slice ports have the same fields. */
static struct zone_port *ports_load(const json_t *list, size_t *ret_n)
{
	size_t n = json_array_size(list), kept = 0;
	struct zone_port *ports = n ? xcalloc(n, sizeof(*ports)) : NULL;

	for (size_t i = 0; i < n; i++) {
		const json_t *p = json_array_get(list, i);
		int64_t number = jx_int(p, "port", 0);
		if (number <= 0 || number > UINT16_MAX)
			continue;
		struct zone_port *to = &ports[kept++];
		to->number = (uint16_t)number;
		to->name = xstrdup(jx_str_or(p, "name", ""));
		lower_copy(to->name, strlen(to->name) + 1, to->name);
		lower_copy(to->protocol, sizeof(to->protocol), jx_str_or(p, "protocol", "TCP"));
	}
	*ret_n = kept;
	return ports;
}

static void ports_free(struct zone_port *ports, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(ports[i].name);
	free(ports);
}

static void load_ips(struct zone_service *s, const json_t *obj)
{
	const json_t *list = jx_at(obj, "spec.clusterIPs");

	for (size_t i = 0; i < json_array_size(list) && s->n_ips < ARRAY_LEN(s->ips); i++)
		if (old_zone_ip_parse(json_string_value(json_array_get(list, i)), &s->ips[s->n_ips]))
			s->n_ips++;
	if (!s->n_ips && old_zone_ip_parse(jx_str(obj, "spec.clusterIP"), &s->ips[0]))
		s->n_ips = 1;
}

/* A name, not an address: of an address there can be no CNAME. */
static struct dns_name *load_external(const char *text)
{
	struct zone_ip ip;
	struct dns_name n;

	if (!text || !text[0] || old_zone_ip_parse(text, &ip) || !dns_name_from_text(str_of(text), &n))
		return NULL;
	struct dns_name *kept = xmalloc(sizeof(*kept));
	*kept = n;
	return kept;
}

void old_service_unload(struct zone_service *s)
{
	ports_free(s->ports, s->n_ports);
	free(s->external);
	s->ports = NULL;
	s->external = NULL;
	s->n_ports = s->n_ips = 0;
	s->present = false;
}

void old_service_load(struct zone_service *s, const json_t *obj)
{
	old_service_unload(s);
	s->present = true;
	if (c_eq(jx_str(obj, "spec.type"), "ExternalName")) {
		s->kind = KIND_EXTERNAL;
		s->external = load_external(jx_str(obj, "spec.externalName"));
		return;
	}
	s->kind = c_eq(jx_str(obj, "spec.clusterIP"), "None") ? KIND_HEADLESS : KIND_CLUSTER_IP;
	s->ports = ports_load(jx_at(obj, "spec.ports"), &s->n_ports);
	if (s->kind == KIND_CLUSTER_IP)
		load_ips(s, obj);
}

static uint8_t *label_of(const char *text)
{
	size_t n = strlen(text);
	uint8_t *label = xmalloc(n + 1);

	label[0] = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		label[1 + i] = (uint8_t)tolower((unsigned char)text[i]);
	return label;
}

/* An endpoint without a hostname is named by its address: 10-244-0-5, 2001-db8--1, fe80--0. */
static uint8_t *host_of(const json_t *endpoint, const char *address)
{
	const char *hostname = jx_str(endpoint, "hostname");
	char dashed[DNS_LABEL_BYTES_MAX + 1];

	if (hostname && hostname[0] && strlen(hostname) <= DNS_LABEL_BYTES_MAX)
		return label_of(hostname);
	size_t n = (size_t)snprintf(dashed, sizeof(dashed) - 1, "%s", address);
	for (size_t i = 0; i < n; i++)
		if (dashed[i] == '.' || dashed[i] == ':')
			dashed[i] = '-';
	if (n && dashed[n - 1] == '-')
		memcpy(dashed + n, "0", 2);
	return label_of(dashed);
}

static size_t count_addresses(const json_t *endpoints)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(endpoints); i++)
		n += jx_len(json_array_get(endpoints, i), "addresses");
	return n;
}

static void load_endpoint(struct zone_slice *s, const json_t *e)
{
	const json_t *addresses = json_object_get(e, "addresses");

	/* Ready, or not said (then it is ready too). publishNotReadyAddresses is in the condition
	 * already. */
	if (!jx_bool(e, "conditions.ready", true))
		return;
	for (size_t i = 0; i < json_array_size(addresses); i++) {
		const char *text = json_string_value(json_array_get(addresses, i));
		struct zone_endpoint *to = &s->endpoints[s->n_endpoints];
		if (!old_zone_ip_parse(text, &to->ip))
			continue;
		to->host = host_of(e, text);
		s->n_endpoints++;
	}
}

struct zone_slice *old_slice_load(const json_t *obj)
{
	struct zone_slice *s = xcalloc(1, sizeof(*s));
	const json_t *endpoints = json_object_get(obj, "endpoints");

	list_init(&s->link);
	s->ports = ports_load(json_object_get(obj, "ports"), &s->n_ports);
	s->endpoints = xcalloc(count_addresses(endpoints), sizeof(*s->endpoints));
	for (size_t i = 0; i < json_array_size(endpoints); i++)
		load_endpoint(s, json_array_get(endpoints, i));
	return s;
}

void old_slice_free(struct zone_slice *s)
{
	for (size_t i = 0; i < s->n_endpoints; i++)
		free(s->endpoints[i].host);
	free(s->endpoints);
	ports_free(s->ports, s->n_ports);
	list_del(&s->link);
	free(s);
}
