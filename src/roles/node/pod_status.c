#include "roles/node/pod_status.h"

#include "codec/jx.h"
#include "roles/node/resources.h"

#include <signal.h>

void ctr_exit_done(struct ctr_exit *x)
{
	free(x->id);
	free(x->reason);
	free(x->message);
	*x = (struct ctr_exit){ 0 };
}

const char *ctr_image(const struct ctr *c)
{
	return jx_str_or(c->spec, "image", "");
}

void ctr_wait_reason(struct ctr *c, const char *reason, const char *message)
{
	free(c->waiting_reason);
	free(c->waiting_message);
	c->waiting_reason = xstrdup(reason);
	c->waiting_message = xstrdup(message);
}

static const char *restart_policy(const struct pod *p)
{
	return jx_str_or(p->obj, "spec.restartPolicy", "Always");
}

bool ctr_wants_restart(const struct ctr *c)
{
	const char *policy = restart_policy(c->pod);

	if (c->kind == CTR_SIDECAR)
		return true;
	/* A started run whose result is unknown, and an init container that failed, count as
	 * failures. */
	if (c->state == CTR_EXITED && c->exit.code == 0)
		return c->kind == CTR_MAIN && c_eq(policy, "Always");
	return !c_eq(policy, "Never");
}

static bool init_ctr_done(const struct ctr *c)
{
	if (c->kind == CTR_SIDECAR)
		return c->started;
	return c->state == CTR_EXITED && c->exit.code == 0;
}

static bool pod_has_init(const struct pod *p)
{
	return p->n_ctrs && p->ctrs[0].kind != CTR_MAIN;
}

/* Waiting to be made again: shown as "waiting", with the last run in lastState. */
static bool ctr_waits(const struct ctr *c)
{
	if (c->state == CTR_NONE)
		return true;
	return c->state == CTR_EXITED && c->waiting_reason && !c->pod->terminal &&
	       c->pod->stage == POD_RUNNING;
}

struct tally {
	int pending_init, failed_init, running, waiting, stopped, succeeded;
};

static void tally_init(struct tally *t, const struct ctr *c)
{
	const struct ctr_exit *x = c->state == CTR_EXITED ? &c->exit : &c->last;

	if (c->kind == CTR_SIDECAR) {
		t->pending_init += !c->started && c->state != CTR_EXITED;
		return;
	}
	if (c->state == CTR_RUNNING || !x->id)
		t->pending_init++;
	else
		t->failed_init += x->code != 0;
}

static void tally_main(struct tally *t, const struct ctr *c)
{
	bool ran = c->state == CTR_EXITED || c->last.id;

	if (c->state == CTR_RUNNING) {
		t->running++;
	} else if (ctr_waits(c)) {
		t->stopped += ran;
		t->waiting += !ran;
	} else {
		t->stopped++;
		t->succeeded += c->exit.code == 0;
	}
}

const char *pod_phase(const struct pod *p)
{
	const char *policy = restart_policy(p);
	struct tally t = { 0 };

	if (p->fail_reason)
		return "Failed";
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (p->ctrs[i].kind == CTR_MAIN)
			tally_main(&t, &p->ctrs[i]);
		else
			tally_init(&t, &p->ctrs[i]);
	if (t.failed_init && c_eq(policy, "Never"))
		return "Failed";
	if (t.pending_init || t.waiting || (!t.running && !t.stopped))
		return "Pending";
	if (t.running)
		return "Running";
	if (p->stage >= POD_CLEANING || p->terminal)
		return t.stopped == t.succeeded ? "Succeeded" : "Failed";
	if (c_eq(policy, "Always"))
		return "Running";
	if (t.stopped == t.succeeded)
		return "Succeeded";
	return c_eq(policy, "Never") ? "Failed" : "Running";
}

static json_t *time_json(int64_t ms)
{
	char text[TIME_TEXT_BYTES];

	return json_string(time_text(ms, text));
}

static char *container_id_text(const char *id)
{
	return xasprintf("containerd://%s", id);
}

static json_t *terminated_json(const struct ctr_exit *x)
{
	cleanup(freep) char *id = container_id_text(x->id);
	json_t *t = json_pack("{s:s, s:i}", "containerID", id, "exitCode", x->code);

	json_object_set_new(t, "finishedAt", time_json(x->finished_at_ms));
	if (x->message && x->message[0])
		json_object_set_new(t, "message", json_string(x->message));
	if (x->reason && x->reason[0])
		json_object_set_new(t, "reason", json_string(x->reason));
	json_object_set_new(t, "startedAt", time_json(x->started_at_ms));
	return json_pack("{s:o}", "terminated", t);
}

static json_t *waiting_json(const struct ctr *c)
{
	const char *dflt = pod_has_init(c->pod) && c->kind == CTR_MAIN ? "PodInitializing"
								       : "ContainerCreating";
	json_t *w = json_object();

	if (c->waiting_message && c->waiting_message[0])
		json_object_set_new(w, "message", json_string(c->waiting_message));
	if (c->kind == CTR_INIT && !c->waiting_reason)
		dflt = "PodInitializing";
	json_object_set_new(w, "reason", json_string(c->waiting_reason ? c->waiting_reason : dflt));
	return json_pack("{s:o}", "waiting", w);
}

static json_t *state_json(const struct ctr *c)
{
	if (c->state == CTR_RUNNING)
		return json_pack("{s:{s:o}}", "running", "startedAt", time_json(c->started_at_ms));
	return ctr_waits(c) ? waiting_json(c) : terminated_json(&c->exit);
}

/* The last run is the one before the state that is shown. */
static json_t *last_state_json(const struct ctr *c)
{
	const struct ctr_exit *x = c->state == CTR_EXITED && ctr_waits(c) ? &c->exit : &c->last;

	return x->id ? terminated_json(x) : json_object();
}

static json_t *ctr_status(const struct ctr *c)
{
	bool ready = c->kind == CTR_INIT ? init_ctr_done(c) : c->state == CTR_RUNNING && c->ready;
	json_t *s = json_object();

	if (c->id) {
		cleanup(freep) char *id = container_id_text(c->id);
		json_object_set_new(s, "containerID", json_string(id));
	}
	json_object_set_new(s, "image", json_string(ctr_image(c)));
	json_object_set_new(s, "imageID", json_string(c->image_ref ? c->image_ref : ""));
	json_object_set_new(s, "lastState", last_state_json(c));
	json_object_set_new(s, "name", json_string(c->name));
	json_object_set_new(s, "ready", json_boolean(ready));
	json_object_set_new(s, "restartCount", json_integer(c->attempt));
	json_object_set_new(s, "started", json_boolean(c->state == CTR_RUNNING && c->started));
	json_object_set_new(s, "state", state_json(c));
	return s;
}

static int by_name(const void *a, const void *b)
{
	const struct ctr *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* Init containers in their order, the others by name, as kubelet shows them. */
static void put_ctr_statuses(json_t *status, const struct pod *p)
{
	cleanup(freep) const struct ctr **mains = xcalloc(p->n_ctrs + 1, sizeof(*mains));
	json_t *init = json_array(), *main_ = json_array();
	size_t n = 0;

	for (size_t i = 0; i < p->n_ctrs; i++)
		if (p->ctrs[i].kind == CTR_MAIN)
			mains[n++] = &p->ctrs[i];
		else
			json_array_append_new(init, ctr_status(&p->ctrs[i]));
	qsort(mains, n, sizeof(*mains), by_name);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(main_, ctr_status(mains[i]));
	json_object_set_new(status, "containerStatuses", main_);
	if (json_array_size(init))
		json_object_set_new(status, "initContainerStatuses", init);
	else
		json_decref(init);
}

struct condition {
	const char *type, *reason;
	bool on;
	char *message; /* owned */
};

static const json_t *condition_find(const json_t *conditions, const char *type)
{
	size_t i;
	const json_t *c;

	json_array_foreach(conditions, i, c) if (c_eq(jx_str(c, "type"), type)) return c;
	return NULL;
}

static void put_condition(json_t *out, const json_t *old, struct condition c, int64_t now_ms)
{
	const json_t *before = condition_find(old, c.type);
	const char *status = c.on ? "True" : "False";
	const char *since = jx_str(before, "lastTransitionTime");
	json_t *j = json_object();

	if (since && c_eq(jx_str(before, "status"), status))
		json_object_set_new(j, "lastTransitionTime", json_string(since));
	else
		json_object_set_new(j, "lastTransitionTime", time_json(now_ms));
	if (c.message)
		json_object_set_new(j, "message", json_string(c.message));
	if (c.reason)
		json_object_set_new(j, "reason", json_string(c.reason));
	json_object_set_new(j, "status", json_string(status));
	json_object_set_new(j, "type", json_string(c.type));
	json_array_append_new(out, j);
	free(c.message);
}

/* "containers with unready status: [a b]"; NULL when there is none that `pick` picks. */
static char *list_ctrs(const struct pod *p, bool (*pick)(const struct ctr *c), const char *what)
{
	struct buf b;
	bool any = false;

	buf_init(&b, ERR_MESSAGE_BYTES);
	buf_printf(&b, "containers with %s status: [", what);
	for (size_t i = 0; i < p->n_ctrs; i++) {
		if (!pick(&p->ctrs[i]))
			continue;
		buf_printf(&b, "%s%s", any ? " " : "", p->ctrs[i].name);
		any = true;
	}
	buf_putc(&b, ']');
	if (any)
		return buf_take(&b);
	buf_done(&b);
	return NULL;
}

static bool is_unready(const struct ctr *c)
{
	return c->kind != CTR_INIT && !(c->state == CTR_RUNNING && c->ready);
}

static bool is_incomplete(const struct ctr *c)
{
	return c->kind != CTR_MAIN && !init_ctr_done(c);
}

static struct condition initialized(const struct pod *p, const char *phase)
{
	struct condition c = { .type = "Initialized", .on = true };

	if (c_eq(phase, "Succeeded")) {
		c.reason = "PodCompleted";
		return c;
	}
	c.message = list_ctrs(p, is_incomplete, "incomplete");
	if (c.message) {
		c.on = false;
		c.reason = "ContainersNotInitialized";
	}
	return c;
}

static struct condition containers_ready(const struct pod *p, const char *phase)
{
	struct condition c = { .type = "ContainersReady", .on = true };

	if (c_eq(phase, "Succeeded") || c_eq(phase, "Failed")) {
		c.on = false;
		c.reason = c_eq(phase, "Failed") ? "PodFailed" : "PodCompleted";
		return c;
	}
	c.message = list_ctrs(p, is_unready, "unready");
	if (c.message) {
		c.on = false;
		c.reason = "ContainersNotReady";
	}
	return c;
}

/* Conditions that others must set before the pod counts as ready (KEP-580). */
static char *gates_missing(const struct pod *p, const json_t *old)
{
	const json_t *gates = jx_at(p->obj, "spec.readinessGates"), *gate;
	struct buf b;
	size_t i;

	buf_init(&b, ERR_MESSAGE_BYTES);
	json_array_foreach(gates, i, gate)
	{
		const char *type = jx_str_or(gate, "conditionType", "");
		const json_t *found = condition_find(old, type);
		if (c_eq(jx_str(found, "status"), "True"))
			continue;
		buf_printf(&b, "%scorresponding condition of pod readiness gate \"%s\" %s",
			   b.len ? ", " : "", type, found ? "is not True" : "does not exist.");
	}
	if (b.len)
		return buf_take(&b);
	buf_done(&b);
	return NULL;
}

static bool is_own_condition(const char *type)
{
	static const char *const own[] = { "PodReadyToStartContainers", "Initialized", "Ready",
					   "ContainersReady", "PodScheduled" };

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (c_eq(own[i], type))
			return true;
	return false;
}

static void put_conditions(json_t *status, const struct pod *p, const char *phase, int64_t now_ms)
{
	const json_t *known = jx_at(p->obj, "status.conditions"), *other;
	/* What was written last is newer than what came back from the API. */
	const json_t *old = p->pushed ? json_object_get(p->pushed, "conditions") : known;
	json_t *out = json_array();
	struct condition ready = containers_ready(p, phase);
	size_t i;

	put_condition(
		out, old,
		(struct condition){ "PodReadyToStartContainers", NULL, p->sandbox_ready, NULL },
		now_ms);
	put_condition(out, old, initialized(p, phase), now_ms);
	ready.type = "Ready";
	if (ready.on && (ready.message = gates_missing(p, known))) {
		ready.on = false;
		ready.reason = "ReadinessGatesNotReady";
	}
	put_condition(out, old, ready, now_ms);
	put_condition(out, old, containers_ready(p, phase), now_ms);
	put_condition(out, old, (struct condition){ "PodScheduled", NULL, true, NULL }, now_ms);
	json_array_foreach(known, i, other) if (!is_own_condition(jx_str(other, "type")))
		json_array_append_new(out, json_deep_copy(other));
	json_object_set_new(status, "conditions", out);
}

static void put_addresses(json_t *status, const struct pod *p, const char *host_ip)
{
	const char *pod_ip = jx_bool(p->obj, "spec.hostNetwork", false) ? host_ip : p->sandbox_ip;

	json_object_set_new(status, "hostIP", json_string(host_ip));
	json_object_set_new(status, "hostIPs", json_pack("[{s:s}]", "ip", host_ip));
	if (!pod_ip || !p->sandbox_id)
		return;
	json_object_set_new(status, "podIP", json_string(pod_ip));
	json_object_set_new(status, "podIPs", json_pack("[{s:s}]", "ip", pod_ip));
}

json_t *pod_status_compute(const struct pod *p, const char *host_ip, int64_t now_ms)
{
	const char *phase = pod_phase(p);
	json_t *s = json_object();

	put_conditions(s, p, phase, now_ms);
	put_ctr_statuses(s, p);
	put_addresses(s, p, host_ip);
	if (p->fail_message)
		json_object_set_new(s, "message", json_string(p->fail_message));
	json_object_set_new(s, "phase", json_string(phase));
	json_object_set_new(s, "qosClass", json_string(qos_name(qos_of_pod(p->obj))));
	if (p->fail_reason)
		json_object_set_new(s, "reason", json_string(p->fail_reason));
	json_object_set_new(s, "startTime", time_json(p->start_at_ms));
	return s;
}

json_t *pod_status_patch(const json_t *old, const json_t *status)
{
	json_t *patch = json_copy((json_t *)status);
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)old, key,
			    value) if (!json_object_get(status, key) &&
				       !c_eq(key, "ephemeralContainerStatuses") &&
				       !c_eq(key, "observedGeneration") &&
				       !c_eq(key, "nominatedNodeName"))
		json_object_set_new(patch, key, json_null());
	return patch;
}
