#include "roles/controllers/scheduler/schedule.h"
#include "quoted_json.h"

#include <string.h>

#define READY "'conditions':[{'type':'Ready','status':'True'}]"
#define ROOM "'allocatable':{'cpu':'2','memory':'4Gi','pods':'10','ephemeral-storage':'10Gi'}"

static json_t *node(const char *name, const char *labels, const char *spec, const char *status)
{
	return J("{'kind':'Node','metadata':{'name':'%s','labels':%s},'spec':%s,'status':{%s}}", name, labels, spec,
		 status);
}

static json_t *pod(const char *spec)
{
	return J("{'kind':'Pod','metadata':{'name':'p','namespace':'default','uid':'p'},'spec':%s}", spec);
}

/* One node, one pod: the reason, or NULL if it fits. */
static const char *why_not(const json_t *n, const json_t *p, struct objects there, struct buf *why)
{
	struct sched_node nodes[] = { { n, there } };

	buf_init(why, 4096);
	const char *chosen = schedule(&(struct sched_view){ p, nodes, 1 }, why);
	if (chosen)
		assert_string_equal(chosen, jx_name(n));
	return chosen ? NULL : why->ptr;
}

static void test_filters(void **state)
{
	(void)state;
#define TAINT "{'taints':[{'key':'k','value':'v','effect':'NoSchedule'}]}"
	static const struct {
		const char *node_spec, *node_status, *pod, *why;
	} rows[] = {
		{ "{}", READY "," ROOM, "{'containers':[{}]}", NULL },
		{ "{'unschedulable':true}", READY "," ROOM, "{}", "node(s) were unschedulable" },
		{ "{'unschedulable':true}", READY "," ROOM, "{'tolerations':[{'operator':'Exists'}]}", NULL },
		{ "{}", ROOM, "{}", "node(s) had untolerated taint {node.kubernetes.io/not-ready: }" },
		{ "{}", ROOM, "{'tolerations':[{'key':'node.kubernetes.io/not-ready','operator':'Exists'}]}", NULL },
		{ "{}", ROOM,
		  "{'tolerations':[{'key':'node.kubernetes.io/not-ready','operator':'Exists','effect':'NoExecute'}]}",
		  "node(s) had untolerated taint {node.kubernetes.io/not-ready: }" },
		{ TAINT, READY "," ROOM, "{}", "node(s) had untolerated taint {k: v}" },
		{ TAINT, READY "," ROOM, "{'tolerations':[{'key':'k','value':'v'}]}", NULL },
		{ TAINT, READY "," ROOM, "{'tolerations':[{'key':'k','value':'w'}]}", "node(s) had untolerated taint {k: v}" },
		{ TAINT, READY "," ROOM, "{'tolerations':[{'key':'k','operator':'Exists','effect':'NoSchedule'}]}", NULL },
		{ "{}", READY "," ROOM, "{'nodeSelector':{'disk':'ssd'}}", NULL },
		{ "{}", READY "," ROOM, "{'nodeSelector':{'disk':'hdd'}}", "node(s) didn't match Pod's node affinity/selector" },
		{ "{}", READY "," ROOM, "{'containers':[{'resources':{'requests':{'cpu':'2001m'}}}]}", "Insufficient cpu" },
		{ "{}", READY "," ROOM, "{'containers':[{'resources':{'requests':{'cpu':'2'}}}]}", NULL },
		{ "{}", READY "," ROOM,
		  "{'containers':[{'resources':{'requests':{'cpu':'3','memory':'5Gi'}}}]}",
		  "Insufficient cpu, 1 Insufficient memory" },
		{ "{}", READY "," ROOM, "{'containers':[{'resources':{'requests':{'ephemeral-storage':'11Gi'}}}]}",
		  "Insufficient ephemeral-storage" },
		{ "{}", READY ",'allocatable':{'cpu':'1','memory':'1Gi','pods':'0'}", "{}", "Too many pods" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_decrefp) json_t *n = node("n", "{'disk':'ssd'}", rows[i].node_spec, rows[i].node_status);
		cleanup(json_decrefp) json_t *p = pod(rows[i].pod);
		struct buf why;
		const char *got = why_not(n, p, (struct objects){ 0 }, &why);
		cleanup(freep) char *want = rows[i].why ? xasprintf("0/1 nodes are available: 1 %s.", rows[i].why) : NULL;
		if (!c_eq(got, want))
			fail_msg("row %zu: got '%s', expected '%s'", i, got, want);
		buf_done(&why);
	}
}

static void test_what_runs_there_counts(void **state)
{
	(void)state;
	cleanup(json_decrefp) json_t *n = node("n", "{}", "{}", READY "," ROOM);
	cleanup(json_decrefp) json_t *big = pod("{'containers':[{'resources':{'requests':{'cpu':'1500m'}},"
						"'ports':[{'hostPort':80,'containerPort':80}]}]}");
	cleanup(json_decrefp) json_t *wants_cpu = pod("{'containers':[{'resources':{'requests':{'cpu':'1'}}}]}");
	cleanup(json_decrefp) json_t *wants_port = pod("{'containers':[{'ports':[{'hostPort':80}]}]}");
	cleanup(json_decrefp) json_t *wants_udp = pod("{'containers':[{'ports':[{'hostPort':80,'protocol':'UDP'}]}]}");
	const json_t *at[] = { big };
	struct objects there = { at, 1 };
	struct buf why;

	assert_string_equal(why_not(n, wants_cpu, there, &why), "0/1 nodes are available: 1 Insufficient cpu.");
	buf_done(&why);
	assert_string_equal(why_not(n, wants_port, there, &why),
			    "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.");
	buf_done(&why);
	assert_null(why_not(n, wants_udp, there, &why));
	buf_done(&why);
	jx_set(wants_port, "spec.containers", J("[{'ports':[{'hostPort':80,'hostIP':'127.0.0.1'}]}]"));
	assert_non_null(why_not(n, wants_port, there, &why)); /* the other one has all addresses */
	buf_done(&why);
	jx_set_str(json_array_get(jx_at(json_array_get(jx_at(big, "spec.containers"), 0), "ports"), 0), "hostIP",
		   "127.0.0.2");
	assert_null(why_not(n, wants_port, there, &why));
	buf_done(&why);
	jx_set(wants_port, "spec.containers", J("[{'ports':[{'hostPort':80}]}]"));
	jx_set_str(big, "status.phase", "Succeeded"); /* ended: its resources are free */
	assert_null(why_not(n, wants_cpu, there, &why));
	buf_done(&why);
	assert_null(why_not(n, wants_port, there, &why));
	buf_done(&why);
}

static void test_reasons_are_counted_and_sorted(void **state)
{
	(void)state;
	cleanup(json_decrefp) json_t *a = node("a", "{}", "{'unschedulable':true}", READY "," ROOM);
	cleanup(json_decrefp) json_t *b = node("b", "{}", "{'unschedulable':true}", READY "," ROOM);
	cleanup(json_decrefp) json_t *c = node("c", "{}", "{}", READY ",'allocatable':{'pods':'10','cpu':'1m'}");
	cleanup(json_decrefp) json_t *p = pod("{'containers':[{'resources':{'requests':{'cpu':'1'}}}]}");
	struct sched_node nodes[] = { { a, { 0 } }, { b, { 0 } }, { c, { 0 } } };
	struct buf why;

	buf_init(&why, 4096);
	assert_null(schedule(&(struct sched_view){ p, nodes, 3 }, &why));
	assert_string_equal(why.ptr, "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.");
	buf_clear(&why);
	assert_null(schedule(&(struct sched_view){ p, NULL, 0 }, &why));
	assert_string_equal(why.ptr, "no nodes available to schedule pods");
	buf_done(&why);
}

static void test_least_allocated_and_spread(void **state)
{
	(void)state;
	cleanup(json_decrefp) json_t *a = node("a", "{}", "{}", READY "," ROOM);
	cleanup(json_decrefp) json_t *b = node("b", "{'zone':'z'}", "{}", READY "," ROOM);
	cleanup(json_decrefp) json_t *busy = pod("{'containers':[{'resources':{'requests':{'cpu':'1'}}}]}");
	cleanup(json_decrefp) json_t *sibling = pod("{'containers':[{'resources':{'requests':{'cpu':'1m'}}}]}");
	cleanup(json_decrefp) json_t *p = pod("{'containers':[{}]}");
	const json_t *on_a[] = { busy }, *on_b[] = { sibling };
	struct sched_node nodes[] = { { a, { on_a, 1 } }, { b, { NULL, 0 } } };
	struct buf why;

	buf_init(&why, 4096);
	assert_string_equal(schedule(&(struct sched_view){ p, nodes, 2 }, &why), "b");
	/* The busier node wins over the one that has a pod of the same owner. */
	nodes[1].pods = (struct objects){ on_b, 1 };
	jx_set(p, "metadata.ownerReferences", J("[{'uid':'rs','controller':true}]"));
	jx_set(sibling, "metadata.ownerReferences", J("[{'uid':'rs','controller':true}]"));
	assert_string_equal(schedule(&(struct sched_view){ p, nodes, 2 }, &why), "a");
	/* A preference with weight brings it back. */
	jx_set(p, "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution",
	       J("[{'weight':100,'preference':{'matchExpressions':[{'key':'zone','operator':'In','values':['z']}]}}]"));
	jx_del(sibling, "metadata.ownerReferences");
	assert_string_equal(schedule(&(struct sched_view){ p, nodes, 2 }, &why), "b");
	buf_done(&why);
}

static void test_affinity_terms(void **state)
{
	(void)state;
	cleanup(json_decrefp) json_t *n = node("n1", "{'a':'1','n':'7'}", "{}", READY);
	static const struct {
		const char *term;
		bool matches;
	} rows[] = {
		{ "{}", false },
		{ "{'matchExpressions':[{'key':'a','operator':'In','values':['0','1']}]}", true },
		{ "{'matchExpressions':[{'key':'a','operator':'NotIn','values':['1']}]}", false },
		{ "{'matchExpressions':[{'key':'b','operator':'NotIn','values':['1']}]}", true },
		{ "{'matchExpressions':[{'key':'a','operator':'Exists'}]}", true },
		{ "{'matchExpressions':[{'key':'b','operator':'DoesNotExist'}]}", true },
		{ "{'matchExpressions':[{'key':'n','operator':'Gt','values':['6']}]}", true },
		{ "{'matchExpressions':[{'key':'n','operator':'Lt','values':['7']}]}", false },
		{ "{'matchExpressions':[{'key':'n','operator':'Gt','values':['x']}]}", false },
		{ "{'matchExpressions':[{'key':'a','operator':'Exists'},{'key':'b','operator':'Exists'}]}", false },
		{ "{'matchFields':[{'key':'metadata.name','operator':'In','values':['n1']}]}", true },
		{ "{'matchFields':[{'key':'metadata.name','operator':'In','values':['n2']}]}", false },
		{ "{'matchExpressions':[{'key':'a','operator':'Nonsense'}]}", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_decrefp) json_t *t = J("%s", rows[i].term);
		if (node_term_matches(n, t) != rows[i].matches)
			fail_msg("%s", rows[i].term);
	}
	/* Terms are alternatives; the node selector holds as well. */
	cleanup(json_decrefp) json_t *p = pod("{'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':"
					      "{'nodeSelectorTerms':[{'matchExpressions':[{'key':'x','operator':'Exists'}]},"
					      "{'matchExpressions':[{'key':'a','operator':'Exists'}]}]}}}}");
	assert_true(node_matches(n, p));
	jx_set_str(p, "spec.nodeSelector.a", "2");
	assert_false(node_matches(n, p));
}

static void test_requests(void **state)
{
	(void)state;
	static const struct {
		const char *spec;
		int64_t cpu, memory;
	} rows[] = {
		{ "{'containers':[{'resources':{'requests':{'cpu':'100m','memory':'1Mi'}}},"
		  "{'resources':{'requests':{'cpu':'0.2'}}}]}", 300, 1 << 20 },
		{ "{'containers':[{'resources':{'requests':{'cpu':'100m'}}}],"
		  "'initContainers':[{'resources':{'requests':{'cpu':'500m'}}},{'resources':{'requests':{'cpu':'400m'}}}]}",
		  500, 0 },
		{ "{'containers':[{'resources':{'requests':{'cpu':'100m'}}}],"
		  "'initContainers':[{'restartPolicy':'Always','resources':{'requests':{'cpu':'50m'}}},"
		  "{'resources':{'requests':{'cpu':'200m'}}}]}", 250, 0 },
		{ "{'overhead':{'cpu':'10m'},'containers':[{'resources':{'requests':{'cpu':1}}}]}", 1010, 0 },
		{ "{'containers':[{}]}", 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_decrefp) json_t *p = pod(rows[i].spec);
		struct pod_request r = pod_request(p);
		assert_int_equal(r.cpu_milli, rows[i].cpu);
		assert_int_equal(r.memory, rows[i].memory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_what_runs_there_counts),
		cmocka_unit_test(test_reasons_are_counted_and_sorted),
		cmocka_unit_test(test_least_allocated_and_spread),
		cmocka_unit_test(test_affinity_terms),
		cmocka_unit_test(test_requests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
