/* deployment.h - Deployments: which ReplicaSets there are to be, and how large. apps/v1.
 *
 * Behaviour, annotations, reasons and messages are those of kubernetes pkg/controller/deployment:
 * kubectl rollout reads them.
 */
#pragma once

#include "base/err.h"
#include "roles/controllers/actions.h"
#include "roles/controllers/objects.h"

struct deployment_view { /* borrowed for one call */
	const json_t *deployment;
	struct objects replicasets; /* controlled by it, or its namespace's without a controller */
	const int64_t *alive_pods;  /* per ReplicaSet: pods that have not ended; NULL: none */
	const struct err *create_error; /* why the last ReplicaSet could not be made, or NULL */
	int64_t now_ms;
};
void deployment_reconcile(const struct deployment_view *v, struct actions *out);

/* ---- the pieces, shared by deployment_*.c ---- */

#define HASH_LABEL "pod-template-hash"
#define REVISION "deployment.kubernetes.io/revision"
#define REVISION_HISTORY "deployment.kubernetes.io/revision-history"
#define DESIRED_REPLICAS "deployment.kubernetes.io/desired-replicas"
#define MAX_REPLICAS "deployment.kubernetes.io/max-replicas"

struct rs_plan { /* a ReplicaSet, and what becomes of it in this reconciliation */
	const json_t *obj; /* for the one that is being made: our own tree */
	const char *name;
	int64_t replicas;  /* spec.replicas, as planned */
	int64_t actual, ready, available; /* status */
	int64_t created_ms, alive_pods;
	json_t *patch;	   /* merge patch to send, or NULL */
	int64_t scaled_from; /* -1: not scaled */
	bool made;	   /* does not exist yet */
};
struct rollout {
	const struct deployment_view *v;
	const json_t *d;
	struct actions *out;
	int64_t replicas, max_surge, max_unavailable; /* max_unavailable is at most replicas */
	bool rolling, paused;
	int64_t deadline_s; /* progressDeadlineSeconds, -1: none */
	struct rs_plan *rs; /* sorted by creation; room for one more */
	size_t n;
	struct rs_plan *new_rs; /* that of the current template, or NULL */
	json_t *conditions;	/* working copy of status.conditions */
	int64_t collisions;	/* status.collisionCount */
};

/* deployment_revision.c */
void template_hash(const json_t *tmpl, int64_t collisions, char out[16]);
bool template_equal(const json_t *a, const json_t *b); /* but for the hash label */
/* Finds the ReplicaSet of the current template, keeps its annotations and the Deployment's revision right;
 * makes it if there is none and `create`. */
void rollout_find_new(struct rollout *r, bool create);
void rollout_clean_up(struct rollout *r); /* revisionHistoryLimit */
void rs_annotate(struct rs_plan *rs, const char *name, const char *value); /* no change: nothing */
void rs_annotate_size(const struct rollout *r, struct rs_plan *rs);

/* deployment_status.c */
void rollout_condition(struct rollout *r, const char *type, const char *status, const char *reason,
		       const char *fmt, ...) printf_like(5, 6);
bool rollout_complete(const struct rollout *r); /* by the observed status */
void rollout_status(struct rollout *r, bool progress); /* progress: judge the deadline, too */

/* deployment_reconcile.c */
bool rs_scale(struct rollout *r, struct rs_plan *rs, int64_t replicas); /* true if the size changes */
int64_t rollout_new_size(const struct rollout *r, const struct rs_plan *rs);
/* deployment_scale.c */
void rollout_scale(struct rollout *r); /* proportionally over all active ReplicaSets */
