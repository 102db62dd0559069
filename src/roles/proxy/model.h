/* model.h - what the data plane needs of a Service and of an EndpointSlice, read out of their JSON.
 *
 * IPv4, TCP and UDP only: everything else is left out here. Addresses and ports are in network order.
 * Sources: core/v1 Service, discovery.k8s.io/v1 EndpointSlice, KEP-1669 (terminating endpoints).
 */
#pragma once

#include "codec/jx.h"
#include "svc_maps.h"

#define MODEL_ENDPOINTS_MAX 10000 /* in one slice; the API allows 1,000 */
#define MODEL_PORTS_MAX 250	  /* the environment of a pod has no room for more */
#define MODEL_ADDRS_MAX 1000	  /* external IPs, or source ranges, of one Service */

struct ip_set {
	__be32 *at;
	size_t n;
};

struct ip_range {
	__be32 addr;
	uint32_t prefix_len;
};

struct service_port {
	char *name; /* "" for the single unnamed one */
	__be16 port, node_port;
	uint8_t proto;
};

struct service {
	struct service_port *ports;
	size_t n_ports;
	struct ip_set cluster_ips, external_ips, balancer_ips;
	struct ip_range *sources;
	size_t n_sources;
	uint32_t affinity_s; /* 0: none */
	bool external_local, internal_local;
};

struct slice_port {
	char *name;
	__be16 port;
	uint8_t proto;
};

struct slice_endpoint {
	__be32 addr;
	bool ready, serving, terminating, local;
};

struct slice {
	char *service; /* "ns/name" */
	struct slice_port *ports;
	size_t n_ports;
	struct slice_endpoint *endpoints;
	size_t n_endpoints;
};

/* NULL when this proxy does not serve it: headless, ExternalName, another proxy's. */
struct service *model_service_parse(const json_t *obj);
void model_service_free(struct service *s);
/* `node_name` tells local endpoints. NULL when it is no IPv4 slice of a Service. */
struct slice *model_slice_parse(const json_t *obj, const char *node_name);
void model_slice_free(struct slice *s);

int model_ip_parse(const char *text, __be32 *ret_addr) must_check;
/* "10.0.0.0/8" or "10.0.0.1", blanks around allowed. */
int model_ip_range_parse(const char *text, struct ip_range *ret_range) must_check;
__be32 model_prefix_mask(uint32_t prefix_len);
