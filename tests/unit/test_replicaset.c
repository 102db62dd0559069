#include "roles/controllers/replicaset.h"
#include "quoted_json.h"

#include <string.h>

#define NOW 1800000000000 /* 2027-01-15T08:00:00Z */

struct fixture {
	json_t *rs;
	json_t *pod[16];
	const json_t *at[16];
	size_t n;
	struct err create_error;
	struct actions out;
};

static void setup(struct fixture *f, int replicas, const char *status)
{
	*f = (struct fixture){ 0 };
	f->rs = J("{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'web-abc','namespace':'default',"
		  "'uid':'r1','generation':2},'spec':{'replicas':%d,'selector':{'matchLabels':{'app':'web'}},"
		  "'template':{'metadata':{'labels':{'app':'web'},'annotations':{'a':'b'}},"
		  "'spec':{'containers':[{'name':'c'}]}}},'status':%s}",
		  replicas, status);
	actions_init(&f->out);
}

static json_t *add_pod(struct fixture *f, const char *name, const char *phase, bool ready, const char *node)
{
	json_t *pod = J("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default','uid':'%s',"
			"'labels':{'app':'web'},'creationTimestamp':'2027-01-15T07:00:00Z','ownerReferences':"
			"[{'kind':'ReplicaSet','name':'web-abc','uid':'r1','controller':true}]},"
			"'spec':{'nodeName':'%s'},'status':{'phase':'%s','conditions':[{'type':'Ready',"
			"'status':'%s','lastTransitionTime':'2027-01-15T07:30:00Z'}]}}",
			name, name, node, phase, ready ? "True" : "False");

	f->pod[f->n] = pod;
	f->at[f->n++] = pod;
	return pod;
}

static void run(struct fixture *f)
{
	replicaset_reconcile(&(struct replicaset_view){ .replicaset = f->rs,
							.pods = { f->at, f->n },
							.related = { f->at, f->n },
							.create_error = f->create_error.reason ? &f->create_error :
												 NULL,
							.now_ms = NOW },
			     &f->out);
}

static void teardown(struct fixture *f)
{
	json_decref(f->rs);
	for (size_t i = 0; i < f->n; i++)
		json_decref(f->pod[i]);
	actions_done(&f->out);
}

static const struct action *status_patch(const struct fixture *f)
{
	return actions_find(&f->out, ACT_PATCH, KK_REPLICASET, 0);
}

static void test_creates_in_growing_batches(void **state)
{
	(void)state;
	static const unsigned stages[] = { 0, 1, 1, 2, 2, 2, 2, 3 };
	struct fixture f;
	const struct action *a;
	size_t n = 0;

	setup(&f, 8, "{}");
	run(&f);
	for (; (a = actions_find(&f.out, ACT_CREATE, KK_POD, n)); n++)
		assert_int_equal(a->stage, stages[n]);
	assert_int_equal(n, 8);
	a = actions_find(&f.out, ACT_CREATE, KK_POD, 0);
	assert_string_equal(jx_str(a->body, "metadata.generateName"), "web-abc-");
	assert_string_equal(jx_label(a->body, "app"), "web");
	assert_string_equal(jx_annotation(a->body, "a"), "b");
	assert_string_equal(controller_uid(a->body), "r1");
	assert_non_null(jx_at(a->body, "spec.containers"));
	assert_string_equal(a->done.reason, "SuccessfulCreate");
	assert_string_equal(a->done.text, "Created pod: %name");
	assert_true(status_patch(&f)->stage > stages[7]);
	assert_int_equal(jx_int(status_patch(&f)->body, "status.observedGeneration", 0), 2);
	assert_int_equal(jx_int(status_patch(&f)->body, "status.replicas", -1), 0);
	teardown(&f);

	setup(&f, 100000, "{}");
	run(&f);
	assert_non_null(actions_find(&f.out, ACT_CREATE, KK_POD, BURST_REPLICAS - 1));
	assert_null(actions_find(&f.out, ACT_CREATE, KK_POD, BURST_REPLICAS));
	teardown(&f);
}

static void test_dead_and_leaving_pods_do_not_count(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, 2, "{}");
	add_pod(&f, "failed", "Failed", false, "n");
	jx_set_str(add_pod(&f, "leaving", "Running", true, "n"), "metadata.deletionTimestamp", "2027-01-15T08:00:00Z");
	add_pod(&f, "alive", "Running", true, "n");
	run(&f);
	assert_non_null(actions_find(&f.out, ACT_CREATE, KK_POD, 0));
	assert_null(actions_find(&f.out, ACT_CREATE, KK_POD, 1));
	const json_t *s = status_patch(&f)->body;
	assert_int_equal(jx_int(s, "status.replicas", 0), 1);
	assert_int_equal(jx_int(s, "status.readyReplicas", 0), 1);
	assert_int_equal(jx_int(s, "status.availableReplicas", 0), 1);
	assert_int_equal(jx_int(s, "status.fullyLabeledReplicas", 0), 1);
	teardown(&f);
}

static void test_deletion_order(void **state)
{
	(void)state;
	struct fixture f;
	json_t *p;

	setup(&f, 1, "{}");
	add_pod(&f, "z-plain", "Running", true, "n1");
	add_pod(&f, "a-unready", "Running", false, "n1");
	add_pod(&f, "b-pending", "Pending", false, "n1");
	add_pod(&f, "c-unbound", "Pending", false, "");
	p = add_pod(&f, "d-cheap", "Running", true, "n2");
	jx_set(p, "metadata.annotations", J("{'controller.kubernetes.io/pod-deletion-cost':'-5'}"));
	p = add_pod(&f, "e-restarts", "Running", true, "n1");
	jx_set(p, "status.containerStatuses", J("[{'restartCount':3}]"));
	p = add_pod(&f, "f-younger", "Running", true, "n1");
	jx_set_str(p, "metadata.creationTimestamp", "2027-01-15T07:59:50Z");
	add_pod(&f, "0-alone", "Running", true, "n2");
	run(&f);
	/* n1 has several: its pods go before n2's, except that the cheap one was asked for. */
	static const char *const order[] = { "c-unbound", "b-pending", "a-unready", "d-cheap",
					     "e-restarts", "f-younger", "z-plain" };
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		const struct action *a = actions_find(&f.out, ACT_DELETE, KK_POD, i);
		assert_string_equal(a->name, order[i]);
		assert_string_equal(jx_str(a->body, "preconditions.uid"), order[i]);
	}
	assert_null(actions_find(&f.out, ACT_DELETE, KK_POD, ARRAY_LEN(order)));
	assert_string_equal(actions_find(&f.out, ACT_DELETE, KK_POD, 0)->done.text, "Deleted pod: c-unbound");
	teardown(&f);
}

static void test_adoption_and_release(void **state)
{
	(void)state;
	struct fixture f;
	json_t *p;

	setup(&f, 2, "{}");
	p = add_pod(&f, "orphan", "Running", true, "n");
	jx_del(p, "metadata.ownerReferences");
	p = add_pod(&f, "relabelled", "Running", true, "n");
	jx_set_str(p, "metadata.labels.app", "other");
	p = add_pod(&f, "strangers", "Running", true, "n");
	jx_set(p, "metadata.ownerReferences", J("[{'uid':'x','controller':true}]"));
	run(&f);
	assert_int_equal(f.out.n, 2); /* nothing is created before the caches show the new owners */
	assert_string_equal(f.out.at[0].name, "orphan");
	assert_string_equal(jx_str(f.out.at[0].body, "metadata.uid"), "orphan");
	assert_string_equal(f.out.at[0].patch_type, KUBE_STRATEGIC_PATCH);
	assert_string_equal(f.out.at[1].name, "relabelled");
	assert_string_equal(jx_str(json_array_get(jx_at(f.out.at[1].body, "metadata.ownerReferences"), 0), "$patch"),
			    "delete");
	teardown(&f);
}

static void test_failure_is_reported_before_the_next_try(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, 1, "{'replicas':0,'observedGeneration':2}");
	err_set(&f.create_error, ERR_FORBIDDEN, "exceeded quota");
	run(&f);
	const struct action *s = status_patch(&f);
	const json_t *c = condition_get(s->body, "ReplicaFailure");
	assert_string_equal(jx_str(c, "reason"), "FailedCreate");
	assert_string_equal(jx_str(c, "message"), "exceeded quota");
	assert_true(actions_find(&f.out, ACT_CREATE, KK_POD, 0)->stage > s->stage);
	teardown(&f);

	setup(&f, 1, "{'replicas':1,'observedGeneration':2,'conditions':[{'type':'ReplicaFailure','status':'True'}]}");
	add_pod(&f, "a", "Running", true, "n");
	run(&f);
	assert_true(json_is_null(jx_at(status_patch(&f)->body, "status.conditions")));
	teardown(&f);
}

static void test_min_ready_seconds(void **state)
{
	(void)state;
	struct fixture f;
	json_t *p;

	setup(&f, 1, "{}");
	jx_set_int(f.rs, "spec.minReadySeconds", 60);
	p = add_pod(&f, "a", "Running", true, "n");
	jx_set(p, "status.conditions", J("[{'type':'Ready','status':'True','lastTransitionTime':'2027-01-15T07:59:30Z'}]"));
	run(&f);
	assert_int_equal(jx_int(status_patch(&f)->body, "status.readyReplicas", 0), 1);
	assert_int_equal(jx_int(status_patch(&f)->body, "status.availableReplicas", 0), 0);
	assert_in_range(f.out.requeue_after_ms, 30000, 30100);
	teardown(&f);
}

static void test_nothing_to_do(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, 1, "{'replicas':1,'fullyLabeledReplicas':1,'readyReplicas':1,'availableReplicas':1,"
		     "'observedGeneration':2}");
	add_pod(&f, "a", "Running", true, "n");
	run(&f);
	assert_int_equal(f.out.n, 0);
	teardown(&f);

	setup(&f, 3, "{'replicas':0,'observedGeneration':2}");
	jx_set_str(f.rs, "metadata.deletionTimestamp", "2027-01-15T08:00:00Z");
	run(&f);
	assert_int_equal(f.out.n, 0);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_creates_in_growing_batches),
		cmocka_unit_test(test_dead_and_leaving_pods_do_not_count),
		cmocka_unit_test(test_deletion_order),
		cmocka_unit_test(test_adoption_and_release),
		cmocka_unit_test(test_failure_is_reported_before_the_next_try),
		cmocka_unit_test(test_min_ready_seconds),
		cmocka_unit_test(test_nothing_to_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
