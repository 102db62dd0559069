/* plan.h - the frontends and backends that one Service wants on this node: a pure function.
 *
 * Sources: kube-proxy's documented behaviour of traffic policies and terminating endpoints (KEP-1669, KEP-2086).
 */
#pragma once

#include "roles/proxy/model.h"

struct plan_list {
	struct svc_backend *at; /* sorted, no duplicates */
	size_t n;
	uint8_t proto;
};

struct plan_frontend {
	struct svc_key key;
	uint8_t flags;
	uint16_t port; /* index of the service port it belongs to */
	uint32_t list; /* index of its backends */
};

struct plan {
	struct plan_list *lists;
	size_t n_lists;
	struct plan_frontend *frontends;
	size_t n_frontends;
	struct ip_range *sources; /* for every port's frontends with SVC_SOURCES */
	size_t n_sources;
	size_t n_ports;
	uint32_t affinity_s;
};

/* A NULL service wants nothing. */
void proxy_plan_build(const struct service *s, const struct slice *const *slices, size_t n_slices,
		      struct plan *ret_plan);
void proxy_plan_done(struct plan *p);
bool proxy_plan_list_eq(const struct svc_backend *a, const struct svc_backend *b, size_t n);
