#include "roles/apiserver/convert.h"

#include "quoted_json.h"

static const struct {
	const char *kind, *beta, *v1;
} pairs[] = {
	{ "ingresses",
	  "{'apiVersion':'networking.k8s.io/v1beta1','kind':'Ingress','metadata':{'name':'i','annotations':{'a':'b'}},'spec':{"
	  "'backend':{'serviceName':'d','servicePort':'http'},'rules':[{'host':'h','http':{'paths':[{'path':'/','pathType':"
	  "'Prefix','backend':{'serviceName':'s','servicePort':3000}}]}},{'host':'only'}],'tls':[{'hosts':['h']}]}}",
	  "{'apiVersion':'networking.k8s.io/v1','kind':'Ingress','metadata':{'name':'i','annotations':{'a':'b'}},'spec':{"
	  "'defaultBackend':{'service':{'name':'d','port':{'name':'http'}}},'rules':[{'host':'h','http':{'paths':[{'path':'/',"
	  "'pathType':'Prefix','backend':{'service':{'name':'s','port':{'number':3000}}}}]}},{'host':'only'}],'tls':[{'hosts':"
	  "['h']}]}}" },
	{ "ingresses",
	  "{'apiVersion':'networking.k8s.io/v1beta1','kind':'Ingress','spec':{'rules':[{'http':{'paths':[{'pathType':'Exact',"
	  "'backend':{'resource':{'kind':'k','name':'n'}}}]}}]}}",
	  "{'apiVersion':'networking.k8s.io/v1','kind':'Ingress','spec':{'rules':[{'http':{'paths':[{'pathType':'Exact',"
	  "'backend':{'resource':{'kind':'k','name':'n'}}}]}}]}}" },
	{ "ingressclasses",
	  "{'apiVersion':'networking.k8s.io/v1beta1','kind':'IngressClass','metadata':{'name':'n'},'spec':{'controller':'a/b'}}",
	  "{'apiVersion':'networking.k8s.io/v1','kind':'IngressClass','metadata':{'name':'n'},'spec':{'controller':'a/b'}}" },
};

static const struct resource *networking(const char *version, const char *plural)
{
	const struct resource *r = resource_find(STR("networking.k8s.io"), str_of(version), str_of(plural));

	assert_non_null(r);
	return r;
}

static void test_both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		const struct resource *beta = networking("v1beta1", pairs[i].kind), *v1 = networking("v1", pairs[i].kind);
		cleanup(json_decrefp) json_t *old = J("%s", pairs[i].beta), *now = J("%s", pairs[i].v1);
		cleanup(json_decrefp) json_t *up = object_convert(beta, v1, old), *down = object_convert(v1, beta, now);
		cleanup(json_decrefp) json_t *untouched = J("%s", pairs[i].beta);

		assert_true(json_equal(up, now));
		assert_true(json_equal(down, old));
		assert_true(json_equal(old, untouched));
	}
}

static void test_defaults_of_beta(void **state)
{
	cleanup(json_decrefp) json_t *old = J("%s", "{'spec':{'rules':[{'http':{'paths':[{'backend':{'serviceName':'s'}}]}}]}}");
	cleanup(json_decrefp) json_t *now = object_convert(networking("v1beta1", "ingresses"), networking("v1", "ingresses"), old);
	const json_t *path = json_array_get(jx_at(json_array_get(jx_at(now, "spec.rules"), 0), "http.paths"), 0);

	(void)state;
	assert_string_equal(jx_str(path, "pathType"), "ImplementationSpecific");
	assert_string_equal(jx_str(path, "backend.service.name"), "s");
	assert_null(jx_at(path, "backend.serviceName"));
	assert_int_equal(jx_len(path, "backend.service.port"), 0);
}

static void test_same_version_is_itself(void **state)
{
	cleanup(json_decrefp) json_t *obj = json_object();
	cleanup(json_decrefp) json_t *same = object_convert(networking("v1", "ingresses"), networking("v1", "ingresses"), obj);

	(void)state;
	assert_ptr_equal(same, obj);
}

static void test_odd_shapes(void **state)
{
	static const char *const shapes[] = { "{'spec':1}", "{'spec':{'rules':{}}}", "{'spec':{'backend':[],'rules':[1,{'http':3}]}}",
					      "{'spec':{'rules':[{'http':{'paths':[1,{'backend':'x'}]}}]}}", "{}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		cleanup(json_decrefp) json_t *obj = J("%s", shapes[i]);
		cleanup(json_decrefp) json_t *up =
			object_convert(networking("v1beta1", "ingresses"), networking("v1", "ingresses"), obj);
		cleanup(json_decrefp) json_t *down =
			object_convert(networking("v1", "ingresses"), networking("v1beta1", "ingresses"), obj);

		assert_non_null(up);
		assert_non_null(down);
	}
}

static void test_events(void **state)
{
	const struct resource *core = resource_find(STR(""), STR("v1"), STR("events"));
	const struct resource *events = resource_find(STR("events.k8s.io"), STR("v1"), STR("events"));
	cleanup(json_decrefp) json_t *e = J("%s", "{'apiVersion':'v1','kind':'Event','involvedObject':{'name':'p'},'message':'m',"
						"'source':{'component':'c'},'reason':'r'}");
	cleanup(json_decrefp) json_t *newer = object_convert(core, events, e);
	cleanup(json_decrefp) json_t *back = object_convert(events, core, newer);

	(void)state;
	assert_string_equal(jx_str(newer, "apiVersion"), "events.k8s.io/v1");
	assert_string_equal(jx_str(newer, "note"), "m");
	assert_string_equal(jx_str(newer, "regarding.name"), "p");
	assert_true(json_equal(back, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_defaults_of_beta),
		cmocka_unit_test(test_same_version_is_itself),
		cmocka_unit_test(test_odd_shapes),
		cmocka_unit_test(test_events),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
