#include "base/file.h"
#include "codec/jx.h"
#include "roles/node/cri_spec.h"
#include "roles/node/ctr.h"
#include "roles/node/event.h"
#include "roles/node/node.h"
#include "roles/node/pod_steps.h"
#include "roles/node/pod_worker.h"

#define RETRY_MS 3000

static void sandbox_fail(struct pod *p, const char *message)
{
	event_pod(p, "Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: %s",
		  message);
	p->sandbox_failed_at_ms = wall_now_ms();
	pod_wake(p);
}

static void on_status(void *ctx, const void *response, const struct err *e)
{
	struct pod *p = ctx;
	const Cri__PodSandboxStatusResponse *r = response;

	p->sandbox_call = NULL;
	if (e || !r->status || r->status->state != CRI__POD_SANDBOX_STATE__SANDBOX_READY) {
		sandbox_fail(p, e ? e->message : "it ended at once");
		return;
	}
	free(p->sandbox_ip);
	p->sandbox_ip = r->status->network && r->status->network->ip[0]
				? xstrdup(r->status->network->ip)
				: NULL;
	p->sandbox_ready = true;
	p->sandbox_ready_at_ms = loop_now_ms(p->node->loop);
	pod_wake(p);
}

static void on_run(void *ctx, const void *response, const struct err *e)
{
	struct pod *p = ctx;
	const Cri__RunPodSandboxResponse *r = response;
	Cri__PodSandboxStatusRequest q = CRI__POD_SANDBOX_STATUS_REQUEST__INIT;

	p->sandbox_call = NULL;
	if (e) {
		sandbox_fail(p, e->message);
		return;
	}
	free(p->sandbox_id);
	p->sandbox_id = xstrdup(r->pod_sandbox_id);
	q.pod_sandbox_id = p->sandbox_id;
	p->sandbox_call = cri_send(p->node->cri, CRI_POD_SANDBOX_STATUS, &q, 0, on_status, p);
}

static int sandbox_run(struct pod *p, struct err *e)
{
	Cri__RunPodSandboxRequest q = CRI__RUN_POD_SANDBOX_REQUEST__INIT;
	cleanup(freep) char *logs = pod_log_dir(p);
	struct arena a;

	if (dir_make(logs, 0755, e) < 0)
		return -1;
	arena_init(&a, CRI_SPEC_BYTES);
	q.config = cri_sandbox_config(p, p->sandbox_attempt, &a);
	if (q.config)
		p->sandbox_call = cri_send(p->node->cri, CRI_RUN_POD_SANDBOX, &q, 0, on_run, p);
	arena_done(&a);
	return q.config ? 0 : err_set(e, ERR_TOO_LARGE, "the sandbox's configuration is too large");
}

static void remove_old(struct pod *p)
{
	Cri__PodSandboxRequest q = CRI__POD_SANDBOX_REQUEST__INIT;

	q.pod_sandbox_id = p->sandbox_id;
	/* Removing stops it, too: the network is given back. */
	cri_send(p->node->cri, CRI_REMOVE_POD_SANDBOX, &q, 0, NULL, NULL);
	free(p->sandbox_id);
	p->sandbox_id = NULL;
	p->sandbox_attempt++;
}

/* Containers cannot outlive their sandbox. True when none is left running. */
static bool end_containers(struct pod *p)
{
	bool busy = false;

	for (size_t i = 0; i < p->n_ctrs; i++) {
		struct ctr *c = &p->ctrs[i];
		ctr_abandon_start(c);
		ctr_stop(c, 0);
		busy = busy || ctr_busy(c);
	}
	return !busy;
}

/* Init containers prepare a sandbox's pod: a new one needs them again. */
static void forget_init(struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++) {
		struct ctr *c = &p->ctrs[i];
		if (c->kind != CTR_INIT || c->state != CTR_EXITED)
			continue;
		ctr_exit_done(&c->last);
		c->last = c->exit;
		c->exit = (struct ctr_exit){ 0 };
		c->state = CTR_NONE;
		c->attempt++;
		free(c->id);
		c->id = NULL;
	}
}

bool pod_sandbox_step(struct pod *p)
{
	int64_t rested_ms = wall_now_ms() - p->sandbox_failed_at_ms;
	struct err e;

	if (p->sandbox_ready)
		return true;
	if (p->sandbox_call || !end_containers(p))
		return false;
	if (p->sandbox_failed_at_ms && rested_ms < RETRY_MS) {
		pod_wake_after(p, (uint64_t)(RETRY_MS - rested_ms));
		return false;
	}
	if (p->sandbox_id) {
		remove_old(p);
		forget_init(p);
		event_pod(p, "Normal", "SandboxChanged",
			  "Pod sandbox changed, it will be killed and re-created.");
	}
	if (sandbox_run(p, &e) < 0)
		sandbox_fail(p, e.message);
	return false;
}

void pod_sandbox_lost(struct pod *p)
{
	p->sandbox_ready = false;
	pod_wake(p);
}
