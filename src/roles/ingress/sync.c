#include "roles/ingress/sync.h"

#include "base/log.h"

#include <stdio.h>

enum { INF_CLASS, INF_INGRESS, INF_SERVICE, INF_SLICE, INF_SECRET, N_INF };

struct slices {
	const json_t **at;
	size_t n;
};

struct sync {
	struct role_ctx *role;
	struct loop *loop;
	struct kube_client *kube;
	struct informer *inf[N_INF];
	struct map slices;   /* "ns/service" → struct slices; objects are the informer's */
	struct map dirty;    /* "ns/service" whose backends are to be refreshed */
	struct map reported; /* problems that were written as events, so each is written once */
	struct map reported_now;
	struct route_table *table;
	struct defer update;
	bool rebuild, announced;
	void (*first_sync)(void *arg);
	void *arg;
};

/* ---- the cluster, as the table's builder sees it ---- */

struct each {
	void (*fn)(void *fn_ctx, const json_t *obj);
	void *fn_ctx;
};

static bool each_one(void *ctx, const json_t *obj)
{
	struct each *e = ctx;

	e->fn(e->fn_ctx, obj);
	return true;
}

static void each_ingress(void *ctx, void (*fn)(void *, const json_t *), void *fn_ctx)
{
	struct sync *s = ctx;
	struct each e = { fn, fn_ctx };

	informer_each(s->inf[INF_INGRESS], NULL, each_one, &e);
}

static const json_t *get_service(void *ctx, const char *ns, const char *name)
{
	return informer_get(((struct sync *)ctx)->inf[INF_SERVICE], ns, name);
}

static const json_t *get_secret(void *ctx, const char *ns, const char *name)
{
	return informer_get(((struct sync *)ctx)->inf[INF_SECRET], ns, name);
}

static void each_slice(void *ctx, const char *ns, const char *service, void (*fn)(void *, const json_t *), void *fn_ctx)
{
	struct sync *s = ctx;
	cleanup(freep) char *key = xasprintf("%s/%s", ns, service);
	const struct slices *list = map_get_c(&s->slices, key);

	for (size_t i = 0; list && i < list->n; i++)
		fn(fn_ctx, list->at[i]);
}

static bool is_our_class(void *ctx, const char *name)
{
	struct sync *s = ctx;
	const json_t *class = name ? informer_get(s->inf[INF_CLASS], NULL, name) : NULL;

	/* The old annotation needs no IngressClass object: "nginx" was its value for ingress-nginx. */
	return class ? c_eq(jx_str(class, "spec.controller"), INGRESS_CONTROLLER) : c_eq(name, "nginx");
}

static void problem(void *ctx, const json_t *obj, const char *reason, const char *message)
{
	struct sync *s = ctx;
	cleanup(freep) char *key = xasprintf("%s %s %s", jx_uid(obj), reason, message);

	map_put_c(&s->reported_now, key, s);
	if (map_get_c(&s->reported, key))
		return;
	log_warn("object=Ingress/%s/%s %s: %s", jx_namespace(obj), jx_name(obj), reason, message);
	kube_event(s->kube, obj, INGRESS_COMPONENT, "Warning", reason, "%s", message);
}

static struct route_source source_of(struct sync *s)
{
	return (struct route_source){ s, each_ingress, get_service, each_slice, get_secret, is_our_class, problem };
}

/* ---- changes ---- */

static void rebuild(struct sync *s)
{
	struct route_source src = source_of(s);
	struct route_table *old = s->table;

	s->table = route_table_new(&src);
	route_table_unref(old);
	map_done(&s->reported, NULL);
	s->reported = s->reported_now;
	map_init(&s->reported_now);
}

static void refresh(struct sync *s)
{
	struct route_source src = source_of(s);

	for (struct map_iter it = { 0 }; map_next(&s->dirty, &it);) {
		struct str name, ns = str_cut(it.key, '/', &name);
		cleanup(freep) char *ns_text = str_dup(ns);
		cleanup(freep) char *name_text = str_dup(name);
		route_table_refresh(s->table, &src, ns_text, name_text);
	}
}

static void on_update(struct defer *d)
{
	struct sync *s = container_of(d, struct sync, update);

	for (size_t i = 0; i < N_INF; i++)
		if (!informer_synced(s->inf[i]))
			return; /* half a picture would answer 404 for what exists */
	if (s->rebuild || !s->table)
		rebuild(s);
	else
		refresh(s);
	s->rebuild = false;
	map_done(&s->dirty, NULL);
	map_init(&s->dirty);
	if (!s->announced) {
		s->announced = true;
		s->first_sync(s->arg);
	}
}

static void want_rebuild(struct sync *s)
{
	s->rebuild = true;
	loop_defer(s->loop, &s->update);
}

static void want_refresh(struct sync *s, const char *ns, const char *service)
{
	cleanup(freep) char *key = xasprintf("%s/%s", ns, service);

	map_put_c(&s->dirty, key, s);
	loop_defer(s->loop, &s->update);
}

static void any_added(void *ctx, const json_t *obj)
{
	(void)obj;
	want_rebuild(ctx);
}

static void any_updated(void *ctx, const json_t *old, const json_t *obj)
{
	(void)old, (void)obj;
	want_rebuild(ctx);
}

static void synced(void *ctx)
{
	want_rebuild(ctx);
}

/* ---- Ingresses: their status names this proxy's address ---- */

static void write_status(struct sync *s, const json_t *ing)
{
	const char *have = json_string_value(jx_at(json_array_get(jx_at(ing, "status.loadBalancer.ingress"), 0), "ip"));
	const char *old = jx_annotation(ing, "kubernetes.io/ingress.class");

	if (!is_our_class(s, old ? old : jx_str(ing, "spec.ingressClassName")) || c_eq(have, s->role->config->node_ip))
		return;
	if (!s->role->config->node_ip)
		return;
	json_t *patch = json_pack("{s:{s:{s:[{s:s}]}}}", "status", "loadBalancer", "ingress", "ip", s->role->config->node_ip);
	kube_patch(s->kube, (struct kube_gvr){ "networking.k8s.io", "v1", "ingresses" }, jx_namespace(ing), jx_name(ing),
		   "status", KUBE_MERGE_PATCH, patch, NULL, NULL);
	json_decref(patch);
}

static void ingress_added(void *ctx, const json_t *ing)
{
	struct sync *s = ctx;

	want_rebuild(s);
	write_status(s, ing);
	if (informer_synced(s->inf[INF_INGRESS])) /* not for those that were there before us */
		kube_event(s->kube, ing, INGRESS_COMPONENT, "Normal", "Sync", "Scheduled for sync");
}

static void ingress_updated(void *ctx, const json_t *old, const json_t *ing)
{
	struct sync *s = ctx;

	if (json_equal(json_object_get(old, "spec"), json_object_get(ing, "spec")) &&
	    json_equal(jx_at(old, "metadata.annotations"), jx_at(ing, "metadata.annotations")) &&
	    !jx_str(ing, "metadata.deletionTimestamp")) {
		write_status(s, ing);
		return;
	}
	want_rebuild(s);
	write_status(s, ing);
	kube_event(s->kube, ing, INGRESS_COMPONENT, "Normal", "Sync", "Scheduled for sync");
}

/* A class that appears makes Ingresses ours that were not. */
static bool status_one(void *ctx, const json_t *ing)
{
	write_status(ctx, ing);
	return true;
}

static void class_added(void *ctx, const json_t *obj)
{
	struct sync *s = ctx;

	(void)obj;
	want_rebuild(s);
	if (s->inf[INF_INGRESS])
		informer_each(s->inf[INF_INGRESS], NULL, status_one, s);
}

/* ---- Services and their endpoints ---- */

static void service_changed(void *ctx, const json_t *svc)
{
	want_refresh(ctx, jx_namespace(svc), jx_name(svc));
}

static void service_updated(void *ctx, const json_t *old, const json_t *svc)
{
	(void)old;
	service_changed(ctx, svc);
}

static char *slice_key(const json_t *slice)
{
	const char *service = jx_label(slice, "kubernetes.io/service-name");

	return service ? xasprintf("%s/%s", jx_namespace(slice), service) : NULL;
}

static void slice_index(struct sync *s, const json_t *old, const json_t *slice)
{
	cleanup(freep) char *key = slice_key(slice ? slice : old);
	struct slices *list = key ? map_get_c(&s->slices, key) : NULL;
	size_t i = 0;

	if (!key)
		return;
	if (!list) {
		list = xcalloc(1, sizeof(*list));
		map_put_c(&s->slices, key, list);
	}
	while (i < list->n && list->at[i] != old)
		i++;
	if (!slice) {
		if (i < list->n)
			list->at[i] = list->at[--list->n];
		return;
	}
	if (i == list->n)
		list->at = xrealloc(list->at, ++list->n * sizeof(*list->at));
	list->at[i] = slice;
}

static void slice_changed(struct sync *s, const json_t *old, const json_t *slice)
{
	const json_t *any = slice ? slice : old;
	const char *service = jx_label(any, "kubernetes.io/service-name");

	slice_index(s, old, slice);
	if (service)
		want_refresh(s, jx_namespace(any), service);
}

static void slice_added(void *ctx, const json_t *slice)
{
	slice_changed(ctx, NULL, slice);
}

static void slice_updated(void *ctx, const json_t *old, const json_t *slice)
{
	slice_changed(ctx, old, slice);
}

static void slice_deleted(void *ctx, const json_t *slice)
{
	slice_changed(ctx, slice, NULL);
}

/* ---- what is kept of each object ---- */

static void keep_service(json_t *obj)
{
	static const char *const root[] = { "metadata", "spec", NULL };
	static const char *const metadata[] = { "name", "namespace", "uid", "resourceVersion", NULL };
	static const char *const spec[] = { "ports", NULL };
	static const char *const ports[] = { "name", "port", NULL };
	json_t *port;
	size_t i;

	jx_keep(obj, root);
	jx_keep(json_object_get(obj, "metadata"), metadata);
	jx_keep(json_object_get(obj, "spec"), spec);
	json_array_foreach(jx_at(obj, "spec.ports"), i, port)
		jx_keep(port, ports);
}

static void keep_slice(json_t *obj)
{
	static const char *const root[] = { "metadata", "ports", "endpoints", NULL };
	static const char *const metadata[] = { "name", "namespace", "uid", "resourceVersion", "labels", NULL };
	static const char *const labels[] = { "kubernetes.io/service-name", NULL };
	static const char *const endpoint[] = { "addresses", "conditions", NULL };
	json_t *ep;
	size_t i;

	jx_keep(obj, root);
	jx_keep(json_object_get(obj, "metadata"), metadata);
	jx_keep(jx_at(obj, "metadata.labels"), labels);
	json_array_foreach(json_object_get(obj, "endpoints"), i, ep)
		jx_keep(ep, endpoint);
}

/* Only certificates: other Secrets' content stays out of this process's memory. */
static void keep_secret(json_t *obj)
{
	json_t *data = json_object_get(obj, "data");

	if (!json_object_get(data, "tls.crt") || !json_object_get(data, "tls.key"))
		json_object_del(obj, "data");
}

static const struct {
	struct kube_gvr gvr;
	struct informer_handlers handlers;
} kinds[N_INF] = {
	[INF_CLASS] = { { "networking.k8s.io", "v1", "ingressclasses" },
			{ .added = class_added, .updated = any_updated, .deleted = any_added, .synced = synced } },
	[INF_INGRESS] = { { "networking.k8s.io", "v1", "ingresses" },
			  { .added = ingress_added, .updated = ingress_updated, .deleted = any_added, .synced = synced } },
	[INF_SERVICE] = { { "", "v1", "services" },
			  { .added = service_changed, .updated = service_updated, .deleted = service_changed,
			    .synced = synced, .transform = keep_service } },
	[INF_SLICE] = { { "discovery.k8s.io", "v1", "endpointslices" },
			{ .added = slice_added, .updated = slice_updated, .deleted = slice_deleted, .synced = synced,
			  .transform = keep_slice } },
	[INF_SECRET] = { { "", "v1", "secrets" },
			 { .added = any_added, .updated = any_updated, .deleted = any_added, .synced = synced,
			   .transform = keep_secret } },
};

struct sync *old_sync_new(struct role_ctx *ctx, void (*first_sync)(void *), void *arg)
{
	static const struct informer_options all;
	struct sync *s = xcalloc(1, sizeof(*s));

	*s = (struct sync){ .role = ctx, .loop = ctx->loop, .kube = ctx->kube, .update.run = on_update,
			    .first_sync = first_sync, .arg = arg };
	for (size_t i = 0; i < N_INF; i++)
		s->inf[i] = informer_new(ctx->kube, kinds[i].gvr, &all, &kinds[i].handlers, s);
	return s;
}

static void slices_free(void *p)
{
	struct slices *list = p;

	free(list->at);
	free(list);
}

void old_sync_free(struct sync *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < N_INF; i++)
		informer_free(s->inf[i]);
	defer_cancel(&s->update);
	route_table_unref(s->table);
	map_done(&s->slices, slices_free);
	map_done(&s->dirty, NULL);
	map_done(&s->reported, NULL);
	map_done(&s->reported_now, NULL);
	free(s);
}

struct route_table *sync_table(const struct sync *s)
{
	return s->table;
}
