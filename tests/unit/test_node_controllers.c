#include "roles/controllers/node.h"
#include "roles/controllers/pod_gc.h"
#include "quoted_json.h"

#include <string.h>

#define NOW 1800000000000 /* 2027-01-15T08:00:00Z */

static json_t *node(const char *spec, const char *status)
{
	return J("{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1','uid':'n1','resourceVersion':'5'},"
		 "'spec':%s,'status':%s}",
		 spec, status);
}

/* ---- pod ranges ---- */

static void test_ranges(void **state)
{
	(void)state;
	static const struct {
		const char *cluster;
		const char *have[3]; /* podCIDR of three nodes; "" = none */
		const char *given[3];
	} rows[] = {
		{ "10.244.0.0/16", { "", "", "" }, { "10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24" } },
		{ "10.244.0.0/16", { "10.244.0.0/24", "", "10.244.2.0/24" }, { NULL, "10.244.1.0/24", NULL } },
		{ "10.0.0.0/23", { "10.0.1.0/24", "", "" }, { NULL, "10.0.0.0/24", NULL } },
		{ "10.0.0.0/24", { "192.168.0.0/24", "", "x" }, { NULL, "10.0.0.0/24", NULL } },
		{ "nonsense", { "", "", "" }, { NULL, NULL, NULL } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const json_t *at[3];
		struct actions out;
		actions_init(&out);
		for (int k = 0; k < 3; k++)
			at[k] = J("{'kind':'Node','metadata':{'name':'n%d'},'spec':{'podCIDR':'%s'}}", k, rows[i].have[k]);
		node_ipam_reconcile((struct objects){ at, 3 }, rows[i].cluster, &out);
		for (int k = 0; k < 3; k++) {
			const char *got = NULL;
			for (size_t a = 0; a < out.n; a++)
				if (out.at[a].verb == ACT_PATCH && strcmp(out.at[a].name, jx_name(at[k])) == 0)
					got = jx_str(out.at[a].body, "spec.podCIDR");
			if (!c_eq(got, rows[i].given[k]))
				fail_msg("row %zu, node %d: %s", i, k, got);
			json_decref((json_t *)at[k]);
		}
		actions_done(&out);
	}
}

/* ---- health ---- */

static json_t *ready_pod(void)
{
	return J("{'kind':'Pod','metadata':{'name':'p','namespace':'d','uid':'p'},'status':{'phase':'Running',"
		 "'conditions':[{'type':'Ready','status':'True'}]}}");
}

static void lifecycle(json_t *n, uint64_t silent_ms, struct actions *out)
{
	cleanup(json_decrefp) json_t *p = ready_pod();
	const json_t *pods[] = { p };

	actions_init(out);
	node_lifecycle_reconcile(&(struct node_view){ n, { pods, 1 }, silent_ms, NOW }, out);
	json_decref(n);
}

static void test_taints_follow_conditions(void **state)
{
	(void)state;
	static const struct {
		const char *spec, *status, *taints; /* "key:effect …", NULL: no change */
	} rows[] = {
		{ "{}", "{'conditions':[{'type':'Ready','status':'True'}]}", NULL },
		{ "{}", "{}", "node.kubernetes.io/not-ready:NoSchedule " },
		{ "{}", "{'conditions':[{'type':'Ready','status':'False'}]}",
		  "node.kubernetes.io/not-ready:NoSchedule node.kubernetes.io/not-ready:NoExecute " },
		{ "{'taints':[{'key':'node.kubernetes.io/not-ready','effect':'NoSchedule'},{'key':'mine','effect':'NoExecute'}]}",
		  "{'conditions':[{'type':'Ready','status':'True'}]}", "mine:NoExecute " },
		{ "{'unschedulable':true}", "{'conditions':[{'type':'Ready','status':'True'}]}",
		  "node.kubernetes.io/unschedulable:NoSchedule " },
		{ "{}", "{'conditions':[{'type':'Ready','status':'True'},{'type':'DiskPressure','status':'True'}]}",
		  "node.kubernetes.io/disk-pressure:NoSchedule " },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct actions out;
		char got[256] = "";
		const json_t *t;
		size_t k;

		lifecycle(node(rows[i].spec, rows[i].status), 0, &out);
		assert_int_equal(out.requeue_after_ms, NODE_GRACE_MS);
		const struct action *a = actions_find(&out, ACT_PATCH, KK_NODE, 0);
		json_array_foreach(a ? jx_at(a->body, "spec.taints") : NULL, k, t)
			snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s:%s ", jx_str(t, "key"), jx_str(t, "effect"));
		if (!c_eq(a ? got : NULL, rows[i].taints))
			fail_msg("row %zu: %s", i, got);
		if (a)
			assert_string_equal(jx_str(a->body, "metadata.resourceVersion"), "5");
		actions_done(&out);
	}
}

static void test_silence(void **state)
{
	(void)state;
	struct actions out;

	lifecycle(node("{}", "{'conditions':[{'type':'Ready','status':'True'}]}"), NODE_GRACE_MS - 1, &out);
	assert_null(actions_find(&out, ACT_PATCH, KK_NODE, 0));
	assert_int_equal(out.requeue_after_ms, 1);
	actions_done(&out);

	lifecycle(node("{}", "{'conditions':[{'type':'Ready','status':'True'},{'type':'MemoryPressure','status':'False'}]}"),
		  NODE_GRACE_MS, &out);
	const struct action *a = actions_find(&out, ACT_PATCH, KK_NODE, 0);
	assert_string_equal(a->sub, "status");
	const json_t *c = condition_get(a->body, "Ready");
	assert_string_equal(jx_str(c, "status"), "Unknown");
	assert_string_equal(jx_str(c, "message"), "Kubelet stopped posting node status.");
	assert_string_equal(jx_str(condition_get(a->body, "DiskPressure"), "message"), "Kubelet never posted node status.");
	actions_done(&out);

	/* Once that is visible: taints, and the pods are no longer ready. */
	lifecycle(node("{}", "{'conditions':[{'type':'Ready','status':'Unknown'}]}"), NODE_GRACE_MS, &out);
	a = actions_find(&out, ACT_PATCH, KK_POD, 0);
	assert_string_equal(jx_str(condition_get(a->body, "Ready"), "status"), "False");
	a = actions_find(&out, ACT_PATCH, KK_NODE, 0);
	assert_int_equal(jx_len(a->body, "spec.taints"), 2);
	actions_done(&out);
}

/* ---- eviction ---- */

static void test_eviction(void **state)
{
	(void)state;
#define TAINT(effect) "{'taints':[{'key':'k','effect':'" effect "','timeAdded':'2027-01-15T07:59:00Z'}]}"
	static const struct {
		const char *node, *tolerations;
		bool evicted;
		uint64_t requeue_ms;
	} rows[] = {
		{ TAINT("NoExecute"), "[]", true, 0 },
		{ TAINT("NoSchedule"), "[]", false, 0 },
		{ TAINT("NoExecute"), "[{'key':'k','operator':'Exists'}]", false, 0 },
		{ TAINT("NoExecute"), "[{'key':'other','operator':'Exists'}]", true, 0 },
		{ TAINT("NoExecute"), "[{'key':'k','operator':'Exists','tolerationSeconds':300}]", false, 240000 },
		{ TAINT("NoExecute"), "[{'key':'k','operator':'Exists','tolerationSeconds':30}]", true, 0 },
		{ TAINT("NoExecute"), "[{'operator':'Exists'},{'key':'k','operator':'Exists','tolerationSeconds':70}]", false, 10000 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_decrefp) json_t *n = node(rows[i].node, "{}");
		cleanup(json_decrefp) json_t *p = ready_pod();
		const json_t *pods[] = { p };
		struct actions out;

		jx_set(p, "spec.tolerations", J("%s", rows[i].tolerations));
		actions_init(&out);
		taint_eviction_reconcile(&(struct node_view){ n, { pods, 1 }, 0, NOW }, &out);
		if (!!actions_find(&out, ACT_DELETE, KK_POD, 0) != rows[i].evicted || out.requeue_after_ms != rows[i].requeue_ms)
			fail_msg("row %zu: requeue %d", i, (int)out.requeue_after_ms);
		actions_done(&out);
	}
}

/* ---- pods that nobody else cleans up ---- */

static uint64_t missing_ms(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "gone") == 0 ? NODE_GONE_MS : strcmp(name, "just-gone") == 0 ? 1000 : 0;
}

static void test_pod_gc(void **state)
{
	(void)state;
	static const char *const pods[] = {
		"{'metadata':{'name':'orphan'},'spec':{'nodeName':'gone'}}",
		"{'metadata':{'name':'wait'},'spec':{'nodeName':'just-gone'}}",
		"{'metadata':{'name':'fine'},'spec':{'nodeName':'here'}}",
		"{'metadata':{'name':'unbound'},'spec':{}}",
		"{'metadata':{'name':'unbound-deleted','deletionTimestamp':'x'},'spec':{}}",
		"{'metadata':{'name':'ended-new','creationTimestamp':'2027-01-02T00:00:00Z'},'spec':{'nodeName':'here'},'status':{'phase':'Failed'}}",
		"{'metadata':{'name':'ended-old','creationTimestamp':'2027-01-01T00:00:00Z'},'spec':{'nodeName':'here'},'status':{'phase':'Succeeded'}}",
	};
	const json_t *at[ARRAY_LEN(pods)];
	char got[256] = "";
	struct actions out;

	for (size_t i = 0; i < ARRAY_LEN(pods); i++)
		at[i] = J("%s", pods[i]);
	actions_init(&out);
	pod_gc_reconcile(&(struct pod_gc_view){ { at, ARRAY_LEN(pods) }, missing_ms, NULL, 1 }, &out);
	for (size_t i = 0; i < out.n; i++) {
		assert_int_equal(jx_int(out.at[i].body, "gracePeriodSeconds", -1), 0);
		strcat(strcat(got, out.at[i].name), " ");
	}
	assert_string_equal(got, "orphan unbound-deleted ended-old ");
	assert_int_equal(out.requeue_after_ms, NODE_GONE_MS - 1000);
	actions_done(&out);
	for (size_t i = 0; i < ARRAY_LEN(pods); i++)
		json_decref((json_t *)at[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),	 cmocka_unit_test(test_taints_follow_conditions),
		cmocka_unit_test(test_silence),	 cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_pod_gc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
