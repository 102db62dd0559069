#include "kube/schema/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct resource *resource(const char *kind)
{
	for (size_t i = 0; i < n_resources; i++)
		if (c_eq(resources[i].kind, kind))
			return &resources[i];
	fail_msg("no kind %s", kind);
	return NULL;
}

/* Texts recorded from kube-apiserver v1.34, but for those marked. */
static const struct {
	const char *kind, *body, *message;
} bad
	[] = {
		{ "Service",
		  "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"portz\":1,\"ports\":[{\"port\":80,\"nope\":1}]}}",
		  "Service in version \"v1\" cannot be handled as a Service: strict decoding error: unknown field \"spec.portz\", unknown field \"spec.ports[0].nope\"" },
		{ "Service",
		  "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"a\",\"name\":\"b\"}}",
		  "Service in version \"v1\" cannot be handled as a Service: strict decoding error: duplicate field \"metadata.name\"" },
		{ "Service",
		  "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"spec\":{\"ports\":[{\"port\":\"80\"}]}}",
		  "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32" },
		{ "Service", "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"spec\":{\"ports\":{}}}",
		  "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort" },
		{ "Service", "{\"apiVersion\":",
		  "the object provided is unrecognized (must be of type Service): couldn't get version/kind; json parse error: unexpected end of JSON input ({\"apiVersion\":)" },
		{ "Service", "",
		  "the object provided is unrecognized (must be of type Service): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)" },
		{ "Service", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}",
		  "Pod in version \"v1\" cannot be handled as a Service: converting (v1.Pod) to (core.Service): unknown conversion" },
		{ "Pod",
		  "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"abc\"}}}]}}",
		  "Pod in version \"v1\" cannot be handled as a Pod: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" },
		{ "Secret", "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"data\":{\"a\":\"!!\"}}",
		  "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 0" },
		{ "Ingress",
		  "{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"Ingress\",\"spec\":{\"rules\":[{\"http\":{\"paths\":[{\"backend\":{\"serviceName\":\"x\",\"servicePort\":80}}]}}]}}",
		  "Ingress in version \"v1\" cannot be handled as a Ingress: strict decoding error: unknown field \"spec.rules[0].http.paths[0].backend.serviceName\", unknown field \"spec.rules[0].http.paths[0].backend.servicePort\"" },
		/* from here on by reading k8s.io/apiserver and sigs.k8s.io/json */
		{ "Service", "[]",
		  "the object provided is unrecognized (must be of type Service): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" } (5b5d)" },
		{ "Service", "{\"kind\":1}",
		  "the object provided is unrecognized (must be of type Service): couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string ({\"kind\":1})" },
		{ "Service", "{\"apiVersion\":\"a/b/c\"}",
		  "the object provided is unrecognized (must be of type Service): unexpected GroupVersion string: a/b/c ({\"apiVersion\":\"a/b/c\"})" },
		{ "Service", "{\"kind\":\"Nope\",\"apiVersion\":\"apps/v1\"}",
		  "Nope in version \"v1\" cannot be handled as a Service: no kind \"Nope\" is registered for version \"apps/v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"" },
		{ "Ingress", "{\"kind\":\"Ingress\",\"apiVersion\":\"networking.k8s.io/v1beta1\"}",
		  "the API version in the data (networking.k8s.io/v1beta1) does not match the expected API version (networking.k8s.io/v1)" },
		{ "Service", "{\"spec\":{\"type\":1}}",
		  "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal number into Go struct field ServiceSpec.spec.type of type v1.ServiceType" },
		{ "Service",
		  "{\"spec\":{\"ports\":[1]}}", "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal number into Go struct field ServiceSpec.spec.ports of type v1.ServicePort" },
		{ "Service", "{\"spec\":{\"ports\":[{\"port\":1.5}]}}",
		  "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal number 1.5 into Go struct field ServicePort.spec.ports.port of type int32" },
		{ "Service", "{\"spec\":{\"ports\":[{\"port\":3000000000}]}}",
		  "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal number 3000000000 into Go struct field ServicePort.spec.ports.port of type int32" },
		{ "Service", "{\"metadata\":{\"labels\":{\"a\":1}}}",
		  "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string" },
		{ "Service", "{\"metadata\":{\"labels\":[]}}",
		  "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string" },
		{ "Service", "{\"metadata\":{\"creationTimestamp\":\"x\"}}",
		  "Service in version \"v1\" cannot be handled as a Service: parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\"" },
		{ "Service", "{\"metadata\":{\"creationTimestamp\":\"2026-13-01T00:00:00Z\"}}",
		  "Service in version \"v1\" cannot be handled as a Service: parsing time \"2026-13-01T00:00:00Z\": month out of range" },
		{ "Service", "{\"metadata\":{\"creationTimestamp\":1}}",
		  "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string" },
		{ "Service", "{\"spec\":{\"ports\":[{\"targetPort\":true}]}}",
		  "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal bool into Go struct field ServicePort.spec.ports.targetPort of type int32" },
		{ "Pod", "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":1}}]}}",
		  "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field ResourceRequirements.spec.containers.resources.limits of type v1.ResourceList" },
		{ "Secret", "{\"data\":{\"a\":1}}",
		  "Secret in version \"v1\" cannot be handled as a Secret: json: cannot unmarshal number into Go struct field Secret.data of type []uint8" },
		{ "ConfigMap", "{\"data\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"3\"}}",
		  "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \"data.a\"" },
		{ "Pod",
		  "{\"spec\":{\"containers\":[{},{\"ports\":[{\"name\":\"a\",\"\\u006eame\":\"b\"}]}]}}",
		  "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: duplicate field \"spec.containers[1].ports[0].name\"" },
		{ "Service", "{\"a\" 1}",
		  "the object provided is unrecognized (must be of type Service): couldn't get version/kind; json parse error: invalid character '1' after object key ({\"a\" 1})" },
		{ "Service", "{\"a\":1}x",
		  "the object provided is unrecognized (must be of type Service): couldn't get version/kind; json parse error: invalid character 'x' after top-level value ({\"a\":1}x)" },
		{ "Service", "{\"a\":tru}",
		  "the object provided is unrecognized (must be of type Service): couldn't get version/kind; json parse error: invalid character '}' in literal true (expecting 'e') ({\"a\":tru})" },
	};

static void test_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = { 0 };
		json_t *warnings = NULL;
		json_t *v = object_decode(resource(bad[i].kind), BODY_JSON, str_of(bad[i].body),
					  FV_STRICT, &warnings, &e);

		if (v)
			fail_msg("%s was accepted", bad[i].body);
		assert_string_equal(e.message, bad[i].message);
		assert_int_equal(e.reason, ERR_BAD_REQUEST);
		assert_null(warnings);
	}
}

/* What comes out of decoding: values in canonical form, unknown fields and nulls gone. */
static const struct {
	const char *kind, *body, *object, *warnings;
} good[] = {
	{ "Service",
	  "{\"metadata\":{\"name\":\"a\",\"creationTimestamp\":null},\"status\":{\"loadBalancer\":{}}}",
	  "{\"metadata\":{\"name\":\"a\"},\"status\":{\"loadBalancer\":{}},\"apiVersion\":\"v1\",\"kind\":\"Service\"}",
	  NULL },
	{ "Service", "null", "{\"apiVersion\":\"v1\",\"kind\":\"Service\"}", NULL },
	{ "Service",
	  "{\"kind\":null,\"spec\":{\"portz\":1,\"ports\":[{\"port\":80,\"targetPort\":\"http\"},null]}}",
	  "{\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":\"http\"},{}]},\"apiVersion\":\"v1\",\"kind\":\"Service\"}",
	  "[\"unknown field \\\"spec.portz\\\"\"]" },
	{ "Service", "{\"metadata\":{\"name\":\"a\",\"name\":\"b\",\"labels\":{\"x\":null}}}",
	  "{\"metadata\":{\"name\":\"b\",\"labels\":{\"x\":\"\"}},\"apiVersion\":\"v1\",\"kind\":\"Service\"}",
	  "[\"duplicate field \\\"metadata.name\\\"\"]" },
	{ "Pod",
	  "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":0.5,\"memory\":\"1024Mi\",\"x\":1}}}]}}",
	  "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"500m\",\"memory\":\"1Gi\",\"x\":\"1\"}}}]},\"apiVersion\":\"v1\",\"kind\":\"Pod\"}",
	  NULL },
	{ "Lease",
	  "{\"spec\":{\"renewTime\":\"2026-01-02T03:04:05.678901+02:00\"},\"metadata\":{\"creationTimestamp\":\"2026-01-02T03:04:05.6+02:00\"}}",
	  "{\"spec\":{\"renewTime\":\"2026-01-02T01:04:05.678901Z\"},\"metadata\":{\"creationTimestamp\":\"2026-01-02T01:04:05Z\"},\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\"}",
	  NULL },
	{ "ControllerRevision",
	  "{\"data\":{\"anything\":[null,{\"a\":1}]},\"revision\":9007199254740993}",
	  "{\"data\":{\"anything\":[null,{\"a\":1}]},\"revision\":9007199254740993,\"apiVersion\":\"apps/v1\",\"kind\":\"ControllerRevision\"}",
	  NULL },
	{ "ConfigMap", "{\"data\":{\"k\":\"a\\u0000b\"}}",
	  "{\"data\":{\"k\":\"a\\u0000b\"},\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"}", NULL },
	{ "CustomResourceDefinition",
	  "{\"spec\":{\"versions\":[{\"schema\":{\"openAPIV3Schema\":{\"items\":{\"nope\":1,\"type\":\"x\"},\"additionalProperties\":true}}}]}}",
	  "{\"spec\":{\"versions\":[{\"schema\":{\"openAPIV3Schema\":{\"items\":{\"type\":\"x\"},\"additionalProperties\":true}}}]},\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\"}",
	  "[\"unknown field \\\"spec.versions[0].schema.openAPIV3Schema.items.nope\\\"\"]" },
};

static void check_good(enum body_format format)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct err e = { 0 };
		cleanup(json_decrefp) json_t *warnings = NULL;
		cleanup(json_decrefp) json_t *v =
			object_decode(resource(good[i].kind), format, str_of(good[i].body), FV_WARN,
				      &warnings, &e);

		if (!v)
			fail_msg("%s: %s", good[i].body, e.message);
		cleanup(freep) char *text = jx_dump_text(v),
				    *said = warnings ? jx_dump_text(warnings) : NULL;
		assert_string_equal(text, good[i].object);
		if (format == BODY_JSON)
			assert_true(c_eq(said, good[i].warnings));
		json_t *again = object_decode(resource(good[i].kind), format, str_of(good[i].body),
					      FV_IGNORE, NULL, &e);
		assert_true(json_equal(v, again));
		json_decref(again);
	}
}

static void test_json(void **state)
{
	(void)state;
	check_good(BODY_JSON);
}

/* JSON is YAML. */
static void test_yaml(void **state)
{
	(void)state;
	check_good(BODY_YAML);
	struct err e = { 0 };
	assert_null(object_decode(resource("Service"), BODY_YAML,
				  STR("metadata:\n  name: a\n  name: b\n"), FV_STRICT, NULL, &e));
	assert_string_equal(
		e.message,
		"Service in version \"v1\" cannot be handled as a Service: strict decoding error: "
		"yaml: unmarshal errors:\n  line 3: key \"name\" already set in map");
}

static void test_limits(void **state)
{
	(void)state;
	struct err e = { 0 };
	struct buf deep;

	buf_init(&deep, 1 << 20);
	buf_puts(&deep, "{\"data\":");
	for (int i = 0; i < 200; i++)
		buf_putc(&deep, '[');
	assert_null(object_decode(resource("ControllerRevision"), BODY_JSON, buf_str(&deep),
				  FV_STRICT, NULL, &e));
	assert_int_equal(e.reason, ERR_BAD_REQUEST);
	assert_null(object_decode(resource("ControllerRevision"), BODY_YAML, buf_str(&deep),
				  FV_STRICT, NULL, &e));
	buf_done(&deep);

	static char huge[(3 << 20) + 1];
	memset(huge, ' ', sizeof(huge));
	assert_null(object_decode(resource("Service"), BODY_JSON,
				  (struct str){ huge, sizeof(huge) }, FV_STRICT, NULL, &e));
	assert_int_equal(e.reason, ERR_TOO_LARGE);
	assert_null(object_decode(resource("Service"), BODY_JSON,
				  STR("{\"metadata\":{\"name\":\"\xff\"}}"), FV_STRICT, NULL, &e));
	assert_int_equal(e.reason, ERR_BAD_REQUEST);
}

static void test_check_types(void **state)
{
	(void)state;
	struct err e = { 0 };
	json_t *warnings = NULL;
	json_t *v = json_loads("{\"spec\":{\"replicas\":null,\"x\":1}}", 0, NULL);

	assert_int_equal(object_check_types(resource("Deployment"), v, FV_STRICT, &warnings, &e),
			 -1);
	assert_string_equal(e.message, "strict decoding error: unknown field \"spec.x\"");
	json_object_set_new(v, "y", json_null());
	assert_int_equal(object_check_types(resource("Deployment"), v, FV_WARN, &warnings, &e), 0);
	assert_string_equal(json_string_value(json_array_get(warnings, 0)), "unknown field \"y\"");
	assert_int_equal(json_object_size(json_object_get(v, "spec")), 0);
	json_decref(warnings);
	json_decref(v);
}

static void test_other_types(void **state)
{
	(void)state;
	struct err e = { 0 };
	const struct schema_type *t = schema_type_find("meta.v1.DeleteOptions");
	cleanup(json_decrefp) json_t *v =
		object_decode_type(t, BODY_JSON, STR("{\"propagationPolicy\":\"Background\"}"), &e);

	assert_string_equal(jx_str(v, "propagationPolicy"), "Background");
	assert_null(object_decode_type(t, BODY_JSON, STR("{\"gracePeriodSeconds\":\"1\"}"), &e));
	assert_string_equal(
		e.message,
		"json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64");
	assert_null(object_decode_type(t, BODY_JSON, STR("[]"), &e));
	assert_null(object_decode_type(t, BODY_JSON, STR("{"), &e));
}

static void test_formats(void **state)
{
	(void)state;
	static const struct {
		const char *type;
		int format;
	} rows[] = {
		{ "", BODY_JSON },
		{ "application/json", BODY_JSON },
		{ "Application/JSON; charset=utf-8", BODY_JSON },
		{ "application/yaml", BODY_YAML },
		{ "application/vnd.kubernetes.protobuf", BODY_PROTOBUF },
		{ "application/xml", -1 },
		{ "application/json-patch+json", -1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum body_format format = BODY_JSON;
		int r = body_format_of(str_of(rows[i].type), &format);

		assert_int_equal(r < 0 ? -1 : (int)format, rows[i].format);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),	    cmocka_unit_test(test_json),
		cmocka_unit_test(test_yaml),	    cmocka_unit_test(test_limits),
		cmocka_unit_test(test_check_types), cmocka_unit_test(test_other_types),
		cmocka_unit_test(test_formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
