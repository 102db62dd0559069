#include "base/file.h"
#include "base/log.h"
#include "codec/jx.h"
#include "roles/node/cgroup.h"
#include "roles/node/cri_spec.h"
#include "roles/node/ctr.h"
#include "roles/node/event.h"
#include "roles/node/node.h"
#include "roles/node/pod_steps.h"
#include "roles/node/pod_worker.h"
#include "roles/node/volumes.h"

#define RETRY_MS 1000

static uint64_t grace_ms(const struct pod *p)
{
	int64_t seconds = jx_int(p->obj, "metadata.deletionGracePeriodSeconds",
				 jx_int(p->obj, "spec.terminationGracePeriodSeconds", 30));

	return (uint64_t)MAX(seconds, 1) * 1000;
}

/* True when none of the kind (sidecars, or the others) runs any more. */
static bool stop_ctrs(struct pod *p, bool sidecars)
{
	bool busy = false;

	for (size_t i = 0; i < p->n_ctrs; i++) {
		struct ctr *c = &p->ctrs[i];
		if ((c->kind == CTR_SIDECAR) != sidecars)
			continue;
		ctr_abandon_start(c);
		if (c->state == CTR_RUNNING && c->op == CTR_IDLE)
			event_ctr(c, "Normal", "Killing", "Stopping container %s", c->name);
		ctr_stop(c, grace_ms(p));
		busy = busy || ctr_busy(c);
	}
	return !busy;
}

void pod_step_killing(struct pod *p)
{
	/* Sidecars serve the others to their end. */
	if (stop_ctrs(p, false) && stop_ctrs(p, true) && !p->sandbox_call &&
	    !volumes_busy(p->volumes))
		p->stage = POD_CLEANING;
}

static void on_files_gone(void *ctx)
{
	struct pod *p = ctx;

	p->pending--;
	cgroup_remove_pod(p->uid);
	p->stage = POD_ENDED;
	pod_wake(p);
}

static void on_sandbox_stopped(void *ctx, const void *response, const struct err *e)
{
	struct pod *p = ctx;

	(void)response;
	p->sandbox_call = NULL;
	p->pending--;
	if (e && e->reason != ERR_NOT_FOUND) {
		log_warn("pod=%s stop sandbox: %s, trying again", p->key, e->message);
		pod_wake_after(p, RETRY_MS);
		return;
	}
	p->sandbox_ready = false;
	p->pending++;
	volumes_teardown(p->volumes, on_files_gone, p);
}

void pod_step_cleaning(struct pod *p)
{
	Cri__PodSandboxRequest q = CRI__POD_SANDBOX_REQUEST__INIT;

	if (p->pending)
		return;
	p->pending++;
	if (!p->sandbox_id) {
		on_sandbox_stopped(p, NULL, NULL);
		return;
	}
	q.pod_sandbox_id = p->sandbox_id;
	p->sandbox_call =
		cri_send(p->node->cri, CRI_STOP_POD_SANDBOX, &q, 0, on_sandbox_stopped, p);
}

static void on_deleted(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct pod *p = ctx;

	(void)obj;
	p->push_call = NULL;
	p->delete_sent = !e || status == 404 || status == 409;
	if (!p->delete_sent)
		pod_wake_after(p, RETRY_MS);
}

/* The node has the last word on a pod that is being deleted: nothing of it runs any more. */
static void delete_object(struct pod *p)
{
	cleanup(freep) char *path = kube_path(GVR_PODS, p->ns, p->name, NULL);
	cleanup(json_decrefp) json_t *options =
		json_pack("{s:s, s:s, s:i, s:{s:s}}", "kind", "DeleteOptions", "apiVersion", "v1",
			  "gracePeriodSeconds", 0, "preconditions", "uid", p->uid);

	p->delete_sent = true;
	p->push_call =
		kube_request(p->node->kube, "DELETE", path, KUBE_JSON, options, on_deleted, p);
}

struct removal {
	struct work work;
	struct pod *pod;
	char *logs;
	struct err error;
	bool failed;
};

static void on_logs_run(struct work *w)
{
	struct removal *r = container_of(w, struct removal, work);

	r->failed = dir_remove(r->logs, &r->error) < 0;
}

static void on_logs_gone(struct work *w)
{
	struct removal *r = container_of(w, struct removal, work);
	struct pod *p = r->pod;

	if (r->failed)
		log_warn("pod=%s remove logs: %s, skipping", p->key, r->error.message);
	free(r->logs);
	free(r);
	p->pending--;
	pod_removed(p);
}

static void on_sandbox_removed(void *ctx, const void *response, const struct err *e)
{
	struct pod *p = ctx;

	(void)response;
	p->sandbox_call = NULL;
	p->pending--;
	if (e && e->reason != ERR_NOT_FOUND) {
		log_warn("pod=%s remove sandbox: %s, trying again", p->key, e->message);
		p->stage = POD_ENDED;
		pod_wake_after(p, RETRY_MS);
		return;
	}
	struct removal *r = xcalloc(1, sizeof(*r));
	*r = (struct removal){ .work = { .run = on_logs_run, .done = on_logs_gone },
			       .pod = p,
			       .logs = pod_log_dir(p) };
	p->pending++;
	loop_work(p->node->loop, &r->work);
}

static void remove_traces(struct pod *p)
{
	Cri__PodSandboxRequest q = CRI__POD_SANDBOX_REQUEST__INIT;

	p->stage = POD_REMOVING;
	p->pending++;
	if (!p->sandbox_id) {
		on_sandbox_removed(p, NULL, NULL);
		return;
	}
	q.pod_sandbox_id = p->sandbox_id;
	p->sandbox_call =
		cri_send(p->node->cri, CRI_REMOVE_POD_SANDBOX, &q, 0, on_sandbox_removed, p);
}

void pod_step_ended(struct pod *p)
{
	if (p->gone) {
		remove_traces(p);
		return;
	}
	/* How the containers ended is written before the object goes. */
	pod_push(p);
	if (jx_str(p->obj, "metadata.deletionTimestamp") && !p->push_call && !p->delete_sent)
		delete_object(p);
}
