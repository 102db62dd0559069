#include "kube/schema/openapi.h"

#include "kube/schema/protobuf_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define DOCUMENT_BYTES (8u << 20)

static json_t *parse(struct buf *b)
{
	struct err e;
	json_t *v = jx_parse(buf_str(b), DOCUMENT_BYTES, &e);

	if (!v)
		fail_msg("%s", e.message);
	buf_done(b);
	return v;
}

static json_t *group_document(const char *path)
{
	struct buf b;
	struct err e;

	buf_init(&b, DOCUMENT_BYTES);
	assert_int_equal(openapi_v3_group(str_of(path), &b, &e), 0);
	return parse(&b);
}

/* Every reference leads somewhere. Returns how many there were. */
static size_t check_references(const json_t *v, const json_t *models)
{
	const char *key, *ref = json_string_value(json_object_get(v, "$ref"));
	size_t n = 0, i;
	json_t *member;

	if (ref) {
		if (!json_object_get(models, strrchr(ref, '/') + 1))
			fail_msg("dangling %s", ref);
		n++;
	}
	json_object_foreach((json_t *)v, key, member) n += check_references(member, models);
	json_array_foreach((json_t *)v, i, member) n += check_references(member, models);
	return n;
}

static void test_every_group(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, DOCUMENT_BYTES);
	assert_int_equal(openapi_v3_index(&b), 0);
	cleanup(json_decrefp) json_t *index = parse(&b);
	const char *path;
	json_t *entry;

	json_object_foreach(json_object_get(index, "paths"), path, entry)
	{
		cleanup(freep) char *start = xasprintf("/openapi/v3/%s?hash=", path);
		assert_true(str_starts(str_of(jx_str(entry, "serverRelativeURL")), str_of(start)));
		cleanup(json_decrefp) json_t *doc = group_document(path);
		assert_true(check_references(doc, jx_at(doc, "components.schemas")) > 0);
		assert_true(jx_len(doc, "paths") > 0);
	}
	assert_non_null(json_object_get(json_object_get(index, "paths"), "api/v1"));
	assert_non_null(
		json_object_get(json_object_get(index, "paths"), "apis/networking.k8s.io/v1beta1"));
}

/* What kubectl looks for: the PATCH operation by group, version and kind, its parameters, its
 * content types. */
static void test_operation(void **state)
{
	(void)state;
	cleanup(json_decrefp) json_t *doc = group_document("apis/apps/v1");
	json_t *paths = json_object_get(doc, "paths");
	json_t *item =
		json_object_get(paths, "/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
	json_t *patch = json_object_get(item, "patch"),
	       *gvk = json_object_get(patch, "x-kubernetes-group-version-kind"), *p;
	json_t *content = jx_at(patch, "requestBody.content");
	bool validates = false;
	size_t i;

	assert_string_equal(jx_str(gvk, "group"), "apps");
	assert_string_equal(jx_str(gvk, "version"), "v1");
	assert_string_equal(jx_str(gvk, "kind"), "Deployment");
	assert_non_null(json_object_get(content, "application/strategic-merge-patch+json"));
	json_array_foreach(json_object_get(patch, "parameters"), i, p) validates |=
		c_eq(jx_str(p, "name"), "fieldValidation") && c_eq(jx_str(p, "in"), "query");
	assert_true(validates);
}

static void test_field(void **state)
{
	(void)state;
	cleanup(json_decrefp) json_t *doc = group_document("api/v1");
	json_t *models = jx_at(doc, "components.schemas");
	json_t *spec = json_object_get(json_object_get(models, "io.k8s.api.core.v1.ServiceSpec"),
				       "properties");
	json_t *port = json_object_get(models, "io.k8s.api.core.v1.ServicePort");
	static const char want[] =
		"{\"items\":{\"allOf\":[{\"$ref\":\"#/components/schemas/io.k8s.api.core.v1.ServicePort\"}]},\"type\":\"array\","
		"\"x-kubernetes-list-map-keys\":[\"port\",\"protocol\"],\"x-kubernetes-list-type\":\"map\","
		"\"x-kubernetes-patch-merge-key\":\"port\",\"x-kubernetes-patch-strategy\":\"merge\"}";
	cleanup(freep) char *ports =
		json_dumps(json_object_get(spec, "ports"), JSON_COMPACT | JSON_SORT_KEYS);
	cleanup(freep) char *required = json_dumps(json_object_get(port, "required"), JSON_COMPACT);
	cleanup(freep) char *protocol =
		json_dumps(jx_at(port, "properties.protocol"), JSON_COMPACT | JSON_SORT_KEYS);
	cleanup(freep) char *selector =
		json_dumps(json_object_get(spec, "selector"), JSON_COMPACT | JSON_SORT_KEYS);

	assert_string_equal(ports, want);
	assert_string_equal(required, "[\"port\"]");
	assert_string_equal(
		protocol,
		"{\"default\":\"TCP\",\"enum\":[\"SCTP\",\"TCP\",\"UDP\"],\"type\":\"string\"}");
	assert_string_equal(
		selector,
		"{\"additionalProperties\":{\"type\":\"string\"},\"type\":\"object\",\"x-kubernetes-map-type\":\"atomic\"}");
}

static void test_absent(void **state)
{
	(void)state;
	static const char *const paths[] = {
		"apis/nope/v1", "api/v2", "apis/apps", "apis/apps/v1/x", "",
		"apis",		"api",	  "apps/v1",   "apis//v1"
	};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct buf b;
		struct err e = { 0 };

		buf_init(&b, DOCUMENT_BYTES);
		assert_int_equal(openapi_v3_group(str_of(paths[i]), &b, &e), -1);
		assert_int_equal(e.reason, ERR_NOT_FOUND);
		buf_done(&b);
	}
}

/* All the names in repeated field `tag` of a message, whose name is field 1. */
static size_t count_named(struct str msg, uint32_t tag, const char *look_for, bool *ret_found)
{
	struct wire_field f, inner;
	struct err e;
	size_t n = 0;
	int more;

	while ((more = wire_next(&msg, &f, &e)) > 0) {
		if (f.tag != tag)
			continue;
		n++;
		assert_int_equal(wire_next(&f.bytes, &inner, &e), 1);
		*ret_found |= inner.tag == 1 && str_eq_c(inner.bytes, look_for);
	}
	assert_int_equal(more, 0);
	return n;
}

static void test_v2(void **state)
{
	(void)state;
	struct buf b;
	struct wire_field f;
	struct err e;
	size_t definitions = 0, paths = 0;
	bool found_type = false, found_path = false;

	buf_init(&b, DOCUMENT_BYTES);
	assert_int_equal(openapi_v2_json(&b), 0);
	cleanup(json_decrefp) json_t *doc = parse(&b);
	assert_true(check_references(doc, json_object_get(doc, "definitions")) > 100);

	buf_init(&b, DOCUMENT_BYTES);
	assert_int_equal(openapi_v2_protobuf(&b), 0);
	struct str msg = buf_str(&b);
	while (wire_next(&msg, &f, &e) > 0) {
		if (f.tag == 8)
			paths += count_named(f.bytes, 2,
					     "/api/v1/namespaces/{namespace}/pods/{name}",
					     &found_path);
		if (f.tag == 9)
			definitions +=
				count_named(f.bytes, 1, "io.k8s.api.core.v1.Pod", &found_type);
	}
	assert_int_equal(definitions, jx_len(doc, "definitions"));
	assert_int_equal(paths, jx_len(doc, "paths"));
	assert_true(found_type && found_path);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_group), cmocka_unit_test(test_operation),
		cmocka_unit_test(test_field),	    cmocka_unit_test(test_absent),
		cmocka_unit_test(test_v2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
