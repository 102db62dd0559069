/* replicaset.h - ReplicaSets: as many pods as asked for. apps/v1; kubernetes pkg/controller/replicaset. */
#pragma once

#include "base/err.h"
#include "roles/controllers/actions.h"
#include "roles/controllers/objects.h"

#define BURST_REPLICAS 500 /* created or deleted in one go, as upstream */

struct replicaset_view { /* borrowed for one call */
	const json_t *replicaset;
	struct objects pods;	/* controlled by it, or its namespace's without a controller */
	struct objects related; /* pods of all ReplicaSets of the same owner: ranks nodes for deletion */
	const struct err *create_error; /* why the last pod could not be made, or NULL */
	int64_t now_ms;
};
void replicaset_reconcile(const struct replicaset_view *v, struct actions *out);

/* Sorts pods so that those to delete come first (ActivePodsWithRanks of pkg/controller). */
void pods_sort_for_deletion(const json_t **pods, size_t n, struct objects related, int64_t now_ms);
