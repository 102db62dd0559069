#include "roles/node/pods.h"

#include "base/log.h"
#include "codec/jx.h"
#include "roles/node/leftovers.h"
#include "roles/node/pod_adopt.h"
#include "roles/node/pod_steps.h"
#include "roles/node/pod_worker.h"
#include "roles/node/relist.h"
#include "roles/node/runtime_view.h"

/* Only used between the runtime's first answer and the first list of pods. */
struct pods_boot {
	struct runtime_view *view;
	struct map found; /* uid → struct runtime_pod */
	char *field_selector;
	struct informer_options options;
};

static struct pods_boot *boot_of(const struct node *n)
{
	return n->boot;
}

static void add(struct node *n, const json_t *obj)
{
	const char *uid = jx_uid(obj);
	struct runtime_pod *r = map_del_c(&boot_of(n)->found, uid);
	struct pod *p = pod_new(n, uid, jx_namespace(obj), jx_name(obj), (json_t *)obj);

	map_put_c(&n->pods, p->uid, p);
	pod_adopt(p, r);
	if (r)
		runtime_pod_free(r);
}

static void on_added(void *ctx, const json_t *obj)
{
	struct node *n = ctx;
	struct pod *p = map_get_c(&n->pods, jx_uid(obj));

	if (p)
		pod_update(p, (json_t *)obj);
	else
		add(n, obj);
}

static void on_deleted(void *ctx, const json_t *obj)
{
	struct node *n = ctx;
	struct pod *p = map_get_c(&n->pods, jx_uid(obj));

	if (p)
		pod_set_gone(p);
}

static void on_updated(void *ctx, const json_t *old_obj, const json_t *obj)
{
	/* A pod deleted and made again under its name may arrive as one update. */
	if (!c_eq(jx_uid(old_obj), jx_uid(obj)))
		on_deleted(ctx, old_obj);
	on_added(ctx, obj);
}

/* What the runtime still has of pods that the API no longer has. */
static void on_synced(void *ctx)
{
	struct node *n = ctx;
	struct map *found = &boot_of(n)->found;

	for (struct map_iter it = { 0 }; map_next(found, &it);) {
		const struct runtime_pod *r = it.value;
		struct pod *p = pod_new(n, r->uid, r->ns, r->name, NULL);
		log_info("pod=%s is not in the API any more, removing it", p->key);
		map_put_c(&n->pods, p->uid, p);
		pod_adopt(p, r);
	}
	map_done(found, runtime_pod_free);
	map_init(found);
	relist_start(n);
	leftovers_remove(n);
}

static const struct informer_handlers handlers = {
	.added = on_added, .updated = on_updated, .deleted = on_deleted, .synced = on_synced,
};

static void on_runtime_view(void *ctx, struct map *pods)
{
	struct node *n = ctx;
	struct pods_boot *b = boot_of(n);

	b->view = NULL;
	b->found = *pods;
	b->field_selector = xasprintf("spec.nodeName=%s", n->name);
	b->options.field_selector = b->field_selector;
	n->pod_informer = informer_new(n->kube, GVR_PODS, &b->options, &handlers, n);
}

void pods_start(struct node *n)
{
	struct pods_boot *b = xcalloc(1, sizeof(*b));

	map_init(&b->found);
	map_init(&n->pods);
	n->boot = b;
	b->view = runtime_view_get(n, on_runtime_view, n);
}

static void free_pod(void *p)
{
	pod_free(p);
}

void pods_stop(struct node *n)
{
	struct pods_boot *b = boot_of(n);

	if (!b)
		return;
	relist_stop(n);
	runtime_view_cancel(b->view);
	informer_free(n->pod_informer);
	map_done(&n->pods, free_pod);
	map_done(&b->found, runtime_pod_free);
	free(b->field_selector);
	free(b);
	n->boot = NULL;
}

struct pod *pods_find(const struct node *n, const char *ns, const char *name)
{
	struct pod *found = NULL;

	for (struct map_iter it = { 0 }; map_next(&n->pods, &it);) {
		struct pod *p = it.value;
		if (c_eq(p->ns, ns) && c_eq(p->name, name) && (!found || found->gone))
			found = p;
	}
	return found;
}

void pod_removed(struct pod *p)
{
	map_del_c(&p->node->pods, p->uid);
	pod_free(p);
}
