#include "roles/controllers/pod_gc.h"

#include "base/map.h"
#include "roles/controllers/controllers.h"

#define ALL_PODS "pods"
#define PERIOD_MS 20000 /* upstream's gcCheckPeriod: ended pods are no hurry */

static void collect_orphan(const struct pod_gc_view *v, const json_t *pod, struct actions *out)
{
	const char *node = jx_str_or(pod, "spec.nodeName", "");
	uint64_t missing = node[0] ? v->missing_ms(v->ctx, node) : 0;

	if (!node[0] && being_deleted(pod))
		act_delete(out, KK_POD, pod, 0); /* no node agent will ever confirm its end */
	else if (missing >= NODE_GONE_MS)
		act_delete(out, KK_POD, pod, 0);
	else if (missing)
		actions_requeue(out, NODE_GONE_MS - missing);
}

static int by_creation(const void *a, const void *b)
{
	int64_t x = created_ms(*(const json_t *const *)a),
		y = created_ms(*(const json_t *const *)b);

	return (x > y) - (x < y);
}

static void collect_ended(const struct pod_gc_view *v, struct actions *out)
{
	cleanup(freep) const json_t **ended = xcalloc(v->pods.n + 1, sizeof(*ended));
	size_t n = 0;

	for (size_t i = 0; i < v->pods.n; i++)
		if (pod_is_terminal(v->pods.at[i]) && !being_deleted(v->pods.at[i]))
			ended[n++] = v->pods.at[i];
	if (n <= v->terminated_max)
		return;
	qsort(ended, n, sizeof(*ended), by_creation);
	for (size_t i = 0; i < n - v->terminated_max; i++)
		act_delete(out, KK_POD, ended[i], 0);
}

void pod_gc_reconcile(const struct pod_gc_view *v, struct actions *out)
{
	for (size_t i = 0; i < v->pods.n; i++)
		collect_orphan(v, v->pods.at[i], out);
	collect_ended(v, out);
}

/* ---- the controller ---- */

static uint64_t missing_ms(void *ctx, const char *node)
{
	struct controller_run *c = ctx;
	uint64_t now = loop_now_ms(kit_loop(c->kit)), *since = map_get_c(c->state, node);

	if (kit_get(c->kit, KK_NODE, NULL, node)) {
		free(map_del_c(c->state, node));
		return 0;
	}
	if (!since) {
		since = xmalloc(sizeof(*since));
		*since = now;
		map_put_c(c->state, node, since);
	}
	return MAX(now - *since, (uint64_t)1);
}

static bool collect(void *ctx, const json_t *pod)
{
	struct objects *all = ctx;

	all->at[all->n++] = pod;
	return true;
}

static void pod_gc_sync(struct controller_run *c, const char *key, struct actions *out)
{
	struct pod_gc_view v = { .missing_ms = missing_ms,
				 .ctx = c,
				 .terminated_max = TERMINATED_PODS_MAX };

	(void)key;
	v.pods.at = xcalloc(kit_count(c->kit, KK_POD) + 1, sizeof(*v.pods.at));
	kit_each(c->kit, KK_POD, collect, &v.pods);
	pod_gc_reconcile(&v, out);
	free(v.pods.at);
}

static void pod_gc_seen(struct controller_run *c, enum kit_kind kind, const json_t *old,
			const json_t *obj)
{
	const char *node = jx_str_or(obj, "spec.nodeName", "");

	(void)old;
	if (kind == KK_NODE) {
		if (!obj)
			controller_add(c, ALL_PODS);
	} else if (obj && ((node[0] && !kit_get(c->kit, KK_NODE, NULL, node)) ||
			   (!node[0] && being_deleted(obj)))) {
		controller_add(c, ALL_PODS);
	} else if (obj && pod_is_terminal(obj)) {
		controller_add_after(c, ALL_PODS, PERIOD_MS);
	}
}

static int pod_gc_start(struct controller_run *c, struct err *e)
{
	(void)e;
	c->state = xcalloc(1, sizeof(struct map)); /* missing node → since when, in loop_now_ms */
	map_init(c->state);
	return 0;
}

static void pod_gc_stop(struct controller_run *c)
{
	if (c->state)
		map_done(c->state, free);
	free(c->state);
}

const struct controller controller_pod_gc = {
	.component = "pod-garbage-collector",
	.kinds = 1 << KK_POD | 1 << KK_NODE,
	.seen = pod_gc_seen,
	.sync = pod_gc_sync,
	.start = pod_gc_start,
	.stop = pod_gc_stop,
};
