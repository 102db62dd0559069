/* The controllers around node health: when a node was last heard of, and whom that concerns. */
#include "base/map.h"
#include "roles/controllers/controllers.h"
#include "roles/controllers/node.h"

static void heard(struct controller_run *c, const char *name)
{
	uint64_t *at = map_get_c(c->state, name);

	if (!at) {
		at = xcalloc(1, sizeof(*at));
		map_put_c(c->state, name, at);
	}
	*at = loop_now_ms(kit_loop(c->kit));
}

/* Silence while we ourselves heard nothing at all says nothing about the node. */
static uint64_t silent_ms(const struct controller_run *c, const char *name)
{
	const uint64_t *at = map_get_c(c->state, name);
	uint64_t now = loop_now_ms(kit_loop(c->kit));
	uint64_t since = MAX(at ? *at : now, kit_failed_ms(c->kit, KK_LEASE));

	return now - MAX(since, kit_failed_ms(c->kit, KK_NODE));
}

static void node_lifecycle_sync(struct controller_run *c, const char *key, struct actions *out)
{
	const json_t *node = kit_get(c->kit, KK_NODE, NULL, key);

	if (!node)
		return;
	node_lifecycle_reconcile(
		&(struct node_view){ .node = node,
				     .pods = kit_lookup(c->kit, KK_POD, KI_NODE, key),
				     .silent_ms = silent_ms(c, key),
				     .now_ms = wall_now_ms() },
		out);
}

static const char *heartbeat_of(const json_t *node)
{
	return jx_str(condition_get(node, "Ready"), "lastHeartbeatTime");
}

static void node_lifecycle_seen(struct controller_run *c, enum kit_kind kind, const json_t *old,
				const json_t *obj)
{
	const char *name = jx_name(obj ? obj : old);

	if (kind == KK_LEASE) {
		if (obj && !c_eq(jx_str(old, "spec.renewTime"), jx_str(obj, "spec.renewTime")))
			heard(c, name);
		return;
	}
	if (!obj) {
		free(map_del_c(c->state, name));
		return;
	}
	if (!old || !c_eq(heartbeat_of(old), heartbeat_of(obj)))
		heard(c, name);
	controller_add(c, name);
}

static int node_lifecycle_start(struct controller_run *c, struct err *e)
{
	(void)e;
	c->state = xcalloc(
		1, sizeof(struct map)); /* node → when it was last heard of, in loop_now_ms */
	map_init(c->state);
	return 0;
}

static void node_lifecycle_stop(struct controller_run *c)
{
	if (c->state)
		map_done(c->state, free);
	free(c->state);
}

const struct controller controller_node_lifecycle = {
	.component = "node-controller",
	.kinds = 1 << KK_NODE | 1 << KK_LEASE,
	.seen = node_lifecycle_seen,
	.sync = node_lifecycle_sync,
	.start = node_lifecycle_start,
	.stop = node_lifecycle_stop,
};

/* ---- eviction ---- */

static bool evicts(const json_t *node)
{
	const json_t *t;
	size_t i;

	json_array_foreach(jx_at(node, "spec.taints"), i, t)
		if (c_eq(jx_str(t, "effect"), "NoExecute"))
			return true;
	return false;
}

static void taint_eviction_sync(struct controller_run *c, const char *key, struct actions *out)
{
	const json_t *node = kit_get(c->kit, KK_NODE, NULL, key);

	if (!node || !evicts(node))
		return;
	taint_eviction_reconcile(
		&(struct node_view){ .node = node,
				     .pods = kit_lookup(c->kit, KK_POD, KI_NODE, key),
				     .now_ms = wall_now_ms() },
		out);
}

static void taint_eviction_seen(struct controller_run *c, enum kit_kind kind, const json_t *old,
				const json_t *obj)
{
	const char *name = kind == KK_POD ? jx_str(obj, "spec.nodeName") : jx_name(obj);

	(void)old;
	if (!name || !name[0])
		return;
	if (evicts(kind == KK_POD ? kit_get(c->kit, KK_NODE, NULL, name) : obj))
		controller_add(c, name);
}

const struct controller controller_taint_eviction = {
	.component = "taint-eviction-controller",
	.kinds = 1 << KK_POD | 1 << KK_NODE,
	.seen = taint_eviction_seen,
	.sync = taint_eviction_sync,
};
