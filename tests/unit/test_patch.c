#include "kube/schema/patch.h"

#include "base/buf.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static json_t *json(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	if (!v)
		fail_msg("test data: %s", text);
	return v;
}

typedef json_t *patch_fn(const json_t *obj, const json_t *patch, struct err *e);

/* want NULL: an error of this reason and message. */
static void check(patch_fn *fn, const char *obj, const char *patch, const char *want,
		  enum err_reason reason, const char *message)
{
	struct err e = { 0 };
	cleanup(json_decrefp) json_t *o = json(obj);
	cleanup(json_decrefp) json_t *p = json(patch);
	cleanup(json_decrefp) json_t *got = fn(o, p, &e);
	cleanup(json_decrefp) json_t *o_again = json(obj), *p_again = json(patch);

	assert_true(json_equal(o, o_again));
	assert_true(json_equal(p, p_again));
	if (!want) {
		assert_null(got);
		assert_int_equal(e.reason, reason);
		if (message)
			assert_string_equal(e.message, message);
		return;
	}
	if (!got)
		fail_msg("%s: %s", patch, e.message);
	cleanup(json_decrefp) json_t *w = json(want);
	cleanup(freep) char *got_text = json_dumps(got,
						   JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY),
			    *want_text =
				    json_dumps(w, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	assert_string_equal(got_text, want_text);
}

static void test_merge(void **state)
{
	(void)state;
	/* RFC 7386, appendix A, where the outcome is an object */
	static const char *const rows[][3] = {
		{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
		{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
		{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
		  "{\"a\":{\"b\":\"d\"}}" },
		{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
		{ "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
		{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
		{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(patch_merge, rows[i][0], rows[i][1], rows[i][2], ERR_NONE, NULL);
	check(patch_merge, "{}", "[]", NULL, ERR_BAD_REQUEST, "Invalid JSON Patch");
}

static void test_json(void **state)
{
	(void)state;
	/* RFC 6902, appendix A, and what kubectl sends */
	static const char *const rows[][3] = {
		{ "{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
		  "{\"baz\":\"qux\",\"foo\":\"bar\"}" },
		{ "{\"foo\":[\"bar\",\"baz\"]}",
		  "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
		  "{\"foo\":[\"bar\",\"qux\",\"baz\"]}" },
		{ "{\"baz\":1,\"foo\":2}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]",
		  "{\"foo\":2}" },
		{ "{\"foo\":[1,2,3]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]",
		  "{\"foo\":[1,3]}" },
		{ "{\"foo\":[1,2,3]}", "[{\"op\":\"remove\",\"path\":\"/foo/-1\"}]",
		  "{\"foo\":[1,2]}" },
		{ "{\"baz\":1}", "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":null}]",
		  "{\"baz\":null}" },
		{ "{\"foo\":{\"w\":1},\"q\":{\"c\":2}}",
		  "[{\"op\":\"move\",\"from\":\"/foo/w\",\"path\":\"/q/t\"}]",
		  "{\"foo\":{},\"q\":{\"c\":2,\"t\":1}}" },
		{ "{\"foo\":[1,2,3,4]}",
		  "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",
		  "{\"foo\":[1,3,4,2]}" },
		{ "{\"a\":[1,{\"b\":2}]}",
		  "[{\"op\":\"test\",\"path\":\"/a/1\",\"value\":{\"b\":2}},{\"op\":\"test\",\"path\":\"/x\",\"value\":null}]",
		  "{\"a\":[1,{\"b\":2}]}" },
		{ "{\"foo\":[1]}", "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[2]}]",
		  "{\"foo\":[1,[2]]}" },
		{ "{\"foo\":[1]}", "[{\"op\":\"add\",\"path\":\"/foo/-1\",\"value\":2}]",
		  "{\"foo\":[1,2]}" },
		{ "{\"a/b\":{\"m~n\":1}}",
		  "[{\"op\":\"replace\",\"path\":\"/a~1b/m~0n\",\"value\":2}]",
		  "{\"a/b\":{\"m~n\":2}}" },
		{ "{\"a\":{\"b\":1}}",
		  "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/c\"},{\"op\":\"remove\",\"path\":\"/c/b\"}]",
		  "{\"a\":{\"b\":1},\"c\":{}}" },
		{ "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"b\":2}}]",
		  "{\"b\":2}" },
		{ "{\"\":1}", "[{\"op\":\"replace\",\"path\":\"/\",\"value\":2}]", "{\"\":2}" },
		{ "{\"a\":1}", "[]", "{\"a\":1}" },
	};
	static const char *const bad[] = {
		"[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]",
		"[{\"op\":\"remove\",\"path\":\"/nope\"}]",
		"[{\"op\":\"replace\",\"path\":\"/nope\",\"value\":1}]",
		"[{\"op\":\"add\",\"path\":\"/nope/x\",\"value\":1}]",
		"[{\"op\":\"add\",\"path\":\"/l/3\",\"value\":1}]",
		"[{\"op\":\"add\",\"path\":\"/l/x\",\"value\":1}]",
		"[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]",
		"[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]",
		"[{\"op\":\"add\",\"value\":1}]",
		"[{\"op\":\"frob\",\"path\":\"/a\"}]",
		"[{\"op\":\"move\",\"from\":\"/o\",\"path\":\"/o/p\"}]",
		"[{\"op\":\"copy\",\"path\":\"/x\"}]",
		"[{\"op\":\"copy\",\"from\":\"/nope\",\"path\":\"/x\"}]",
		"[null]",
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(patch_json, rows[i][0], rows[i][1], rows[i][2], ERR_NONE, NULL);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		check(patch_json, "{\"a\":1,\"l\":[1,2],\"o\":{}}", bad[i], NULL, ERR_INVALID,
		      "the server rejected our request due to an error in our request");
	check(patch_json, "{}", "{}", NULL, ERR_BAD_REQUEST,
	      "json: cannot unmarshal object into Go value of type jsonpatch.Patch");
	check(patch_json, "{}", "[1]", NULL, ERR_BAD_REQUEST,
	      "json: cannot unmarshal number into Go value of type jsonpatch.Operation");
}

/* Copies that double the object, copies that nest it, and too many operations. */
static void test_json_limits(void **state)
{
	(void)state;
	struct err e;
	cleanup(json_decrefp) json_t *obj = json("{\"a\":{\"b\":\"0123456789\"}}");
	cleanup(json_decrefp) json_t *wide = json_array(), *deep = json_array(),
				     *many = json_array();

	for (int i = 0; i < 40; i++)
		json_array_append_new(wide, json_pack("{ssssss}", "op", "copy", "from", "/a",
						      "path", i % 2 ? "/a/x" : "/a/y"));
	assert_null(patch_json(obj, wide, &e));
	for (int i = 0; i < LIMIT_JSON_DEPTH; i++)
		json_array_append_new(
			deep, json_pack("{ssssss}", "op", "copy", "from", "/a", "path", "/a/x"));
	assert_null(patch_json(obj, deep, &e));
	for (int i = 0; i <= LIMIT_PATCH_OPERATIONS; i++)
		json_array_append_new(many, json_pack("{ssssso}", "op", "add", "path", "/x",
						      "value", json_null()));
	assert_null(patch_json(obj, many, &e));
	assert_int_equal(e.reason, ERR_TOO_LARGE);
	assert_string_equal(e.message,
			    "The allowed maximum operations in a JSON patch is 10000, got 10001");
}

static json_t *strategic_pod_spec(const json_t *obj, const json_t *patch, struct err *e)
{
	return patch_strategic(schema_type_find("core.v1.PodSpec"), obj, patch, e);
}

static json_t *strategic_deployment(const json_t *obj, const json_t *patch, struct err *e)
{
	return patch_strategic(schema_type_find("apps.v1.Deployment"), obj, patch, e);
}

static json_t *strategic_service(const json_t *obj, const json_t *patch, struct err *e)
{
	return patch_strategic(schema_type_find("core.v1.Service"), obj, patch, e);
}

/* Compared with k8s.io/apimachinery's StrategicMergePatch. */
static const struct {
	patch_fn *fn;
	const char *obj, *patch, *want;
} strategic[] = {
	{ strategic_pod_spec,
	  "{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"2\"}]}",
	  "{\"containers\":[{\"name\":\"b\",\"image\":\"3\"}]}",
	  "{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"3\"}]}" },
	{ strategic_pod_spec, "{\"containers\":[{\"name\":\"a\"}]}",
	  "{\"containers\":[{\"name\":\"c\",\"image\":\"x\",\"tty\":null}]}",
	  "{\"containers\":[{\"name\":\"c\",\"image\":\"x\",\"tty\":null},{\"name\":\"a\"}]}" },
	{ strategic_pod_spec, "{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
	  "{\"containers\":[{\"$patch\":\"delete\",\"name\":\"a\"}]}",
	  "{\"containers\":[{\"name\":\"b\"}]}" },
	{ strategic_pod_spec, "{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
	  "{\"containers\":[{\"name\":\"z\"},{\"$patch\":\"replace\"}]}",
	  "{\"containers\":[{\"name\":\"z\"}]}" },
	{ strategic_pod_spec,
	  "{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}]}",
	  "{\"$setElementOrder/containers\":[{\"name\":\"c\"},{\"name\":\"a\"}],\"containers\":[{\"name\":\"c\",\"image\":\"x\"}]}",
	  "{\"containers\":[{\"name\":\"b\"},{\"name\":\"c\",\"image\":\"x\"},{\"name\":\"a\"}]}" },
	{ strategic_pod_spec, "{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
	  "{\"$setElementOrder/containers\":[{\"name\":\"b\"},{\"name\":\"a\"}]}",
	  "{\"containers\":[{\"name\":\"b\"},{\"name\":\"a\"}]}" },
	{ strategic_pod_spec, "{\"containers\":[{\"name\":\"f\"},{\"name\":\"a\"}]}",
	  "{\"$setElementOrder/containers\":[{\"name\":\"d\"}],\"containers\":[{\"name\":\"f\",\"$patch\":\"delete\"},{\"name\":\"d\"}]}",
	  "{\"containers\":[{\"name\":\"a\"},{\"name\":\"d\"}]}" },
	{ strategic_pod_spec, "{}",
	  "{\"$setElementOrder/containers\":[{\"name\":\"b\"}],\"containers\":[{\"name\":\"b\",\"env\":[{\"name\":\"X\",\"$patch\":\"delete\"}]}]}",
	  "{\"containers\":[{\"name\":\"b\",\"env\":[]}]}" },
	{ strategic_pod_spec, "{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}},{\"name\":\"w\"}]}",
	  "{\"volumes\":[{\"$retainKeys\":[\"name\",\"secret\"],\"name\":\"v\",\"secret\":{\"secretName\":\"s\"}}]}",
	  "{\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"s\"}},{\"name\":\"w\"}]}" },
	{ strategic_pod_spec, "{\"tolerations\":[{\"key\":\"a\"}]}",
	  "{\"tolerations\":[{\"key\":\"b\"}]}", "{\"tolerations\":[{\"key\":\"b\"}]}" },
	{ strategic_pod_spec, "{\"nodeSelector\":{\"a\":\"1\",\"b\":\"2\"}}",
	  "{\"nodeSelector\":{\"b\":null,\"c\":\"3\"}}",
	  "{\"nodeSelector\":{\"a\":\"1\",\"c\":\"3\"}}" },
	{ strategic_pod_spec, "{\"nodeSelector\":{\"a\":\"1\"}}",
	  "{\"nodeSelector\":{\"$patch\":\"replace\",\"b\":\"2\"}}",
	  "{\"nodeSelector\":{\"b\":\"2\"}}" },
	{ strategic_pod_spec, "{\"nodeSelector\":{\"a\":\"1\"}}",
	  "{\"nodeSelector\":{\"$patch\":\"delete\"}}", "{\"nodeSelector\":{}}" },
	{ strategic_pod_spec, "{\"nodeName\":\"n\"}", "{\"nodeSelector\":{\"$patch\":\"delete\"}}",
	  "{\"nodeName\":\"n\"}" },
	{ strategic_pod_spec, "{\"hostname\":\"h\",\"dnsPolicy\":\"x\"}",
	  "{\"hostname\":null,\"nope\":null,\"securityContext\":{\"runAsUser\":null,\"fsGroup\":1}}",
	  "{\"dnsPolicy\":\"x\",\"securityContext\":{\"fsGroup\":1}}" },
	{ strategic_deployment,
	  "{\"spec\":{\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxSurge\":1}}}}",
	  "{\"spec\":{\"strategy\":{\"$retainKeys\":[\"type\"],\"type\":\"Recreate\"}}}",
	  "{\"spec\":{\"strategy\":{\"type\":\"Recreate\"}}}" },
	{ strategic_deployment, "{\"metadata\":{\"finalizers\":[\"a\",\"b\",\"c\"]}}",
	  "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"b\"],\"finalizers\":[\"d\"]}}",
	  "{\"metadata\":{\"finalizers\":[\"d\",\"a\",\"c\"]}}" },
	{ strategic_deployment, "{\"metadata\":{\"finalizers\":[\"a\",\"b\"]}}",
	  "{\"metadata\":{\"$setElementOrder/finalizers\":[\"b\",\"c\",\"a\"],\"finalizers\":[\"c\"]}}",
	  "{\"metadata\":{\"finalizers\":[\"b\",\"c\",\"a\"]}}" },
	{ strategic_deployment, "{\"metadata\":{}}",
	  "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"b\"]}}", "{\"metadata\":{}}" },
	{ strategic_service,
	  "{\"spec\":{\"ports\":[{\"port\":80,\"protocol\":\"TCP\"},{\"port\":81}],\"selector\":{\"a\":\"b\"}}}",
	  "{\"spec\":{\"ports\":[{\"port\":82,\"name\":\"x\"},{\"port\":80,\"nodePort\":30000}]}}",
	  "{\"spec\":{\"ports\":[{\"port\":82,\"name\":\"x\"},{\"port\":80,\"protocol\":\"TCP\",\"nodePort\":30000},{\"port\":81}],\"selector\":{\"a\":\"b\"}}}" },
	{ strategic_service, "{\"spec\":{\"ports\":[{\"port\":80}]}}",
	  "{\"spec\":{\"ports\":null,\"type\":\"ExternalName\"}}",
	  "{\"spec\":{\"type\":\"ExternalName\"}}" },
};

static void test_strategic(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(strategic); i++)
		check(strategic[i].fn, strategic[i].obj, strategic[i].patch, strategic[i].want,
		      ERR_NONE, NULL);
}

static void test_strategic_errors(void **state)
{
	(void)state;
	static const char *const rows[][3] = {
		{ "{\"containers\":[{\"name\":\"a\"}]}",
		  "{\"containers\":[{\"image\":\"x\",\"ports\":[1]}]}",
		  "map: map[image:x ports:[1]] does not contain declared merge key: name" },
		{ "{\"containers\":[{\"name\":\"a\"}]}",
		  "{\"containers\":[{\"name\":\"a\",\"$patch\":\"frob\"}]}",
		  "unknown patch type: frob in map: map[$patch:frob name:a]" },
		{ "{\"nodeSelector\":{}}", "{\"nodeSelector\":{\"$patch\":\"merge\"}}",
		  "unknown patch type: merge in map: map[$patch:merge]" },
		{ "{}", "{\"$retainKeys\":[\"a\"],\"hostname\":\"b\"}",
		  "invalid patch format of retainKeys" },
		{ "{}", "{\"$retainKeys\":1}", "invalid patch format of retainKeys" },
		{ "{\"containers\":[{\"name\":\"a\"}]}",
		  "{\"$setElementOrder/containers\":[{\"name\":\"a\"}],\"containers\":[{\"name\":\"b\"}]}",
		  "The order in patch list:\n[map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n" },
		{ "{}", "{\"$setElementOrder/containers\":{}}",
		  "expected a []interface {}, but received a map[string]interface {}" },
		{ "{}", "{\"$setElementOrder/nope\":[]}",
		  "unable to find api field in struct PodSpec for the json field \"nope\"" },
		{ "{}", "[]", "invalid JSON document" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(strategic_pod_spec, rows[i][0], rows[i][1], NULL, ERR_BAD_REQUEST,
		      rows[i][2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_limits),
		cmocka_unit_test(test_strategic),
		cmocka_unit_test(test_strategic_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
