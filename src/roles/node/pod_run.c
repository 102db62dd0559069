#include "roles/node/pod_steps.h"

#include "base/file.h"
#include "codec/jx.h"
#include "roles/node/cri_spec.h"
#include "roles/node/ctr.h"
#include "roles/node/event.h"
#include "roles/node/node.h"
#include "roles/node/pod_worker.h"
#include "roles/node/volumes.h"

/* Every container that need not run again has ended, or an init container failed for good. */
static bool is_finished(const struct pod *p)
{
	bool mains_over = true;

	for (size_t i = 0; i < p->n_ctrs; i++) {
		const struct ctr *c = &p->ctrs[i];
		bool over = c->state == CTR_EXITED && c->op == CTR_IDLE && !ctr_wants_restart(c);
		if (c->kind == CTR_INIT && over && c->exit.code != 0)
			return true;
		if (c->kind == CTR_MAIN)
			mains_over = mains_over && over;
	}
	return mains_over && p->n_ctrs;
}

static bool deadline_passed(struct pod *p)
{
	int64_t seconds = jx_int(p->obj, "spec.activeDeadlineSeconds", -1);
	int64_t left_ms = p->start_at_ms + seconds * 1000 - wall_now_ms();

	if (seconds < 0)
		return false;
	if (left_ms > 0) {
		pod_wake_after(p, (uint64_t)left_ms);
		return false;
	}
	p->fail_reason = xstrdup("DeadlineExceeded");
	p->fail_message = xstrdup("Pod was active on the node longer than the specified deadline");
	event_pod(p, "Normal", "DeadlineExceeded", "%s", p->fail_message);
	return true;
}

/* A changed image: the container is made anew. */
static void restart_changed(struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++) {
		struct ctr *c = &p->ctrs[i];
		if (c->kind == CTR_INIT || c->state != CTR_RUNNING || c->op != CTR_IDLE ||
		    ctr_spec_hash(c->spec) == c->spec_hash)
			continue;
		event_ctr(c, "Normal", "Killing",
			  "Container %s definition changed, will be restarted", c->name);
		ctr_stop(c,
			 (uint64_t)jx_int(p->obj, "spec.terminationGracePeriodSeconds", 30) * 1000);
	}
}

/* True when the init containers are over and done with. */
static bool run_init(struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs && p->ctrs[i].kind != CTR_MAIN; i++) {
		struct ctr *c = &p->ctrs[i];
		if (c->kind == CTR_INIT && c->state == CTR_EXITED && c->exit.code == 0)
			continue;
		ctr_step(c);
		if (c->kind == CTR_INIT || !c->started)
			return false;
	}
	return true;
}

static bool any_main_ran(const struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (p->ctrs[i].kind == CTR_MAIN && p->ctrs[i].state != CTR_NONE)
			return true;
	return false;
}

void pod_step_running(struct pod *p)
{
	bool host_network = jx_bool(p->obj, "spec.hostNetwork", false);

	if (deadline_passed(p) || is_finished(p)) {
		p->terminal = true;
		p->stage = POD_KILLING;
		return;
	}
	if (!informer_synced(p->node->service_informer) ||
	    (!p->node->network_ready && !host_network))
		return;
	restart_changed(p);
	bool mounted = volumes_step(p->volumes);
	if (!pod_sandbox_step(p) || !mounted)
		return;
	/* Once containers of the pod have run, init containers are not looked at again; sidecars
	 * are. */
	if (!run_init(p) && !any_main_ran(p))
		return;
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (p->ctrs[i].kind == CTR_MAIN)
			ctr_step(&p->ctrs[i]);
}
