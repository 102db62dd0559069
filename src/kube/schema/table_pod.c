#include "kube/schema/table_int.h"

#include <stdio.h>

/* STATUS, READY and RESTARTS of a pod, which look at each other: k8s.io/kubernetes
 * pkg/printers/internalversion. */

#define REASON_BYTES 128

struct summary {
	char reason[REASON_BYTES];
	int64_t restarts, sidecar_restarts;
	int64_t last_restart_ms, last_sidecar_restart_ms; /* 0: never */
	size_t ready, total;
};

static void set_reason(struct summary *s, const char *prefix, const char *reason)
{
	snprintf(s->reason, sizeof(s->reason), "%s%.100s", prefix, reason);
}

static const json_t *container_named(const json_t *list, const char *name)
{
	json_t *c;
	size_t i;

	json_array_foreach((json_t *)list, i, c)
		if (c_eq(jx_str(c, "name"), name))
			return c;
	return NULL;
}

static bool is_sidecar(const json_t *pod, const char *name)
{
	return c_eq(jx_str(container_named(jx_at(pod, "spec.initContainers"), name), "restartPolicy"),
		    "Always");
}

static void note_restart(int64_t *last_ms, const json_t *status)
{
	int64_t ended_ms;

	if (time_parse(jx_str(status, "lastState.terminated.finishedAt"), &ended_ms) == 0)
		*last_ms = MAX(*last_ms, ended_ms);
}

/* "Error", or without a reason "Signal:9" or "ExitCode:1". */
static void set_terminated(struct summary *s, const char *prefix, const json_t *terminated)
{
	const char *reason = jx_str_or(terminated, "reason", "");
	int64_t signal = jx_int(terminated, "signal", 0);
	char text[40];

	if (reason[0]) {
		set_reason(s, prefix, reason);
		return;
	}
	snprintf(text, sizeof(text), "%s:%lld", signal ? "Signal" : "ExitCode",
		 (long long)(signal ? signal : jx_int(terminated, "exitCode", 0)));
	set_reason(s, prefix, text);
}

/* true when the pod still waits for this one. */
static bool look_at_init(struct summary *s, const json_t *pod, const json_t *status, size_t i)
{
	const json_t *terminated = jx_at(status, "state.terminated");
	const char *waiting = jx_str_or(status, "state.waiting.reason", "");
	bool sidecar = is_sidecar(pod, jx_str(status, "name"));
	char text[48];

	if (terminated && jx_int(terminated, "exitCode", 0) == 0)
		return false;
	if (sidecar && jx_bool(status, "started", false)) {
		s->ready += jx_bool(status, "ready", false);
		return false;
	}
	if (terminated) {
		set_terminated(s, "Init:", terminated);
	} else if (waiting[0] && strcmp(waiting, "PodInitializing") != 0) {
		set_reason(s, "Init:", waiting);
	} else {
		snprintf(text, sizeof(text), "%zu/%zu", i, jx_len(pod, "spec.initContainers"));
		set_reason(s, "Init:", text);
	}
	return true;
}

static bool look_at_inits(struct summary *s, const json_t *pod)
{
	json_t *status;
	size_t i;

	json_array_foreach(jx_at(pod, "status.initContainerStatuses"), i, status) {
		int64_t n = jx_int(status, "restartCount", 0);

		s->restarts += n;
		note_restart(&s->last_restart_ms, status);
		if (is_sidecar(pod, jx_str(status, "name"))) {
			s->sidecar_restarts += n;
			note_restart(&s->last_sidecar_restart_ms, status);
		}
		if (look_at_init(s, pod, status, i))
			return true;
	}
	return false;
}

static const char *condition_status(const json_t *pod, const char *type)
{
	json_t *c;
	size_t i;

	json_array_foreach(jx_at(pod, "status.conditions"), i, c)
		if (c_eq(jx_str(c, "type"), type))
			return jx_str_or(c, "status", "");
	return "";
}

static void look_at_mains(struct summary *s, const json_t *pod)
{
	const json_t *list = jx_at(pod, "status.containerStatuses");
	bool running = false;

	s->restarts = s->sidecar_restarts;
	s->last_restart_ms = s->last_sidecar_restart_ms;
	for (size_t i = json_array_size(list); i-- > 0;) {
		const json_t *status = json_array_get(list, i),
			     *terminated = jx_at(status, "state.terminated");
		const char *waiting = jx_str_or(status, "state.waiting.reason", "");

		s->restarts += jx_int(status, "restartCount", 0);
		note_restart(&s->last_restart_ms, status);
		if (waiting[0]) {
			set_reason(s, "", waiting);
		} else if (terminated) {
			set_terminated(s, "", terminated);
		} else if (jx_bool(status, "ready", false) && jx_at(status, "state.running")) {
			running = true;
			s->ready++;
		}
	}
	if (running && strcmp(s->reason, "Completed") == 0)
		set_reason(s, "",
			   strcmp(condition_status(pod, "Ready"), "True") == 0 ? "Running" : "NotReady");
}

static void look_at_deletion(struct summary *s, const json_t *pod)
{
	const char *phase = jx_str_or(pod, "status.phase", "");

	if (!jx_at(pod, "metadata.deletionTimestamp"))
		return;
	if (c_eq(jx_str(pod, "status.reason"), "NodeLost"))
		set_reason(s, "", "Unknown");
	else if (strcmp(phase, "Failed") != 0 && strcmp(phase, "Succeeded") != 0)
		set_reason(s, "", "Terminating");
}

static void summarise(struct summary *s, const json_t *pod)
{
	const char *reason = jx_str_or(pod, "status.reason", "");
	json_t *v;
	size_t i;

	*s = (struct summary){ .total = jx_len(pod, "spec.containers") };
	set_reason(s, "", reason[0] ? reason : jx_str_or(pod, "status.phase", ""));
	json_array_foreach(jx_at(pod, "status.conditions"), i, v)
		if (c_eq(jx_str(v, "type"), "PodScheduled") && c_eq(jx_str(v, "reason"), "SchedulingGated"))
			set_reason(s, "", "SchedulingGated");
	json_array_foreach(jx_at(pod, "spec.initContainers"), i, v)
		s->total += c_eq(jx_str(v, "restartPolicy"), "Always");
	if (!look_at_inits(s, pod) || strcmp(condition_status(pod, "Initialized"), "True") == 0)
		look_at_mains(s, pod);
	look_at_deletion(s, pod);
}

json_t *pod_ready(const struct cell *c)
{
	struct summary s;
	char text[48];

	summarise(&s, c->obj);
	snprintf(text, sizeof(text), "%zu/%zu", s.ready, s.total);
	return json_string(text);
}

json_t *pod_status(const struct cell *c)
{
	struct summary s;

	summarise(&s, c->obj);
	return text_cell(s.reason);
}

json_t *pod_restarts(const struct cell *c)
{
	char text[64], age[AGE_TEXT_BYTES];
	struct summary s;

	summarise(&s, c->obj);
	if (s.restarts && s.last_restart_ms)
		snprintf(text, sizeof(text), "%lld (%s ago)", (long long)s.restarts,
			 age_text(c->now_ms - s.last_restart_ms, age));
	else
		snprintf(text, sizeof(text), "%lld", (long long)s.restarts);
	return json_string(text);
}

json_t *pod_gates(const struct cell *c)
{
	const json_t *gates = jx_at(c->obj, "spec.readinessGates");
	size_t i, n_true = 0;
	char text[48];
	json_t *gate;

	if (!json_array_size(gates))
		return json_string("<none>");
	json_array_foreach((json_t *)gates, i, gate)
		n_true += strcmp(condition_status(c->obj, jx_str_or(gate, "conditionType", "")), "True") == 0;
	snprintf(text, sizeof(text), "%zu/%zu", n_true, json_array_size(gates));
	return json_string(text);
}

/* The first that holds names the state of a job. */
json_t *job_status(const struct cell *c)
{
	static const struct {
		const char *condition, *word; /* a condition of NULL: being deleted */
	} states[] = {
		{ "Complete", "Complete" },
		{ "Failed", "Failed" },
		{ NULL, "Terminating" },
		{ "Suspended", "Suspended" },
		{ "FailureTarget", "FailureTarget" },
		{ "SuccessCriteriaMet", "SuccessCriteriaMet" },
	};

	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (states[i].condition ? strcmp(condition_status(c->obj, states[i].condition), "True") == 0
					: jx_at(c->obj, "metadata.deletionTimestamp") != NULL)
			return json_string(states[i].word);
	return json_string("Running");
}

json_t *job_completions(const struct cell *c)
{
	const json_t *completions = jx_at(c->obj, "spec.completions");
	long long done = (long long)jx_int(c->obj, "status.succeeded", 0),
		  parallel = jx_int(c->obj, "spec.parallelism", 0);
	char text[80];

	if (completions)
		snprintf(text, sizeof(text), "%lld/%lld", done, (long long)json_integer_value(completions));
	else if (parallel > 1)
		snprintf(text, sizeof(text), "%lld/1 of %lld", done, parallel);
	else
		snprintf(text, sizeof(text), "%lld/1", done);
	return json_string(text);
}

json_t *job_duration(const struct cell *c)
{
	int64_t start_ms, end_ms;
	char age[AGE_TEXT_BYTES];

	if (time_parse(jx_str(c->obj, "status.startTime"), &start_ms) < 0)
		return json_string("");
	if (time_parse(jx_str(c->obj, "status.completionTime"), &end_ms) < 0)
		end_ms = c->now_ms;
	return json_string(age_text(end_ms - start_ms, age));
}
