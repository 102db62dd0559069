/* zone_int.h - the zone's tables, for zone.c, zone_load.c and zone_answer.c. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "roles/dns/zone.h"

struct zone_ip {
	uint8_t len; /* 4 or 16; 0: none */
	uint8_t bytes[16];
};

struct zone_port {
	char *name;	  /* lower case; "" if unnamed */
	char protocol[8]; /* lower case */
	uint16_t number;
};

struct zone_endpoint {
	struct zone_ip ip;
	uint8_t *host; /* a label: its length, then its bytes */
};

struct zone_service;
struct zone_slice {
	struct zone_service *service;
	struct list link; /* in the service's slices */
	struct zone_endpoint *endpoints;
	struct zone_port *ports;
	size_t n_endpoints, n_ports;
};

enum zone_kind { KIND_CLUSTER_IP, KIND_HEADLESS, KIND_EXTERNAL };

/* A ready endpoint of a service, and the slice whose ports it has. */
struct zone_ref {
	const struct zone_slice *slice;
	const struct zone_endpoint *endpoint;
	bool repeated; /* the same address comes before, in another slice */
};

struct zone_service {
	char *key;	       /* "ns/name" */
	uint8_t *owner; /* "web.default" in wire form, without what follows */
	uint8_t owner_len;
	bool present;	       /* the Service itself was seen; slices may come before it */
	enum zone_kind kind;
	struct zone_ip ips[2];
	size_t n_ips;
	struct zone_port *ports;
	size_t n_ports;
	struct dns_name *external;
	struct list slices;
	struct zone_ref *refs; /* sorted by host, then address */
	size_t n_refs;
	struct list nodes, reverses; /* what the tables hold because of this service */
};

enum node_kind { NODE_NAMESPACE, NODE_SERVICE, NODE_ENDPOINT, NODE_PORT };

/* A name below svc.<zone>, under its labels in wire form: "\3web\7default". Of ports, the labels
 * have no underscores. */
struct zone_node {
	enum node_kind kind;
	struct list link;
	const struct zone_service *service;
	size_t first, n;	      /* NODE_ENDPOINT: the refs of this host */
	const struct zone_port *port; /* NODE_PORT: its name and protocol */
	size_t key_len;
	uint8_t key[];
};

/* A service that has this address, or an endpoint of it that has. */
struct zone_reverse {
	struct list link, of_service;
	const struct zone_service *service;
	const struct zone_ref *ref; /* NULL: a ClusterIP */
	struct zone_ip ip;
};

struct zone {
	struct dns_name name, svc; /* svc: "svc.<zone>" */
	uint32_t ttl, serial;
	bool synced;
	struct map names;    /* wire labels → struct zone_node */
	struct map reverse;  /* address bytes → struct list of struct zone_reverse */
	struct map services; /* "ns/name" → struct zone_service */
	struct map slices;   /* "ns/name" → struct zone_slice */
};

/* zone_load.c: objects into structs. */
void old_service_load(struct zone_service *s, const json_t *obj);
void old_service_unload(struct zone_service *s);
struct zone_slice *old_slice_load(const json_t *obj);
void old_slice_free(struct zone_slice *s);
bool old_zone_ip_parse(const char *text, struct zone_ip *ret);

static inline bool zone_port_is(const struct zone_port *a, const struct zone_port *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->protocol, b->protocol) == 0;
}

/* Labels: the shorter first, then by their bytes. */
static inline int zone_label_cmp(const uint8_t *a, const uint8_t *b)
{
	return a[0] != b[0] ? a[0] - b[0] : memcmp(a + 1, b + 1, a[0]);
}
