/* spec.h - an entry of the ConfigMaps tcp-services and udp-services: "9000": "namespace/service:port[:PROXY][:PROXY]".
 *
 * ingress-nginx, docs/user-guide/exposing-tcp-udp-services.md. The first PROXY is about what clients send, the second about
 * what the service gets; either may be left empty ("ns/svc:80::PROXY").
 */
#pragma once

#include "base/err.h"

#define L4_NAME_MAX 253

struct l4_spec {
	uint16_t port; /* that is listened on */
	char ns[L4_NAME_MAX + 1], service[L4_NAME_MAX + 1], service_port[L4_NAME_MAX + 1];
	bool decode, encode;
};
int l4_spec_parse(const char *key, const char *value, struct l4_spec *ret, struct err *e) must_check;
