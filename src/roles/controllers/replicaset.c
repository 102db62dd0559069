#include "roles/controllers/replicaset.h"

#include "kube/object/selector.h"
#include "roles/controllers/controllers.h"

/* The pods of all ReplicaSets with the same owner; without one, only its own. */
static struct objects related_pods(const struct kit *k, const json_t *rs)
{
	const char *owner = controller_uid(rs);
	struct objects siblings = owner ? kit_lookup(k, KK_REPLICASET, KI_CONTROLLER, owner)
					: (struct objects){ &rs, 1 };
	struct objects all = { 0 };
	size_t room = 0;

	for (size_t i = 0; i < siblings.n; i++)
		room += kit_lookup(k, KK_POD, KI_CONTROLLER, jx_uid(siblings.at[i])).n;
	all.at = xcalloc(room + 1, sizeof(*all.at));
	for (size_t i = 0; i < siblings.n; i++)
		objects_append(&all, kit_lookup(k, KK_POD, KI_CONTROLLER, jx_uid(siblings.at[i])));
	return all;
}

static void replicaset_sync(struct controller_run *c, const char *key, struct actions *out)
{
	const json_t *rs = kit_get_key(c->kit, KK_REPLICASET, key);

	if (!rs)
		return;
	cleanup(freep) char *orphans = xasprintf("/%s", jx_namespace(rs));
	struct objects owned = kit_lookup(c->kit, KK_POD, KI_CONTROLLER, jx_uid(rs));
	struct objects free_ones = kit_lookup(c->kit, KK_POD, KI_CONTROLLER, orphans);
	struct objects related = related_pods(c->kit, rs);
	struct replicaset_view v = { .replicaset = rs,
				     .pods.at =
					     xcalloc(owned.n + free_ones.n + 1, sizeof(*v.pods.at)),
				     .related = related,
				     .create_error = controller_create_error(c, key),
				     .now_ms = wall_now_ms() };

	objects_append(&v.pods, owned);
	objects_append(&v.pods, free_ones);
	replicaset_reconcile(&v, out);
	free(v.pods.at);
	free(related.at);
}

static void seen_pod(struct controller_run *c, const json_t *pod)
{
	const json_t *ref = controller_ref(pod);
	const char *ns = jx_str_or(pod, "metadata.namespace", "");

	if (ref) {
		cleanup(freep) char *key = xasprintf("%s/%s", ns, jx_str_or(ref, "name", ""));
		if (c_eq(jx_str(ref, "kind"), "ReplicaSet"))
			controller_add(c, key);
		return;
	}
	struct objects all = kit_lookup(c->kit, KK_REPLICASET, KI_NAMESPACE, ns);
	for (size_t i = 0; i < all.n; i++) {
		struct err e;
		struct selector *s =
			selector_of_label_selector(jx_at(all.at[i], "spec.selector"), &e);
		if (s && selector_matches(s, jx_at(pod, "metadata.labels")))
			controller_add_object(c, all.at[i]);
		selector_free(s);
	}
}

static void replicaset_seen(struct controller_run *c, enum kit_kind kind, const json_t *old,
			    const json_t *obj)
{
	if (kind == KK_REPLICASET) {
		if (obj)
			controller_add_object(c, obj);
		return;
	}
	if (old && (!obj || !c_eq(controller_uid(old), controller_uid(obj))))
		seen_pod(c, old);
	if (obj)
		seen_pod(c, obj);
}

const struct controller controller_replicaset = {
	.component = "replicaset-controller",
	.kinds = 1 << KK_REPLICASET | 1 << KK_POD,
	.seen = replicaset_seen,
	.sync = replicaset_sync,
};
