#include "roles/node/ctr.h"

#include "base/file.h"
#include "codec/jx.h"
#include "roles/node/cri_spec.h"
#include "roles/node/ctr_mounts.h"
#include "roles/node/env_source.h"
#include "roles/node/event.h"
#include "roles/node/hook.h"
#include "roles/node/image.h"
#include "roles/node/node.h"
#include "roles/node/pod_worker.h"
#include "roles/node/probe.h"

#include <stdio.h>

#define START_RETRY_MS 5000 /* after a start that did not get as far as a container */

void ctr_init(struct ctr *c, struct pod *p, const json_t *spec, enum ctr_kind kind)
{
	*c = (struct ctr){
		.pod = p, .spec = spec, .kind = kind, .image_uid = -1, .pid_io = { .fd = -1 }
	};
	c->name = xstrdup(jx_str_or(spec, "name", ""));
	c->spec_hash = ctr_spec_hash(spec);
}

void ctr_done(struct ctr *c)
{
	probes_stop(c);
	ctr_unwatch(c);
	cri_cancel(c->status_call);
	cri_cancel(c->call);
	image_wait_cancel(c->image_wait);
	hook_cancel(c->hook);
	timer_stop(&c->exit_timer);
	timer_stop(&c->stop_timer);
	ctr_exit_done(&c->exit);
	ctr_exit_done(&c->last);
	free(c->name);
	free(c->id);
	free(c->image_ref);
	free(c->pulled_image_id);
	free(c->waiting_reason);
	free(c->waiting_message);
}

bool ctr_busy(const struct ctr *c)
{
	return c->state == CTR_RUNNING || c->op != CTR_IDLE;
}

static void start_end(struct ctr *c)
{
	c->op = CTR_IDLE;
	pod_wake(c->pod);
}

static void start_fail(struct ctr *c, const char *reason, const char *message)
{
	ctr_wait_reason(c, reason, message);
	c->failed_at_ms = wall_now_ms();
	start_end(c);
}

static void on_post_start(void *ctx, const struct err *e)
{
	struct ctr *c = ctx;

	c->hook = NULL;
	c->op = CTR_IDLE;
	if (e) {
		event_ctr(c, "Warning", "FailedPostStartHook", "PostStartHook failed: %s",
			  e->message);
		event_ctr(c, "Normal", "Killing", "FailedPostStartHook");
		ctr_stop(c,
			 (uint64_t)jx_int(c->pod->obj, "spec.terminationGracePeriodSeconds", 30) *
				 1000);
	} else if (c->state == CTR_RUNNING) {
		probes_start(c);
	}
	pod_wake(c->pod);
}

static void on_started(void *ctx, const void *response, const struct err *e)
{
	struct ctr *c = ctx;
	const json_t *hook = jx_at(c->spec, "lifecycle.postStart");

	(void)response;
	c->call = NULL;
	if (e) {
		cleanup(freep) char *text =
			xasprintf("failed to start container \"%s\": %s", c->id, e->message);
		event_ctr(c, "Warning", "Failed", "Error: %s", e->message);
		start_fail(c, "RunContainerError", text);
		ctr_check(c);
		return;
	}
	event_ctr(c, "Normal", "Started", "Started container %s", c->name);
	ctr_wait_reason(c, NULL, NULL);
	c->state = CTR_RUNNING;
	c->started_at_ms = wall_now_ms();
	ctr_check(c);
	if (hook) {
		c->hook = hook_run(c, hook, 0, on_post_start, c);
		return;
	}
	probes_start(c);
	start_end(c);
}

static void on_created(void *ctx, const void *response, const struct err *e)
{
	struct ctr *c = ctx;
	const Cri__CreateContainerResponse *r = response;
	Cri__ContainerRequest q = CRI__CONTAINER_REQUEST__INIT;

	c->call = NULL;
	if (e) {
		event_ctr(c, "Warning", "Failed", "Error: %s", e->message);
		start_fail(c, "CreateContainerError", e->message);
		return;
	}
	free(c->id);
	c->id = xstrdup(r->container_id);
	event_ctr(c, "Normal", "Created", "Created container: %s", c->name);
	q.container_id = c->id;
	c->call = cri_send(c->pod->node->cri, CRI_START_CONTAINER, &q, 0, on_started, c);
}

static int create(struct ctr *c, const struct env *env, struct err *e)
{
	Cri__CreateContainerRequest q = CRI__CREATE_CONTAINER_REQUEST__INIT;
	struct ctr_mounts mounts = { 0 };
	struct arena a;
	struct ctr_inputs in = { env, &mounts, c->image_uid };
	cleanup(freep) char *logs = pod_log_dir(c->pod), *dir = xasprintf("%s/%s", logs, c->name);

	if (dir_make(dir, 0755, e) < 0 || ctr_mounts_build(c, env, &mounts, e) < 0)
		return -1;
	arena_init(&a, CRI_SPEC_BYTES);
	q.pod_sandbox_id = c->pod->sandbox_id;
	q.config = cri_ctr_config(c, &in, &a, e);
	q.sandbox_config = cri_sandbox_config(c->pod, c->pod->sandbox_attempt, &a);
	if (q.config)
		c->call = cri_send(c->pod->node->cri, CRI_CREATE_CONTAINER, &q, 0, on_created, c);
	arena_done(&a);
	ctr_mounts_done(&mounts);
	return q.config ? 0 : -1;
}

/* The run that ended becomes the last one; the one before it is forgotten. */
static void begin_attempt(struct ctr *c)
{
	if (c->state == CTR_NONE && c->id) {
		/* Created, never started: its name stays taken until it is removed. */
		ctr_remove(c, c->id);
		free(c->id);
		c->id = NULL;
		c->attempt++;
	}
	if (c->state != CTR_EXITED)
		return;
	if (c->last.id)
		ctr_remove(c, c->last.id);
	ctr_exit_done(&c->last);
	c->last = c->exit;
	c->exit = (struct ctr_exit){ 0 };
	c->state = CTR_NONE;
	c->attempt++;
	free(c->id);
	c->id = NULL;
}

static void on_image(void *ctx, const struct image_result *r)
{
	struct ctr *c = ctx;
	struct env env;
	struct err e;

	c->image_wait = NULL;
	if (!r->ok) {
		start_fail(c, r->reason, r->message);
		return;
	}
	free(c->pulled_image_id);
	c->pulled_image_id = xstrdup(r->id);
	c->image_uid = r->username[0] ? 1 /* a name: not known to be root */
		       : r->uid < 0   ? 0
				      : r->uid;
	c->spec_hash = ctr_spec_hash(c->spec);
	int rc = ctr_env_build(c, &env, &e);
	if (rc == 0) {
		begin_attempt(c);
		rc = create(c, &env, &e);
		env_done(&env);
	}
	if (rc < 0) {
		event_ctr(c, "Warning", "Failed", "Error: %s", e.message);
		start_fail(c, "CreateContainerConfigError", e.message);
	}
}

static void start(struct ctr *c)
{
	c->op = CTR_STARTING;
	c->stop_sent = false;
	c->image_wait = image_ensure(c->pod->node->images, c, on_image, c);
}

/* As Go prints a time.Duration of whole seconds. */
static const char *duration_text(uint64_t ms, char out[32])
{
	unsigned long long s = ms / 1000;

	if (s < 60)
		snprintf(out, 32, "%llus", s);
	else
		snprintf(out, 32, "%llum%llus", s / 60, s % 60);
	return out;
}

static bool is_backed_off(struct ctr *c)
{
	uint64_t wait_ms = backoff_wait_ms(&c->backoff, c->exit.finished_at_ms, wall_now_ms());
	char delay[32];

	if (!wait_ms)
		return false;
	cleanup(freep) char *text =
		xasprintf("back-off %s restarting failed container=%s pod=%s",
			  duration_text(c->backoff.delay_ms, delay), c->name, c->pod->key);
	if (!c_eq(c->waiting_message, text))
		event_ctr(c, "Warning", "BackOff",
			  "Back-off restarting failed container %s in pod %s", c->name,
			  c->pod->key);
	ctr_wait_reason(c, "CrashLoopBackOff", text);
	pod_wake_after(c->pod, wait_ms);
	return true;
}

void ctr_step(struct ctr *c)
{
	int64_t rested_ms = wall_now_ms() - c->failed_at_ms;

	if (c->op != CTR_IDLE || c->status_call || c->state == CTR_RUNNING)
		return;
	if (c->state == CTR_EXITED) {
		if (!ctr_wants_restart(c) || is_backed_off(c))
			return;
		backoff_next(&c->backoff, wall_now_ms());
	} else if (c->failed_at_ms && rested_ms < START_RETRY_MS) {
		pod_wake_after(c->pod, (uint64_t)(START_RETRY_MS - rested_ms));
		return;
	}
	start(c);
}

void ctr_abandon_start(struct ctr *c)
{
	if (c->op != CTR_STARTING || !c->image_wait)
		return;
	image_wait_cancel(c->image_wait);
	c->image_wait = NULL;
	c->op = CTR_IDLE;
}
