#include "kube/schema/validate_int.h"

/* EndpointSlice: k8s.io/kubernetes pkg/apis/discovery/validation; Endpoints: pkg/apis/core/validation. */

#define SLICE_PORTS_MAX 20000
#define SLICE_ENDPOINTS_MAX 1000
#define ENDPOINT_ADDRESSES_MAX 100
static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };

static void check_slice_ports(struct field_errors *fe, const struct place *p, const json_t *ports)
{
	cleanup(json_decrefp) json_t *names = json_object();
	json_t *port;
	size_t i;

	if (json_array_size(ports) > SLICE_PORTS_MAX) {
		too_many(fe, p, json_array_size(ports), SLICE_PORTS_MAX);
		return;
	}
	json_array_foreach((json_t *)ports, i, port) {
		const struct place *at = AT_INDEX(p, i);
		const char *name = text_of(port, "name"), *app = jx_str(port, "appProtocol");

		if (name[0])
			check_format(fe, AT(at, "name"), FORMAT_DNS1123_LABEL, name);
		if (json_object_get(names, name))
			duplicate(fe, AT(at, "name"), name);
		json_object_set_new(names, name, json_true());
		check_enum(fe, AT(at, "protocol"), text_of(port, "protocol"), protocols);
		if (app)
			check_format(fe, AT(at, "appProtocol"), FORMAT_QUALIFIED_NAME, app);
	}
}

static void check_address(struct field_errors *fe, const struct place *list, size_t i, const char *address,
			  const char *type)
{
	const struct place *at = AT_INDEX(list, i);
	unsigned char ip[16];
	bool v6;

	if (strcmp(type, "FQDN") == 0) {
		check_format(fe, at, FORMAT_DNS1123_SUBDOMAIN, address);
		return;
	}
	if (!ip_parse(address, ip, &v6)) {
		check_ip(fe, at, address);
		return;
	}
	if (v6 != (strcmp(type, "IPv6") == 0))
		bad_string(fe, list, address, "must be an %s address", type);
	check_endpoint_ip(fe, at, address);
}

static void check_endpoint(struct field_errors *fe, const struct place *p, const json_t *endpoint,
			   const char *type)
{
	static const char *const types[] = { "IPv4", "IPv6", "FQDN", NULL };
	const json_t *addresses = json_object_get(endpoint, "addresses");
	const char *node = jx_str(endpoint, "nodeName"), *host = jx_str(endpoint, "hostname");
	json_t *a;
	size_t i;

	if (!json_array_size(addresses))
		missing(fe, AT(p, "addresses"), "must contain at least 1 address");
	else if (json_array_size(addresses) > ENDPOINT_ADDRESSES_MAX)
		too_many(fe, AT(p, "addresses"), json_array_size(addresses), ENDPOINT_ADDRESSES_MAX);
	json_array_foreach((json_t *)addresses, i, a)
		if (one_of(type, types))
			check_address(fe, AT(p, "addresses"), i,
				      json_is_string(a) ? json_string_value(a) : "", type);
	if (node)
		check_format(fe, AT(p, "nodeName"), FORMAT_DNS1123_SUBDOMAIN, node);
	if (host)
		check_format(fe, AT(p, "hostname"), FORMAT_DNS1123_LABEL, host);
}

void validate_endpointslice(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	static const char *const types[] = { "FQDN", "IPv4", "IPv6", NULL };
	const json_t *endpoints = json_object_get(obj, "endpoints");
	const char *type = text_of(obj, "addressType");
	const struct place *p = AT(NULL, "endpoints");
	json_t *endpoint;
	size_t i;

	check_enum(fe, AT(NULL, "addressType"), type, types);
	check_slice_ports(fe, AT(NULL, "ports"), json_object_get(obj, "ports"));
	if (json_array_size(endpoints) > SLICE_ENDPOINTS_MAX)
		too_many(fe, p, json_array_size(endpoints), SLICE_ENDPOINTS_MAX);
	else if (!old || !json_equal(endpoints, json_object_get(old, "endpoints")))
		json_array_foreach((json_t *)endpoints, i, endpoint)
			check_endpoint(fe, AT_INDEX(p, i), endpoint, type);
	if (old)
		check_immutable(fe, AT(NULL, "addressType"), json_object_get(obj, "addressType"),
				json_object_get(old, "addressType"));
}

static void check_subset_addresses(struct field_errors *fe, const struct place *p, const json_t *addresses)
{
	json_t *a;
	size_t i;

	json_array_foreach((json_t *)addresses, i, a) {
		const struct place *at = AT_INDEX(p, i);
		const char *host = text_of(a, "hostname"), *node = jx_str(a, "nodeName");

		check_ip(fe, AT(at, "ip"), text_of(a, "ip"));
		if (host[0])
			check_format(fe, AT(at, "hostname"), FORMAT_DNS1123_LABEL, host);
		if (node)
			check_format(fe, AT(at, "nodeName"), FORMAT_DNS1123_SUBDOMAIN, node);
		check_endpoint_ip(fe, AT(at, "ip"), text_of(a, "ip"));
	}
}

static void check_subset_port(struct field_errors *fe, const struct place *p, const json_t *port,
			      bool name_needed)
{
	const char *name = text_of(port, "name"), *app = jx_str(port, "appProtocol");

	if (name[0])
		check_format(fe, AT(p, "name"), FORMAT_DNS1123_LABEL, name);
	else if (name_needed)
		missing(fe, AT(p, "name"), "");
	check_port(fe, AT(p, "port"), jx_int(port, "port", 0));
	check_enum(fe, AT(p, "protocol"), text_of(port, "protocol"), protocols);
	if (app)
		check_format(fe, AT(p, "appProtocol"), FORMAT_QUALIFIED_NAME, app);
}

void validate_endpoints(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const json_t *subsets = json_object_get(obj, "subsets");
	json_t *subset, *port;
	size_t i, j;

	if (old && json_equal(subsets, json_object_get(old, "subsets")))
		return;
	json_array_foreach((json_t *)subsets, i, subset) {
		const struct place *at = AT_INDEX(AT(NULL, "subsets"), i);

		if (!jx_len(subset, "addresses") && !jx_len(subset, "notReadyAddresses"))
			missing(fe, at, "must specify `addresses` or `notReadyAddresses`");
		check_subset_addresses(fe, AT(at, "addresses"), json_object_get(subset, "addresses"));
		check_subset_addresses(fe, AT(at, "notReadyAddresses"),
				       json_object_get(subset, "notReadyAddresses"));
		json_array_foreach(json_object_get(subset, "ports"), j, port)
			check_subset_port(fe, AT_INDEX(AT(at, "ports"), j), port,
					  jx_len(subset, "ports") > 1);
	}
}
