/* pod_gc.h - pods that nobody else cleans up: of vanished nodes, unbound and deleted, or simply too many that
 * have ended. kubernetes pkg/controller/podgc. Pure. */
#pragma once

#include "roles/controllers/actions.h"
#include "roles/controllers/objects.h"

#define TERMINATED_PODS_MAX 12500 /* kube-controller-manager's --terminated-pod-gc-threshold */
#define NODE_GONE_MS 40000	  /* a node that comes back within this keeps its pods */

struct pod_gc_view { /* borrowed for one call */
	struct objects pods; /* all */
	/* How long the node has been missing; 0: it is there. */
	uint64_t (*missing_ms)(void *ctx, const char *node);
	void *ctx;
	size_t terminated_max;
};
void pod_gc_reconcile(const struct pod_gc_view *v, struct actions *out);
