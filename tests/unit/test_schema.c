#include "kube/schema/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct schema_field *field(const char *type, const char *name)
{
	const struct schema_type *t = schema_type_find(type);

	assert_non_null(t);
	return schema_field_find(t, str_of(name));
}

static void test_tables_are_sorted(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_schema_types; i++) {
		const struct schema_type *t = schema_types[i];

		if (i)
			assert_true(strcmp(schema_types[i - 1]->name, t->name) < 0);
		assert_ptr_equal(schema_type_find(t->name), t);
		for (size_t k = 0; k < t->n_fields; k++)
			assert_ptr_equal(schema_field_find(t, str_of(t->fields[k].name)),
					 &t->fields[k]);
	}
}

static void test_field_facts(void **state)
{
	(void)state;
	const struct schema_field *f = field("core.v1.ServiceSpec", "ports");

	assert_int_equal(f->kind, SK_OBJECT);
	assert_int_equal(f->shape, SS_LIST);
	assert_int_equal(f->list_type, LT_MAP);
	assert_string_equal(f->list_keys, "port,protocol");
	assert_string_equal(f->merge_key, "port");
	assert_int_equal(f->patch, SP_MERGE);
	assert_string_equal(f->sub->name, "core.v1.ServicePort");

	f = field("core.v1.ServicePort", "protocol");
	assert_string_equal(f->dflt, "\"TCP\"");
	assert_string_equal(f->options[0], "SCTP");
	assert_string_equal(f->options[2], "UDP");
	assert_null(f->options[3]);
	assert_string_equal(f->go_type, "v1.Protocol");

	f = field("apps.v1.DeploymentSpec", "replicas");
	assert_true(f->pointer);
	assert_false(f->required);
	f = field("core.v1.HostPathVolumeSource", "type");
	assert_string_equal(f->options[0], "");
	f = field("certificates.v1.CertificateSigningRequestSpec", "usages");
	assert_string_equal(f->options[1], "cert sign");
	f = field("authentication.v1.UserInfo", "extra");
	assert_int_equal(f->shape, SS_MAP_OF_LISTS);
	f = field("core.v1.ServiceSpec", "selector");
	assert_true(f->map_atomic);
}

static void test_inlined_messages(void **state)
{
	(void)state;
	static const struct {
		const char *type, *field;
		uint8_t outer0, outer1, tag;
	} rows[] = {
		{ "core.v1.Volume", "name", 0, 0, 1 },
		{ "core.v1.Volume", "secret", 2, 0, 6 },
		{ "core.v1.Probe", "httpGet", 1, 0, 2 },
		{ "core.v1.EphemeralContainer", "image", 1, 0, 2 },
		{ "core.v1.ConfigMapKeySelector", "name", 1, 0, 1 },
		{ "networking.v1.IngressRule", "http", 2, 0, 1 },
		{ "admissionregistration.v1.NamedRuleWithOperations", "apiGroups", 2, 2, 1 },
		{ "networking.v1beta1.IngressBackend", "servicePort", 0, 0, 2 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct schema_field *f = field(rows[i].type, rows[i].field);

		assert_non_null(f);
		assert_int_equal(f->pb_outer[0], rows[i].outer0);
		assert_int_equal(f->pb_outer[1], rows[i].outer1);
		assert_int_equal(f->pb_tag, rows[i].tag);
	}
}

static void test_absent(void **state)
{
	(void)state;
	assert_null(schema_type_find("core.v1.Nope"));
	assert_null(schema_type_find(""));
	assert_null(field("core.v1.ServiceSpec", "portz"));
	assert_null(field("core.v1.ServiceSpec", "port"));
	assert_null(schema_field_find(schema_type_find("core.v1.ServiceSpec"), STR_NONE));
}

static void test_resources(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_resources; i++) {
		const struct resource *r = &resources[i];
		cleanup(freep) char *list = xasprintf("%sList", r->type->name);

		assert_ptr_equal(
			resource_find(str_of(r->group), str_of(r->version), str_of(r->plural)), r);
		assert_ptr_equal(
			resource_find_kind(str_of(r->group), str_of(r->version), str_of(r->kind)),
			r);
		if (r->verbs & VERB_LIST)
			assert_non_null(schema_type_find(list));
	}
	const struct resource *old =
		resource_find(STR("networking.k8s.io"), STR("v1beta1"), STR("ingresses"));
	assert_string_equal(old->storage->version, "v1");
	assert_string_equal(old->storage->kind, "Ingress");
	assert_null(resource_find(STR_NONE, STR("v1"), STR("deployments")));
	assert_non_null(resource_find(STR_NONE, STR("v1"), STR("pods")));
	assert_null(resource_find(STR("apps"), STR("v1"), STR_NONE));

	cleanup(freep) char *core =
		resource_api_version(resource_find(STR(""), STR("v1"), STR("pods")));
	assert_string_equal(core, "v1");
	cleanup(freep) char *apps =
		resource_api_version(resource_find(STR("apps"), STR("v1"), STR("deployments")));
	assert_string_equal(apps, "apps/v1");
}

static void test_field_errors(void **state)
{
	(void)state;
	struct field_errors fe = { 0 };

	field_error_add(&fe, "FieldValueRequired", "spec.ports", "Required value");
	cleanup(freep) char *one = field_errors_text(&fe);
	assert_string_equal(one, "spec.ports: Required value");
	for (int i = 0; i < 5; i++)
		field_error_add(&fe, "FieldValueInvalid", "a", "Invalid value: %d: no", i);
	cleanup(freep) char *all = field_errors_text(&fe);
	assert_string_equal(
		all,
		"[spec.ports: Required value, a: Invalid value: 0: no, a: Invalid value: 1: no, "
		"a: Invalid value: 2: no, a: Invalid value: 3: no, a: Invalid value: 4: no]");
	assert_int_equal(fe.n, 6);
	field_errors_done(&fe);
	assert_int_equal(fe.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables_are_sorted), cmocka_unit_test(test_field_facts),
		cmocka_unit_test(test_inlined_messages),  cmocka_unit_test(test_absent),
		cmocka_unit_test(test_resources),	  cmocka_unit_test(test_field_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
