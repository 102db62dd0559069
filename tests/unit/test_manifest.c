/* Manifest files: where documents begin, what objects they hold, what is said of those that cannot be read. */
#include "kube/client/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/* "Kind ns/name@line" of each object, "!line lost text" and "?line text" of each problem. */
static void put_object(void *ctx, const struct resource *storage, json_t *obj, unsigned line)
{
	const char *ns = jx_namespace(obj);

	buf_printf(ctx, "%s %s/%s@%u;", storage->kind, ns ? ns : "", jx_name(obj), line);
}

static void put_problem(void *ctx, unsigned line, bool lost, const char *text)
{
	buf_printf(ctx, "%c%u %s;", lost ? '!' : '?', line, text);
}

static const struct manifest_sink sink = { .object = put_object, .problem = put_problem };

#define CM(name) "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " name "\n"
#define CM_JSON(name) "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"" name "\"}}"

static void test_documents(void **state)
{
	static const struct {
		bool json;
		const char *text, *want;
	} rows[] = {
		{ false, "", "" },
		{ false, "# nothing\n---\n---\n# here\n", "" },
		{ false, CM("a"), "ConfigMap default/a@1;" },
		{ false, "\xef\xbb\xbf" CM("a"), "ConfigMap default/a@1;" },
		{ false, CM("a") "---\n" CM("b") "---\n\n---\n" CM("c"), "ConfigMap default/a@1;ConfigMap default/b@5;ConfigMap default/c@12;" },
		{ false, "--- # first\n" CM("a") "...\n# end\n---\r\n" CM("b"), "ConfigMap default/a@1;ConfigMap default/b@8;" },
		{ false, "%YAML 1.1\n---\n" CM("a"), "ConfigMap default/a@2;" },
		{ false, CM("a") "data:\n  x: |\n    ---\n    y\n  z: \"---\"\n---x: 1\n", "?1 ConfigMap \"a\": unknown field \"---x\";ConfigMap default/a@1;" },
		{ false, CM("a") "data:\n  x: |\n    ---\n    y\n  z: \"---\"\n", "ConfigMap default/a@1;" },
		{ false, "--- " CM_JSON("a") "\n---\n" CM_JSON("b") "\n", "ConfigMap default/a@1;ConfigMap default/b@2;" },
		/* one that cannot be read hides no other */
		{ false, CM("a") "---\na: [1\n---\n" CM("b"), "ConfigMap default/a@1;!6 yaml: did not find expected ',' or ']';ConfigMap default/b@7;" },
		{ false, "---\n\tx: 1\n---\n" CM("b"), "!2 yaml: found character that cannot start any token;ConfigMap default/b@3;" },
		{ false, "just text\n---\n" CM("b"), "!1 this is no object;ConfigMap default/b@2;" },
		{ false, "a: 1\n", "!1 apiVersion and kind are required;" },
		{ false, "apiVersion: v1\nkind: ConfigMap\n", "!1 ConfigMap: metadata.name is required;" },
		{ false, CM("../../etc"), "!1 ConfigMap: metadata.name is no name;" },
		{ false, CM("a") "  namespace: a/b\n", "!1 ConfigMap \"a\": metadata.namespace is no name;" },
		{ false, CM("a") "  namespace: other\n", "ConfigMap other/a@1;" },
		{ false, "apiVersion: x.y/v1\nkind: Gadget\nmetadata: {name: a}\n", "?1 kind \"Gadget\" of \"x.y/v1\" is not known: left out;" },
		{ false, CM("a") "dats: {}\n", "?1 ConfigMap \"a\": unknown field \"dats\";ConfigMap default/a@1;" },
		/* cluster-scoped kinds have no namespace, old versions are kept with the new ones */
		{ false, "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: nginx, namespace: x}\n", "IngressClass /nginx@1;" },
		{ false, "apiVersion: networking.k8s.io/v1beta1\nkind: Ingress\nmetadata: {name: old}\nspec: {backend: {serviceName: a, servicePort: 80}}\n",
		  "Ingress default/old@1;" },
		{ false, "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: older}\n", "Ingress default/older@1;" },
		/* lists */
		{ false, "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n",
		  "ConfigMap default/a@1;Secret default/b@1;" },
		{ false, "apiVersion: v1\nkind: ConfigMapList\nitems:\n- {metadata: {name: a}}\n- {}\n", "ConfigMap default/a@1;!1 ConfigMap: metadata.name is required;" },
		/* JSON */
		{ true, "", "" },
		{ true, CM_JSON("a") "\n" CM_JSON("b"), "ConfigMap default/a@1;ConfigMap default/b@2;" },
		{ true, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[" CM_JSON("a") "," CM_JSON("}{\\\"") "]}", "ConfigMap default/a@1;!1 ConfigMap: metadata.name is no name;" },
		{ true, CM_JSON("a") "\n{\"x\":\n tru}\n" CM_JSON("b"), "ConfigMap default/a@1;!3 invalid token near 'tru';ConfigMap default/b@4;" },
		{ true, CM_JSON("a") "\n{\"x\": [", "ConfigMap default/a@1;!2 ']' expected near end of file;" },
		{ true, "nonsense", "!1 invalid token near 'nonsense';" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf got;
		buf_init(&got, 10000);
		buf_puts(&got, "");
		manifest_read(str_of(rows[i].text), rows[i].json, &sink, &got);
		if (strcmp(got.ptr, rows[i].want) != 0)
			fail_msg("row %zu\n got: %s\nwant: %s", i, got.ptr, rows[i].want);
		buf_done(&got);
	}
}

/* Long lists are read item by item: with the same result, wherever "items" stands. */
static void test_long_list(void **state)
{
	static const struct {
		const char *before, *item, *between, *after, *want;
	} rows[] = {
		{ "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[", CM_JSON("]\\\"{"), ",", "]}", "!1 ConfigMap: metadata.name is no name;" },
		{ "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\" : [\n", CM_JSON("a"), " ,\n", "]}", "ConfigMap default/a@2;ConfigMap default/a@3;" },
		{ "{\"x\":{\"items\":[1]},\"y\":\"items\",\"items\":[", "{\"metadata\":{\"name\":\"b\"}}", ",",
		  "],\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\"}", "ConfigMap default/b@1;ConfigMap default/b@1;" },
		{ "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"a\":tru},", CM_JSON("a"), ",", "]}", "!1 invalid token near 'tru';ConfigMap default/a@1;" },
		{ "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"},\"items\":[", "{}", ",", "]}",
		  "?1 ConfigMap \"c\": unknown field \"items\";ConfigMap default/c@1;" },
		{ "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[", CM_JSON("a"), "", "]}", "ConfigMap default/a@1;!1 an item of the list is no object;" },
		{ "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[", "1", ",", "]}", "!1 an item of the list is no object;" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf text, got;
		buf_init(&text, 1 << 20);
		buf_init(&got, 1 << 20);
		buf_puts(&got, "");
		buf_puts(&text, rows[i].before);
		while (text.len < 100000)
			buf_printf(&text, "%s%s", rows[i].item, rows[i].between);
		buf_printf(&text, "%s%s", rows[i].item, rows[i].after);
		manifest_read(buf_str(&text), true, &sink, &got);
		if (strncmp(got.ptr, rows[i].want, strlen(rows[i].want)) != 0)
			fail_msg("row %zu\n got: %.200s\nwant: %s", i, got.ptr, rows[i].want);
		buf_done(&text);
		buf_done(&got);
	}
}

static void keep_object(void *ctx, const struct resource *storage, json_t *obj, unsigned line)
{
	(void)storage;
	(void)line;
	json_decref(*(json_t **)ctx);
	*(json_t **)ctx = json_incref(obj);
}

static json_t *one(const char *text)
{
	static const struct manifest_sink keep = { .object = keep_object };
	json_t *obj = NULL;

	manifest_read(str_of(text), false, &keep, &obj);
	assert_non_null(obj);
	return obj;
}

/* As an API server would give it out. */
static void test_objects(void **state)
{
	json_t *o;

	(void)state;
	o = one("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {user: bob, empty: ''}\ndata: {user: eA==, other: eQ==}\n");
	assert_string_equal(jx_str(o, "data.user"), "Ym9i"); /* stringData wins */
	assert_string_equal(jx_str(o, "data.other"), "eQ==");
	assert_string_equal(jx_str(o, "data.empty"), "");
	assert_null(jx_at(o, "stringData"));
	assert_string_equal(jx_str(o, "type"), "Opaque");
	json_decref(o);
	o = one("apiVersion: v1\nkind: Service\nmetadata: {name: s, managedFields: []}\nspec: {ports: [{port: 80}]}\n");
	const json_t *port = json_array_get(jx_at(o, "spec.ports"), 0);
	assert_string_equal(jx_str(port, "protocol"), "TCP");
	assert_int_equal(jx_int(port, "targetPort", 0), 80);
	assert_null(jx_at(o, "metadata.managedFields"));
	json_decref(o);
	o = one("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s}\naddressType: IPv4\n"
		"endpoints: [{addresses: [127.0.0.1]}]\nports: [{name: '', port: 8080}]\n");
	assert_string_equal(json_string_value(json_array_get(jx_at(json_array_get(jx_at(o, "endpoints"), 0), "addresses"), 0)), "127.0.0.1");
	json_decref(o);
	o = one("apiVersion: networking.k8s.io/v1beta1\nkind: Ingress\nmetadata: {name: old}\nspec: {backend: {serviceName: a, servicePort: 80}}\n");
	assert_string_equal(jx_str(o, "apiVersion"), "networking.k8s.io/v1beta1");
	assert_string_equal(jx_str(o, "spec.backend.serviceName"), "a");
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_documents), cmocka_unit_test(test_long_list), cmocka_unit_test(test_objects) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
