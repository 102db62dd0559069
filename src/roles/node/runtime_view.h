/* runtime_view.h - everything the runtime had when the role started, sorted by pod. */
#pragma once

#include "roles/node/node.h"

struct runtime_ctr {
	char *id, *name;
	unsigned attempt;
	uint64_t hash;
	bool exited;
};
struct runtime_pod {
	char *uid, *ns, *name;
	char **sandbox_ids; /* the newest last */
	size_t n_sandboxes;
	unsigned sandbox_attempt;
	struct runtime_ctr *ctrs; /* by attempt, the newest last */
	size_t n_ctrs;
};
/* Calls `done` with a map uid → struct runtime_pod, which it owns; asks again until the runtime
 * answers. */
struct runtime_view;
struct runtime_view *runtime_view_get(struct node *n, void (*done)(void *ctx, struct map *pods),
				      void *ctx);
void runtime_view_cancel(
	struct runtime_view *v); /* NULL is nothing; after `done` it is gone by itself */
void runtime_pod_free(void *runtime_pod);
