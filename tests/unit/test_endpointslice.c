#include "roles/controllers/endpoints.h"
#include "quoted_json.h"

#include <string.h>

#define PODS_MAX 260

struct fixture {
	json_t *service, *endpoints;
	json_t *pod[PODS_MAX], *slice[8];
	const json_t *pods[PODS_MAX], *slices[8];
	size_t n_pods, n_slices;
	struct actions out;
};

static const char *zone_of(void *ctx, const char *node)
{
	(void)ctx;
	return strcmp(node, "n1") == 0 ? "z1" : NULL;
}

static void setup(struct fixture *f, const char *spec)
{
	*f = (struct fixture){ 0 };
	f->service = J("{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','namespace':'default','uid':'s1',"
		       "'labels':{'team':'a'}},'spec':%s}",
		       spec);
	actions_init(&f->out);
}

static json_t *add_pod(struct fixture *f, const char *name, const char *ip, bool ready)
{
	json_t *pod = J("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default','uid':'%s'},"
			"'spec':{'nodeName':'n1','containers':[{'ports':[{'name':'http','containerPort':8080},"
			"{'name':'dns','containerPort':53,'protocol':'UDP'}]}]},"
			"'status':{'phase':'Running','podIP':'%s','conditions':[{'type':'Ready','status':'%s',"
			"'lastTransitionTime':'2027-01-15T07:30:00Z'}]}}",
			name, name, ip, ready ? "True" : "False");

	f->pod[f->n_pods] = pod;
	f->pods[f->n_pods++] = pod;
	return pod;
}

static void run(struct fixture *f)
{
	struct endpoints_view v = { .service = f->service,
				    .pods = { f->pods, f->n_pods },
				    .slices = { f->slices, f->n_slices },
				    .endpoints = f->endpoints,
				    .zone_of = zone_of };

	actions_done(&f->out);
	endpointslice_reconcile(&v, &f->out);
}

static void run_endpoints(struct fixture *f)
{
	struct endpoints_view v = { .service = f->service, .pods = { f->pods, f->n_pods }, .endpoints = f->endpoints };

	actions_done(&f->out);
	endpoints_reconcile(&v, &f->out);
}

/* What the API server would make of the actions. */
static void apply(struct fixture *f)
{
	for (size_t i = 0; i < f->out.n; i++) {
		const struct action *a = &f->out.at[i];
		size_t k = 0;

		while (k < f->n_slices && !c_eq(jx_name(f->slice[k]), a->name))
			k++;
		if (a->verb == ACT_CREATE) {
			char name[32];
			k = f->n_slices++;
			f->slice[k] = json_deep_copy(a->body);
			snprintf(name, sizeof(name), "web-%zu", k);
			jx_set_str(f->slice[k], "metadata.name", name);
		} else if (a->verb == ACT_UPDATE) {
			json_decref(f->slice[k]);
			f->slice[k] = json_deep_copy(a->body);
		} else {
			json_decref(f->slice[k]);
			f->slice[k] = f->slice[--f->n_slices];
		}
	}
	for (size_t i = 0; i < f->n_slices; i++)
		f->slices[i] = f->slice[i];
}

static void teardown(struct fixture *f)
{
	json_decref(f->service);
	json_decref(f->endpoints);
	for (size_t i = 0; i < f->n_pods; i++)
		json_decref(f->pod[i]);
	for (size_t i = 0; i < f->n_slices; i++)
		json_decref(f->slice[i]);
	actions_done(&f->out);
}

#define ONE_PORT "{'selector':{'app':'web'},'ports':[{'port':3000,'targetPort':8080,'protocol':'TCP'}]}"

static const json_t *endpoint(const struct fixture *f, size_t slice, size_t i)
{
	return json_array_get(json_object_get(f->slice[slice], "endpoints"), i);
}

static void test_first_slice(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, ONE_PORT);
	add_pod(&f, "a", "10.0.0.1", true);
	add_pod(&f, "no-address", "", true);
	jx_set_str(add_pod(&f, "ended", "10.0.0.9", false), "status.phase", "Succeeded");
	run(&f);
	assert_int_equal(f.out.n, 1);
	const json_t *s = f.out.at[0].body;
	assert_string_equal(jx_str(s, "metadata.generateName"), "web-");
	assert_string_equal(jx_label(s, SERVICE_NAME_LABEL), "web");
	assert_string_equal(jx_label(s, SLICE_MANAGED_BY_LABEL), SLICE_MANAGED_BY);
	assert_string_equal(jx_label(s, "team"), "a");
	assert_null(jx_label(s, HEADLESS_LABEL));
	assert_string_equal(controller_uid(s), "s1");
	assert_string_equal(jx_str(s, "addressType"), "IPv4");
	assert_string_equal(jx_annotation(s, TRIGGER_TIME), "2027-01-15T07:30:00Z");
	apply(&f);
	assert_int_equal(jx_len(s, "endpoints"), 1);
	cleanup(json_decrefp) json_t *want = J("{'addresses':['10.0.0.1'],'conditions':{'ready':true,'serving':true,"
					       "'terminating':false},'targetRef':{'kind':'Pod','namespace':'default',"
					       "'name':'a','uid':'a'},'nodeName':'n1','zone':'z1'}");
	assert_true(json_equal(endpoint(&f, 0, 0), want));
	cleanup(json_decrefp) json_t *ports = J("[{'name':'','port':8080,'protocol':'TCP'}]");
	assert_true(json_equal(jx_at(f.slice[0], "ports"), ports));
	run(&f);
	assert_int_equal(f.out.n, 0);
	teardown(&f);
}

static void test_conditions(void **state)
{
	(void)state;
	static const struct {
		bool ready, leaving, publish;
		bool want[3]; /* ready, serving, terminating */
	} rows[] = {
		{ true, false, false, { true, true, false } },	{ false, false, false, { false, false, false } },
		{ true, true, false, { false, true, true } },	{ false, true, false, { false, false, true } },
		{ false, false, true, { true, false, false } }, { true, true, true, { true, true, true } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture f;
		setup(&f, ONE_PORT);
		jx_set_bool(f.service, "spec.publishNotReadyAddresses", rows[i].publish);
		json_t *pod = add_pod(&f, "a", "10.0.0.1", rows[i].ready);
		if (rows[i].leaving)
			jx_set_str(pod, "metadata.deletionTimestamp", "2027-01-15T08:00:00Z");
		run(&f);
		apply(&f);
		const json_t *c = jx_at(endpoint(&f, 0, 0), "conditions");
		assert_int_equal(jx_bool(c, "ready", false), rows[i].want[0]);
		assert_int_equal(jx_bool(c, "serving", false), rows[i].want[1]);
		assert_int_equal(jx_bool(c, "terminating", false), rows[i].want[2]);
		teardown(&f);
	}
}

static void test_a_flip_changes_one_slice_in_place(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, ONE_PORT);
	json_t *a = add_pod(&f, "a", "10.0.0.1", true);
	add_pod(&f, "b", "10.0.0.2", true);
	run(&f);
	apply(&f);
	jx_set(a, "status.conditions", J("[{'type':'Ready','status':'False','lastTransitionTime':'2027-01-15T07:31:00Z'}]"));
	run(&f);
	assert_int_equal(f.out.n, 1);
	assert_int_equal(f.out.at[0].verb, ACT_UPDATE);
	assert_string_equal(f.out.at[0].name, "web-0");
	assert_string_equal(jx_annotation(f.out.at[0].body, TRIGGER_TIME), "2027-01-15T07:31:00Z");
	apply(&f);
	assert_false(jx_bool(endpoint(&f, 0, 0), "conditions.ready", true));
	assert_true(jx_bool(endpoint(&f, 0, 1), "conditions.ready", false));
	teardown(&f);
}

static void test_named_ports_make_groups(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, "{'selector':{'app':'web'},'ports':[{'name':'w','port':80,'targetPort':'http'},"
		  "{'name':'d','port':53,'targetPort':'dns','protocol':'UDP','appProtocol':'x'}]}");
	add_pod(&f, "a", "10.0.0.1", true);
	json_t *b = add_pod(&f, "b", "10.0.0.2", true);
	json_t *containers = J("[{'ports':[{'name':'http','containerPort':9090}]}]");
	jx_set(b, "spec.containers", containers);
	run(&f);
	apply(&f);
	assert_int_equal(f.n_slices, 2);
	cleanup(json_decrefp) json_t *both = J("[{'name':'w','port':8080,'protocol':'TCP'},"
					       "{'name':'d','port':53,'protocol':'UDP','appProtocol':'x'}]");
	cleanup(json_decrefp) json_t *one = J("[{'name':'w','port':9090,'protocol':'TCP'}]");
	assert_true(json_equal(jx_at(f.slice[0], "ports"), both));
	assert_true(json_equal(jx_at(f.slice[1], "ports"), one));
	teardown(&f);
}

static void test_at_most_a_hundred_each(void **state)
{
	(void)state;
	struct fixture f;
	char name[16], ip[24];

	setup(&f, ONE_PORT);
	for (int i = 0; i < 250; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		snprintf(ip, sizeof(ip), "10.0.1.%d", i);
		add_pod(&f, name, ip, true);
	}
	run(&f);
	apply(&f);
	assert_int_equal(f.n_slices, 3);
	assert_int_equal(jx_len(f.slice[0], "endpoints"), 100);
	assert_int_equal(jx_len(f.slice[2], "endpoints"), 50);
	/* One goes: one slice changes, and its place is the next one's. */
	json_decref(f.pod[0]);
	f.pod[0] = f.pod[--f.n_pods];
	f.pods[0] = f.pod[0];
	run(&f);
	assert_int_equal(f.out.n, 1);
	apply(&f);
	assert_int_equal(jx_len(f.slice[0], "endpoints"), 99);
	add_pod(&f, "late", "10.0.2.1", true);
	run(&f);
	assert_int_equal(f.out.n, 1);
	apply(&f);
	assert_int_equal(f.n_slices, 3);
	teardown(&f);
}

static void test_placeholder_comes_and_goes(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, ONE_PORT);
	run(&f);
	apply(&f);
	assert_int_equal(f.n_slices, 1);
	assert_int_equal(jx_len(f.slice[0], "endpoints"), 0);
	run(&f);
	assert_int_equal(f.out.n, 0);
	add_pod(&f, "a", "10.0.0.1", true);
	run(&f);
	assert_int_equal(f.out.n, 1);
	assert_int_equal(f.out.at[0].verb, ACT_UPDATE); /* the same slice is filled */
	apply(&f);
	f.n_pods = 0;
	json_decref(f.pod[0]);
	run(&f);
	assert_int_equal(f.out.n, 1);
	assert_int_equal(f.out.at[0].verb, ACT_UPDATE);
	assert_int_equal(jx_len(f.out.at[0].body, "endpoints"), 0);
	teardown(&f);
}

static void test_whose_slices_and_services(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, "{'ports':[{'port':80}]}"); /* no selector: somebody else's slices */
	run(&f);
	assert_int_equal(f.out.n, 0);
	teardown(&f);

	setup(&f, "{'type':'ExternalName','selector':{'a':'b'}}");
	run(&f);
	assert_int_equal(f.out.n, 0);
	teardown(&f);

	setup(&f, "{'clusterIP':'None','selector':{'app':'web'}}");
	json_t *pod = add_pod(&f, "a", "10.0.0.1", true);
	jx_set_str(pod, "spec.hostname", "db-0");
	jx_set_str(pod, "spec.subdomain", "web");
	f.slice[f.n_slices] = J("{'metadata':{'name':'theirs','labels':{'kubernetes.io/service-name':'web'}},"
				"'addressType':'IPv4','endpoints':[]}");
	f.slices[f.n_slices] = f.slice[f.n_slices];
	f.n_slices++;
	run(&f);
	assert_int_equal(f.out.n, 1);
	assert_int_equal(f.out.at[0].verb, ACT_CREATE);
	assert_string_equal(jx_label(f.out.at[0].body, HEADLESS_LABEL), "");
	assert_string_equal(jx_str(json_array_get(jx_at(f.out.at[0].body, "endpoints"), 0), "hostname"), "db-0");
	teardown(&f);
}

static void test_families(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, "{'selector':{'app':'web'},'ipFamilies':['IPv4','IPv6'],'ports':[{'port':80}]}");
	json_t *pod = add_pod(&f, "a", "10.0.0.1", true);
	jx_set(pod, "status.podIPs", J("[{'ip':'10.0.0.1'},{'ip':'fd00::1'}]"));
	run(&f);
	assert_int_equal(f.out.n, 2);
	assert_string_equal(jx_str(f.out.at[1].body, "addressType"), "IPv6");
	assert_string_equal(json_string_value(json_array_get(
				    jx_at(json_array_get(jx_at(f.out.at[1].body, "endpoints"), 0), "addresses"), 0)),
			    "fd00::1");
	teardown(&f);
}

/* ---- Endpoints ---- */

static void test_endpoints(void **state)
{
	(void)state;
	struct fixture f;

	setup(&f, ONE_PORT);
	add_pod(&f, "b", "10.0.0.2", true);
	add_pod(&f, "a", "10.0.0.1", true);
	add_pod(&f, "c", "10.0.0.3", false);
	jx_set_str(add_pod(&f, "leaving", "10.0.0.4", true), "metadata.deletionTimestamp", "2027-01-15T08:00:00Z");
	run_endpoints(&f);
	assert_int_equal(f.out.n, 1);
	const json_t *ep = f.out.at[0].body;
	assert_string_equal(jx_name(ep), "web");
	assert_string_equal(jx_label(ep, ENDPOINTS_MANAGED_BY_LABEL), ENDPOINTS_MANAGED_BY);
	cleanup(json_decrefp) json_t *want = J(
		"[{'ports':[{'port':8080,'protocol':'TCP'}],'addresses':["
		"{'ip':'10.0.0.1','nodeName':'n1','targetRef':{'kind':'Pod','namespace':'default','name':'a','uid':'a'}},"
		"{'ip':'10.0.0.2','nodeName':'n1','targetRef':{'kind':'Pod','namespace':'default','name':'b','uid':'b'}}],"
		"'notReadyAddresses':["
		"{'ip':'10.0.0.3','nodeName':'n1','targetRef':{'kind':'Pod','namespace':'default','name':'c','uid':'c'}}]}]");
	if (!json_equal(jx_at(ep, "subsets"), want))
		fail_msg("%s", json_dumps(jx_at(ep, "subsets"), 0));
	f.endpoints = json_deep_copy(ep);
	run_endpoints(&f);
	assert_int_equal(f.out.n, 0);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_slice),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_a_flip_changes_one_slice_in_place),
		cmocka_unit_test(test_named_ports_make_groups),
		cmocka_unit_test(test_at_most_a_hundred_each),
		cmocka_unit_test(test_placeholder_comes_and_goes),
		cmocka_unit_test(test_whose_slices_and_services),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_endpoints),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
