#include "roles/apiserver/alloc.h"

#include "quoted_json.h"

static int setup(void **state)
{
	struct config c;
	struct err e;

	config_defaults(&c);
	*state = alloc_new(&c, &e);
	config_done(&c);
	assert_non_null(*state);
	cleanup(json_decrefp) json_t *kubernetes = J("%s", "{'spec':{'type':'ClusterIP','clusterIPs':['10.96.0.1']}}");
	alloc_load(*state, kubernetes);
	cleanup(json_decrefp) json_t *web = J("%s", "{'spec':{'type':'NodePort','clusterIP':'10.96.0.9','clusterIPs':['10.96.0.9'],"
						  "'ports':[{'port':80,'nodePort':30080}]}}");
	alloc_load(*state, web);
	return 0;
}

static int teardown(void **state)
{
	alloc_free(*state);
	return 0;
}

/* "" when it went well and was committed, else "field: message" of the first mistake. */
static char *try_write(struct alloc *a, json_t *service, const json_t *old, bool commit)
{
	struct field_errors fe = { 0 };
	struct alloc_change change;
	char *text = NULL;

	if (alloc_service(a, service, old, false, &change, &fe) < 0) {
		assert_true(fe.n > 0);
		assert_int_equal(change.n_take + change.n_drop, 0);
		text = xasprintf("%s: %s", fe.at[0].field, fe.at[0].message);
		field_errors_done(&fe);
		return text;
	}
	if (commit)
		alloc_commit(a, &change);
	else
		alloc_rollback(a, &change);
	return xstrdup("");
}

static void expect(struct alloc *a, const char *service, const char *want)
{
	cleanup(json_decrefp) json_t *s = J("%s", service);
	cleanup(freep) char *text = try_write(a, s, NULL, true);

	assert_string_equal(text, want);
}

static void test_recorded_messages(void **state)
{
	expect(*state, "{'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}}",
	       "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated");
	expect(*state, "{'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':80}]}}",
	       "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is "
	       "30000-32767");
	expect(*state, "{'spec':{'type':'ClusterIP','clusterIP':'1.2.3.4'}}",
	       "spec.clusterIPs: Invalid value: [\"1.2.3.4\"]: failed to allocate IP 1.2.3.4: the provided network does not match "
	       "the current range");
	expect(*state, "{'spec':{'type':'ClusterIP','clusterIP':'10.96.0.1'}}",
	       "spec.clusterIPs: Invalid value: [\"10.96.0.1\"]: failed to allocate IP 10.96.0.1: provided IP is already "
	       "allocated");
	expect(*state, "{'spec':{'type':'ClusterIP','ipFamilyPolicy':'RequireDualStack'}}",
	       "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services");
	expect(*state, "{'spec':{'type':'ClusterIP','ipFamilies':['IPv6']}}",
	       "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster");
	expect(*state, "{'spec':{'type':'ClusterIP','clusterIP':'abc'}}",
	       "spec.clusterIPs[0]: Invalid value: \"abc\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
}

static void test_fills_in(void **state)
{
	cleanup(json_decrefp) json_t *s = J("%s", "{'spec':{'type':'NodePort','ports':[{'port':53,'protocol':'TCP'},{'port':53,"
						"'protocol':'UDP'},{'port':80,'protocol':'TCP'}]}}");
	cleanup(freep) char *text = try_write(*state, s, NULL, true);
	const json_t *ports = jx_at(s, "spec.ports");

	assert_string_equal(text, "");
	assert_string_equal(jx_str(s, "spec.ipFamilyPolicy"), "SingleStack");
	assert_string_equal(json_string_value(json_array_get(jx_at(s, "spec.ipFamilies"), 0)), "IPv4");
	assert_string_equal(jx_str(s, "spec.clusterIP"), json_string_value(json_array_get(jx_at(s, "spec.clusterIPs"), 0)));
	assert_int_equal(strncmp(jx_str(s, "spec.clusterIP"), "10.", 3), 0);
	int64_t tcp = jx_int(json_array_get(ports, 0), "nodePort", 0), udp = jx_int(json_array_get(ports, 1), "nodePort", 0);
	assert_in_range(tcp, 30086, 32767);	/* the upper band */
	assert_int_equal(tcp, udp);		/* one number for both protocols of a port */
	assert_int_not_equal(tcp, jx_int(json_array_get(ports, 2), "nodePort", 0));
}

static void test_headless(void **state)
{
	cleanup(json_decrefp) json_t *s = J("%s", "{'spec':{'type':'ClusterIP','clusterIP':'None','selector':{'a':'b'}}}");
	cleanup(json_decrefp) json_t *any = J("%s", "{'spec':{'type':'ClusterIP','clusterIP':'None'}}");
	cleanup(freep) char *text = try_write(*state, s, NULL, true);
	cleanup(freep) char *any_text = try_write(*state, any, NULL, true);

	assert_string_equal(text, "");
	assert_int_equal(jx_len(s, "spec.ipFamilies"), 1);
	assert_string_equal(json_string_value(json_array_get(jx_at(s, "spec.clusterIPs"), 0)), "None");
	assert_string_equal(any_text, "");
	assert_string_equal(jx_str(any, "spec.ipFamilyPolicy"), "RequireDualStack");
	assert_int_equal(jx_len(any, "spec.ipFamilies"), 2);
}

static void test_rollback_leaks_nothing(void **state)
{
	for (int i = 0; i < 3; i++) {
		cleanup(json_decrefp) json_t *s = J("%s", "{'spec':{'type':'NodePort','clusterIP':'10.96.0.7','ports':[{'port':80,"
							"'nodePort':31000}]}}");
		cleanup(freep) char *text = try_write(*state, s, NULL, false);
		assert_string_equal(text, "");
	}
	/* The address is free again when the port behind it is what fails. */
	expect(*state, "{'spec':{'type':'NodePort','clusterIP':'10.96.0.7','ports':[{'port':80,'nodePort':30080}]}}",
	       "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated");
	expect(*state, "{'spec':{'type':'NodePort','clusterIP':'10.96.0.7','ports':[{'port':80,'nodePort':31000}]}}", "");
	expect(*state, "{'spec':{'type':'NodePort','clusterIP':'10.96.0.8','ports':[{'port':80,'nodePort':31000}]}}",
	       "spec.ports[0].nodePort: Invalid value: 31000: provided port is already allocated");
}

static void test_dry_run(void **state)
{
	struct field_errors fe = { 0 };
	struct alloc_change change;

	for (int i = 0; i < 2; i++) {
		cleanup(json_decrefp) json_t *s = J("%s", "{'spec':{'type':'NodePort','ports':[{'port':80},{'port':81}]}}");
		assert_int_equal(alloc_service(*state, s, NULL, true, &change, &fe), 0);
		assert_string_equal(jx_str(s, "spec.clusterIP"), "10.96.0.0");
		assert_int_equal(jx_int(json_array_get(jx_at(s, "spec.ports"), 0), "nodePort", 0), 32768);
		assert_int_equal(jx_int(json_array_get(jx_at(s, "spec.ports"), 1), "nodePort", 0), 32769);
		assert_null(change.take);
		alloc_rollback(*state, &change);
	}
	cleanup(json_decrefp) json_t *taken = J("%s", "{'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}}");
	assert_int_equal(alloc_service(*state, taken, NULL, true, &change, &fe), -1);
	field_errors_done(&fe);
	expect(*state, "{'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}}",
	       "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"); /* still */
}

static void update(struct alloc *a, json_t **service, const char *next)
{
	json_t *now = J("%s", next);
	cleanup(freep) char *text = try_write(a, now, *service, true);

	assert_string_equal(text, "");
	json_decref(*service);
	*service = now;
}

static void test_type_changes(void **state)
{
	struct alloc *a = *state;
	json_t *s = json_object();

	cleanup(json_decrefp) json_t *first = J("%s", "{'spec':{'type':'ClusterIP','clusterIP':'10.96.0.20','ports':[{'port':80}]}}");
	cleanup(freep) char *text = try_write(a, first, NULL, true);
	assert_string_equal(text, "");
	json_decref(s);
	s = json_incref(first);
	/* the client's own file, without what was filled in */
	update(a, &s, "{'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':31500}]}}");
	assert_string_equal(jx_str(s, "spec.clusterIP"), "10.96.0.20");
	update(a, &s, "{'spec':{'type':'NodePort','ports':[{'port':80}]}}");
	assert_int_equal(jx_int(json_array_get(jx_at(s, "spec.ports"), 0), "nodePort", 0), 31500);
	update(a, &s, "{'spec':{'type':'LoadBalancer','externalTrafficPolicy':'Local','ports':[{'port':80}]}}");
	assert_int_equal(jx_int(json_array_get(jx_at(s, "spec.ports"), 0), "nodePort", 0), 31500);
	int64_t health = jx_int(s, "spec.healthCheckNodePort", 0);
	assert_in_range(health, 30000, 32767);
	update(a, &s, "{'spec':{'type':'ClusterIP','ports':[{'port':80}]}}");
	expect(a, "{'spec':{'type':'NodePort','clusterIP':'10.96.0.21','ports':[{'port':80,'nodePort':31500}]}}", "");
	expect(a, "{'spec':{'type':'ClusterIP','clusterIP':'10.96.0.20'}}",
	       "spec.clusterIPs: Invalid value: [\"10.96.0.20\"]: failed to allocate IP 10.96.0.20: provided IP is already "
	       "allocated");
	update(a, &s, "{'spec':{'type':'ExternalName','externalName':'a.b'}}");
	expect(a, "{'spec':{'type':'ClusterIP','clusterIP':'10.96.0.20'}}", "");
	update(a, &s, "{'spec':{'type':'ClusterIP','ports':[{'port':80}]}}");
	assert_string_not_equal(jx_str(s, "spec.clusterIP"), "10.96.0.20");
	json_decref(s);
}

static void test_delete_gives_back(void **state)
{
	cleanup(json_decrefp) json_t *web = J("%s", "{'spec':{'type':'NodePort','clusterIP':'10.96.0.9','clusterIPs':['10.96.0.9'],"
						  "'ports':[{'port':80,'nodePort':30080}]}}");
	struct alloc_change change;

	alloc_delete(*state, web, &change);
	alloc_rollback(*state, &change);
	expect(*state, "{'spec':{'type':'NodePort','clusterIP':'10.96.0.9','ports':[{'port':80,'nodePort':30081}]}}",
	       "spec.clusterIPs: Invalid value: [\"10.96.0.9\"]: failed to allocate IP 10.96.0.9: provided IP is already allocated");
	alloc_delete(*state, web, &change);
	alloc_commit(*state, &change);
	expect(*state, "{'spec':{'type':'NodePort','clusterIP':'10.96.0.9','ports':[{'port':80,'nodePort':30080}]}}", "");
}

static void test_full_range(void **state)
{
	struct config c;
	struct err e;

	(void)state;
	config_defaults(&c);
	free(c.service_cidr);
	c.service_cidr = xstrdup("10.0.0.0/29");
	struct alloc *a = alloc_new(&c, &e);
	config_done(&c);
	assert_non_null(a);
	for (int i = 0; i < 6; i++)
		expect(a, "{'spec':{'type':'ClusterIP'}}", "");
	expect(a, "{'spec':{'type':'ClusterIP'}}",
	       "spec.clusterIPs: Internal error: failed to allocate a serviceIP: range is full");
	alloc_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_recorded_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fills_in, setup, teardown),
		cmocka_unit_test_setup_teardown(test_headless, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rollback_leaks_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dry_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_type_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delete_gives_back, setup, teardown),
		cmocka_unit_test(test_full_range),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
