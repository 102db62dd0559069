/* The names that a server block begins with. */
#include "roles/dns/config/config_int.h"

static const struct {
	struct str name;
	bool ours;
	enum dns_transport transport;
	uint16_t port;
	const char *instead;
} schemes[] = {
	{ STR("dns"), true, DNS_PLAIN, DNS_PORT, NULL },
	{ STR("tls"), true, DNS_TLS, DNS_TLS_PORT, NULL },
	{ STR("https"), false, 0, 0, "DNS over HTTPS is not part of portico; clients can use tls:// (port 853)" },
	{ STR("https3"), false, 0, 0, "DNS over HTTP/3 is not part of portico; clients can use tls:// (port 853)" },
	{ STR("quic"), false, 0, 0, "DNS over QUIC is not part of portico; clients can use tls:// (port 853)" },
	{ STR("grpc"), false, 0, 0, "DNS over gRPC is not part of portico; clients can use tls:// (port 853)" },
	{ STR("unix"), false, 0, 0, "unix sockets are not part of portico" },
};

static int transport_of(struct str *key, const struct corefile_line *at, enum dns_transport *ret, uint16_t *ret_port, struct err *e)
{
	const char *slashes = memmem(key->ptr, key->len, "://", 3);
	struct str name = slashes ? (struct str){ key->ptr, (size_t)(slashes - key->ptr) } : STR("dns");

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (!str_eq(name, schemes[i].name))
			continue;
		if (!schemes[i].ours)
			return directive_error(e, at, NULL, "'" STR_FMT "': %s", STR_ARG(*key), schemes[i].instead);
		*ret = schemes[i].transport;
		*ret_port = schemes[i].port;
		if (slashes)
			*key = (struct str){ slashes + 3, key->len - name.len - 3 };
		return 0;
	}
	return directive_error(e, at, NULL, "'" STR_FMT "': the transport is dns:// or tls://, not " STR_FMT "://", STR_ARG(*key), STR_ARG(name));
}

/* Digits behind the last colon are a port; in an IPv6 network the prefix comes in between. */
static int port_of(struct str *key, const struct corefile_line *at, uint16_t *ret, struct err *e)
{
	const char *colon = memrchr(key->ptr, ':', key->len);
	struct str digits;
	uint64_t port;

	if (!colon)
		return 0;
	digits = (struct str){ colon + 1, key->len - (size_t)(colon + 1 - key->ptr) };
	if (memchr(digits.ptr, '/', digits.len))
		return 0;
	if (!str_to_u64(digits, 65535, &port) || port == 0)
		return directive_error(e, at, NULL, "'" STR_FMT "': '" STR_FMT "' is no port", STR_ARG(*key), STR_ARG(digits));
	*ret = (uint16_t)port;
	key->len = (size_t)(colon - key->ptr);
	return 0;
}

int block_key_parse(const char *key, const struct corefile_line *at, struct zone_names *zones, enum dns_transport *ret_transport,
		    uint16_t *ret_port, struct err *e)
{
	struct str rest = str_of(key);

	if (transport_of(&rest, at, ret_transport, ret_port, e) < 0 || port_of(&rest, at, ret_port, e) < 0)
		return -1;
	if (!zone_names_add(zones, rest))
		return directive_error(e, at, NULL, "'%s' is no zone: expected a name such as a.org, a network such as 10.0.0.0/8, or .", key);
	return 0;
}
