#include "roles/node/probe.h"

#include "codec/jx.h"
#include "roles/node/action.h"
#include "roles/node/ctr.h"
#include "roles/node/event.h"
#include "roles/node/node.h"
#include "roles/node/pod_worker.h"
#include "roles/node/probe_state.h"

/* A container that has just started is asked again soon whether it is ready. */
#define EAGER_FIRST_MS 25

struct probe {
	struct ctr *ctr;
	enum probe_kind kind;
	json_t *spec; /* own reference: the pod's object may be replaced while it runs */
	struct probe_state state;
	uint64_t period_ms, timeout_ms;
	uint64_t eager_ms; /* pause before the next early try; 0 = no more of them */
	struct timer timer;
	struct action *action;
};

static const struct {
	const char *member, *title, *word;
	enum verdict initial;
} kinds[] = {
	[PROBE_STARTUP] = { "startupProbe", "Startup", "startup", VERDICT_UNKNOWN },
	[PROBE_LIVENESS] = { "livenessProbe", "Liveness", "liveness", VERDICT_SUCCESS },
	[PROBE_READINESS] = { "readinessProbe", "Readiness", "readiness", VERDICT_FAILURE },
};

static void probe_free(struct probe *p)
{
	timer_stop(&p->timer);
	action_cancel(p->action);
	json_decref(p->spec);
	free(p);
}

static void probe_stop(struct ctr *c, enum probe_kind kind)
{
	if (c->probes[kind])
		probe_free(c->probes[kind]);
	c->probes[kind] = NULL;
}

void probes_stop(struct ctr *c)
{
	for (enum probe_kind k = 0; k < N_PROBE_KINDS; k++)
		probe_stop(c, k);
}

static void on_timer(struct timer *t);

static uint64_t seconds_ms(const json_t *spec, const char *name, int64_t dflt)
{
	return (uint64_t)MAX(jx_int(spec, name, dflt), 0) * 1000;
}

static void probe_start(struct ctr *c, enum probe_kind kind, enum verdict verdict,
			uint64_t delay_ms)
{
	json_t *spec = json_object_get(c->spec, kinds[kind].member);
	struct probe *p = xcalloc(1, sizeof(*p));

	*p = (struct probe){
		.ctr = c,
		.kind = kind,
		.spec = json_incref(spec),
		.state = { (int)jx_int(spec, "successThreshold", 1),
			   (int)jx_int(spec, "failureThreshold", 3), verdict },
		.period_ms = MAX(seconds_ms(spec, "periodSeconds", 10), 1000u),
		.timeout_ms = MAX(seconds_ms(spec, "timeoutSeconds", 1), 1000u),
		.eager_ms =
			kind == PROBE_READINESS && verdict != VERDICT_SUCCESS ? EAGER_FIRST_MS : 0,
		.timer = { .fire = on_timer, .ctx = p },
	};
	c->probes[kind] = p;
	timer_start(c->pod->node->loop, &p->timer, delay_ms);
}

static uint64_t initial_delay_ms(const struct ctr *c, enum probe_kind kind)
{
	uint64_t delay =
		seconds_ms(json_object_get(c->spec, kinds[kind].member), "initialDelaySeconds", 0);
	uint64_t age = (uint64_t)MAX(wall_now_ms() - c->started_at_ms, 0);

	return delay > age ? delay - age : 0;
}

/* Startup is over: the others take turns from now on. */
static void startup_over(struct ctr *c, enum verdict readiness)
{
	c->started = true;
	if (json_object_get(c->spec, kinds[PROBE_LIVENESS].member))
		probe_start(c, PROBE_LIVENESS, VERDICT_SUCCESS,
			    initial_delay_ms(c, PROBE_LIVENESS));
	if (json_object_get(c->spec, kinds[PROBE_READINESS].member)) {
		c->ready = readiness == VERDICT_SUCCESS;
		probe_start(c, PROBE_READINESS, readiness, initial_delay_ms(c, PROBE_READINESS));
	} else {
		c->ready = true;
	}
	pod_wake(c->pod);
}

void probes_start(struct ctr *c)
{
	probes_resume(c, false, false);
}

void probes_resume(struct ctr *c, bool ready, bool started)
{
	probes_stop(c);
	c->ready = c->started = false;
	if (!started && json_object_get(c->spec, kinds[PROBE_STARTUP].member))
		probe_start(c, PROBE_STARTUP, VERDICT_UNKNOWN, initial_delay_ms(c, PROBE_STARTUP));
	else
		startup_over(c, ready ? VERDICT_SUCCESS : VERDICT_FAILURE);
}

static uint64_t kill_grace_ms(const struct probe *p)
{
	int64_t pod = jx_int(p->ctr->pod->obj, "spec.terminationGracePeriodSeconds", 30);

	return (uint64_t)MAX(jx_int(p->spec, "terminationGracePeriodSeconds", pod), 1) * 1000;
}

/* The probe may be gone afterwards. */
static void verdict_changed(struct probe *p)
{
	struct ctr *c = p->ctr;
	enum verdict v = p->state.verdict;
	uint64_t grace_ms = kill_grace_ms(p);

	if (p->kind == PROBE_READINESS) {
		c->ready = v == VERDICT_SUCCESS;
		pod_wake(c->pod);
	} else if (v == VERDICT_FAILURE) {
		event_ctr(c, "Normal", "Killing", "Container %s failed %s probe, will be restarted",
			  c->name, kinds[p->kind].word);
		ctr_stop(c, grace_ms); /* stops the probes */
	} else if (p->kind == PROBE_STARTUP) {
		probe_stop(c, PROBE_STARTUP);
		startup_over(c, VERDICT_FAILURE);
	}
}

static void on_done(void *ctx, bool ok, const char *output)
{
	struct probe *p = ctx;
	uint64_t next_ms = p->period_ms;

	p->action = NULL;
	if (ok) {
		p->eager_ms = 0;
	} else if (p->eager_ms && p->eager_ms < p->period_ms) {
		/* Not ready is the verdict anyhow: an early try changes nothing but the waiting. */
		next_ms = p->eager_ms;
		p->eager_ms *= 2;
	} else {
		event_ctr(p->ctr, "Warning", "Unhealthy", "%s probe failed: %s",
			  kinds[p->kind].title, output);
	}
	timer_start(p->ctr->pod->node->loop, &p->timer, next_ms);
	if (probe_state_feed(&p->state, ok))
		verdict_changed(p);
}

static void on_timer(struct timer *t)
{
	struct probe *p = t->ctx;

	p->action = action_run(p->ctr, p->spec, p->timeout_ms, on_done, p);
}
