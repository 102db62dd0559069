/* The two controllers around endpoints.h: which Services a change concerns, and their views. */
#include "base/map.h"
#include "kube/object/selector.h"
#include "roles/controllers/controllers.h"
#include "roles/controllers/endpoints.h"

static const char *zone_of(void *ctx, const char *node)
{
	const json_t *obj = kit_get(ctx, KK_NODE, NULL, node);

	return jx_label(obj, "topology.kubernetes.io/zone");
}

/* ret_pods->at is the caller's to free. */
static void view_of(const struct controller_run *c, const json_t *service, struct endpoints_view *v)
{
	const char *ns = jx_str_or(service, "metadata.namespace", ""), *name = jx_name(service);
	struct objects all = kit_lookup(c->kit, KK_POD, KI_NAMESPACE, ns);
	struct selector *s = selector_of_map(jx_at(service, "spec.selector"));
	cleanup(freep) char *key = xasprintf("%s/%s", ns, name);

	*v = (struct endpoints_view){ .service = service,
				      .slices =
					      kit_lookup(c->kit, KK_ENDPOINTSLICE, KI_SERVICE, key),
				      .endpoints = kit_get(c->kit, KK_ENDPOINTS, ns, name),
				      .zone_of = zone_of,
				      .ctx = c->kit };
	v->pods.at = xcalloc(all.n + 1, sizeof(*v->pods.at));
	for (size_t i = 0; i < all.n; i++)
		if (selector_matches(s, jx_at(all.at[i], "metadata.labels")))
			v->pods.at[v->pods.n++] = all.at[i];
	selector_free(s);
}

static bool labels_chosen(const json_t *selector, const json_t *labels)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)selector, name, value)
		if (!c_eq(json_string_value(json_object_get(labels, name)),
			  json_string_value(value)))
			return false;
	return json_object_size(selector) > 0;
}

static void seen_pod(struct controller_run *c, const json_t *old, const json_t *pod)
{
	const char *ns = jx_str_or(pod ? pod : old, "metadata.namespace", "");
	struct objects all = kit_lookup(c->kit, KK_SERVICE, KI_NAMESPACE, ns);
	const json_t *now = jx_at(pod, "metadata.labels"), *before = jx_at(old, "metadata.labels");

	for (size_t i = 0; i < all.n; i++) {
		const json_t *selector = jx_at(all.at[i], "spec.selector");
		if ((pod && labels_chosen(selector, now)) ||
		    (old && labels_chosen(selector, before)))
			controller_add_object(c, all.at[i]);
	}
}

/* ---- EndpointSlices ---- */

static void endpointslice_sync(struct controller_run *c, const char *key, struct actions *out)
{
	const json_t *service = kit_get_key(c->kit, KK_SERVICE, key);
	struct endpoints_view v;

	if (!service || !service_selects(service))
		return; /* the slices of a deleted Service are garbage */
	view_of(c, service, &v);
	endpointslice_reconcile(&v, out);
	free(v.pods.at);
}

static void seen_slice(struct controller_run *c, const json_t *slice)
{
	const char *service = jx_label(slice, SERVICE_NAME_LABEL);

	if (!service || !c_eq(jx_label(slice, SLICE_MANAGED_BY_LABEL), SLICE_MANAGED_BY))
		return;
	cleanup(freep) char *key =
		xasprintf("%s/%s", jx_str_or(slice, "metadata.namespace", ""), service);
	controller_add(c, key);
}

static void endpointslice_seen(struct controller_run *c, enum kit_kind kind, const json_t *old,
			       const json_t *obj)
{
	if (kind == KK_POD)
		seen_pod(c, old, obj);
	else if (kind == KK_SERVICE)
		controller_add_object(c, obj ? obj : old);
	else
		seen_slice(c, obj ? obj : old);
}

const struct controller controller_endpointslice = {
	.component = "endpoint-slice-controller",
	.kinds = 1 << KK_POD | 1 << KK_SERVICE | 1 << KK_ENDPOINTSLICE,
	.seen = endpointslice_seen,
	.sync = endpointslice_sync,
};

/* ---- Endpoints ---- */

static int endpoints_start(struct controller_run *c, struct err *e)
{
	(void)e;
	c->state = xcalloc(1, sizeof(struct map)); /* keys of Services that were deleted */
	map_init(c->state);
	return 0;
}

static void endpoints_stop(struct controller_run *c)
{
	if (c->state)
		map_done(c->state, NULL);
	free(c->state);
}

static void endpoints_sync(struct controller_run *c, const char *key, struct actions *out)
{
	const json_t *service = kit_get_key(c->kit, KK_SERVICE, key);
	const json_t *endpoints = kit_get_key(c->kit, KK_ENDPOINTS, key);
	struct endpoints_view v;

	if (service) {
		map_del_c(c->state, key);
		if (!service_selects(service))
			return;
		view_of(c, service, &v);
		endpoints_reconcile(&v, out);
		free(v.pods.at);
	} else if (endpoints &&
		   (map_get_c(c->state, key) ||
		    c_eq(jx_label(endpoints, ENDPOINTS_MANAGED_BY_LABEL), ENDPOINTS_MANAGED_BY))) {
		act_delete(out, KK_ENDPOINTS, endpoints, -1);
	} else {
		map_del_c(c->state, key);
	}
}

static void endpoints_seen(struct controller_run *c, enum kit_kind kind, const json_t *old,
			   const json_t *obj)
{
	if (kind == KK_POD) {
		seen_pod(c, old, obj);
		return;
	}
	if (kind == KK_SERVICE && !obj) {
		cleanup(freep) char *key =
			xasprintf("%s/%s", jx_str_or(old, "metadata.namespace", ""), jx_name(old));
		map_put_c(c->state, key, c);
	}
	controller_add_object(c, obj ? obj : old);
}

const struct controller controller_endpoints = {
	.component = "endpoint-controller",
	.kinds = 1 << KK_POD | 1 << KK_SERVICE | 1 << KK_ENDPOINTS,
	.seen = endpoints_seen,
	.sync = endpoints_sync,
	.start = endpoints_start,
	.stop = endpoints_stop,
};
