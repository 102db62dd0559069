/* From what the node knows to what the API shows: phase, conditions, container states. */
#include "codec/jx.h"
#include "roles/node/pod_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* One row: the containers as a picture, and what comes out.
 * Each container: kind (i init, s sidecar, m main), state (n none, r running, e exited), then for
 * exits the code, 'R' ready, 'S' started, 'W' waiting with a reason, 'L' ran before. */
static const struct {
	const char *policy, *ctrs;
	enum pod_stage stage;
	bool terminal;
	const char *phase, *ready, *initialized, *message;
} rows[] = {
	{ "Always", "mn", POD_RUNNING, false, "Pending", "False", "True",
	  "containers with unready status: [c0]" },
	{ "Always", "mrRS", POD_RUNNING, false, "Running", "True", "True", NULL },
	{ "Always", "mrS", POD_RUNNING, false, "Running", "False", "True",
	  "containers with unready status: [c0]" },
	{ "Always", "mrRS mn", POD_RUNNING, false, "Pending", "False", "True",
	  "containers with unready status: [c1]" },
	{ "Always", "mrRS me1W", POD_RUNNING, false, "Running", "False", "True",
	  "containers with unready status: [c1]" },
	{ "Always", "me1W", POD_RUNNING, false, "Running", "False", "True",
	  "containers with unready status: [c0]" },
	{ "Always", "me0", POD_RUNNING, false, "Running", "False", "True",
	  "containers with unready status: [c0]" },
	{ "Always", "mnL", POD_RUNNING, false, "Running", "False", "True",
	  "containers with unready status: [c0]" },
	{ "Never", "me0", POD_RUNNING, false, "Succeeded", "False", "True", NULL },
	{ "Never", "me3", POD_RUNNING, false, "Failed", "False", "True", NULL },
	{ "Never", "me3 mrRS", POD_RUNNING, false, "Running", "False", "True",
	  "containers with unready status: [c0]" },
	{ "OnFailure", "me0", POD_RUNNING, false, "Succeeded", "False", "True", NULL },
	{ "OnFailure", "me1W", POD_RUNNING, false, "Running", "False", "True",
	  "containers with unready status: [c0]" },
	{ "Always", "me143", POD_ENDED, false, "Failed", "False", "True", NULL },
	{ "Always", "me0", POD_ENDED, false, "Succeeded", "False", "True", NULL },
	{ "Always", "in mn", POD_RUNNING, false, "Pending", "False", "False",
	  "containers with unready status: [c1]" },
	{ "Always", "ir mn", POD_RUNNING, false, "Pending", "False", "False",
	  "containers with unready status: [c1]" },
	{ "Always", "ie0 mn", POD_RUNNING, false, "Pending", "False", "True",
	  "containers with unready status: [c1]" },
	{ "Always", "ie0 mrRS", POD_RUNNING, false, "Running", "True", "True", NULL },
	{ "Always", "ie1W mn", POD_RUNNING, false, "Pending", "False", "False",
	  "containers with unready status: [c1]" },
	{ "Never", "ie1 mn", POD_RUNNING, true, "Failed", "False", "False", NULL },
	{ "Always", "srRS mrRS", POD_RUNNING, false, "Running", "True", "True", NULL },
	{ "Always", "srR mn", POD_RUNNING, false, "Pending", "False", "False",
	  "containers with unready status: [c1]" },
};

static void ctr_of(struct ctr *c, struct pod *p, const char *picture, int nth)
{
	char *end = NULL;

	*c = (struct ctr){ .pod = p, .name = xasprintf("c%d", nth) };
	c->kind = picture[0] == 'i' ? CTR_INIT : picture[0] == 's' ? CTR_SIDECAR : CTR_MAIN;
	c->state = picture[1] == 'r' ? CTR_RUNNING : picture[1] == 'e' ? CTR_EXITED : CTR_NONE;
	c->exit.code = (int)strtol(picture + 2, &end, 10);
	if (c->state == CTR_EXITED)
		c->exit.id = xstrdup("x");
	for (; *end && *end != ' '; end++) {
		c->ready = c->ready || *end == 'R';
		c->started = c->started || *end == 'S';
		if (*end == 'W')
			ctr_wait_reason(c, "CrashLoopBackOff", "back-off");
		if (*end == 'L')
			c->last.id = xstrdup("y");
	}
}

static struct pod *pod_of(const char *policy, const char *picture)
{
	struct pod *p = xcalloc(1, sizeof(*p));

	p->obj = json_pack("{s:{s:s}, s:{s:s}}", "metadata", "uid", "u", "spec", "restartPolicy",
			   policy);
	p->ctrs = xcalloc(8, sizeof(*p->ctrs));
	for (const char *at = picture; at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL) {
		ctr_of(&p->ctrs[p->n_ctrs], p, at, (int)p->n_ctrs);
		p->n_ctrs++;
	}
	return p;
}

static void pod_drop(struct pod *p)
{
	for (size_t i = 0; i < p->n_ctrs; i++) {
		ctr_wait_reason(&p->ctrs[i], NULL, NULL);
		ctr_exit_done(&p->ctrs[i].exit);
		ctr_exit_done(&p->ctrs[i].last);
		free(p->ctrs[i].name);
		free(p->ctrs[i].id);
	}
	free(p->ctrs);
	json_decref(p->obj);
	json_decref(p->pushed);
	free(p);
}

static const json_t *condition(const json_t *status, const char *type)
{
	size_t i;
	const json_t *c;

	json_array_foreach(jx_at(status, "conditions"), i,
			   c) if (c_eq(jx_str(c, "type"), type)) return c;
	return NULL;
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pod *p = pod_of(rows[i].policy, rows[i].ctrs);
		p->stage = rows[i].stage;
		p->terminal = rows[i].terminal;
		cleanup(json_decrefp) json_t *s = pod_status_compute(p, "192.0.2.1", 1000);
		assert_string_equal(jx_str(s, "phase"), rows[i].phase);
		assert_string_equal(jx_str(condition(s, "Ready"), "status"), rows[i].ready);
		assert_string_equal(jx_str(condition(s, "ContainersReady"), "status"),
				    rows[i].ready);
		assert_string_equal(jx_str(condition(s, "Initialized"), "status"),
				    rows[i].initialized);
		if (rows[i].message)
			assert_string_equal(jx_str(condition(s, "Ready"), "message"),
					    rows[i].message);
		pod_drop(p);
	}
}

static const struct {
	const char *ctrs;
	size_t nth; /* of containerStatuses */
	const char *path, *value;
} details[] = {
	{ "mn", 0, "state.waiting.reason", "ContainerCreating" },
	{ "in mn", 0, "state.waiting.reason", "PodInitializing" },
	{ "me1W", 0, "state.waiting.reason", "CrashLoopBackOff" },
	{ "me1W", 0, "lastState.terminated.containerID", "containerd://x" },
	{ "me1", 0, "state.terminated.containerID", "containerd://x" },
	{ "mrRSL", 0, "lastState.terminated.containerID", "containerd://y" },
	{ "mrRS", 0, "state.running.startedAt", "1970-01-01T00:00:00Z" },
};

static void test_details(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(details); i++) {
		struct pod *p = pod_of("Always", details[i].ctrs);
		p->stage = POD_RUNNING;
		cleanup(json_decrefp) json_t *s = pod_status_compute(p, "192.0.2.1", 1000);
		const json_t *c = json_array_get(jx_at(s, "containerStatuses"), details[i].nth);
		assert_string_equal(jx_str(c, details[i].path), details[i].value);
		pod_drop(p);
	}
}

/* A condition keeps its time until it changes; what others wrote stays. */
static void test_transitions(void **state)
{
	struct pod *p = pod_of("Always", "mrS");
	struct err e;

	(void)state;
	p->stage = POD_RUNNING;
	json_object_set_new(p->obj, "status",
			    jx_parse(STR("{\"conditions\":[{\"type\":\"example.com/"
					 "gate\",\"status\":\"False\"}]}"),
				     4096, &e));
	jx_set(p->obj, "spec.readinessGates",
	       json_pack("[{s:s}]", "conditionType", "example.com/gate"));
	p->pushed = pod_status_compute(p, "192.0.2.1", 1000);
	assert_non_null(condition(p->pushed, "example.com/gate"));
	p->ctrs[0].ready = true;
	cleanup(json_decrefp) json_t *later = pod_status_compute(p, "192.0.2.1", 60000);
	assert_string_equal(jx_str(condition(later, "ContainersReady"), "lastTransitionTime"),
			    "1970-01-01T00:01:00Z");
	assert_string_equal(jx_str(condition(later, "PodScheduled"), "lastTransitionTime"),
			    "1970-01-01T00:00:01Z");
	assert_string_equal(jx_str(condition(later, "Ready"), "reason"), "ReadinessGatesNotReady");
	pod_drop(p);
}

static void test_patch(void **state)
{
	struct err e;
	cleanup(json_decrefp) json_t *old =
		jx_parse(STR("{\"phase\":\"Failed\",\"reason\":\"x\",\"podIP\":\"1\"}"), 4096, &e);
	cleanup(json_decrefp) json_t *now =
		jx_parse(STR("{\"phase\":\"Running\",\"podIP\":\"1\"}"), 4096, &e);
	cleanup(json_decrefp) json_t *patch = pod_status_patch(old, now);

	(void)state;
	assert_string_equal(jx_str(patch, "phase"), "Running");
	assert_true(json_is_null(json_object_get(patch, "reason")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_details),
		cmocka_unit_test(test_transitions),
		cmocka_unit_test(test_patch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
