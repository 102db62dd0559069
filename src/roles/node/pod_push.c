#include "codec/jx.h"
#include "roles/node/node.h"
#include "roles/node/pod_status.h"
#include "roles/node/pod_steps.h"
#include "roles/node/pod_worker.h"

#define RETRY_MS 1000

void pod_push_cancel(struct pod *p)
{
	kube_cancel(p->push_call);
	p->push_call = NULL;
	timer_stop(&p->push_timer);
}

static void on_retry(struct timer *t)
{
	pod_wake(t->ctx);
}

static void on_pushed(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct pod *p = ctx;

	(void)obj;
	p->push_call = NULL;
	/* 404, 409: another pod has the name by now, the informer is about to say so. */
	if (e && status != 404 && status != 409) {
		json_decref(p->pushed);
		p->pushed = NULL;
		p->push_timer = (struct timer){ .fire = on_retry, .ctx = p };
		timer_start(p->node->loop, &p->push_timer, RETRY_MS);
		return;
	}
	pod_wake(p);
}

void pod_push(struct pod *p)
{
	if (p->gone || p->push_call || p->delete_sent || p->stage == POD_ADOPTING ||
	    timer_active(&p->push_timer))
		return;
	json_t *status = pod_status_compute(p, p->node->ip, wall_now_ms());
	if (json_equal(status, p->pushed)) {
		json_decref(status);
		return;
	}
	cleanup(json_decrefp) json_t *patch =
		json_pack("{s:{s:s}, s:o}", "metadata", "uid", p->uid, "status",
			  pod_status_patch(jx_at(p->obj, "status"), status));
	json_decref(p->pushed);
	p->pushed = status;
	cleanup(freep) char *path = kube_path(GVR_PODS, p->ns, p->name, "status");
	p->push_call =
		kube_request(p->node->kube, "PATCH", path, KUBE_MERGE_PATCH, patch, on_pushed, p);
}
