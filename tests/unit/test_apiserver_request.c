/* What a request asks for, and in which form: paths, options, Accept. */
#include "base/base.h"
#include "roles/apiserver/negotiate.h"
#include "roles/apiserver/request_info.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ARENA_BYTES (1u << 20)

static struct http_request make(const char *method, const char *target)
{
	struct http_request r = { .method = str_of(method), .target = str_of(target) };

	r.path = str_cut(r.target, '?', &r.query);
	return r;
}

static void test_paths(void **state)
{
	static const struct {
		const char *method, *target, *verb, *group, *version, *ns, *resource, *name,
			*subresource, *rest;
	} rows[] = {
		{ "GET", "/api/v1/pods", "list", "", "v1", NULL, "pods" },
		{ "GET", "/api/v1/pods?watch=true", "watch", "", "v1", NULL, "pods" },
		{ "GET", "/api/v1/pods?watch=1", "watch", "", "v1", NULL, "pods" },
		{ "GET", "/api/v1/pods?watch", "watch", "", "v1", NULL, "pods" },
		{ "GET", "/api/v1/pods?watch=false", "list", "", "v1", NULL, "pods" },
		{ "GET", "/api/v1/pods?watch=0", "list", "", "v1", NULL, "pods" },
		{ "GET", "/api/v1/namespaces/a/pods", "list", "", "v1", "a", "pods" },
		{ "GET", "/api/v1/namespaces/a/pods/b", "get", "", "v1", "a", "pods", "b" },
		{ "HEAD", "/api/v1/namespaces/a/pods/b", "get", "", "v1", "a", "pods", "b" },
		{ "GET", "/api/v1/namespaces/a/pods/b/log", "get", "", "v1", "a", "pods", "b",
		  "log" },
		{ "GET", "/api/v1/namespaces", "list", "", "v1", NULL, "namespaces" },
		{ "GET", "/api/v1/namespaces/a", "get", "", "v1", "a", "namespaces", "a" },
		{ "PUT", "/api/v1/namespaces/a/finalize", "update", "", "v1", "a", "namespaces",
		  "a", "finalize" },
		{ "PATCH", "/api/v1/namespaces/a/status", "patch", "", "v1", "a", "namespaces", "a",
		  "status" },
		{ "POST", "/apis/apps/v1/namespaces/a/deployments", "create", "apps", "v1", "a",
		  "deployments" },
		{ "DELETE", "/apis/apps/v1/namespaces/a/deployments/d", "delete", "apps", "v1", "a",
		  "deployments", "d" },
		{ "DELETE", "/apis/apps/v1/namespaces/a/deployments", "deletecollection", "apps",
		  "v1", "a", "deployments" },
		{ "GET", "/api/v1/nodes/n/proxy/a/b%20c", "get", "", "v1", NULL, "nodes", "n",
		  "proxy", "a/b c" },
		{ "OPTIONS", "/api/v1/namespaces/a/pods/b:80/proxy/x/?limit=x&y=%zz", "", "", "v1", "a",
		  "pods", "b:80", "proxy", "x/" },
		{ "GET", "//api//v1/pods/", "list", "", "v1", NULL, "pods" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_request r = make(rows[i].method, rows[i].target);
		struct request_info info;
		struct arena a;
		struct err e;

		arena_init(&a, ARENA_BYTES);
		assert_int_equal(request_info_parse(&r, &a, &info, &e), 0);
		if (!info.is_resource || !c_eq(info.verb, rows[i].verb) ||
		    !c_eq(info.group, rows[i].group) || !c_eq(info.version, rows[i].version) ||
		    !c_eq(info.resource, rows[i].resource) ||
		    !(info.ns == rows[i].ns || c_eq(info.ns, rows[i].ns)) ||
		    !(info.name == rows[i].name || c_eq(info.name, rows[i].name)) ||
		    !(info.subresource == rows[i].subresource ||
		      c_eq(info.subresource, rows[i].subresource)) ||
		    !(info.rest == rows[i].rest || c_eq(info.rest, rows[i].rest)))
			fail_msg("%s %s: %s %s %s ns=%s %s name=%s sub=%s rest=%s", rows[i].method,
				 rows[i].target, info.verb, info.group, info.version, info.ns,
				 info.resource, info.name, info.subresource, info.rest);
		arena_done(&a);
	}
}

static void test_other_paths(void **state)
{
	static const char *const targets[] = {
		"/",	 "/healthz",   "/api",		"/api/v1",
		"/apis", "/apis/apps", "/apis/apps/v1", "/openapi/v3/apis/apps/v1?hash=1"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct http_request r = make("GET", targets[i]);
		struct request_info info;
		struct arena a;
		struct err e;

		arena_init(&a, ARENA_BYTES);
		assert_int_equal(request_info_parse(&r, &a, &info, &e), 0);
		assert_false(info.is_resource);
		assert_string_equal(info.verb, "get");
		arena_done(&a);
	}
}

static void test_bad_requests(void **state)
{
	static const struct {
		const char *method, *target;
		enum err_reason reason;
	} rows[] = {
		{ "GET", "/api/v1/pods/%zz", ERR_BAD_REQUEST },
		{ "GET", "/api/v1/pods/a%00b", ERR_BAD_REQUEST },
		{ "GET", "api/v1/pods", ERR_BAD_REQUEST },
		{ "BREW", "/api/v1/pods", ERR_METHOD_NOT_ALLOWED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_request r = make(rows[i].method, rows[i].target);
		struct request_info info;
		struct arena a;
		struct err e;

		arena_init(&a, ARENA_BYTES);
		assert_int_equal(request_info_parse(&r, &a, &info, &e), -1);
		assert_int_equal(e.reason, rows[i].reason);
		arena_done(&a);
	}
}

static int options(const char *query, struct request_options *o, struct arena *a, struct err *e)
{
	struct http_request r = { .method = STR("GET"), .query = str_of(query) };

	arena_init(a, ARENA_BYTES);
	return request_options_parse(&r, a, o, e);
}

static void test_options(void **state)
{
	struct request_options o;
	struct arena a;
	struct err e;

	(void)state;
	assert_int_equal(options("limit=500&resourceVersion=0&labelSelector=a%3Db&"
				 "allowWatchBookmarks=true&timeoutSeconds=30"
				 "&fieldSelector=metadata.name%3Dx&timeout=7m48s",
				 &o, &a, &e),
			 0);
	assert_int_equal(o.limit, 500);
	assert_string_equal(o.resource_version, "0");
	assert_string_equal(o.label_selector, "a=b");
	assert_string_equal(o.field_selector, "metadata.name=x");
	assert_true(o.bookmarks);
	assert_int_equal(o.timeout_s, 30);
	assert_int_equal(o.grace_s, -1);
	arena_done(&a);
	assert_int_equal(
		options("gracePeriodSeconds=0&propagationPolicy=Foreground&dryRun=All&force=true",
			&o, &a, &e),
		0);
	assert_int_equal(o.grace_s, 0);
	assert_int_equal(o.propagation, PROPAGATE_FOREGROUND);
	assert_true(o.dry_run && o.force);
	arena_done(&a);
}

static void test_bad_options(void **state)
{
	static const char *const queries[] = { "limit=x",
					       "timeoutSeconds=1e3",
					       "gracePeriodSeconds=99999999999999999999",
					       "resourceVersionMatch=Newest",
					       "propagationPolicy=Sideways",
					       "dryRun=Some",
					       "fieldValidation=Maybe" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		struct request_options o;
		struct arena a;
		struct err e;

		if (options(queries[i], &o, &a, &e) == 0)
			fail_msg("%s was taken", queries[i]);
		arena_done(&a);
	}
}

static void test_negotiation(void **state)
{
	static const struct {
		const char *accept;
		unsigned allowed;
		enum form form;
	} rows[] = {
		{ "", 0, FORM_JSON },
		{ "*/*", 0, FORM_JSON },
		{ "application/*", 0, FORM_JSON },
		{ "application/json", 0, FORM_JSON },
		{ "Application/JSON; charset=utf-8", 0, FORM_JSON },
		{ "application/vnd.kubernetes.protobuf", ALLOW_OBJECT_FORMS, FORM_NONE },
		{ "application/vnd.kubernetes.protobuf,application/json", ALLOW_OBJECT_FORMS,
		  FORM_JSON },
		{ "application/vnd.kubernetes.protobuf, */*", ALLOW_OBJECT_FORMS, FORM_JSON },
		{ "application/json;as=Table;v=v1;g=meta.k8s.io,application/"
		  "json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
		  ALLOW_OBJECT_FORMS, FORM_TABLE },
		{ "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
		  ALLOW_OBJECT_FORMS, FORM_TABLE_V1BETA1 },
		{ "application/json;as=Table;v=v1;g=meta.k8s.io,application/json", 0, FORM_JSON },
		{ "application/json;as=Table;v=v1;g=meta.k8s.io", 0, FORM_NONE },
		{ "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
		  ALLOW_OBJECT_FORMS, FORM_JSON },
		{ "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,"
		  "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
		  ALLOW_OBJECT_FORMS, FORM_PARTIAL },
		{ "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
		  ALLOW_OBJECT_FORMS, FORM_PARTIAL_LIST },
		{ "application/"
		  "json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/"
		  "json",
		  ALLOW_DISCOVERY, FORM_DISCOVERY_V2 },
		{ "text/html", 0, FORM_NONE },
		{ ";,;=,=;", 0, FORM_NONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (negotiate(str_of(rows[i].accept), rows[i].allowed) != rows[i].form)
			fail_msg("Accept: %s gives %d", rows[i].accept,
				 negotiate(str_of(rows[i].accept), rows[i].allowed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),	     cmocka_unit_test(test_other_paths),
		cmocka_unit_test(test_bad_requests), cmocka_unit_test(test_options),
		cmocka_unit_test(test_bad_options),  cmocka_unit_test(test_negotiation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
