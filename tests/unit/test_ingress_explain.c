/* What is told about a request, from Ingress objects; and the admin address that tells it. */
#include "roles/ingress/observe/explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <zlib.h>

#include "net/http_client.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/observe/admin.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/route/model.h"
#include "roles/ingress/upstream/upstream.h"

static struct shared shared;
static struct model *model;
static struct explainer *ex;
static struct err e;

static void on_globals(void *ctx, struct globals *now, struct globals *old)
{
	(void)ctx, (void)old;
	shared.globals = now;
}

static void add(void (*set)(struct model *m, const json_t *obj), const char *text)
{
	json_error_t je;
	cleanup(json_decrefp) json_t *v = json_loads(text, 0, &je);

	if (!v)
		fail_msg("%s: %s", je.text, text);
	set(model, v);
}

static void set_ingress(struct model *m, const json_t *obj)
{
	model_set_ingress(m, (json_t *)(uintptr_t)obj);
}

static void ingress(const char *name, int age, const char *annotations, const char *host, const char *path, const char *service)
{
	cleanup(freep) char *text = xasprintf(
		"{\"metadata\":{\"namespace\":\"default\",\"name\":\"%s\",\"creationTimestamp\":\"2026-01-%02dT00:00:00Z\",\"annotations\":{"
		"\"kubernetes.io/ingress.class\":\"nginx\"%s%s}},\"spec\":{\"rules\":[{%s%s%s\"http\":{\"paths\":[{\"path\":\"%s\","
		"\"pathType\":\"%s\",\"backend\":{\"service\":{\"name\":\"%s\",\"port\":{\"number\":80}}}}]}}]}}",
		name, age, annotations[0] ? "," : "", annotations, host[0] ? "\"host\":\"" : "", host, host[0] ? "\"," : "", path,
		strchr(path, '(') ? "ImplementationSpecific" : "Prefix", service);
	add(set_ingress, text);
}

static void service(const char *name, const char *addresses)
{
	cleanup(freep) char *svc = xasprintf("{\"metadata\":{\"namespace\":\"default\",\"name\":\"%s\"},\"spec\":{\"clusterIP\":"
					     "\"10.96.0.1\",\"ports\":[{\"port\":80,\"targetPort\":8080}]}}", name);
	cleanup(freep) char *slice = xasprintf("{\"metadata\":{\"namespace\":\"default\",\"name\":\"%s-x\",\"labels\":{"
					       "\"kubernetes.io/service-name\":\"%s\"}},\"ports\":[{\"name\":\"\",\"port\":8080}],"
					       "\"endpoints\":[%s]}", name, name, addresses);
	add(model_set_service, svc);
	add(model_set_slice, slice);
}

#define NGINX "\"nginx.ingress.kubernetes.io/"
#define READY(ip) "{\"addresses\":[\"" ip "\"],\"conditions\":{\"ready\":true}}"

static int setup(void **state)
{
	struct model_ops ops = { .globals = on_globals, .filters_for = filters_for };

	(void)state;
	shared = (struct shared){ .main_loop = loop_new(&e), .routes = routes_new(NULL), .backends = backends_new(NULL), .synced = true };
	shared.metrics = metrics_new(&(struct metrics_config){ "c", "n", "p", shared.routes });
	model = model_new(&(struct model_config){ 0 }, &ops, NULL, shared.routes, shared.backends);
	service("shop", READY("10.0.0.1") "," READY("10.0.0.2"));
	service("v2", READY("10.0.1.1"));
	service("none", "");
	ingress("shop", 1, NGINX "rewrite-target\": \"/$2\"," NGINX "proxy-read-timeout\": \"7\"", "shop.test", "/api(/|$)(.*)", "shop");
	ingress("v2", 2, NGINX "canary\": \"true\"," NGINX "canary-by-header\": \"x-v2\"", "shop.test", "/api(/|$)(.*)", "v2");
	ingress("v3", 3, NGINX "canary\": \"true\"," NGINX "canary-by-cookie\": \"v3\"", "shop.test", "/api(/|$)(.*)", "none");
	ingress("old", 1, NGINX "permanent-redirect\": \"https://new.test/\"", "old.test", "/", "shop");
	ingress("www", 1, NGINX "from-to-www-redirect\": \"true\"", "name.test", "/", "shop");
	ingress("empty", 1, "", "empty.test", "/", "none");
	ingress("wild", 1, "", "*.wild.test", "/", "shop");
	model_flush(model);
	if (!shared.globals)
		shared.globals = model_globals(model);
	ex = explainer_new(&shared);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	explainer_free(ex);
	model_free(model);
	routes_free(shared.routes);
	backends_free(shared.backends);
	metrics_free(shared.metrics);
	loop_free(shared.main_loop);
	return 0;
}

static json_t *ask(const char *url, const char *header, const char *value)
{
	struct http_header h = { str_of(header), str_of(value) };
	json_t *doc = explain(ex, &(struct explain_request){ .url = str_of(url), .headers = &h, .n_headers = header ? 1 : 0 }, &e);

	if (!doc)
		fail_msg("%s: %s", url, e.message);
	return doc;
}

static bool has(const json_t *list, const char *member, const char *value)
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
		if (c_eq(jx_str(v, member), value))
			return true;
	return false;
}

static size_t picked(const json_t *doc)
{
	json_t *v;
	size_t i, n = 0;

	json_array_foreach(jx_at(doc, "endpoints"), i, v)
		n += jx_bool(v, "picked", false);
	return n;
}

static void proxied(void **state)
{
	cleanup(json_decrefp) json_t *doc = ask("http://shop.test/api/v1/x?q=1", NULL, NULL);

	(void)state;
	assert_string_equal(jx_str(doc, "location.ingress"), "shop");
	assert_string_equal(jx_str(doc, "host.name"), "shop.test");
	assert_true(jx_bool(doc, "host.regex", false));
	assert_string_equal(jx_str(doc, "upstream.target"), "/v1/x?q=1");
	assert_string_equal(jx_str(doc, "upstream.service"), "shop");
	assert_string_equal(jx_str(doc, "canary.why"), "primary");
	assert_true(has(jx_at(doc, "annotations"), "name", "rewrite-target"));
	assert_true(has(jx_at(doc, "annotations"), "value", "7"));
	assert_true(has(jx_at(doc, "annotations"), "from", "Ingress default/shop"));
	assert_true(has(jx_at(doc, "upstream.headers"), "value", "127.0.0.1"));
	assert_true(has(jx_at(doc, "deviations"), "id", "several-canaries"));
	assert_true(has(jx_at(doc, "deviations"), "id", "empty-canary"));
	assert_int_equal(jx_len(doc, "endpoints"), 2);
	assert_int_equal(picked(doc), 1);
	assert_null(jx_at(doc, "answer"));
	/* nothing is left behind */
	const struct location *loc = routes_match(shared.routes, STR("shop.test"), STR("/api/"));
	assert_int_equal(loc->backend->in_flight, 0);
	for (size_t i = 0; i < backend_endpoints(loc->backend)->n; i++) {
		assert_int_equal(backend_endpoints(loc->backend)->at[i]->in_flight, 0);
		assert_int_equal(backend_endpoints(loc->backend)->at[i]->requests, 0);
	}
	host_unref(loc->host);
	assert_int_equal(metrics_total(shared.metrics, METRIC_REQUESTS), 0);
}

static void canary(void **state)
{
	cleanup(json_decrefp) json_t *doc = ask("http://shop.test/api/v1", "X-V2", "always");

	(void)state;
	assert_string_equal(jx_str(doc, "canary.why"), "header");
	assert_string_equal(jx_str(doc, "upstream.service"), "v2");
	assert_true(jx_bool(json_array_get(jx_at(doc, "canary.candidates"), 0), "chosen", false));
	assert_string_equal(jx_str(json_array_get(jx_at(doc, "endpoints"), 0), "address"), "10.0.1.1:8080");
}

static void answered(void **state)
{
	cleanup(json_decrefp) json_t *redirect = ask("http://old.test/x", NULL, NULL);
	cleanup(json_decrefp) json_t *nobody = ask("http://nobody.test/x", NULL, NULL);
	cleanup(json_decrefp) json_t *path = ask("http://shop.test/other", NULL, NULL);
	cleanup(json_decrefp) json_t *empty = ask("http://empty.test/", NULL, NULL);
	cleanup(json_decrefp) json_t *wild = ask("http://a.wild.test/", NULL, NULL);
	cleanup(json_decrefp) json_t *www = ask("http://www.name.test/x", NULL, NULL);
	cleanup(json_decrefp) json_t *escape = ask("http://shop.test/../..", NULL, NULL);

	(void)state;
	assert_int_equal(jx_int(redirect, "answer.status", 0), 301);
	assert_string_equal(jx_str(redirect, "answer.by"), "redirect");
	assert_true(has(jx_at(redirect, "answer.headers"), "value", "https://new.test/"));
	assert_null(jx_at(redirect, "upstream"));
	assert_int_equal(jx_int(nobody, "answer.status", 0), 404);
	assert_null(jx_str(nobody, "host.name"));
	assert_int_equal(jx_int(path, "answer.status", 0), 404);
	assert_true(has(jx_at(path, "host.unmatched"), "path", "/api(/|$)(.*)"));
	assert_int_equal(jx_len(empty, "endpoints"), 0);
	assert_non_null(jx_at(empty, "endpoints"));
	assert_string_equal(jx_str(wild, "host.name"), "*.wild.test");
	assert_int_equal(jx_int(escape, "answer.status", 0), 400);
	assert_int_equal(jx_int(www, "answer.status", 0), 308);
	assert_true(has(jx_at(www, "answer.headers"), "value", "http://name.test:80/x"));
}

static void refused(void **state)
{
	static const char *const urls[] = { "", "shop.test", "ftp://shop.test/", "http://", "http://a b/", "http://shop.test/a b" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++)
		if (explain(ex, &(struct explain_request){ .url = str_of(urls[i]) }, &e))
			fail_msg("'%s' was taken", urls[i]);
	struct http_header evil = { STR("a"), STR("b\r\nHost: other") };
	assert_null(explain(ex, &(struct explain_request){ .url = STR("http://shop.test/"), .headers = &evil, .n_headers = 1 }, &e));
	assert_null(explain(ex, &(struct explain_request){ .url = STR("http://shop.test/"), .method = STR("G T") }, &e));
	assert_null(explain(ex, &(struct explain_request){ .url = STR("http://shop.test/"), .client = STR("me") }, &e));
}

/* ---- the admin address ---- */
static struct buf body;
static int status;

static void on_response(void *ctx, int got, struct http_headers headers)
{
	(void)ctx, (void)headers;
	status = got;
}

static void on_data(void *ctx, struct str bytes)
{
	(void)ctx;
	buf_put_str(&body, bytes);
}

static void on_done(void *ctx, const struct err *why, struct http_headers trailers)
{
	(void)ctx, (void)trailers;
	assert_null(why);
	loop_stop(shared.main_loop);
}

static const struct http_header *extra_header; /* of the next request; NULL: none */

static const char *get(struct http_client *c, const char *method, const char *path)
{
	static const struct http_call_ops ops = { .response = on_response, .data = on_data, .done = on_done };

	buf_clear(&body);
	http_client_send(c, &(struct http_call_request){ .method = method, .path = path, .timeout_ms = 10000, .headers = extra_header,
							  .n_headers = extra_header ? 1 : 0 }, &ops, NULL);
	loop_run(shared.main_loop);
	return body.ptr ? body.ptr : "";
}

static void admin_address(void **state)
{
	struct addr at;
	socklen_t len = sizeof(at.ss);
	struct err err;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1:0", &at, &err), 0);
	int fd = addr_listen(&at, 16, &err);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at.ss, &len), 0);
	at.len = len;
	struct admin *a = admin_new(shared.main_loop, &shared, fd, &err);
	assert_non_null(a);
	struct http_client *c = http_client_new(shared.main_loop, &(struct http_client_config){ .to = at, .authority = "x" });
	buf_init(&body, 64 << 20);
	assert_string_equal(get(c, "GET", "/healthz"), "ok");
	assert_string_equal(get(c, "GET", "/readyz"), "ok");
	shared.synced = false;
	get(c, "GET", "/readyz");
	assert_int_equal(status, 503);
	shared.synced = true;
	assert_non_null(strstr(get(c, "GET", "/metrics"), "nginx_ingress_controller_orphan_ingress{"));
	assert_non_null(strstr(body.ptr, "ingress=\"empty\",type=\"no-endpoint\"} 1\n"));
	cleanup(json_decrefp) json_t *top = jx_parse(str_of(get(c, "GET", "/top")), 1 << 20, &err);
	assert_true(has(jx_at(top, "endpoints"), "address", "10.0.0.2:8080"));
	cleanup(json_decrefp) json_t *doc = jx_parse(
		str_of(get(c, "GET", "/explain?url=http%3A%2F%2Fshop.test%2Fapi%2Fv1&header=x-v2:%20always")), 1 << 20, &err);
	assert_string_equal(jx_str(doc, "upstream.service"), "v2");
	get(c, "GET", "/explain");
	assert_int_equal(status, 400);
	get(c, "POST", "/healthz");
	assert_int_equal(status, 405);
	get(c, "GET", "/nothing");
	assert_int_equal(status, 404);
	/* more than one piece, read to its end */
	for (unsigned i = 0; i < 2000; i++) {
		char host[32];
		snprintf(host, sizeof(host), "h%u.test", i);
		metrics_location_ref(shared.metrics, "default", "web", "shop", host, "/");
	}
	struct worker w = { .shared = &shared, .loop = shared.main_loop };
	struct exchange x = { .worker = &w, .ended_us = 1 };
	w.metrics = metrics_shard_new(shared.metrics, &w);
	for (unsigned id = 1; id <= 2000; id++) {
		struct location loc = { .metrics_id = id };
		x.loc = &loc;
		x.ans.status = 200;
		metrics_exchange_done(&x);
	}
	get(c, "GET", "/metrics");
	assert_int_equal(status, 200);
	assert_true(body.len > 20 * METRICS_PIECE_BYTES);
	assert_string_equal(strrchr(strstr(body.ptr, "portico_route_duration_seconds_count"), '}') + 1, " 1\n");
	/* as Prometheus asks */
	size_t plain = body.len, unpacked = 0;
	extra_header = &(struct http_header){ STR("accept-encoding"), STR("deflate;q=0.5, gzip") };
	get(c, "GET", "/metrics");
	z_stream z = { .next_in = (unsigned char *)body.ptr, .avail_in = (unsigned)body.len };
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	for (int rc = Z_OK; rc != Z_STREAM_END; unpacked = z.total_out) {
		unsigned char out[65536];
		z.next_out = out;
		z.avail_out = sizeof(out);
		rc = inflate(&z, Z_NO_FLUSH);
		assert_true(rc == Z_OK || rc == Z_STREAM_END);
	}
	inflateEnd(&z);
	assert_in_range(unpacked, plain - 1000, plain + 1000);
	assert_true(body.len * 10 < plain);
	extra_header = NULL;
	get(c, "GET", "/metrics?exclude=bytes_sent,nginx_ingress_controller_request_size,portico_route_duration_seconds");
	assert_null(strstr(body.ptr, "_bytes_sent"));
	assert_null(strstr(body.ptr, "portico_route_duration"));
	assert_non_null(strstr(body.ptr, "nginx_ingress_controller_response_size_count"));
	http_client_free(c);
	admin_free(a);
	buf_done(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(proxied), cmocka_unit_test(canary), cmocka_unit_test(answered), cmocka_unit_test(refused),
		cmocka_unit_test(admin_address),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
