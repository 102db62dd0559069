#include "roles/node/runtime_view.h"

#include "roles/node/cri_spec.h"

#include <stdio.h>

#define RETRY_MS 250 /* the runtime is being started next to us */

struct runtime_view {
	struct node *node;
	void (*done)(void *ctx, struct map *pods);
	void *ctx;
	struct cri_call *call;
	struct timer retry;
	struct map pods;
	struct map by_sandbox; /* id → struct runtime_pod, borrowed */
};

void runtime_pod_free(void *v)
{
	struct runtime_pod *p = v;

	for (size_t i = 0; i < p->n_sandboxes; i++)
		free(p->sandbox_ids[i]);
	for (size_t i = 0; i < p->n_ctrs; i++) {
		free(p->ctrs[i].id);
		free(p->ctrs[i].name);
	}
	free(p->sandbox_ids);
	free(p->ctrs);
	free(p->uid);
	free(p->ns);
	free(p->name);
	free(p);
}

static int by_attempt(const void *a, const void *b)
{
	const struct runtime_ctr *x = a, *y = b;

	return x->attempt < y->attempt ? -1 : x->attempt > y->attempt;
}

static void view_end(struct runtime_view *v)
{
	void (*done)(void *ctx, struct map *pods) = v->done;
	void *ctx = v->ctx;
	struct map pods = v->pods;

	for (struct map_iter it = { 0 }; map_next(&pods, &it);) {
		struct runtime_pod *p = it.value;
		qsort(p->ctrs, p->n_ctrs, sizeof(*p->ctrs), by_attempt);
	}
	map_done(&v->by_sandbox, NULL);
	free(v);
	done(ctx, &pods);
}

static void add_ctr(struct runtime_view *v, const Cri__Container *c)
{
	struct runtime_pod *p = map_get_c(&v->by_sandbox, c->pod_sandbox_id);
	const char *hash = cri_entry(c->annotations, c->n_annotations, ANNOTATION_HASH);

	if (!p || !c->metadata)
		return;
	p->ctrs = xrealloc(p->ctrs, (p->n_ctrs + 1) * sizeof(*p->ctrs));
	p->ctrs[p->n_ctrs++] = (struct runtime_ctr){
		.id = xstrdup(c->id),
		.name = xstrdup(c->metadata->name),
		.attempt = c->metadata->attempt,
		.hash = hash ? strtoull(hash, NULL, 16) : 0,
		.exited = c->state == CRI__CONTAINER_STATE__CONTAINER_EXITED,
	};
}

static void start(struct runtime_view *v);

static void on_retry(struct timer *t)
{
	start(t->ctx);
}

static void retry(struct runtime_view *v)
{
	v->retry = (struct timer){ .fire = on_retry, .ctx = v };
	timer_start(v->node->loop, &v->retry, RETRY_MS);
}

static void on_containers(void *ctx, const void *response, const struct err *e)
{
	struct runtime_view *v = ctx;
	const Cri__ListContainersResponse *r = response;

	v->call = NULL;
	if (e) {
		retry(v);
		return;
	}
	for (size_t i = 0; i < r->n_containers; i++)
		add_ctr(v, r->containers[i]);
	view_end(v);
}

static void add_sandbox(struct runtime_view *v, const Cri__PodSandbox *s)
{
	struct runtime_pod *p;

	if (!s->metadata)
		return;
	p = map_get_c(&v->pods, s->metadata->uid);
	if (!p) {
		p = xcalloc(1, sizeof(*p));
		p->uid = xstrdup(s->metadata->uid);
		p->ns = xstrdup(s->metadata->namespace_);
		p->name = xstrdup(s->metadata->name);
		map_put_c(&v->pods, p->uid, p);
	}
	char *id = xstrdup(s->id);
	p->sandbox_ids = xrealloc(p->sandbox_ids, (p->n_sandboxes + 1) * sizeof(*p->sandbox_ids));
	p->sandbox_ids[p->n_sandboxes++] = id;
	map_put_c(&v->by_sandbox, id, p);
	/* The newest stands last. */
	if (s->metadata->attempt < p->sandbox_attempt && p->n_sandboxes > 1) {
		p->sandbox_ids[p->n_sandboxes - 1] = p->sandbox_ids[p->n_sandboxes - 2];
		p->sandbox_ids[p->n_sandboxes - 2] = id;
	} else {
		p->sandbox_attempt = s->metadata->attempt;
	}
}

static void on_sandboxes(void *ctx, const void *response, const struct err *e)
{
	struct runtime_view *v = ctx;
	const Cri__ListPodSandboxResponse *r = response;
	Cri__ListContainersRequest q = CRI__LIST_CONTAINERS_REQUEST__INIT;

	v->call = NULL;
	if (e) {
		retry(v);
		return;
	}
	for (size_t i = 0; i < r->n_items; i++)
		add_sandbox(v, r->items[i]);
	v->call = cri_send(v->node->cri, CRI_LIST_CONTAINERS, &q, 0, on_containers, v);
}

static void start(struct runtime_view *v)
{
	Cri__ListPodSandboxRequest q = CRI__LIST_POD_SANDBOX_REQUEST__INIT;

	map_done(&v->by_sandbox, NULL);
	map_done(&v->pods, runtime_pod_free);
	map_init(&v->by_sandbox);
	map_init(&v->pods);
	v->call = cri_send(v->node->cri, CRI_LIST_POD_SANDBOX, &q, 0, on_sandboxes, v);
}

struct runtime_view *runtime_view_get(struct node *n, void (*done)(void *ctx, struct map *pods),
				      void *ctx)
{
	struct runtime_view *v = xcalloc(1, sizeof(*v));

	*v = (struct runtime_view){ .node = n, .done = done, .ctx = ctx };
	map_init(&v->pods);
	map_init(&v->by_sandbox);
	start(v);
	return v;
}

void runtime_view_cancel(struct runtime_view *v)
{
	if (!v)
		return;
	cri_cancel(v->call);
	timer_stop(&v->retry);
	map_done(&v->by_sandbox, NULL);
	map_done(&v->pods, runtime_pod_free);
	free(v);
}
