#include "codec/jx.h"
#include "roles/node/ctr.h"
#include "roles/node/event.h"
#include "roles/node/hook.h"
#include "roles/node/node.h"
#include "roles/node/pod_worker.h"
#include "roles/node/probe.h"

#define GRACE_MIN_MS 2000 /* kubelet's minimumGracePeriodInSeconds: time for one last word */
#define STOP_RETRY_MS 1000

static uint64_t remaining_ms(const struct ctr *c)
{
	uint64_t now = loop_now_ms(c->pod->node->loop);

	return c->stop_by_ms > now ? c->stop_by_ms - now : 0;
}

static void send_stop(struct ctr *c);

static void on_retry(struct timer *t)
{
	struct ctr *c = t->ctx;

	if (c->state == CTR_RUNNING)
		send_stop(c);
}

/* The end itself is told by the container's status, which is asked for; only then is stopping over.
 */
static void on_stopped(void *ctx, const void *response, const struct err *e)
{
	struct ctr *c = ctx;

	(void)response;
	(void)e;
	c->call = NULL;
	if (c->state == CTR_RUNNING) {
		c->stop_timer = (struct timer){ .fire = on_retry, .ctx = c };
		timer_start(c->pod->node->loop, &c->stop_timer, STOP_RETRY_MS);
		ctr_check(c);
		return;
	}
	c->op = CTR_IDLE;
	pod_wake(c->pod);
}

static void send_stop(struct ctr *c)
{
	Cri__StopContainerRequest q = CRI__STOP_CONTAINER_REQUEST__INIT;
	uint64_t grace_ms = c->stop_by_ms ? MAX(remaining_ms(c), (uint64_t)GRACE_MIN_MS) : 0;

	c->stop_sent = true;
	q.container_id = c->id;
	q.timeout = (int64_t)((grace_ms + 999) / 1000);
	c->call = cri_send(c->pod->node->cri, CRI_STOP_CONTAINER, &q, grace_ms, on_stopped, c);
}

static void hook_over(struct ctr *c)
{
	timer_stop(&c->stop_timer);
	if (c->state == CTR_RUNNING) {
		send_stop(c);
	} else {
		c->op = CTR_IDLE;
		pod_wake(c->pod);
	}
}

static void on_pre_stop(void *ctx, const struct err *e)
{
	struct ctr *c = ctx;

	c->hook = NULL;
	if (e)
		event_ctr(c, "Warning", "FailedPreStopHook", "PreStopHook failed: %s", e->message);
	hook_over(c);
}

static void on_grace_over(struct timer *t)
{
	struct ctr *c = t->ctx;

	hook_cancel(c->hook);
	c->hook = NULL;
	hook_over(c);
}

/* A second request while the first is under way: only a nearer end matters, and the runtime takes
 * the nearest. */
static void stop_sooner(struct ctr *c, uint64_t stop_by_ms)
{
	Cri__StopContainerRequest q = CRI__STOP_CONTAINER_REQUEST__INIT;

	if (stop_by_ms + STOP_RETRY_MS >= c->stop_by_ms)
		return;
	c->stop_by_ms = stop_by_ms;
	if (!c->stop_sent) {
		timer_start(c->pod->node->loop, &c->stop_timer, remaining_ms(c));
		return;
	}
	q.container_id = c->id;
	q.timeout = (int64_t)(remaining_ms(c) / 1000);
	cri_send(c->pod->node->cri, CRI_STOP_CONTAINER, &q, remaining_ms(c), NULL, NULL);
}

void ctr_stop(struct ctr *c, uint64_t grace_ms)
{
	const json_t *hook = jx_at(c->spec, "lifecycle.preStop");
	uint64_t stop_by_ms = loop_now_ms(c->pod->node->loop) + grace_ms;

	if (c->op == CTR_STOPPING)
		stop_sooner(c, stop_by_ms);
	if (c->op == CTR_STARTING && c->state == CTR_RUNNING && c->hook) {
		hook_cancel(c->hook);
		c->hook = NULL;
		c->op = CTR_IDLE;
	}
	if (c->op != CTR_IDLE || c->state != CTR_RUNNING)
		return;
	probes_stop(c);
	c->op = CTR_STOPPING;
	c->stop_by_ms = stop_by_ms;
	c->stop_sent = false;
	if (!hook || !grace_ms) {
		send_stop(c);
		return;
	}
	c->stop_timer = (struct timer){ .fire = on_grace_over, .ctx = c };
	timer_start(c->pod->node->loop, &c->stop_timer, grace_ms);
	c->hook = hook_run(c, hook, grace_ms, on_pre_stop, c);
}
