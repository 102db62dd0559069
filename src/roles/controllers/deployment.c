#include "roles/controllers/deployment.h"

#include "kube/object/selector.h"
#include "roles/controllers/controllers.h"

#include <string.h>

static int64_t count_alive(const struct kit *k, const json_t *rs)
{
	struct objects pods =
		kit_lookup(k, KK_POD, KI_CONTROLLER, jx_str_or(rs, "metadata.uid", ""));
	int64_t n = 0;

	for (size_t i = 0; i < pods.n; i++)
		n += !pod_is_terminal(pods.at[i]);
	return n;
}

static void deployment_sync(struct controller_run *c, const char *key, struct actions *out)
{
	const json_t *d = kit_get_key(c->kit, KK_DEPLOYMENT, key);

	if (!d)
		return;
	cleanup(freep) char *orphans = xasprintf("/%s", jx_namespace(d));
	struct objects owned = kit_lookup(c->kit, KK_REPLICASET, KI_CONTROLLER, jx_uid(d));
	struct objects free_ones = kit_lookup(c->kit, KK_REPLICASET, KI_CONTROLLER, orphans);
	cleanup(freep) const json_t **all = xcalloc(owned.n + free_ones.n + 1, sizeof(*all));
	cleanup(freep) int64_t *alive = xcalloc(owned.n + free_ones.n + 1, sizeof(*alive));
	struct deployment_view v = { .deployment = d,
				     .replicasets = { .at = all },
				     .alive_pods = alive,
				     .create_error = controller_create_error(c, key),
				     .now_ms = wall_now_ms() };

	objects_append(&v.replicasets, owned);
	objects_append(&v.replicasets, free_ones);
	for (size_t i = 0; i < owned.n; i++)
		alive[i] = count_alive(c->kit, all[i]);
	deployment_reconcile(&v, out);
}

/* Whom a ReplicaSet concerns: its owner, or, without one, every Deployment that would choose it. */
static void seen_replicaset(struct controller_run *c, const json_t *rs)
{
	const json_t *ref = controller_ref(rs);
	const char *ns = jx_str_or(rs, "metadata.namespace", "");

	if (ref && c_eq(jx_str(ref, "kind"), "Deployment")) {
		cleanup(freep) char *key = xasprintf("%s/%s", ns, jx_str_or(ref, "name", ""));
		controller_add(c, key);
	}
	if (ref)
		return;
	struct objects all = kit_lookup(c->kit, KK_DEPLOYMENT, KI_NAMESPACE, ns);
	for (size_t i = 0; i < all.n; i++) {
		struct err e;
		struct selector *s =
			selector_of_label_selector(jx_at(all.at[i], "spec.selector"), &e);
		if (s && selector_matches(s, jx_at(rs, "metadata.labels")))
			controller_add_object(c, all.at[i]);
		selector_free(s);
	}
}

/* A Recreate rollout goes on when the last old pod is gone. */
static void seen_pod_gone(struct controller_run *c, const json_t *pod)
{
	const json_t *ref = controller_ref(pod);
	const json_t *rs;

	if (!ref || !c_eq(jx_str(ref, "kind"), "ReplicaSet"))
		return;
	rs = kit_get(c->kit, KK_REPLICASET, jx_str_or(pod, "metadata.namespace", ""),
		     jx_str_or(ref, "name", ""));
	if (rs)
		seen_replicaset(c, rs);
}

static void deployment_seen(struct controller_run *c, enum kit_kind kind, const json_t *old,
			    const json_t *obj)
{
	if (kind == KK_DEPLOYMENT && obj) {
		controller_add_object(c, obj);
	} else if (kind == KK_REPLICASET) {
		if (old)
			seen_replicaset(c, old);
		if (obj)
			seen_replicaset(c, obj);
	} else if (kind == KK_POD && old &&
		   (!obj || (pod_is_terminal(obj) && !pod_is_terminal(old)))) {
		seen_pod_gone(c, old);
	}
}

const struct controller controller_deployment = {
	.component = "deployment-controller",
	.kinds = 1 << KK_DEPLOYMENT | 1 << KK_REPLICASET | 1 << KK_POD,
	.seen = deployment_seen,
	.sync = deployment_sync,
};
