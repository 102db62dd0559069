#include "roles/apiserver/admission.h"

#include "quoted_json.h"

static const struct {
	const char *plural, *ns, *obj;
} objects[] = {
	{ "namespaces", NULL, "{'metadata':{'name':'default'},'status':{'phase':'Active'}}" },
	{ "namespaces", NULL, "{'metadata':{'name':'tn'},'status':{'phase':'Terminating'}}" },
	{ "serviceaccounts", "default", "{'metadata':{'name':'default'},'imagePullSecrets':[{'name':'pull'}]}" },
	{ "serviceaccounts", "default", "{'metadata':{'name':'bare'},'automountServiceAccountToken':false}" },
	{ "priorityclasses", NULL, "{'metadata':{'name':'high'},'value':1000,'preemptionPolicy':'Never'}" },
	{ "ingressclasses", NULL,
	  "{'metadata':{'name':'old','creationTimestamp':'2020-01-01T00:00:00Z','annotations':{"
	  "'ingressclass.kubernetes.io/is-default-class':'true'}}}" },
	{ "ingressclasses", NULL,
	  "{'metadata':{'name':'nginx','creationTimestamp':'2021-01-01T00:00:00Z','annotations':{"
	  "'ingressclass.kubernetes.io/is-default-class':'true'}}}" },
	{ "ingressclasses", NULL, "{'metadata':{'name':'newest','creationTimestamp':'2022-01-01T00:00:00Z'}}" },
};

static json_t *view_get(void *ctx, const struct resource *r, const char *ns, const char *name)
{
	(void)ctx;
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		json_t *obj = J("%s", objects[i].obj);

		if (strcmp(objects[i].plural, r->plural) == 0 && c_eq(objects[i].ns, ns) && c_eq(jx_name(obj), name))
			return obj;
		json_decref(obj);
	}
	return NULL;
}

static void view_each(void *ctx, const struct resource *r, bool (*fn)(void *arg, const json_t *obj), void *arg)
{
	(void)ctx;
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		cleanup(json_decrefp) json_t *obj = J("%s", objects[i].obj);

		if (strcmp(objects[i].plural, r->plural) == 0 && !fn(arg, obj))
			return;
	}
}

static const struct admission_view view = { NULL, view_get, view_each };

static int check(enum admission_op op, const char *group, const char *plural, const char *ns, const char *name, json_t *obj,
		 json_t **ret_causes, struct err *e)
{
	const struct resource *r = resource_find(str_of(group), STR("v1"), str_of(plural));
	const struct admission_request q = { .op = op, .r = r, .ns = ns, .name = name, .obj = obj };

	assert_non_null(r);
	return admission_check(&view, &q, ret_causes, e);
}

static void test_namespaces(void **state)
{
	cleanup(json_decrefp) json_t *cm = J("%s", "{'metadata':{'name':'c8'}}");
	json_t *causes = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(check(ADMIT_CREATE, "", "configmaps", "default", "c8", cm, &causes, &e), 0);
	assert_int_equal(check(ADMIT_CREATE, "", "configmaps", "nons", "c8", cm, &causes, &e), -1);
	assert_int_equal(e.reason, ERR_NOT_FOUND);
	assert_string_equal(e.message, "namespaces \"nons\" not found");
	assert_null(causes);
	assert_int_equal(check(ADMIT_CREATE, "", "configmaps", "tn", "c8", cm, &causes, &e), -1);
	assert_int_equal(e.reason, ERR_FORBIDDEN);
	assert_string_equal(e.message, "configmaps \"c8\" is forbidden: unable to create new content in namespace tn because it is "
				       "being terminated");
	assert_string_equal(jx_str(json_array_get(causes, 0), "reason"), "NamespaceTerminating");
	json_decref(causes);
	assert_int_equal(check(ADMIT_UPDATE, "", "configmaps", "tn", "c8", cm, &causes, &e), 0);
	assert_int_equal(check(ADMIT_DELETE, "", "namespaces", NULL, "default", NULL, &causes, &e), -1);
	assert_string_equal(e.message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
	assert_int_equal(check(ADMIT_DELETE, "", "namespaces", NULL, "tn", NULL, &causes, &e), 0);
}

static void test_pod(void **state)
{
	cleanup(json_decrefp) json_t *pod =
		J("%s", "{'metadata':{'generateName':'web-'},'spec':{'containers':[{'name':'a'},{'name':'b','volumeMounts':[{'name':'own',"
		      "'mountPath':'/var/run/secrets/kubernetes.io/serviceaccount'}]}],'initContainers':[{'name':'i'}]}}");
	struct err e = { 0 };

	(void)state;
	assert_int_equal(check(ADMIT_CREATE, "", "pods", "default", NULL, pod, NULL, &e), 0);
	assert_string_equal(jx_str(pod, "spec.serviceAccountName"), "default");
	assert_string_equal(jx_str(pod, "spec.serviceAccount"), "default");
	assert_int_equal(jx_int(pod, "spec.priority", -1), 0);
	assert_string_equal(jx_str(pod, "spec.preemptionPolicy"), "PreemptLowerPriority");
	assert_string_equal(jx_str(json_array_get(jx_at(pod, "spec.imagePullSecrets"), 0), "name"), "pull");
	assert_int_equal(jx_len(pod, "spec.tolerations"), 2);
	assert_int_equal(jx_int(json_array_get(jx_at(pod, "spec.tolerations"), 1), "tolerationSeconds", 0), 300);

	const json_t *volume = json_array_get(jx_at(pod, "spec.volumes"), 0);
	const json_t *a = json_array_get(jx_at(pod, "spec.containers"), 0), *b = json_array_get(jx_at(pod, "spec.containers"), 1);
	assert_int_equal(jx_len(pod, "spec.volumes"), 1);
	assert_int_equal(strncmp(jx_str(volume, "name"), "kube-api-access-", 16), 0);
	assert_int_equal(strlen(jx_str(volume, "name")), 21);
	assert_int_equal(jx_int(volume, "projected.defaultMode", 0), 420);
	assert_int_equal(jx_len(volume, "projected.sources"), 3);
	assert_string_equal(jx_str(json_array_get(json_object_get(a, "volumeMounts"), 0), "name"), jx_str(volume, "name"));
	assert_int_equal(jx_len(b, "volumeMounts"), 1);
	assert_string_equal(jx_str(json_array_get(json_object_get(b, "volumeMounts"), 0), "name"), "own");
	assert_int_equal(jx_len(json_array_get(jx_at(pod, "spec.initContainers"), 0), "volumeMounts"), 1);
}

static void test_pod_without_token(void **state)
{
	cleanup(json_decrefp) json_t *pod = J("%s", "{'metadata':{'name':'p'},'spec':{'serviceAccountName':'bare','containers':[{}],"
						  "'tolerations':[{'operator':'Exists'}],'priorityClassName':'high'}}");
	struct err e = { 0 };

	(void)state;
	assert_int_equal(check(ADMIT_CREATE, "", "pods", "default", "p", pod, NULL, &e), 0);
	assert_int_equal(jx_len(pod, "spec.volumes"), 0);
	assert_int_equal(jx_len(pod, "spec.tolerations"), 1);
	assert_int_equal(jx_int(pod, "spec.priority", 0), 1000);
	assert_string_equal(jx_str(pod, "spec.preemptionPolicy"), "Never");
}

static const struct {
	const char *spec, *want;
} refused[] = {
	{ "{'serviceAccountName':'foo'}",
	  "pods \"web-\" is forbidden: error looking up service account default/foo: serviceaccount \"foo\" not found" },
	{ "{'priorityClassName':'foo'}", "pods \"web-\" is forbidden: no PriorityClass with name foo was found" },
	{ "{'priority':7}",
	  "pods \"web-\" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission "
	  "controller computed 0 from the given PriorityClass name" },
};

static void test_pod_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		cleanup(json_decrefp) json_t *pod = J("%s", "{'metadata':{'generateName':'web-'}}");
		struct err e = { 0 };

		jx_set(pod, "spec", J("%s", refused[i].spec));
		assert_int_equal(check(ADMIT_CREATE, "", "pods", "default", NULL, pod, NULL, &e), -1);
		assert_int_equal(e.reason, ERR_FORBIDDEN);
		assert_string_equal(e.message, refused[i].want);
	}
}

static void test_ingress_class(void **state)
{
	static const struct {
		const char *obj, *want;
	} rows[] = {
		{ "{'metadata':{'name':'i'},'spec':{}}", "nginx" },
		{ "{'metadata':{'name':'i'},'spec':{'ingressClassName':'mine'}}", "mine" },
		{ "{'metadata':{'name':'i','annotations':{'kubernetes.io/ingress.class':'nginx'}},'spec':{}}", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_decrefp) json_t *ingress = J("%s", rows[i].obj);
		struct err e = { 0 };

		assert_int_equal(check(ADMIT_CREATE, "networking.k8s.io", "ingresses", "default", "i", ingress, NULL, &e), 0);
		assert_true(c_eq(jx_str(ingress, "spec.ingressClassName"), rows[i].want));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_pod),
		cmocka_unit_test(test_pod_without_token),
		cmocka_unit_test(test_pod_refused),
		cmocka_unit_test(test_ingress_class),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
