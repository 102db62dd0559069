/* services_int.h - what services.c, slices.c and fill.c share: a Service, its slices, and the backends that want them. */
#pragma once

#include "roles/ingress/route/model_int.h"

struct service_port {
	const char *name, *target; /* target: a name, or a number as text; "" */
	uint16_t number;
	bool udp;
};

/* One EndpointSlice, one block. Addresses of type FQDN are names, which are resolved. */
struct slice_port {
	const char *name;
	uint16_t number;
	bool udp;
};
struct slice_endpoint {
	const char *address, *pod; /* pod: "ns/name" or "" */
	bool draining;
};
struct slice {
	char *key; /* "ns/name" */
	struct slice *next;
	struct service *service;
	unsigned n_ports, n_endpoints;
	bool fqdn;
	struct slice_port *ports;
	struct slice_endpoint *endpoints;
};

/* services.c: the Service of this name, made for whoever comes first: itself, a slice, a backend. */
struct service *service_get(struct model *m, const char *ns, const char *name);
void service_release(struct model *m, struct service *s); /* frees it when none of them is left */
void service_dirty(struct model *m, struct service *s);	  /* its backends are filled anew */
/* "": it has none. The Service exists. */
void service_addresses(const struct service *s, const char **ret_cluster_ip, const char **ret_external);
/* By name or number, else by target, as ingress-nginx does; "" is the first. Names and numbers of UDP's ports end with
 * MODEL_UDP: DNS has 53 twice. */
bool service_find_port(const struct service *s, const char *want, struct service_port *ret);

/* fill.c: the endpoints of a backend. */
void service_fill(struct model *m, struct service *s, struct backend *b);
/* All that want names are filled in between; afterwards names that nobody asked for are forgotten. */
void resolved_sweep_begin(struct model *m);
void resolved_sweep_end(struct model *m);
void resolved_free(void *resolved);
