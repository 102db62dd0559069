/* schedule.h - which node a pod goes to: filters, then a score. Pure.
 *
 * Filters, their order and their words are kube-scheduler's (pkg/scheduler/framework/plugins); preemption,
 * inter-pod affinity, topology spread and volumes are not looked at.
 */
#pragma once

#include "base/buf.h"
#include "roles/controllers/objects.h"

struct sched_node {
	const json_t *node;
	struct objects pods; /* that run or are about to run there */
};
struct sched_view { /* borrowed for one call */
	const json_t *pod;
	const struct sched_node *nodes;
	size_t n_nodes;
};
/* The chosen node's name, or NULL; `why` then gets "0/2 nodes are available: …". */
const char *schedule(const struct sched_view *v, struct buf *why);

/* ---- pieces, for their own tests ---- */

struct pod_request {
	int64_t cpu_milli, memory, ephemeral; /* bytes */
	int64_t score_cpu_milli, score_memory; /* with a guess for containers that ask for nothing */
};
struct pod_request pod_request(const json_t *pod);
bool taint_tolerated(const json_t *taint, const json_t *tolerations);
bool node_matches(const json_t *node, const json_t *pod); /* nodeSelector and required node affinity */
bool node_term_matches(const json_t *node, const json_t *term);
bool host_ports_free(const json_t *pod, struct objects others);
int64_t node_score(const json_t *pod, const struct sched_node *n);
