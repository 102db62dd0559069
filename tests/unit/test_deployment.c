#include "roles/controllers/deployment.h"
#include "quoted_json.h"

#include <string.h>

#define NOW 1800000000000 /* 2027-01-15T08:00:00Z */

#define TEMPLATE(image) \
	"{'metadata':{'labels':{'app':'web'}},'spec':{'containers':[{'name':'c','image':'" image "'}]}}"

struct fixture {
	json_t *d;
	json_t *rs[4];
	const json_t *at[4];
	int64_t alive[4];
	size_t n;
	struct err create_error;
	struct actions out;
};

static void setup(struct fixture *f, const char *spec, const char *status)
{
	*f = (struct fixture){ 0 };
	f->d = J("{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'web','namespace':'default',"
		 "'uid':'d1','generation':1,'annotations':{'kubernetes.io/change-cause':'v1'}},"
		 "'spec':{'selector':{'matchLabels':{'app':'web'}},'progressDeadlineSeconds':600,"
		 "'revisionHistoryLimit':10,'strategy':{'type':'RollingUpdate',"
		 "'rollingUpdate':{'maxSurge':'25%%','maxUnavailable':'25%%'}}},'status':%s}",
		 status);
	json_t *more = J("%s", spec);
	json_object_update_new(json_object_get(f->d, "spec"), more);
	actions_init(&f->out);
}

static json_t *add_rs(struct fixture *f, const char *name, const char *tmpl, int replicas, int actual, int available,
		      const char *revision)
{
	json_t *rs = J("{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'%s','namespace':'default',"
		       "'uid':'uid-%s','labels':{'app':'web'},'creationTimestamp':'2027-01-01T00:00:%02zuZ',"
		       "'annotations':{'deployment.kubernetes.io/revision':'%s',"
		       "'kubernetes.io/change-cause':'v1'},"
		       "'ownerReferences':[{'kind':'Deployment','name':'web','uid':'d1','controller':true}]},"
		       "'spec':{'replicas':%d,'template':%s},"
		       "'status':{'replicas':%d,'readyReplicas':%d,'availableReplicas':%d}}",
		       name, name, f->n, revision, replicas, tmpl, actual, available, available);
	f->rs[f->n] = rs;
	f->at[f->n++] = rs;
	return rs;
}

static void annotate(json_t *obj, const char *name, const char *value)
{
	json_object_set_new(jx_at(obj, "metadata.annotations"), name, json_string(value));
}

static void run(struct fixture *f)
{
	deployment_reconcile(&(struct deployment_view){ .deployment = f->d,
							.replicasets = { f->at, f->n },
							.alive_pods = f->alive,
							.create_error = f->create_error.reason ? &f->create_error :
												 NULL,
							.now_ms = NOW },
			     &f->out);
}

static void teardown(struct fixture *f)
{
	json_decref(f->d);
	for (size_t i = 0; i < f->n; i++)
		json_decref(f->rs[i]);
	actions_done(&f->out);
}

/* The planned spec.replicas of a ReplicaSet; -1: untouched. */
static int64_t scaled_to(const struct fixture *f, const char *name)
{
	const struct action *a;

	for (size_t i = 0; (a = actions_find(&f->out, ACT_PATCH, KK_REPLICASET, i)); i++)
		if (strcmp(a->name, name) == 0)
			return jx_int(a->body, "spec.replicas", -1);
	return -1;
}

static const struct action *status_patch(const struct fixture *f)
{
	const struct action *a;

	for (size_t i = 0; (a = actions_find(&f->out, ACT_PATCH, KK_DEPLOYMENT, i)); i++)
		if (c_eq(a->sub, "status"))
			return a;
	return NULL;
}

static const char *condition_reason(const struct fixture *f, const char *type)
{
	const struct action *a = status_patch(f);

	return a ? jx_str(condition_get(a->body, type), "reason") : NULL;
}

static void test_first_replicaset(void **state)
{
	(void)state;
	struct fixture f;
	const struct action *a;

	setup(&f, "{'replicas':3,'template':" TEMPLATE("a") "}", "{}");
	run(&f);
	a = actions_find(&f.out, ACT_CREATE, KK_REPLICASET, 0);
	assert_non_null(a);
	const char *hash = jx_label(a->body, HASH_LABEL);
	assert_non_null(hash);
	assert_string_equal(jx_name(a->body) + strlen("web-"), hash);
	assert_string_equal(jx_str(a->body, "spec.selector.matchLabels.pod-template-hash"), hash);
	assert_string_equal(jx_str(a->body, "spec.template.metadata.labels.pod-template-hash"), hash);
	assert_int_equal(jx_int(a->body, "spec.replicas", -1), 3);
	assert_string_equal(jx_annotation(a->body, REVISION), "1");
	assert_string_equal(jx_annotation(a->body, DESIRED_REPLICAS), "3");
	assert_string_equal(jx_annotation(a->body, MAX_REPLICAS), "4");
	assert_string_equal(jx_annotation(a->body, "kubernetes.io/change-cause"), "v1");
	assert_string_equal(controller_uid(a->body), "d1");
	assert_string_equal(a->done.reason, "ScalingReplicaSet");
	cleanup(freep) char *text = xasprintf("Scaled up replica set web-%s from 0 to 3", hash);
	assert_string_equal(a->done.text, text);
	a = actions_find(&f.out, ACT_PATCH, KK_DEPLOYMENT, 0);
	assert_string_equal(jx_annotation(a->body, REVISION), "1");
	a = status_patch(&f);
	assert_string_equal(condition_reason(&f, "Progressing"), "NewReplicaSetCreated");
	assert_string_equal(condition_reason(&f, "Available"), "MinimumReplicasUnavailable");
	assert_int_equal(jx_int(a->body, "status.unavailableReplicas", 0), 3);
	assert_int_equal(jx_int(a->body, "status.observedGeneration", 0), 1);
	teardown(&f);
}

static void test_rolling_steps(void **state)
{
	(void)state;
	/* old: spec, status.replicas, available; new likewise → what old and new become (-1: untouched) */
	static const struct {
		const char *what, *spec;
		int old[3], new[3], old_to, new_to;
	} rows[] = {
		{ "surge first", "'replicas':4", { 4, 4, 4 }, { 0, 0, 0 }, -1, 1 },
		{ "unavailable allows one less", "'replicas':4", { 4, 4, 4 }, { 1, 1, 0 }, 3, -1 },
		{ "new ones available: two more old go", "'replicas':4", { 3, 3, 3 }, { 2, 2, 2 }, 1, -1 },
		{ "room again: new grows", "'replicas':4", { 1, 1, 1 }, { 2, 2, 2 }, -1, 4 },
		{ "last old one", "'replicas':4", { 1, 1, 1 }, { 4, 4, 3 }, 0, -1 },
		{ "old that serve nobody go first", "'replicas':4", { 4, 4, 1 }, { 1, 1, 0 }, 3, -1 },
		{ "new stuck: nothing more", "'replicas':4", { 3, 3, 3 }, { 2, 2, 0 }, -1, -1 },
		{ "new larger than wanted", "'replicas':2", { 0, 0, 0 }, { 5, 5, 5 }, -1, 2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture f;
		cleanup(freep) char *spec = xasprintf("{%s,'template':" TEMPLATE("new") "}", rows[i].spec);
		setup(&f, spec, "{}");
		json_t *old = add_rs(&f, "old", TEMPLATE("old"), rows[i].old[0], rows[i].old[1], rows[i].old[2], "1");
		json_t *new = add_rs(&f, "new", TEMPLATE("new"), rows[i].new[0], rows[i].new[1], rows[i].new[2], "2");
		cleanup(freep) char *want = xasprintf("%d", (int)jx_int(f.d, "spec.replicas", 0));
		annotate(old, DESIRED_REPLICAS, want);
		annotate(new, DESIRED_REPLICAS, want);
		run(&f);
		if (scaled_to(&f, "old") != rows[i].old_to || scaled_to(&f, "new") != rows[i].new_to)
			fail_msg("%s: old to %d, new to %d", rows[i].what, (int)scaled_to(&f, "old"),
				 (int)scaled_to(&f, "new"));
		teardown(&f);
	}
}

static void test_scaling_in_proportion(void **state)
{
	(void)state;
	struct fixture f;

	/* 10 → 20 in the middle of a rollout, 8 old and 5 new, maxSurge 3 then 5. */
	setup(&f, "{'replicas':20,'template':" TEMPLATE("new") "}", "{}");
	annotate(add_rs(&f, "old", TEMPLATE("old"), 8, 8, 8, "1"), DESIRED_REPLICAS, "10");
	annotate(add_rs(&f, "new", TEMPLATE("new"), 5, 5, 0, "2"), DESIRED_REPLICAS, "10");
	annotate(f.rs[0], MAX_REPLICAS, "13");
	annotate(f.rs[1], MAX_REPLICAS, "13");
	run(&f);
	assert_int_equal(scaled_to(&f, "old") + scaled_to(&f, "new"), 25);
	assert_int_equal(scaled_to(&f, "old"), 15);
	const struct action *a = actions_find(&f.out, ACT_PATCH, KK_REPLICASET, 0);
	assert_string_equal(a->done.text, "Scaled up replica set old from 8 to 15");
	teardown(&f);

	/* What rounding leaves over goes to the newest of the largest. */
	setup(&f, "{'replicas':11,'template':" TEMPLATE("new") "}", "{}");
	jx_set(f.d, "spec.strategy.rollingUpdate.maxSurge", json_integer(1));
	annotate(add_rs(&f, "old", TEMPLATE("old"), 5, 5, 5, "1"), DESIRED_REPLICAS, "9");
	annotate(add_rs(&f, "new", TEMPLATE("new"), 5, 5, 0, "2"), DESIRED_REPLICAS, "9");
	annotate(f.rs[0], MAX_REPLICAS, "11");
	annotate(f.rs[1], MAX_REPLICAS, "11");
	run(&f);
	assert_int_equal(scaled_to(&f, "old"), -1);
	assert_int_equal(scaled_to(&f, "new"), 7);
	teardown(&f);

	/* One active ReplicaSet simply follows. */
	setup(&f, "{'replicas':5,'template':" TEMPLATE("a") "}", "{}");
	annotate(add_rs(&f, "only", TEMPLATE("a"), 3, 3, 3, "1"), DESIRED_REPLICAS, "3");
	run(&f);
	assert_int_equal(scaled_to(&f, "only"), 5);
	teardown(&f);
}

static void test_rollback_takes_the_old_one(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, "{'replicas':1,'template':" TEMPLATE("v1") "}", "{}");
	json_t *v1 = add_rs(&f, "v1", TEMPLATE("v1"), 0, 0, 0, "1");
	add_rs(&f, "v2", TEMPLATE("v2"), 1, 1, 1, "2");
	/* The template that the API server gives back has the hash label and nulls. */
	jx_set_str(v1, "spec.template.metadata.labels.pod-template-hash", "xyz");
	jx_set(v1, "spec.template.metadata.creationTimestamp", json_null());
	run(&f);
	assert_null(actions_find(&f.out, ACT_CREATE, KK_REPLICASET, 0));
	assert_int_equal(scaled_to(&f, "v1"), 1);
	const struct action *a = NULL;
	for (size_t i = 0; (a = actions_find(&f.out, ACT_PATCH, KK_REPLICASET, i)); i++)
		if (strcmp(a->name, "v1") == 0)
			break;
	assert_string_equal(jx_annotation(a->body, REVISION), "3");
	assert_string_equal(jx_annotation(a->body, REVISION_HISTORY), "1");
	a = actions_find(&f.out, ACT_PATCH, KK_DEPLOYMENT, 0);
	assert_string_equal(jx_annotation(a->body, REVISION), "3");
	teardown(&f);
}

static void test_recreate(void **state)
{
	(void)state;
	static const char spec[] = "{'replicas':2,'strategy':{'type':'Recreate'},'template':" TEMPLATE("new") "}";
	struct fixture f;

	setup(&f, spec, "{}");
	annotate(add_rs(&f, "old", TEMPLATE("old"), 2, 2, 2, "1"), DESIRED_REPLICAS, "2");
	run(&f);
	assert_int_equal(scaled_to(&f, "old"), 0);
	assert_null(actions_find(&f.out, ACT_CREATE, KK_REPLICASET, 0));
	teardown(&f);

	setup(&f, spec, "{}");
	add_rs(&f, "old", TEMPLATE("old"), 0, 0, 0, "1");
	f.alive[0] = 1; /* still terminating */
	run(&f);
	assert_null(actions_find(&f.out, ACT_CREATE, KK_REPLICASET, 0));
	teardown(&f);

	setup(&f, spec, "{}");
	add_rs(&f, "old", TEMPLATE("old"), 0, 0, 0, "1");
	run(&f);
	const struct action *a = actions_find(&f.out, ACT_CREATE, KK_REPLICASET, 0);
	assert_int_equal(jx_int(a->body, "spec.replicas", -1), 2);
	assert_string_equal(jx_annotation(a->body, REVISION), "2");
	teardown(&f);
}

static void test_progress_conditions(void **state)
{
	(void)state;
#define PROGRESSING(reason, updated) \
	"'conditions':[{'type':'Progressing','status':'True','reason':'" reason "','lastUpdateTime':'" updated \
	"','lastTransitionTime':'2027-01-01T00:00:00Z'}]"
	static const struct {
		const char *what, *status;
		int actual, available;
		const char *reason;
		bool requeue;
	} rows[] = {
		{ "complete", "{'replicas':2,'updatedReplicas':2," PROGRESSING("ReplicaSetUpdated", "2027-01-15T07:59:00Z") "}",
		  2, 2, "NewReplicaSetAvailable", false },
		{ "progress", "{'replicas':2,'updatedReplicas':2," PROGRESSING("ReplicaSetUpdated", "2027-01-15T07:30:00Z") "}",
		  2, 1, "ReplicaSetUpdated", true },
		{ "too late", "{'replicas':2,'updatedReplicas':2,'readyReplicas':1,'availableReplicas':1,"
			      PROGRESSING("ReplicaSetUpdated", "2027-01-15T07:30:00Z") "}",
		  2, 1, "ProgressDeadlineExceeded", false },
		{ "waiting", "{'replicas':2,'updatedReplicas':2,'readyReplicas':1,'availableReplicas':1,"
			     PROGRESSING("ReplicaSetUpdated", "2027-01-15T07:59:00Z") "}",
		  2, 1, "ReplicaSetUpdated", true },
		{ "was available: a lost pod is no rollout", "{'replicas':2,'updatedReplicas':2,'readyReplicas':2,"
			     PROGRESSING("NewReplicaSetAvailable", "2027-01-15T07:30:00Z") "}",
		  2, 1, "NewReplicaSetAvailable", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture f;
		setup(&f, "{'replicas':2,'template':" TEMPLATE("a") "}", rows[i].status);
		add_rs(&f, "rs", TEMPLATE("a"), 2, rows[i].actual, rows[i].available, "1");
		run(&f);
		if (!c_eq(condition_reason(&f, "Progressing"), rows[i].reason))
			fail_msg("%s: %s", rows[i].what, condition_reason(&f, "Progressing"));
		if (!!f.out.requeue_after_ms != rows[i].requeue)
			fail_msg("%s: requeue %d", rows[i].what, (int)f.out.requeue_after_ms);
		teardown(&f);
	}
}

static void test_paused_and_history(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, "{'replicas':1,'paused':true,'template':" TEMPLATE("new") "}", "{}");
	add_rs(&f, "old", TEMPLATE("old"), 1, 1, 1, "1");
	run(&f);
	assert_null(actions_find(&f.out, ACT_CREATE, KK_REPLICASET, 0));
	assert_string_equal(condition_reason(&f, "Progressing"), "DeploymentPaused");
	teardown(&f);

	setup(&f, "{'replicas':1,'revisionHistoryLimit':1,'template':" TEMPLATE("c") "}",
	      "{'replicas':1,'updatedReplicas':1,'availableReplicas':1,'observedGeneration':1}");
	add_rs(&f, "a", TEMPLATE("a"), 0, 0, 0, "1");
	add_rs(&f, "b", TEMPLATE("b"), 0, 0, 0, "2");
	add_rs(&f, "c", TEMPLATE("c"), 1, 1, 1, "3");
	run(&f);
	const struct action *a = actions_find(&f.out, ACT_DELETE, KK_REPLICASET, 0);
	assert_string_equal(a->name, "a");
	assert_null(actions_find(&f.out, ACT_DELETE, KK_REPLICASET, 1));
	teardown(&f);
}

static void test_collision_and_adoption(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, "{'replicas':1,'template':" TEMPLATE("a") "}", "{'collisionCount':1}");
	err_set(&f.create_error, ERR_ALREADY_EXISTS, "exists");
	run(&f);
	assert_int_equal(f.out.n, 1);
	assert_int_equal(jx_int(f.out.at[0].body, "status.collisionCount", 0), 2);
	teardown(&f);

	setup(&f, "{'replicas':1,'template':" TEMPLATE("a") "}", "{}");
	json_t *orphan = add_rs(&f, "orphan", TEMPLATE("a"), 1, 1, 1, "1");
	jx_del(orphan, "metadata.ownerReferences");
	json_t *other = add_rs(&f, "other", TEMPLATE("x"), 1, 1, 1, "1");
	jx_del(other, "metadata.ownerReferences");
	jx_set_str(other, "metadata.labels.app", "other");
	json_t *lost = add_rs(&f, "lost", TEMPLATE("a"), 1, 1, 1, "1");
	jx_set_str(lost, "metadata.labels.app", "gone");
	run(&f);
	assert_int_equal(f.out.n, 2);
	assert_string_equal(f.out.at[0].name, "orphan");
	assert_string_equal(jx_str(json_array_get(jx_at(f.out.at[0].body, "metadata.ownerReferences"), 0), "uid"), "d1");
	assert_string_equal(f.out.at[1].name, "lost");
	assert_string_equal(jx_str(json_array_get(jx_at(f.out.at[1].body, "metadata.ownerReferences"), 0), "$patch"),
			    "delete");
	teardown(&f);
}

static void test_nothing_to_do(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, "{'replicas':1,'template':" TEMPLATE("a") "}",
	      "{'observedGeneration':1,'replicas':1,'updatedReplicas':1,'readyReplicas':1,'availableReplicas':1,"
	      "'conditions':[{'type':'Available','status':'True','reason':'MinimumReplicasAvailable'},"
	      "{'type':'Progressing','status':'True','reason':'NewReplicaSetAvailable'}]}");
	json_t *rs = add_rs(&f, "rs", TEMPLATE("a"), 1, 1, 1, "1");
	annotate(f.d, REVISION, "1");
	annotate(rs, DESIRED_REPLICAS, "1");
	run(&f);
	assert_int_equal(f.out.n, 0);
	assert_int_equal(f.out.requeue_after_ms, 0);
	teardown(&f);
}

/* A rollout played to its end: never fewer than minAvailable, never more than replicas + maxSurge. */
static void test_rollout_keeps_its_promise(void **state)
{
	(void)state;
	int64_t old[3] = { 10, 10, 10 }, new[3] = { 0, 0, 0 }; /* spec, status.replicas, available */
	bool made = false;

	for (int round = 0; round < 100; round++) {
		struct fixture f;
		setup(&f, "{'replicas':10,'template':" TEMPLATE("new") "}", "{}");
		annotate(add_rs(&f, "old", TEMPLATE("old"), (int)old[0], (int)old[1], (int)old[2], "1"),
			 DESIRED_REPLICAS, "10");
		if (made)
			annotate(add_rs(&f, "new", TEMPLATE("new"), (int)new[0], (int)new[1], (int)new[2], "2"),
				 DESIRED_REPLICAS, "10");
		run(&f);
		const struct action *a = actions_find(&f.out, ACT_CREATE, KK_REPLICASET, 0);
		if (a) {
			made = true;
			new[0] = jx_int(a->body, "spec.replicas", 0);
		}
		if (scaled_to(&f, "old") >= 0)
			old[0] = scaled_to(&f, "old");
		if (scaled_to(&f, "new") >= 0)
			new[0] = scaled_to(&f, "new");
		teardown(&f);
		old[1] = old[2] = MIN(old[2], old[0]);
		new[1] = new[0];
		assert_true(old[2] + new[2] >= 8);
		assert_true(old[1] + new[1] <= 13);
		new[2] += new[2] < new[1]; /* one becomes available a round */
	}
	assert_int_equal(old[0], 0);
	assert_int_equal(new[2], 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_replicaset),     cmocka_unit_test(test_rolling_steps),
		cmocka_unit_test(test_scaling_in_proportion), cmocka_unit_test(test_rollback_takes_the_old_one),
		cmocka_unit_test(test_recreate),	     cmocka_unit_test(test_progress_conditions),
		cmocka_unit_test(test_paused_and_history),   cmocka_unit_test(test_collision_and_adoption),
		cmocka_unit_test(test_nothing_to_do),	     cmocka_unit_test(test_rollout_keeps_its_promise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
