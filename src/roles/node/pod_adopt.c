#include "roles/node/pod_adopt.h"

#include "codec/jx.h"
#include "roles/node/ctr.h"
#include "roles/node/pod_worker.h"
#include "roles/node/probe.h"

#define RETRY_MS 500

/* The API's last word on a container; NULL if there is none. */
static const json_t *known_status(const struct ctr *c)
{
	const char *list =
		c->kind == CTR_MAIN ? "status.containerStatuses" : "status.initContainerStatuses";
	size_t i;
	const json_t *s;

	json_array_foreach(jx_at(c->pod->obj, list), i,
			   s) if (c_eq(jx_str(s, "name"), c->name)) return s;
	return NULL;
}

static int64_t time_at(const json_t *obj, const char *path)
{
	int64_t ms;

	return time_parse(jx_str_or(obj, path, ""), &ms) == 0 ? ms : 0;
}

static const char *plain_id(const char *container_id)
{
	const char *slash = container_id ? strstr(container_id, "://") : NULL;

	return slash ? slash + 3 : container_id;
}

static struct ctr_exit exit_of(const json_t *terminated)
{
	if (!jx_str(terminated, "containerID"))
		return (struct ctr_exit){ 0 };
	return (struct ctr_exit){
		.id = xstrdup(plain_id(jx_str(terminated, "containerID"))),
		.code = (int)jx_int(terminated, "exitCode", 0),
		.reason = xstrdup(jx_str(terminated, "reason")),
		.message = xstrdup(jx_str(terminated, "message")),
		.started_at_ms = time_at(terminated, "startedAt"),
		.finished_at_ms = time_at(terminated, "finishedAt"),
	};
}

/* The runtime has forgotten a container that the API knows: after `down`, or a cleared disk. */
static void restore_lost(struct ctr *c, const json_t *s)
{
	const json_t *terminated = jx_at(s, "state.terminated");

	c->attempt = (unsigned)jx_int(s, "restartCount", 0);
	c->last = exit_of(jx_at(s, "lastState.terminated"));
	c->image_ref = xstrdup(jx_str(s, "imageID"));
	if (terminated) {
		c->exit = exit_of(terminated);
		c->state = c->exit.id ? CTR_EXITED : CTR_NONE;
		c->id = xstrdup(c->exit.id);
	} else if (jx_at(s, "state.running")) {
		c->id = xstrdup(plain_id(jx_str(s, "containerID")));
		c->started_at_ms = time_at(s, "state.running.startedAt");
		c->state = CTR_RUNNING;
		ctr_vanished(c);
	} else if (jx_str(s, "containerID")) {
		c->attempt++;
	}
}

static void one_done(struct pod *p)
{
	if (--p->pending == 0)
		pod_adopted(p);
}

static void ask_ctr(struct ctr *c);

static void on_ask_again(struct timer *t)
{
	ask_ctr(t->ctx);
}

static void on_ctr_status(void *ctx, const void *response, const struct err *e)
{
	struct ctr *c = ctx;
	const json_t *s = known_status(c);

	c->status_call = NULL;
	/* Nothing may be started anew as long as it is not known whether it runs. */
	if (e && e->reason != ERR_NOT_FOUND) {
		c->exit_timer = (struct timer){ .fire = on_ask_again, .ctx = c };
		timer_start(c->pod->node->loop, &c->exit_timer, RETRY_MS);
		return;
	}
	if (!e)
		ctr_apply_status(c, response);
	if (c->state == CTR_RUNNING) {
		bool same = c_eq(plain_id(jx_str(s, "containerID")), c->id);
		probes_resume(c, same && jx_bool(s, "ready", false),
			      same && jx_bool(s, "started", false));
	}
	one_done(c->pod);
}

static void ask_ctr(struct ctr *c)
{
	Cri__ContainerStatusRequest q = CRI__CONTAINER_STATUS_REQUEST__INIT;

	q.container_id = c->id;
	q.verbose = true;
	c->status_call = cri_send(c->pod->node->cri, CRI_CONTAINER_STATUS, &q, 0, on_ctr_status, c);
}

static void adopt_ctr(struct ctr *c, const struct runtime_ctr *newest,
		      const struct runtime_ctr *before)
{
	const json_t *s = known_status(c);

	c->id = xstrdup(newest->id);
	c->attempt = newest->attempt;
	c->spec_hash = newest->hash;
	c->last = exit_of(jx_at(s, "lastState.terminated"));
	if (before && !c->last.id)
		c->last = exit_of(jx_at(s, "state.terminated"));
	c->pod->pending++;
	ask_ctr(c);
}

static void adopt_or_restore(struct ctr *c, const struct runtime_pod *r)
{
	const struct runtime_ctr *newest = NULL, *before = NULL;

	for (size_t i = 0; r && i < r->n_ctrs; i++) {
		if (!c_eq(r->ctrs[i].name, c->name))
			continue;
		before = newest;
		newest = &r->ctrs[i];
	}
	if (newest)
		adopt_ctr(c, newest, before);
	else if (known_status(c))
		restore_lost(c, known_status(c));
}

static void on_sandbox_status(void *ctx, const void *response, const struct err *e)
{
	struct pod *p = ctx;
	const Cri__PodSandboxStatusResponse *r = response;

	p->sandbox_call = NULL;
	if (!e && r->status && r->status->state == CRI__POD_SANDBOX_STATE__SANDBOX_READY) {
		p->sandbox_ready = true;
		if (r->status->network && r->status->network->ip[0])
			p->sandbox_ip = xstrdup(r->status->network->ip);
	}
	one_done(p);
}

static void adopt_sandbox(struct pod *p, const struct runtime_pod *r)
{
	Cri__PodSandboxStatusRequest q = CRI__POD_SANDBOX_STATUS_REQUEST__INIT;
	Cri__PodSandboxRequest old = CRI__POD_SANDBOX_REQUEST__INIT;

	for (size_t i = 0; i + 1 < r->n_sandboxes; i++) {
		old.pod_sandbox_id = r->sandbox_ids[i];
		cri_send(p->node->cri, CRI_REMOVE_POD_SANDBOX, &old, 0, NULL, NULL);
	}
	p->sandbox_id = xstrdup(r->sandbox_ids[r->n_sandboxes - 1]);
	p->sandbox_attempt = r->sandbox_attempt;
	q.pod_sandbox_id = p->sandbox_id;
	p->pending++;
	p->sandbox_call =
		cri_send(p->node->cri, CRI_POD_SANDBOX_STATUS, &q, 0, on_sandbox_status, p);
}

/* Of a pod that the API no longer has, the containers' names are all there is to go by. */
static void make_orphans(struct pod *p, const struct runtime_pod *r)
{
	p->ctrs = xrealloc(p->ctrs, (r->n_ctrs + 1) * sizeof(*p->ctrs));
	for (size_t i = 0; i < r->n_ctrs; i++) {
		if (r->ctrs[i].exited)
			continue;
		struct ctr *c = &p->ctrs[p->n_ctrs++];
		ctr_init(c, p, NULL, CTR_MAIN);
		free(c->name);
		c->name = xstrdup(r->ctrs[i].name);
	}
}

void pod_adopt(struct pod *p, const struct runtime_pod *r)
{
	p->pending++; /* until everything has been asked */
	if (r && p->gone)
		make_orphans(p, r);
	if (r && r->n_sandboxes)
		adopt_sandbox(p, r);
	for (size_t i = 0; i < p->n_ctrs; i++)
		adopt_or_restore(&p->ctrs[i], r);
	one_done(p);
}
