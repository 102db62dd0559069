#include "roles/apiserver/strategy.h"

#include "quoted_json.h"

#define NOW_MS 1767225600000LL /* 2026-01-01T00:00:00Z */

static const struct resource *core(const char *plural)
{
	const struct resource *r = resource_find(STR(""), STR("v1"), str_of(plural));

	assert_non_null(r);
	return r;
}

static const struct resource *apps(const char *plural)
{
	return resource_find(STR("apps"), STR("v1"), str_of(plural));
}

static void test_create_takes_what_is_ours(void **state)
{
	cleanup(json_decrefp) json_t *pod = J("%s", "{'metadata':{'generateName':'web-','uid':'mine','generation':7,'selfLink':'x',"
						  "'resourceVersion':'4','deletionTimestamp':'2020-01-01T00:00:00Z'},'spec':{},"
						  "'status':{'phase':'Running'}}");

	(void)state;
	strategy_prepare_create(core("pods"), pod, "ns", NOW_MS);
	assert_int_equal(strlen(jx_name(pod)), strlen("web-") + 5);
	assert_string_equal(jx_namespace(pod), "ns");
	assert_int_equal(strlen(jx_uid(pod)), 36);
	assert_string_equal(jx_str(pod, "metadata.creationTimestamp"), "2026-01-01T00:00:00Z");
	assert_int_equal(jx_int(pod, "metadata.generation", 0), 1);
	assert_null(jx_at(pod, "metadata.selfLink"));
	assert_null(jx_at(pod, "metadata.resourceVersion"));
	assert_null(jx_at(pod, "metadata.deletionTimestamp"));
	assert_string_equal(jx_str(pod, "status.phase"), "Pending");
	assert_string_equal(jx_str(pod, "status.qosClass"), "BestEffort");
}

static const struct {
	const char *containers, *want;
} classes[] = {
	{ "[{}]", "BestEffort" },
	{ "[{'resources':{'requests':{'cpu':'100m'}}}]", "Burstable" },
	{ "[{'resources':{'limits':{'cpu':'1','memory':'1Gi'},'requests':{'cpu':'1','memory':'1024Mi'}}}]", "Guaranteed" },
	{ "[{'resources':{'limits':{'cpu':'1','memory':'1Gi'},'requests':{'cpu':'1','memory':'1Gi'}}},{}]", "Burstable" },
	{ "[{'resources':{'limits':{'cpu':'2','memory':'1Gi'},'requests':{'cpu':'1','memory':'1Gi'}}}]", "Burstable" },
	{ "[{'resources':{'requests':{'ephemeral-storage':'1Gi'}}}]", "BestEffort" },
};

static void test_qos(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		cleanup(json_decrefp) json_t *pod = J("%s", "{'metadata':{'name':'p'},'spec':{}}");

		jx_set(pod, "spec.containers", J("%s", classes[i].containers));
		strategy_prepare_create(core("pods"), pod, "ns", NOW_MS);
		assert_string_equal(jx_str(pod, "status.qosClass"), classes[i].want);
	}
}

static void test_namespace(void **state)
{
	cleanup(json_decrefp) json_t *ns = J("%s", "{'metadata':{'name':'a'}}");
	cleanup(json_decrefp) json_t *update = J("%s", "{'metadata':{'name':'a'},'spec':{'finalizers':[]}}");

	(void)state;
	strategy_prepare_create(core("namespaces"), ns, NULL, NOW_MS);
	assert_string_equal(jx_str(ns, "status.phase"), "Active");
	assert_string_equal(json_string_value(json_array_get(jx_at(ns, "spec.finalizers"), 0)), "kubernetes");
	assert_string_equal(jx_label(ns, "kubernetes.io/metadata.name"), "a");
	strategy_prepare_update(core("namespaces"), update, ns, NULL);
	assert_int_equal(jx_len(update, "spec.finalizers"), 1);
	jx_set(update, "spec.finalizers", json_array());
	strategy_prepare_update(core("namespaces"), update, ns, "finalize");
	assert_int_equal(jx_len(update, "spec.finalizers"), 0);
	assert_string_equal(jx_str(update, "status.phase"), "Active");
}

#define OLD                                                                                                          \
	"{'metadata':{'name':'d','namespace':'ns','uid':'u','creationTimestamp':'2020-01-01T00:00:00Z','generation':3," \
	"'resourceVersion':'9'},'spec':{'replicas':1},'status':{'replicas':1}}"

static void test_update_keeps_status(void **state)
{
	cleanup(json_decrefp) json_t *old = J("%s", OLD);
	cleanup(json_decrefp) json_t *obj = J("%s", "{'metadata':{'name':'d','generation':99,'resourceVersion':'9'},'spec':{'replicas':2},"
						  "'status':{'replicas':7}}");

	(void)state;
	strategy_prepare_update(apps("deployments"), obj, old, NULL);
	assert_int_equal(jx_int(obj, "spec.replicas", 0), 2);
	assert_int_equal(jx_int(obj, "status.replicas", 0), 1);
	assert_int_equal(jx_int(obj, "metadata.generation", 0), 4);
	assert_string_equal(jx_uid(obj), "u");
	assert_string_equal(jx_namespace(obj), "ns");
	assert_string_equal(jx_str(obj, "metadata.creationTimestamp"), "2020-01-01T00:00:00Z");
	assert_string_equal(jx_str(obj, "metadata.resourceVersion"), "9");
}

static void test_status_keeps_spec(void **state)
{
	cleanup(json_decrefp) json_t *old = J("%s", OLD);
	cleanup(json_decrefp) json_t *obj =
		J("%s", "{'metadata':{'name':'d','labels':{'a':'b'}},'spec':{'replicas':2},'status':{'replicas':7},'other':1}");

	(void)state;
	strategy_prepare_update(apps("deployments"), obj, old, "status");
	assert_int_equal(jx_int(obj, "spec.replicas", 0), 1);
	assert_int_equal(jx_int(obj, "status.replicas", 0), 7);
	assert_int_equal(jx_int(obj, "metadata.generation", 0), 3);
	assert_null(jx_at(obj, "metadata.labels"));
	assert_null(jx_at(obj, "other"));
}

static void test_generation(void **state)
{
	static const struct {
		const char *change;
		int64_t want;
	} rows[] = {
		{ "{}", 3 },
		{ "{'metadata':{'labels':{'a':'b'}}}", 3 },
		{ "{'metadata':{'annotations':{'a':'b'}}}", 4 }, /* of a Deployment these count */
		{ "{'spec':{'replicas':5}}", 4 },
		{ "{'status':{'replicas':5}}", 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_decrefp) json_t *old = J("%s", OLD), *obj = J("%s", OLD), *change = J("%s", rows[i].change);

		json_object_update_recursive(obj, change);
		strategy_prepare_update(apps("deployments"), obj, old, NULL);
		assert_int_equal(jx_int(obj, "metadata.generation", 0), rows[i].want);
	}
}

static void test_node_keeps_created_status(void **state)
{
	cleanup(json_decrefp) json_t *node = J("%s", "{'metadata':{'name':'n'},'status':{'capacity':{'cpu':'1'}}}");

	(void)state;
	strategy_prepare_create(core("nodes"), node, NULL, NOW_MS);
	assert_string_equal(jx_str(node, "status.capacity.cpu"), "1");
	assert_null(jx_at(node, "metadata.generation"));
}

static void test_service_type_change(void **state)
{
	cleanup(json_decrefp) json_t *old =
		J("%s", "{'metadata':{'name':'s'},'spec':{'type':'LoadBalancer','clusterIP':'10.96.0.5','clusterIPs':['10.96.0.5'],"
		      "'ipFamilies':['IPv4'],'ipFamilyPolicy':'SingleStack','externalTrafficPolicy':'Local','healthCheckNodePort':31000,"
		      "'allocateLoadBalancerNodePorts':true,'ports':[{'port':80,'nodePort':30080}]},'status':{'loadBalancer':{'ingress':"
		      "[{'ip':'1.1.1.1'}]}}}");
	cleanup(json_decrefp) json_t *obj = json_deep_copy(old);

	(void)state;
	jx_set_str(obj, "spec.type", "ExternalName");
	jx_set_str(obj, "spec.externalName", "a.b");
	strategy_prepare_update(core("services"), obj, old, NULL);
	cleanup(json_decrefp) json_t *want = J("%s", "{'type':'ExternalName','externalName':'a.b','ports':[{'port':80}]}");
	assert_true(json_equal(json_object_get(obj, "spec"), want));
	assert_int_equal(jx_len(obj, "status.loadBalancer"), 0);
}

static void test_ephemeral_containers(void **state)
{
	cleanup(json_decrefp) json_t *old = J("%s", "{'metadata':{'name':'p','uid':'u','generation':1},'spec':{'nodeName':'n'}}");
	cleanup(json_decrefp) json_t *obj =
		J("%s", "{'metadata':{'name':'p','labels':{'a':'b'},'resourceVersion':'3'},'spec':{'nodeName':'other',"
		      "'ephemeralContainers':[{'name':'e'}]}}");

	(void)state;
	strategy_prepare_update(core("pods"), obj, old, "ephemeralcontainers");
	assert_string_equal(jx_str(obj, "spec.nodeName"), "n");
	assert_int_equal(jx_len(obj, "spec.ephemeralContainers"), 1);
	assert_null(jx_at(obj, "metadata.labels"));
	assert_string_equal(jx_str(obj, "metadata.resourceVersion"), "3");
	assert_int_equal(jx_int(obj, "metadata.generation", 0), 2);
}

static void test_grace(void **state)
{
	static const struct {
		const char *pod;
		int64_t asked, want;
	} rows[] = {
		{ "{'spec':{'nodeName':'n','terminationGracePeriodSeconds':30}}", -1, 30 },
		{ "{'spec':{'nodeName':'n','terminationGracePeriodSeconds':30}}", 5, 5 },
		{ "{'spec':{'nodeName':'n','terminationGracePeriodSeconds':30}}", 0, 0 },
		{ "{'spec':{'terminationGracePeriodSeconds':30}}", -1, 0 },
		{ "{'spec':{'nodeName':'n','terminationGracePeriodSeconds':30},'status':{'phase':'Failed'}}", -1, 0 },
		{ "{'metadata':{'deletionTimestamp':'x','deletionGracePeriodSeconds':9},'spec':{'nodeName':'n'}}", -1, 9 },
		{ "{'metadata':{'deletionTimestamp':'x','deletionGracePeriodSeconds':9},'spec':{'nodeName':'n'}}", 60, 9 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_decrefp) json_t *pod = J("%s", rows[i].pod);

		assert_int_equal(strategy_grace_s(core("pods"), pod, rows[i].asked), rows[i].want);
		assert_int_equal(strategy_grace_s(core("services"), pod, rows[i].asked), 0);
	}
}

static void test_mark_deleted(void **state)
{
	cleanup(json_decrefp) json_t *pod = J("%s", "{'metadata':{'generation':1}}");

	(void)state;
	assert_true(strategy_mark_deleted(core("pods"), pod, 30, NOW_MS));
	assert_string_equal(jx_str(pod, "metadata.deletionTimestamp"), "2026-01-01T00:00:30Z");
	assert_int_equal(jx_int(pod, "metadata.generation", 0), 2);
	assert_false(strategy_mark_deleted(core("pods"), pod, 60, NOW_MS));
	assert_true(strategy_mark_deleted(core("pods"), pod, 10, NOW_MS + 5000));
	assert_string_equal(jx_str(pod, "metadata.deletionTimestamp"), "2026-01-01T00:00:10Z");
	assert_true(strategy_mark_deleted(core("pods"), pod, 2, NOW_MS + 5000)); /* that was already */
	assert_string_equal(jx_str(pod, "metadata.deletionTimestamp"), "2026-01-01T00:00:05Z");
	assert_int_equal(jx_int(pod, "metadata.deletionGracePeriodSeconds", -1), 1);
	assert_int_equal(jx_int(pod, "metadata.generation", 0), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_takes_what_is_ours),
		cmocka_unit_test(test_qos),
		cmocka_unit_test(test_namespace),
		cmocka_unit_test(test_update_keeps_status),
		cmocka_unit_test(test_status_keeps_spec),
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_node_keeps_created_status),
		cmocka_unit_test(test_service_type_change),
		cmocka_unit_test(test_ephemeral_containers),
		cmocka_unit_test(test_grace),
		cmocka_unit_test(test_mark_deleted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
