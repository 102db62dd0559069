#include "roles/node/relist.h"

#include "base/log.h"
#include "roles/node/cri_spec.h"
#include "roles/node/ctr.h"
#include "roles/node/pod_steps.h"

#define PERIOD_MS 2000 /* ends of processes are told by pidfds; this is for everything else */

struct relist {
	struct node *node;
	struct timer timer;
	struct cri_call *call;
	uint64_t asked_at_ms;
};

static void on_timer(struct timer *t);

static void again(struct relist *r)
{
	r->timer = (struct timer){ .fire = on_timer, .ctx = r };
	timer_start(r->node->loop, &r->timer, PERIOD_MS);
}

/* A map id → the entry, for one answer. */
static void index_ctrs(struct map *m, const Cri__ListContainersResponse *r)
{
	map_init(m);
	for (size_t i = 0; i < r->n_containers; i++)
		map_put_c(m, r->containers[i]->id, r->containers[i]);
}

static void check_ctrs(struct pod *p, const struct map *listed)
{
	for (size_t i = 0; i < p->n_ctrs; i++) {
		struct ctr *c = &p->ctrs[i];
		const Cri__Container *now = c->id ? map_get_c(listed, c->id) : NULL;
		/* The list may be older than the container: the container itself is asked. */
		if (c->state == CTR_RUNNING &&
		    (!now || now->state != CRI__CONTAINER_STATE__CONTAINER_RUNNING))
			ctr_check(c);
	}
}

static void on_containers(void *ctx, const void *response, const struct err *e)
{
	struct relist *r = ctx;
	struct map listed;

	r->call = NULL;
	again(r);
	if (e)
		return;
	index_ctrs(&listed, response);
	for (struct map_iter it = { 0 }; map_next(&r->node->pods, &it);)
		check_ctrs(it.value, &listed);
	map_done(&listed, NULL);
}

static void remove_stray(struct relist *r, const Cri__PodSandbox *s)
{
	Cri__PodSandboxRequest q = CRI__POD_SANDBOX_REQUEST__INIT;

	log_info("sandbox=%s belongs to no pod, removing it", s->id);
	q.pod_sandbox_id = s->id;
	cri_send(r->node->cri, CRI_REMOVE_POD_SANDBOX, &q, 0, NULL, NULL);
}

static void check_sandbox(struct relist *r, struct pod *p, const struct map *listed)
{
	const Cri__PodSandbox *s = p->sandbox_id ? map_get_c(listed, p->sandbox_id) : NULL;

	if (!p->sandbox_ready || p->sandbox_ready_at_ms >= r->asked_at_ms)
		return;
	if (!s || s->state != CRI__POD_SANDBOX_STATE__SANDBOX_READY)
		pod_sandbox_lost(p);
}

static void on_sandboxes(void *ctx, const void *response, const struct err *e)
{
	struct relist *r = ctx;
	const Cri__ListPodSandboxResponse *list = response;
	Cri__ListContainersRequest q = CRI__LIST_CONTAINERS_REQUEST__INIT;
	struct map listed;

	r->call = NULL;
	if (e) {
		again(r);
		return;
	}
	map_init(&listed);
	for (size_t i = 0; i < list->n_items; i++) {
		const char *uid =
			cri_entry(list->items[i]->labels, list->items[i]->n_labels, LABEL_POD_UID);
		map_put_c(&listed, list->items[i]->id, list->items[i]);
		if (uid && !map_get_c(&r->node->pods, uid))
			remove_stray(r, list->items[i]);
	}
	for (struct map_iter it = { 0 }; map_next(&r->node->pods, &it);)
		check_sandbox(r, it.value, &listed);
	map_done(&listed, NULL);
	r->call = cri_send(r->node->cri, CRI_LIST_CONTAINERS, &q, 0, on_containers, r);
}

static void on_timer(struct timer *t)
{
	struct relist *r = t->ctx;
	Cri__ListPodSandboxRequest q = CRI__LIST_POD_SANDBOX_REQUEST__INIT;

	if (!r->node->pods.count) {
		again(r);
		return;
	}
	r->asked_at_ms = loop_now_ms(r->node->loop);
	r->call = cri_send(r->node->cri, CRI_LIST_POD_SANDBOX, &q, 0, on_sandboxes, r);
}

void relist_start(struct node *n)
{
	if (n->relist)
		return;
	n->relist = xcalloc(1, sizeof(*n->relist));
	n->relist->node = n;
	again(n->relist);
}

void relist_stop(struct node *n)
{
	if (!n->relist)
		return;
	timer_stop(&n->relist->timer);
	cri_cancel(n->relist->call);
	free(n->relist);
	n->relist = NULL;
}
