/* The scheduler as a controller: a key is a pod that has no node. */
#include "base/map.h"
#include "roles/controllers/controllers.h"
#include "roles/controllers/scheduler/schedule.h"

#include <string.h>

#define WHY_BYTES_MAX 4096

struct scheduler {
	struct map
		assumed; /* pods that were bound a moment ago, and the cache does not say so: key → node */
	struct map waiting; /* pods that no node takes */
};

static char *key_of(const json_t *pod)
{
	return xasprintf("%s/%s", jx_str_or(pod, "metadata.namespace", ""), jx_name(pod));
}

static bool needs_node(const json_t *pod)
{
	return pod && !jx_str_or(pod, "spec.nodeName", "")[0] && pod_is_active(pod) &&
	       !jx_len(pod, "spec.schedulingGates") &&
	       strcmp(jx_str_or(pod, "spec.schedulerName", "default-scheduler"),
		      "default-scheduler") == 0;
}

/* ---- the view ---- */

struct nodes {
	const struct kit *kit;
	struct scheduler *s;
	struct sched_node *at;
	size_t n;
};

static bool node_add(void *ctx, const json_t *node)
{
	struct nodes *ns = ctx;
	struct sched_node *n = &ns->at[ns->n++];
	struct objects bound = kit_lookup(ns->kit, KK_POD, KI_NODE, jx_name(node));

	n->node = node;
	n->pods.at = xcalloc(bound.n + ns->s->assumed.count + 1, sizeof(*n->pods.at));
	for (size_t i = 0; i < bound.n; i++)
		n->pods.at[n->pods.n++] = bound.at[i];
	for (struct map_iter it = { 0 }; map_next(&ns->s->assumed, &it);) {
		cleanup(freep) char *key = str_dup(it.key);
		const json_t *pod = kit_get_key(ns->kit, KK_POD, key);
		if (pod && c_eq(it.value, jx_name(node)))
			n->pods.at[n->pods.n++] = pod;
	}
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct sched_node *x = a, *y = b;

	return strcmp(jx_name(x->node), jx_name(y->node));
}

static void nodes_done(struct nodes *ns)
{
	for (size_t i = 0; i < ns->n; i++)
		free(ns->at[i].pods.at);
	free(ns->at);
}

/* ---- actions ---- */

static void bind(const json_t *pod, const char *node, struct actions *out)
{
	json_t *binding = json_object();

	jx_set_str(binding, "apiVersion", "v1");
	jx_set_str(binding, "kind", "Binding");
	jx_set_str(binding, "metadata.name", jx_name(pod));
	jx_set_str(binding, "metadata.namespace", jx_namespace(pod));
	jx_set_str(binding, "metadata.uid", jx_uid(pod));
	jx_set_str(binding, "target.apiVersion", "v1");
	jx_set_str(binding, "target.kind", "Node");
	jx_set_str(binding, "target.name", node);
	struct action *a = act_create_sub(out, KK_POD, pod, "binding", binding);
	act_note_done(a, pod, "Scheduled", "Successfully assigned %s/%s to %s", jx_namespace(pod),
		      jx_name(pod), node);
	act_note_failed(a, pod, "FailedScheduling", "binding rejected: ");
}

static void report(const json_t *pod, const char *why, struct actions *out)
{
	const json_t *had = condition_get(pod, "PodScheduled");
	bool was_false = c_eq(jx_str(had, "status"), "False");
	json_t *patch, *list, *c;
	char now[TIME_TEXT_BYTES];

	if (was_false && c_eq(jx_str(had, "message"), why) &&
	    c_eq(jx_str(had, "reason"), "Unschedulable"))
		return;
	patch = json_object();
	list = json_array();
	c = json_object();
	jx_set_str(c, "type", "PodScheduled");
	jx_set_str(c, "status", "False");
	jx_set_str(c, "reason", "Unschedulable");
	jx_set_str(c, "message", why);
	jx_set_str(c, "lastTransitionTime",
		   was_false ? jx_str(had, "lastTransitionTime") : time_text(wall_now_ms(), now));
	json_array_append_new(list, c);
	jx_set(patch, "status.conditions", list);
	act_patch(out, KK_POD, pod, "status", KUBE_STRATEGIC_PATCH, patch);
	act_event(out, pod, "Warning", "FailedScheduling", "%s", why);
}

static void forget_assumed(struct scheduler *s, const char *key)
{
	free(map_del_c(&s->assumed, key));
}

static void scheduler_sync(struct controller_run *c, const char *key, struct actions *out)
{
	struct scheduler *s = c->state;
	const json_t *pod = kit_get_key(c->kit, KK_POD, key);
	struct nodes ns = { c->kit, s, NULL, 0 };
	struct buf why;

	if (controller_create_error(c, key))
		forget_assumed(s, key); /* the binding failed: choose again */
	if (!needs_node(pod) || map_get_c(&s->assumed, key))
		return;
	ns.at = xcalloc(kit_count(c->kit, KK_NODE) + 1, sizeof(*ns.at));
	kit_each(c->kit, KK_NODE, node_add, &ns);
	qsort(ns.at, ns.n, sizeof(*ns.at), by_name);
	buf_init(&why, WHY_BYTES_MAX);
	const char *node = schedule(&(struct sched_view){ pod, ns.at, ns.n }, &why);
	if (node) {
		map_put_c(&s->assumed, key, xstrdup(node));
		map_del_c(&s->waiting, key);
		bind(pod, node, out);
	} else {
		map_put_c(&s->waiting, key, s);
		report(pod, why.ptr, out);
	}
	buf_done(&why);
	nodes_done(&ns);
}

/* ---- what wakes pods up ---- */

static void wake_all(struct controller_run *c)
{
	struct scheduler *s = c->state;

	for (struct map_iter it = { 0 }; map_next(&s->waiting, &it);) {
		cleanup(freep) char *key = str_dup(it.key);
		controller_add(c, key);
	}
}

/* Heartbeats change nothing that a scheduler reads. */
static bool node_changed(const json_t *old, const json_t *node)
{
	if (!old || !node)
		return true;
	return !json_equal(jx_at(old, "spec"), jx_at(node, "spec")) ||
	       !json_equal(jx_at(old, "metadata.labels"), jx_at(node, "metadata.labels")) ||
	       !json_equal(jx_at(old, "status.allocatable"), jx_at(node, "status.allocatable")) ||
	       condition_is(old, "Ready", "True") != condition_is(node, "Ready", "True");
}

static void seen_pod(struct controller_run *c, const json_t *old, const json_t *pod)
{
	struct scheduler *s = c->state;
	cleanup(freep) char *key = key_of(pod ? pod : old);
	bool same = old && pod && c_eq(jx_uid(old), jx_uid(pod));

	if (!needs_node(pod) || !same) {
		if (!pod || jx_str_or(pod, "spec.nodeName", "")[0] || !same)
			forget_assumed(s, key);
		map_del_c(&s->waiting, key);
	}
	if (needs_node(pod))
		controller_add(c, key);
	if (!pod || (pod_is_terminal(pod) && old && !pod_is_terminal(old)))
		wake_all(c); /* its place is free */
}

static void scheduler_seen(struct controller_run *c, enum kit_kind kind, const json_t *old,
			   const json_t *obj)
{
	if (kind == KK_POD)
		seen_pod(c, old, obj);
	else if (node_changed(old, obj))
		wake_all(c);
}

static int scheduler_start(struct controller_run *c, struct err *e)
{
	struct scheduler *s = xcalloc(1, sizeof(*s));

	(void)e;
	map_init(&s->assumed);
	map_init(&s->waiting);
	c->state = s;
	return 0;
}

static void scheduler_stop(struct controller_run *c)
{
	struct scheduler *s = c->state;

	if (!s)
		return;
	map_done(&s->assumed, free);
	map_done(&s->waiting, NULL);
	free(s);
}

const struct controller controller_scheduler = {
	.component = "default-scheduler",
	.kinds = 1 << KK_POD | 1 << KK_NODE,
	.seen = scheduler_seen,
	.sync = scheduler_sync,
	.start = scheduler_start,
	.stop = scheduler_stop,
};
