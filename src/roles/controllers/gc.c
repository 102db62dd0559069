/* Garbage collection: watches the metadata of every deletable kind, and does what gc_graph.h decides. */
#include "base/log.h"
#include "roles/controllers/controllers.h"
#include "roles/controllers/discovery.h"
#include "roles/controllers/gc_graph.h"

#include <stdio.h>
#include <string.h>

#define DISCOVERY_RETRY_MS 1000

struct gc_watch { /* one resource */
	struct gc *gc;
	const struct disc_resource *resource;
	struct informer *informer; /* NULL: the kit has one */
	enum kit_kind kind;	   /* of the kit's */
};
struct gc {
	struct controller_run *c;
	struct kube_client *kube;
	struct discovery_call *asking;
	struct timer ask_again;
	struct discovery resources;
	struct gc_watch *watches;
	size_t n_watches, n_informers, n_synced;
	struct gc_watch *of_kit[KK_COUNT];
	struct gc_graph graph;
	struct map busy; /* uids with a request under way → struct gc_call */
	struct workqueue *queue;
};
struct gc_call {
	struct gc *gc;
	struct kube_call *call;
	char *uid;	/* the object it is about */
	char *owner;	/* GC_ASK_OWNER: who was asked for */
	size_t pending; /* GC_RELEASE: one per dependent */
	bool again;
};

/* ---- changes ---- */

static void enqueue(struct gc *gc, const char *uid)
{
	workqueue_add(gc->queue, uid);
}

static void enqueue_owners(struct gc *gc, const struct gc_node *n)
{
	for (size_t i = 0; i < n->n_owners; i++) {
		const struct gc_node *owner = gc_graph_get(&gc->graph, n->owners[i].uid);
		if (owner && owner->deleting)
			enqueue(gc, owner->uid);
	}
}

static void enqueue_dependents(struct gc *gc, const char *uid)
{
	const struct gc_set *deps = gc_graph_dependents(&gc->graph, uid);

	for (size_t i = 0; i < deps->n; i++)
		enqueue(gc, deps->at[i]->uid);
}

static void put(struct gc_watch *w, const json_t *obj)
{
	struct gc *gc = w->gc;
	struct gc_node *n = gc_graph_put(&gc->graph, obj, w);

	if (n->n_owners || n->deleting)
		enqueue(gc, n->uid);
}

static void on_added(void *ctx, const json_t *obj)
{
	put(ctx, obj);
}

static bool same_to_us(const json_t *a, const json_t *b)
{
	static const char *const read[] = { "ownerReferences", "finalizers", "deletionTimestamp" };

	for (size_t i = 0; i < ARRAY_LEN(read); i++) {
		const json_t *x = json_object_get(json_object_get(a, "metadata"), read[i]);
		const json_t *y = json_object_get(json_object_get(b, "metadata"), read[i]);
		if (x && y ? !json_equal(x, y) : x != y)
			return false;
	}
	return true;
}

static void on_updated(void *ctx, const json_t *old, const json_t *obj)
{
	struct gc_watch *w = ctx;
	const struct gc_node *n = gc_graph_get(&w->gc->graph, jx_str_or(obj, "metadata.uid", ""));

	if (n && same_to_us(old, obj))
		return;
	if (n)
		enqueue_owners(w->gc, n); /* one of them may be waiting for this */
	put(w, obj);
}

static void on_deleted(void *ctx, const json_t *obj)
{
	struct gc *gc = ((struct gc_watch *)ctx)->gc;
	const char *uid = jx_str_or(obj, "metadata.uid", "");
	const struct gc_node *n = gc_graph_get(&gc->graph, uid);

	if (n)
		enqueue_owners(gc, n);
	gc_graph_remove(&gc->graph, uid);
	enqueue_dependents(gc, uid);
}

static void keep_metadata(json_t *obj)
{
	static const char *const kept[] = {
		"name",	      "namespace",	  "uid", "resourceVersion", "ownerReferences",
		"finalizers", "deletionTimestamp"
	};
	json_t *meta = json_object_get(obj, "metadata"), *slim = json_object();

	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		json_t *v = json_object_get(meta, kept[i]);
		if (v)
			json_object_set(slim, kept[i], v);
	}
	json_object_clear(obj);
	json_object_set_new(obj, "metadata", slim);
}

/* ---- requests ---- */

static void call_free(void *value)
{
	struct gc_call *c = value;

	kube_cancel(c->call);
	free(c->uid);
	free(c->owner);
	free(c);
}

static struct gc_call *call_new(struct gc *gc, const char *uid)
{
	struct gc_call *c = xcalloc(1, sizeof(*c));

	c->gc = gc;
	c->uid = xstrdup(uid);
	map_put_c(&gc->busy, uid, c);
	return c;
}

static void call_end(struct gc_call *c, bool failed)
{
	struct gc *gc = c->gc;

	c->call = NULL;
	map_del_c(&gc->busy, c->uid);
	if (failed)
		workqueue_retry(gc->queue, c->uid);
	else
		workqueue_forget(gc->queue, c->uid);
	if (c->again)
		enqueue(gc, c->uid);
	call_free(c);
}

static void written(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct gc_call *c = ctx;

	(void)obj;
	if (e && status != 404)
		log_write(status == 409 ? LOG_DEBUG : LOG_WARN,
			  "garbage collector: uid=%s: %s, retrying", c->uid, e->message);
	call_end(c, e && status != 404);
}

static const struct gc_watch *watch_of(const struct gc_node *n)
{
	return n->source;
}

static const json_t *object_of(const struct gc_node *n)
{
	const struct gc_watch *w = watch_of(n);

	return w->informer ? informer_get(w->informer, n->ns, n->name)
			   : kit_get(w->gc->c->kit, w->kind, n->ns, n->name);
}

static char *path_of(const struct gc_node *n)
{
	return kube_path(disc_gvr(watch_of(n)->resource), n->ns, n->name, NULL);
}

/* uid and resourceVersion: nothing is deleted on the word of an old observation. */
static void send_delete(struct gc *gc, const struct gc_node *n, const char *policy)
{
	cleanup(json_decrefp) json_t *options = json_object();
	cleanup(freep) char *path = path_of(n);
	struct gc_call *c = call_new(gc, n->uid);

	jx_set_str(options, "propagationPolicy", policy);
	jx_set_str(options, "preconditions.uid", n->uid);
	jx_set_str(options, "preconditions.resourceVersion",
		   jx_str(object_of(n), "metadata.resourceVersion"));
	c->call = kube_request(gc->kube, "DELETE", path, NULL, options, written, c);
}

static json_t *metadata_patch(const struct gc_node *n)
{
	json_t *patch = json_object();

	jx_set_str(patch, "metadata.uid", n->uid);
	jx_set_str(patch, "metadata.resourceVersion",
		   jx_str(object_of(n), "metadata.resourceVersion"));
	return patch;
}

static void send_patch(struct gc *gc, const struct gc_node *n, json_t *patch)
{
	cleanup(freep) char *path = path_of(n);
	struct gc_call *c = call_new(gc, n->uid);

	c->call = kube_request(gc->kube, "PATCH", path, KUBE_MERGE_PATCH, patch, written, c);
	json_decref(patch);
}

static bool drops(void *ctx, const char *uid)
{
	return gc_owner_drops(ctx, uid);
}

static bool is_uid(void *ctx, const char *uid)
{
	return strcmp(ctx, uid) == 0;
}

static void drop_owners(struct gc *gc, const struct gc_node *n,
			bool (*drop)(void *ctx, const char *uid), void *ctx)
{
	json_t *patch;

	if (map_get_c(&gc->busy, n->uid))
		return;
	patch = metadata_patch(n);
	jx_set(patch, "metadata.ownerReferences", gc_owners_without(object_of(n), drop, ctx));
	send_patch(gc, n, patch);
}

static void drop_finalizer(struct gc *gc, const struct gc_node *n, const char *finalizer)
{
	json_t *patch = metadata_patch(n), *kept = json_array();
	const json_t *f;
	size_t i;

	json_array_foreach(jx_at(object_of(n), "metadata.finalizers"), i, f)
		if (!c_eq(json_string_value(f), finalizer))
			json_array_append(kept, (json_t *)f);
	jx_set(patch, "metadata.finalizers", kept);
	send_patch(gc, n, patch);
}

/* Each dependent's change comes back as an event, and wakes the owner up. */
static void release(struct gc *gc, const struct gc_node *n)
{
	const struct gc_set *deps = gc_graph_dependents(&gc->graph, n->uid);

	for (size_t i = 0; i < deps->n; i++)
		drop_owners(gc, deps->at[i], is_uid, n->uid);
}

static void owner_answered(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct gc_call *c = ctx;
	struct gc *gc = c->gc;

	if ((e && status == 404) || (!e && !c_eq(jx_uid(obj), c->owner)))
		gc_graph_absent(&gc->graph, c->owner);
	else if (!e)
		gc_graph_present(&gc->graph, c->owner);
	if (!e || status == 404)
		c->again = true; /* now it can be decided */
	call_end(c, e && status != 404);
}

static void ask_owner(struct gc *gc, const struct gc_node *n, const struct gc_owner *o)
{
	const struct disc_resource *r = discovery_kind(&gc->resources, o->api_version, o->kind);

	if (!r || !o->name) { /* of a kind that we cannot ask for: not ours to judge */
		gc_graph_present(&gc->graph, o->uid);
		enqueue(gc, n->uid);
		return;
	}
	cleanup(freep) char *path =
		kube_path(disc_gvr(r), r->namespaced ? n->ns : NULL, o->name, NULL);
	struct gc_call *c = call_new(gc, n->uid);
	c->owner = xstrdup(o->uid);
	c->call = kube_request(gc->kube, "GET", path, NULL, NULL, owner_answered, c);
}

static bool gc_complete(const struct gc *gc)
{
	return gc->n_watches && gc->n_synced == gc->n_informers && kit_synced(gc->c->kit);
}

static void gc_reconcile(void *ctx, const char *uid)
{
	struct gc *gc = ctx;
	const struct gc_node *n = gc_graph_get(&gc->graph, uid);
	struct gc_call *busy = map_get_c(&gc->busy, uid);

	if (!gc_complete(gc) || !n)
		return; /* when the last list is there, everything is looked at */
	if (busy) {
		busy->again = true;
		return;
	}
	struct gc_decision d = gc_decide(&gc->graph, n);
	switch (d.verdict) {
	case GC_KEEP:
		workqueue_forget(gc->queue, uid);
		break;
	case GC_ASK_OWNER:
		ask_owner(gc, n, &n->owners[d.index]);
		break;
	case GC_DROP_OWNERS:
		drop_owners(gc, n, drops, &gc->graph);
		break;
	case GC_DELETE:
		send_delete(gc, n, d.policy);
		break;
	case GC_DEPENDENTS:
		enqueue_dependents(gc, uid);
		break;
	case GC_DROP_FINALIZER:
		drop_finalizer(gc, n, d.finalizer);
		break;
	case GC_RELEASE:
		release(gc, n);
		break;
	}
}

/* ---- life ---- */

static void look_at_everything(struct gc *gc)
{
	if (!gc_complete(gc))
		return;
	for (struct map_iter it = { 0 }; map_next(&gc->graph.nodes, &it);) {
		const struct gc_node *n = it.value;
		if (n->n_owners || n->deleting)
			enqueue(gc, n->uid);
	}
}

static void on_synced(void *ctx)
{
	struct gc *gc = ((struct gc_watch *)ctx)->gc;

	gc->n_synced++;
	look_at_everything(gc);
}

/* Events are many, own nothing, and go by themselves. */
static bool collected(const struct disc_resource *r)
{
	unsigned need = DISC_LIST | DISC_WATCH | DISC_DELETE;

	return (r->verbs & need) == need && strcmp(r->resource, "events") != 0;
}

/* A kind whose objects the kit caches all is not watched twice. */
static bool kit_has(const struct disc_resource *r, enum kit_kind *ret_kind)
{
	for (int i = 0; i < KK_COUNT; i++) {
		const struct kit_kind_row *row = &kit_kinds[i];
		if (!row->ns && !row->field_selector && strcmp(row->gvr.group, r->group) == 0 &&
		    strcmp(row->gvr.resource, r->resource) == 0) {
			*ret_kind = (enum kit_kind)i;
			return true;
		}
	}
	return false;
}

static bool put_cached(void *ctx, const json_t *obj)
{
	put(ctx, obj);
	return true;
}

static void watch_start(struct gc_watch *w)
{
	if (kit_has(w->resource, &w->kind)) {
		w->gc->of_kit[w->kind] = w;
		kit_each(w->gc->c->kit, w->kind, put_cached, w);
		return;
	}
	w->gc->n_informers++;
	w->informer = informer_new(w->gc->kube, disc_gvr(w->resource),
				   &(struct informer_options){ .metadata_only = true },
				   &(struct informer_handlers){ .added = on_added,
								.updated = on_updated,
								.deleted = on_deleted,
								.synced = on_synced,
								.transform = keep_metadata },
				   w);
}

static void gc_ask(struct timer *t);

static void discovered(void *ctx, struct discovery *d, const struct err *e)
{
	struct gc *gc = ctx;

	gc->asking = NULL;
	if (e) {
		log_warn("garbage collector: discovery: %s, retrying", e->message);
		gc->ask_again.fire = gc_ask;
		timer_start(kit_loop(gc->c->kit), &gc->ask_again, DISCOVERY_RETRY_MS);
		return;
	}
	gc->resources = *d;
	*d = (struct discovery){ 0 };
	gc->watches = xcalloc(gc->resources.n + 1, sizeof(*gc->watches));
	for (size_t i = 0; i < gc->resources.n; i++)
		if (collected(&gc->resources.at[i]))
			gc->watches[gc->n_watches++] =
				(struct gc_watch){ .gc = gc, .resource = &gc->resources.at[i] };
	for (size_t i = 0; i < gc->n_watches; i++)
		watch_start(&gc->watches[i]);
}

static void gc_seen(struct controller_run *c, enum kit_kind kind, const json_t *old,
		    const json_t *obj)
{
	struct gc_watch *w = ((struct gc *)c->state)->of_kit[kind];

	if (!w)
		return; /* discovery is not done: everything is taken over then */
	if (!old)
		on_added(w, obj);
	else if (obj)
		on_updated(w, old, obj);
	else
		on_deleted(w, old);
}

static void gc_synced(struct controller_run *c)
{
	look_at_everything(c->state);
}

static void gc_ask(struct timer *t)
{
	struct gc *gc = container_of(t, struct gc, ask_again);

	gc->asking = discovery_fetch(gc->kube, discovered, gc);
}

static int gc_start(struct controller_run *c, struct err *e)
{
	struct gc *gc = xcalloc(1, sizeof(*gc));

	(void)e;
	gc->c = c;
	gc->kube = kit_kube(c->kit);
	gc_graph_init(&gc->graph);
	map_init(&gc->busy);
	gc->queue = workqueue_new(kit_loop(c->kit), gc_reconcile, gc);
	gc->asking = discovery_fetch(gc->kube, discovered, gc);
	c->state = gc;
	return 0;
}

static void gc_stop(struct controller_run *c)
{
	struct gc *gc = c->state;

	if (!gc)
		return;
	discovery_cancel(gc->asking);
	timer_stop(&gc->ask_again);
	for (size_t i = 0; i < gc->n_watches; i++)
		informer_free(gc->watches[i].informer);
	workqueue_free(gc->queue);
	map_done(&gc->busy, call_free);
	gc_graph_done(&gc->graph);
	discovery_done(&gc->resources);
	free(gc->watches);
	free(gc);
}

const struct controller controller_gc = {
	.component = "garbage-collector",
	.kinds = (1 << KK_COUNT) - 1,
	.seen = gc_seen,
	.synced = gc_synced,
	.start = gc_start,
	.stop = gc_stop,
};
