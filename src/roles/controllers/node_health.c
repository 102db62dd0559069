#include "roles/controllers/node.h"

#include <string.h>

#define NOT_READY "node.kubernetes.io/not-ready"
#define UNREACHABLE "node.kubernetes.io/unreachable"

/* ---- conditions ---- */

static void condition_unknown(json_t *list, const json_t *node, const char *type, int64_t now_ms)
{
	const json_t *had = condition_get(node, type);
	json_t *c;
	char now[TIME_TEXT_BYTES];

	if (c_eq(jx_str(had, "status"), "Unknown"))
		return;
	time_text(now_ms, now);
	c = json_object();
	jx_set_str(c, "type", type);
	jx_set_str(c, "status", "Unknown");
	jx_set_str(c, "reason", had ? "NodeStatusUnknown" : "NodeStatusNeverUpdated");
	jx_set_str(c, "message",
		   had ? "Kubelet stopped posting node status."
		       : "Kubelet never posted node status.");
	jx_set_str(c, "lastTransitionTime", now);
	if (!had)
		jx_set_str(c, "lastHeartbeatTime",
			   jx_str_or(node, "metadata.creationTimestamp", now));
	json_array_append_new(list, c);
}

static void mark_silent(const struct node_view *v, struct actions *out)
{
	static const char *const types[] = { "Ready", "MemoryPressure", "DiskPressure",
					     "PIDPressure" };
	json_t *list = json_array(), *patch;

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		condition_unknown(list, v->node, types[i], v->now_ms);
	if (!json_array_size(list)) {
		json_decref(list);
		return;
	}
	patch = json_object();
	jx_set(patch, "status.conditions", list);
	act_patch(out, KK_NODE, v->node, "status", KUBE_STRATEGIC_PATCH, patch);
	act_event(out, v->node, "Normal", "NodeNotReady", "Node %s status is now: NodeNotReady",
		  jx_name(v->node));
}

static void mark_pods_not_ready(const struct node_view *v, struct actions *out)
{
	char now[TIME_TEXT_BYTES];

	time_text(v->now_ms, now);
	for (size_t i = 0; i < v->pods.n; i++) {
		const json_t *pod = v->pods.at[i];
		json_t *patch, *list, *c;

		if (!pod_is_ready(pod))
			continue;
		patch = json_object();
		list = json_array();
		c = json_deep_copy(condition_get(pod, "Ready"));
		jx_set_str(c, "status", "False");
		jx_set_str(c, "lastTransitionTime", now);
		json_array_append_new(list, c);
		jx_set(patch, "status.conditions", list);
		act_patch(out, KK_POD, pod, "status", KUBE_STRATEGIC_PATCH, patch);
		act_event(out, pod, "Warning", "NodeNotReady", "Node is not ready");
	}
}

/* ---- taints ---- */

/* Taints that mirror a condition: nobody else sets or removes them. */
static const struct taint_row {
	const char *condition, *status, *key;
	bool no_execute; /* also with effect NoExecute */
} taint_rows[] = {
	{ "Ready", "False", NOT_READY, true },
	{ "Ready", "Unknown", UNREACHABLE, true },
	{ "MemoryPressure", "True", "node.kubernetes.io/memory-pressure", false },
	{ "DiskPressure", "True", "node.kubernetes.io/disk-pressure", false },
	{ "PIDPressure", "True", "node.kubernetes.io/pid-pressure", false },
	{ "NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable", false },
	{ NULL, NULL, "node.kubernetes.io/unschedulable", false },
};

static bool row_holds(const struct taint_row *row, const json_t *node)
{
	if (!row->condition)
		return jx_bool(node, "spec.unschedulable", false);
	if (!condition_get(node, "Ready") && strcmp(row->key, NOT_READY) == 0)
		return true; /* a node that has not said anything yet */
	return condition_is(node, row->condition, row->status);
}

static const json_t *taint_find(const json_t *taints, const char *key, const char *effect)
{
	const json_t *t;
	size_t i;

	json_array_foreach(taints, i, t)
		if (c_eq(jx_str(t, "key"), key) && c_eq(jx_str(t, "effect"), effect))
			return t;
	return NULL;
}

static bool is_ours(const json_t *taint)
{
	const char *effect = jx_str_or(taint, "effect", "");

	for (size_t i = 0; i < ARRAY_LEN(taint_rows); i++)
		if (c_eq(jx_str(taint, "key"), taint_rows[i].key))
			return strcmp(effect, "NoSchedule") == 0 ||
			       (taint_rows[i].no_execute && strcmp(effect, "NoExecute") == 0);
	return false;
}

static void taint_put(json_t *list, const json_t *old, const char *key, const char *effect,
		      int64_t now_ms)
{
	const json_t *had = taint_find(old, key, effect);
	char now[TIME_TEXT_BYTES];
	json_t *t;

	if (had) {
		json_array_append(list, (json_t *)had);
		return;
	}
	t = json_object();
	jx_set_str(t, "key", key);
	jx_set_str(t, "effect", effect);
	jx_set_str(t, "timeAdded", time_text(now_ms, now));
	json_array_append_new(list, t);
}

static void sync_taints(const struct node_view *v, struct actions *out)
{
	const json_t *old = jx_at(v->node, "spec.taints"), *t;
	json_t *wanted = json_array(), *patch;
	size_t i;

	json_array_foreach(old, i, t)
		if (!is_ours(t))
			json_array_append(wanted, (json_t *)t);
	for (i = 0; i < ARRAY_LEN(taint_rows); i++) {
		if (!row_holds(&taint_rows[i], v->node))
			continue;
		taint_put(wanted, old, taint_rows[i].key, "NoSchedule", v->now_ms);
		if (taint_rows[i].no_execute && condition_get(v->node, "Ready"))
			taint_put(wanted, old, taint_rows[i].key, "NoExecute", v->now_ms);
	}
	bool same = json_array_size(wanted) == json_array_size(old);
	json_array_foreach(wanted, i, t)
		same = same && taint_find(old, jx_str_or(t, "key", ""), jx_str_or(t, "effect", ""));
	if (same) {
		json_decref(wanted);
		return;
	}
	patch = json_object();
	/* Others write taints as well: theirs must not be lost. */
	jx_set_str(patch, "metadata.resourceVersion", jx_str(v->node, "metadata.resourceVersion"));
	jx_set(patch, "spec.taints", wanted);
	act_patch(out, KK_NODE, v->node, NULL, KUBE_MERGE_PATCH, patch);
}

void node_lifecycle_reconcile(const struct node_view *v, struct actions *out)
{
	if (being_deleted(v->node))
		return;
	if (v->silent_ms < NODE_GRACE_MS) {
		actions_requeue(out, NODE_GRACE_MS - v->silent_ms);
		sync_taints(v, out);
		return;
	}
	if (condition_is(v->node, "Ready", "Unknown")) {
		sync_taints(v, out);
		mark_pods_not_ready(v, out);
	} else {
		mark_silent(v, out); /* the rest follows when the cache shows it */
	}
}

/* ---- eviction ---- */

/* Until when a pod stands a taint: INT64_MAX for ever, 0 not at all. */
static int64_t stands_until_ms(const json_t *pod, const json_t *taint, int64_t now_ms)
{
	const json_t *t;
	int64_t since, seconds = INT64_MAX;
	bool any = false;
	size_t i;

	json_array_foreach(jx_at(pod, "spec.tolerations"), i, t) {
		if (!toleration_covers(t, taint))
			continue;
		any = true;
		if (json_object_get(t, "tolerationSeconds"))
			seconds = MIN(seconds, MAX(jx_int(t, "tolerationSeconds", 0), 0));
	}
	if (!any)
		return 0;
	if (seconds > INT32_MAX)
		return INT64_MAX;
	if (time_parse(jx_str(taint, "timeAdded"), &since) < 0)
		since = now_ms;
	return since + seconds * 1000;
}

static void consider(const struct node_view *v, const json_t *pod, struct actions *out)
{
	const json_t *taint;
	int64_t until = INT64_MAX;
	size_t i;

	if (being_deleted(pod) || pod_is_terminal(pod))
		return;
	json_array_foreach(jx_at(v->node, "spec.taints"), i, taint)
		if (c_eq(jx_str(taint, "effect"), "NoExecute"))
			until = MIN(until, stands_until_ms(pod, taint, v->now_ms));
	if (until == INT64_MAX)
		return;
	if (until > v->now_ms) {
		actions_requeue(out, (uint64_t)(until - v->now_ms));
		return;
	}
	struct action *a = act_delete(out, KK_POD, pod, -1);
	act_note_done(a, pod, "TaintManagerEviction", "Marking for deletion Pod %s/%s",
		      jx_namespace(pod), jx_name(pod));
}

void taint_eviction_reconcile(const struct node_view *v, struct actions *out)
{
	for (size_t i = 0; i < v->pods.n; i++)
		consider(v, v->pods.at[i], out);
}
