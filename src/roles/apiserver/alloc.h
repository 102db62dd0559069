/* alloc.h - ClusterIPs and node ports of Services: who has which, decided in memory.
 *
 * The stored Services are the truth: the index is rebuilt from them at start (alloc_load), and each write
 * reserves first and then commits or rolls back with the store's answer, so that nothing leaks and nothing is
 * given twice. Addresses and ports that a write gives up stay taken until it is committed. Does no I/O.
 * KEP-3070 (service IP bands), KEP-3668 (node port bands); texts as k8s.io/kubernetes
 * pkg/registry/core/service.
 */
#pragma once

#include "kube/schema/schema.h"
#include "roles/config.h"

struct alloc;
/* service_cidr and node_port_range of `c`. */
struct alloc *alloc_new(const struct config *c, struct err *e) must_check;
void alloc_free(struct alloc *a); /* NULL is nothing */
/* At start, for each stored Service. Values outside the ranges or taken twice are kept as they are. */
void alloc_load(struct alloc *a, const json_t *service);

/* One write under way: zeroed by its owner, ended by exactly one of alloc_commit and alloc_rollback. */
struct alloc_change {
	uint32_t *take, *drop; /* owned; node ports and addresses, tagged */
	size_t n_take, n_drop;
};
/* Fills in spec.clusterIP, clusterIPs, ipFamilies, ipFamilyPolicy, ports[].nodePort and healthCheckNodePort
 * of a defaulted Service, and reserves them; it comes before strategy_prepare_* and object_validate. With
 * dry_run nothing is reserved and the free values are placeholders, as upstream's. -1 with field errors in
 * `fe`; the change is then empty. `old` of a create is NULL. */
int alloc_service(struct alloc *a, json_t *service, const json_t *old, bool dry_run,
		  struct alloc_change *ret_change, struct field_errors *fe) must_check;
/* A Service that is deleted gives back all it has. */
void alloc_delete(struct alloc *a, const json_t *service, struct alloc_change *ret_change);
void alloc_commit(struct alloc *a,
		  struct alloc_change *c); /* both free the change; an empty one is nothing */
void alloc_rollback(struct alloc *a, struct alloc_change *c);
