#include "roles/controllers/scheduler/schedule.h"

#include "kube/object/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REASON_BYTES 192
#define REASONS_MAX 32 /* different ones; what is beyond does not change the answer */

/* ---- reasons ---- */

struct reasons {
	struct {
		char text[REASON_BYTES];
		size_t nodes;
	} at[REASONS_MAX];
	size_t n;
};

static void reason_add(struct reasons *rs, const char *text)
{
	size_t i;

	for (i = 0; i < rs->n && strcmp(rs->at[i].text, text) != 0; i++)
		;
	if (i == REASONS_MAX)
		return;
	if (i == rs->n) {
		snprintf(rs->at[i].text, REASON_BYTES, "%s", text);
		rs->n++;
	}
	rs->at[i].nodes++;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void explain(const struct reasons *rs, size_t n_nodes, struct buf *why)
{
	char *lines[REASONS_MAX];

	if (!n_nodes) {
		buf_puts(why, "no nodes available to schedule pods");
		return;
	}
	for (size_t i = 0; i < rs->n; i++)
		lines[i] = xasprintf("%zu %s", rs->at[i].nodes, rs->at[i].text);
	qsort(lines, rs->n, sizeof(lines[0]), by_text);
	buf_printf(why, "0/%zu nodes are available:", n_nodes);
	for (size_t i = 0; i < rs->n; i++) {
		buf_printf(why, "%s %s", i ? "," : "", lines[i]);
		free(lines[i]);
	}
	buf_putc(why, '.');
}

/* ---- filters: each says no by adding reasons ---- */

static bool repels(const json_t *taint, const json_t *pod, struct reasons *rs)
{
	const char *effect = jx_str_or(taint, "effect", "");
	char text[REASON_BYTES];

	if (strcmp(effect, "PreferNoSchedule") == 0 ||
	    taint_tolerated(taint, jx_at(pod, "spec.tolerations")))
		return false;
	snprintf(text, sizeof(text), "node(s) had untolerated taint {%s: %s}",
		 jx_str_or(taint, "key", ""), jx_str_or(taint, "value", ""));
	reason_add(rs, text);
	return true;
}

static bool fits_unschedulable(const json_t *pod, const struct sched_node *n, struct reasons *rs)
{
	cleanup(json_decrefp) json_t *taint = NULL;

	if (!jx_bool(n->node, "spec.unschedulable", false))
		return true;
	taint = json_pack("{s:s,s:s}", "key", "node.kubernetes.io/unschedulable", "effect",
			  "NoSchedule");
	if (taint_tolerated(taint, jx_at(pod, "spec.tolerations")))
		return true;
	reason_add(rs, "node(s) were unschedulable");
	return false;
}

static bool fits_taints(const json_t *pod, const struct sched_node *n, struct reasons *rs)
{
	cleanup(json_decrefp) json_t *not_ready = NULL;
	const json_t *taint;
	size_t i;

	json_array_foreach(jx_at(n->node, "spec.taints"), i, taint)
		if (repels(taint, pod, rs))
			return false;
	if (condition_is(n->node, "Ready", "True"))
		return true;
	/* The taint that says so comes a moment after the condition. */
	not_ready = json_pack("{s:s,s:s}", "key", "node.kubernetes.io/not-ready", "effect",
			      "NoSchedule");
	return !repels(not_ready, pod, rs);
}

static bool fits_selector(const json_t *pod, const struct sched_node *n, struct reasons *rs)
{
	if (node_matches(n->node, pod))
		return true;
	reason_add(rs, "node(s) didn't match Pod's node affinity/selector");
	return false;
}

static bool fits_ports(const json_t *pod, const struct sched_node *n, struct reasons *rs)
{
	if (host_ports_free(pod, n->pods))
		return true;
	reason_add(rs, "node(s) didn't have free ports for the requested pod ports");
	return false;
}

static int64_t allocatable(const json_t *node, const char *name, bool milli)
{
	const char *text =
		json_string_value(json_object_get(jx_at(node, "status.allocatable"), name));
	int64_t n;

	if (!text ||
	    (milli ? quantity_milli(str_of(text), &n) : quantity_value(str_of(text), &n)) < 0)
		return 0;
	return n;
}

static struct pod_request node_used(const struct sched_node *n, int64_t *ret_pods)
{
	struct pod_request sum = { 0 };

	*ret_pods = 0;
	for (size_t i = 0; i < n->pods.n; i++) {
		struct pod_request r;

		if (pod_is_terminal(n->pods.at[i]))
			continue;
		r = pod_request(n->pods.at[i]);
		sum.cpu_milli += r.cpu_milli;
		sum.memory += r.memory;
		sum.ephemeral += r.ephemeral;
		sum.score_cpu_milli += r.score_cpu_milli;
		sum.score_memory += r.score_memory;
		++*ret_pods;
	}
	return sum;
}

static bool fits_resources(const json_t *pod, const struct sched_node *n, struct reasons *rs)
{
	struct pod_request want = pod_request(pod);
	int64_t pods;
	struct pod_request used = node_used(n, &pods);
	size_t before = 0, after = 0;

	for (size_t i = 0; i < rs->n; i++)
		before += rs->at[i].nodes;
	if (pods + 1 > allocatable(n->node, "pods", false))
		reason_add(rs, "Too many pods");
	if (want.cpu_milli && used.cpu_milli + want.cpu_milli > allocatable(n->node, "cpu", true))
		reason_add(rs, "Insufficient cpu");
	if (want.memory && used.memory + want.memory > allocatable(n->node, "memory", false))
		reason_add(rs, "Insufficient memory");
	if (want.ephemeral &&
	    used.ephemeral + want.ephemeral > allocatable(n->node, "ephemeral-storage", false))
		reason_add(rs, "Insufficient ephemeral-storage");
	for (size_t i = 0; i < rs->n; i++)
		after += rs->at[i].nodes;
	return after == before;
}

static bool (*const filters[])(const json_t *pod, const struct sched_node *n,
			       struct reasons *rs) = {
	fits_unschedulable, fits_taints, fits_selector, fits_ports, fits_resources,
};

/* ---- score ---- */

static int64_t percent_free(int64_t used, int64_t total)
{
	return total > used ? (total - used) * 100 / total : 0;
}

static int64_t preference(const json_t *pod, const json_t *node)
{
	const json_t *terms = jx_at(pod, "spec.affinity.nodeAffinity."
					 "preferredDuringSchedulingIgnoredDuringExecution");
	const json_t *t;
	int64_t sum = 0;
	size_t i;

	json_array_foreach(terms, i, t)
		if (node_term_matches(node, json_object_get(t, "preference")))
			sum += jx_int(t, "weight", 0);
	json_array_foreach(jx_at(node, "spec.taints"), i, t)
		if (c_eq(jx_str(t, "effect"), "PreferNoSchedule") &&
		    !taint_tolerated(t, jx_at(pod, "spec.tolerations")))
			sum -= 100;
	return sum;
}

/* Least allocated, and away from pods of the same controller. */
int64_t node_score(const json_t *pod, const struct sched_node *n)
{
	struct pod_request want = pod_request(pod);
	int64_t pods, siblings = 0;
	struct pod_request used = node_used(n, &pods);
	const char *owner = controller_uid(pod);

	for (size_t i = 0; i < n->pods.n && owner; i++)
		siblings += c_eq(controller_uid(n->pods.at[i]), owner);
	return (percent_free(used.score_cpu_milli + want.score_cpu_milli,
			     allocatable(n->node, "cpu", true)) +
		percent_free(used.score_memory + want.score_memory,
			     allocatable(n->node, "memory", false))) /
		       2 -
	       siblings * 100 + preference(pod, n->node);
}

const char *schedule(const struct sched_view *v, struct buf *why)
{
	const struct sched_node *best = NULL;
	struct reasons rs = { 0 };
	int64_t best_score = 0;

	for (size_t i = 0; i < v->n_nodes; i++) {
		const struct sched_node *n = &v->nodes[i];
		bool fits = true;

		for (size_t k = 0; k < ARRAY_LEN(filters) && fits; k++)
			fits = filters[k](v->pod, n, &rs);
		if (!fits)
			continue;
		int64_t score = node_score(v->pod, n);
		if (!best || score > best_score) {
			best = n;
			best_score = score;
		}
	}
	if (!best)
		explain(&rs, v->n_nodes, why);
	return best ? jx_name(best->node) : NULL;
}
