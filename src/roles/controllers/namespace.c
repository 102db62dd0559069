/* Namespaces on their way out: everything in them is deleted, then the finalizer `kubernetes` is taken away.
 *
 * It asks the API for what is left instead of reading caches: kinds that nobody here watches count, too.
 */
#include "base/log.h"
#include "base/map.h"
#include "roles/controllers/controllers.h"
#include "roles/controllers/discovery.h"

#include <stdio.h>
#include <string.h>

#define AGAIN_MS 200	  /* between two looks at content that takes its time, doubling … */
#define AGAIN_MAX_MS 5000 /* … up to this; a pod's end wakes us sooner */

enum step { STEP_DELETE, STEP_LIST, STEP_FINALIZE };

struct purge { /* one namespace */
	struct namespaces *all;
	char *name;
	struct timer again;
	struct discovery_call *asking;
	struct discovery found; /* namespaced and deletable, and maybe not empty yet */
	struct list calls;
	bool *left; /* per resource: not yet known to be empty; nothing new can come */
	bool running, failed;
	enum step step;
	unsigned rounds;
	char *error;
};
struct namespaces {
	struct controller_run *c;
	struct map purges; /* name → struct purge */
};
struct purge_call {
	struct list link;
	struct purge *p;
	struct kube_call *call;
	size_t resource;
};

static void purge_next(struct purge *p);

static void purge_free(void *value)
{
	struct purge *p = value;

	timer_stop(&p->again);
	discovery_cancel(p->asking);
	list_for(pos, tmp, &p->calls) {
		struct purge_call *pc = list_entry(pos, struct purge_call, link);
		kube_cancel(pc->call);
		free(pc);
	}
	discovery_done(&p->found);
	free(p->left);
	free(p->name);
	free(p->error);
	free(p);
}

static struct kube_client *kube_of(const struct purge *p)
{
	return kit_kube(p->all->c->kit);
}

/* ---- rounds ---- */

static void again_fired(struct timer *t);

static void purge_rest(struct purge *p)
{
	uint64_t wait = (uint64_t)AGAIN_MS << MIN(p->rounds, 5u);

	p->running = false;
	p->rounds++;
	if (p->error)
		log_warn("namespace=%s: %s, retrying", p->name, p->error);
	free(TAKE_PTR(p->error));
	p->again.fire = again_fired;
	timer_start(kit_loop(p->all->c->kit), &p->again, MIN(wait, AGAIN_MAX_MS));
}

static void note_error(struct purge *p, const char *what, const struct err *e)
{
	p->failed = true;
	if (!p->error)
		p->error = xasprintf("%s: %s", what, e->message);
}

static bool anything_left(const struct purge *p)
{
	for (size_t i = 0; i < p->found.n; i++)
		if (p->left[i])
			return true;
	return false;
}

static void round_done(struct purge *p)
{
	if (p->failed) {
		purge_rest(p);
	} else if (p->step == STEP_DELETE) {
		p->step = STEP_LIST;
		purge_next(p);
	} else if (p->step == STEP_LIST && anything_left(p)) {
		p->step = STEP_DELETE;
		purge_rest(p);
	} else if (p->step == STEP_LIST) {
		p->step = STEP_FINALIZE;
		purge_next(p);
	} else {
		p->running = false; /* the namespace's own end frees this */
	}
}

static void answered(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct purge_call *pc = ctx;
	struct purge *p = pc->p;
	size_t i = pc->resource;

	list_del(&pc->link);
	free(pc);
	if (e && (status == 404 || status == 405)) {
		if (p->step == STEP_LIST)
			p->left[i] = false; /* the resource itself is gone */
	} else if (e) {
		note_error(p, p->step == STEP_FINALIZE ? "finalize" : p->found.at[i].resource, e);
	} else if (p->step == STEP_LIST) {
		p->left[i] = jx_len(obj, "items") > 0;
	}
	if (list_empty(&p->calls))
		round_done(p);
}

static void ask(struct purge *p, const char *method, size_t resource, const char *path,
		const json_t *body)
{
	struct purge_call *pc = xcalloc(1, sizeof(*pc));

	pc->p = p;
	pc->resource = resource;
	list_append(&p->calls, &pc->link);
	pc->call = kube_request(kube_of(p), method, path, NULL, body, answered, pc);
}

static void ask_all(struct purge *p)
{
	for (size_t i = 0; i < p->found.n; i++) {
		struct kube_gvr gvr = disc_gvr(&p->found.at[i]);
		cleanup(freep) char *path = kube_path(gvr, p->name, NULL, NULL);
		cleanup(freep) char *one = xasprintf("%s?limit=1", path);

		if (!p->left[i])
			continue;
		if (p->step == STEP_DELETE)
			ask(p, "DELETE", i, path, NULL);
		else
			ask(p, "GET", i, one, NULL);
	}
}

static void ask_finalize(struct purge *p)
{
	const json_t *ns = kit_get(p->all->c->kit, KK_NAMESPACE, NULL, p->name), *f;
	json_t *kept = json_array();
	size_t i;

	json_array_foreach(jx_at(ns, "spec.finalizers"), i, f)
		if (!c_eq(json_string_value(f), "kubernetes"))
			json_array_append(kept, (json_t *)f);
	cleanup(json_decrefp) json_t *copy = json_deep_copy(ns);
	if (!copy) {
		json_decref(kept);
		return;
	}
	jx_set(copy, "spec.finalizers", kept);
	cleanup(freep) char *path =
		kube_path(kit_kinds[KK_NAMESPACE].gvr, NULL, p->name, "finalize");
	ask(p, "PUT", 0, path, copy);
}

static void purge_next(struct purge *p)
{
	p->failed = false;
	if (p->step == STEP_FINALIZE)
		ask_finalize(p);
	else
		ask_all(p);
	if (list_empty(&p->calls))
		round_done(p);
}

/* ---- start ---- */

static void discovered(void *ctx, struct discovery *d, const struct err *e)
{
	struct purge *p = ctx;

	p->asking = NULL;
	if (e) {
		note_error(p, "discovery", e);
		purge_rest(p);
		return;
	}
	for (size_t i = 0; i < d->n; i++) {
		struct disc_resource *r = &d->at[i];
		if (!r->namespaced || !(r->verbs & DISC_DELETE_COLLECTION) ||
		    !(r->verbs & DISC_LIST))
			continue;
		p->found.at = xrealloc(p->found.at, (p->found.n + 1) * sizeof(*p->found.at));
		p->found.at[p->found.n++] = *r;
		*r = (struct disc_resource){ 0 };
	}
	p->left = xmalloc(p->found.n + 1);
	memset(p->left, true, p->found.n + 1);
	p->step = STEP_DELETE;
	purge_next(p);
}

static void purge_run(struct purge *p)
{
	if (p->running)
		return;
	p->running = true;
	timer_stop(&p->again);
	if (p->left)
		purge_next(p);
	else
		p->asking = discovery_fetch(kube_of(p), discovered, p);
}

static void again_fired(struct timer *t)
{
	purge_run(container_of(t, struct purge, again));
}

static bool purgeable(const json_t *ns)
{
	const json_t *f;
	size_t i;

	if (!being_deleted(ns))
		return false;
	json_array_foreach(jx_at(ns, "spec.finalizers"), i, f)
		if (c_eq(json_string_value(f), "kubernetes"))
			return true;
	return false;
}

static void seen_namespace(struct namespaces *all, const json_t *old, const json_t *ns)
{
	const char *name = jx_name(ns ? ns : old);
	struct purge *p = map_get_c(&all->purges, name);

	if (!ns) {
		if (p)
			purge_free(map_del_c(&all->purges, name));
		return;
	}
	if (p || !purgeable(ns))
		return;
	p = xcalloc(1, sizeof(*p));
	p->all = all;
	p->name = xstrdup(name);
	list_init(&p->calls);
	map_put_c(&all->purges, name, p);
	purge_run(p);
}

static void namespace_seen(struct controller_run *c, enum kit_kind kind, const json_t *old,
			   const json_t *obj)
{
	struct namespaces *all = c->state;
	struct purge *p;

	if (kind == KK_NAMESPACE) {
		seen_namespace(all, old, obj);
		return;
	}
	p = obj ? NULL : map_get_c(&all->purges, jx_namespace(old));
	if (p && !p->running)
		timer_start(kit_loop(c->kit), &p->again,
			    1); /* a pod is gone: maybe it was the last */
}

static int namespace_start(struct controller_run *c, struct err *e)
{
	struct namespaces *all = xcalloc(1, sizeof(*all));

	(void)e;
	all->c = c;
	map_init(&all->purges);
	c->state = all;
	return 0;
}

static void namespace_stop(struct controller_run *c)
{
	struct namespaces *all = c->state;

	if (all)
		map_done(&all->purges, purge_free);
	free(all);
}

const struct controller controller_namespace = {
	.component = "namespace-controller",
	.kinds = 1 << KK_NAMESPACE | 1 << KK_POD,
	.seen = namespace_seen,
	.start = namespace_start,
	.stop = namespace_stop,
};
