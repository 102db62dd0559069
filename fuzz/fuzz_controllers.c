/* Reconcile functions on objects that no validation has seen: [subject, [related, …], [pods, …]]. */
#include "base/limits.h"
#include "roles/controllers/deployment.h"
#include "roles/controllers/discovery.h"
#include "roles/controllers/endpoints.h"
#include "roles/controllers/node.h"
#include "roles/controllers/replicaset.h"
#include "roles/controllers/scheduler/schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct objects objects_of(const json_t *list)
{
	struct objects o = { .at = xcalloc(json_array_size(list) + 1, sizeof(*o.at)) };
	const json_t *v;
	size_t i;

	/* What the caches hold: an object with a name. */
	json_array_foreach(list, i, v)
		if (json_is_object(v) && jx_name(v))
			o.at[o.n++] = v;
	return o;
}

static void schedule_on(const json_t *pod, struct objects nodes, struct objects pods)
{
	struct sched_node *at = xcalloc(nodes.n + 1, sizeof(*at));
	struct buf why;

	for (size_t i = 0; i < nodes.n; i++)
		at[i] = (struct sched_node){ nodes.at[i], pods };
	buf_init(&why, 4096);
	schedule(&(struct sched_view){ pod, at, nodes.n }, &why);
	buf_done(&why);
	free(at);
}

static void reconcile_all(const json_t *subject, struct objects related, struct objects pods)
{
	struct actions out;

	actions_init(&out);
	deployment_reconcile(&(struct deployment_view){ .deployment = subject, .replicasets = related }, &out);
	replicaset_reconcile(&(struct replicaset_view){ .replicaset = subject, .pods = pods, .related = pods }, &out);
	struct endpoints_view v = { .service = subject, .pods = pods, .slices = related };
	endpointslice_reconcile(&v, &out);
	v.endpoints = related.n ? related.at[0] : NULL;
	endpoints_reconcile(&v, &out);
	const struct node_view n = { .node = subject, .pods = pods, .silent_ms = pods.n % 2 * NODE_GRACE_MS };
	node_lifecycle_reconcile(&n, &out);
	taint_eviction_reconcile(&n, &out);
	node_ipam_reconcile(related, "10.0.0.0/23", &out);
	actions_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e;
	json_t *doc = jx_parse((struct str){ (const char *)data, size }, LIMIT_OBJECT_BYTES, &e);
	const json_t *subject = json_array_get(doc, 0);
	struct objects related = objects_of(json_array_get(doc, 1)), pods = objects_of(json_array_get(doc, 2));
	struct discovery d = { 0 };

	if (json_is_object(subject) && jx_name(subject)) {
		reconcile_all(subject, related, pods);
		schedule_on(subject, related, pods);
	}
	if (doc)
		discovery_add(&d, doc);
	discovery_done(&d);
	free(related.at);
	free(pods.at);
	json_decref(doc);
	return 0;
}
