/* node.h - what controllers do about nodes: their pod range, their health, what runs on dead ones. Pure. */
#pragma once

#include "roles/controllers/actions.h"
#include "roles/controllers/objects.h"

/* ---- pod ranges ---- */

/* Gives every node without spec.podCIDR the lowest free range of `cluster_cidr` ("10.244.0.0/16"). */
void node_ipam_reconcile(struct objects nodes, const char *cluster_cidr, struct actions *out);

/* ---- health ---- */

#define NODE_GRACE_MS 40000 /* kube-controller-manager's --node-monitor-grace-period */

struct node_view { /* borrowed for one call */
	const json_t *node;
	struct objects pods; /* on it */
	uint64_t silent_ms;  /* since its last heartbeat was seen */
	int64_t now_ms;
};
/* Ready=Unknown when silent too long, taints that follow from the conditions, pods of a silent node not ready. */
void node_lifecycle_reconcile(const struct node_view *v, struct actions *out);
/* Deletes pods that do not tolerate a NoExecute taint (any longer). */
void taint_eviction_reconcile(const struct node_view *v, struct actions *out);
