#include "base/file.h"
#include "fake_api.h"
#include "net_pki.h"

static const struct kube_gvr things = { "", "v1", "things" };

struct fixture {
	struct loop *loop;
	struct fake_api api;
	struct kube_client *kube;
	int status, answers;
	char message[ERR_MESSAGE_BYTES], name[64];
	enum err_reason reason;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct err e;

	f->loop = loop_new(&e);
	fake_init(&f->api, f->loop);
	f->kube = fake_client(&f->api);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kube_client_free(f->kube);
	fake_done(&f->api);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void answered(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct fixture *f = ctx;

	f->answers++;
	f->status = status;
	f->reason = e ? e->reason : ERR_NONE;
	snprintf(f->message, sizeof(f->message), "%s", e ? e->message : "");
	snprintf(f->name, sizeof(f->name), "%s", jx_name(obj) ? jx_name(obj) : "");
}

static bool has_answer(void *ctx)
{
	return ((struct fixture *)ctx)->answers > 0;
}

static void wait_answer(struct fixture *f)
{
	f->answers = 0;
	assert_true(fake_run(f->loop, has_answer, f, 5000));
	assert_int_equal(f->answers, 1);
}

static void test_paths(void **state)
{
	(void)state;
	static const struct {
		struct kube_gvr gvr;
		const char *ns, *name, *sub, *path;
	} rows[] = {
		{ { "", "v1", "pods" }, NULL, NULL, NULL, "/api/v1/pods" },
		{ { "", "v1", "pods" }, "ns", NULL, NULL, "/api/v1/namespaces/ns/pods" },
		{ { "apps", "v1", "deployments" },
		  "ns",
		  "d",
		  "status",
		  "/apis/apps/v1/namespaces/ns/deployments/d/status" },
		{ { "", "v1", "nodes" }, NULL, "n", NULL, "/api/v1/nodes/n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(freep) char *path =
			kube_path(rows[i].gvr, rows[i].ns, rows[i].name, rows[i].sub);
		assert_string_equal(path, rows[i].path);
	}
}

static int answer_created(struct fake_api *f, const struct http_request *r, json_t **ret_body)
{
	(void)r;
	*ret_body = f->last_body ? json_incref(f->last_body) : J("{'metadata':{'name':'it'}}");
	return 201;
}

static void test_verbs(void **state)
{
	struct fixture *f = *state;
	cleanup(json_decrefp) json_t *obj = fake_object("a", "1", 1);

	f->api.other = answer_created;
	kube_create(f->kube, things, obj, answered, f);
	wait_answer(f);
	assert_int_equal(f->status, 201);
	assert_string_equal(f->name, "a");
	assert_string_equal(f->api.last_method, "POST");
	assert_string_equal(f->api.last_path, "/api/v1/namespaces/ns/things");
	assert_string_equal(f->api.last_type, KUBE_JSON);
	kube_update(f->kube, things, "status", obj, answered, f);
	wait_answer(f);
	assert_string_equal(f->api.last_method, "PUT");
	assert_string_equal(f->api.last_path, "/api/v1/namespaces/ns/things/a/status");
	kube_patch(f->kube, things, "ns", "a", NULL, KUBE_MERGE_PATCH, obj, answered, f);
	wait_answer(f);
	assert_string_equal(f->api.last_type, KUBE_MERGE_PATCH);
	kube_delete(f->kube, things, "ns", "a", NULL, answered, f);
	wait_answer(f);
	assert_string_equal(f->api.last_method, "DELETE");
	assert_null(f->api.last_body);
}

static int answer_exists(struct fake_api *f, const struct http_request *r, json_t **ret_body)
{
	(void)f;
	(void)r;
	*ret_body = fake_status(409, "AlreadyExists", "things \\\"a\\\" already exists");
	return 409;
}

static int answer_conflict(struct fake_api *f, const struct http_request *r, json_t **ret_body)
{
	(void)f;
	(void)r;
	*ret_body = fake_status(409, "Conflict", "the object has been modified");
	return 409;
}

static int answer_no_json(struct fake_api *f, const struct http_request *r, json_t **ret_body)
{
	(void)f;
	(void)r;
	*ret_body = json_string("x");
	return 502;
}

static void test_errors(void **state)
{
	struct fixture *f = *state;

	kube_get(f->kube, things, "ns", "a", answered, f);
	wait_answer(f);
	assert_int_equal(f->status, 404);
	assert_int_equal(f->reason, ERR_NOT_FOUND);
	f->api.other = answer_exists;
	kube_get(f->kube, things, "ns", "a", answered, f);
	wait_answer(f);
	assert_int_equal(f->reason,
			 ERR_ALREADY_EXISTS); /* by its reason: Conflict has the same code */
	assert_string_equal(f->message, "things \"a\" already exists");
	f->api.other = answer_conflict;
	kube_get(f->kube, things, "ns", "a", answered, f);
	wait_answer(f);
	assert_int_equal(f->reason, ERR_CONFLICT);
	f->api.other = answer_no_json;
	kube_get(f->kube, things, "ns", "a", answered, f);
	wait_answer(f);
	assert_int_equal(f->status, 502);
	assert_string_equal(f->message, "the server answered 502 Bad Gateway");
}

static void test_server_restarts(void **state)
{
	struct fixture *f = *state;

	f->api.other = answer_created;
	kube_get(f->kube, things, "ns", "a", answered, f);
	wait_answer(f);
	fake_close(&f->api);
	kube_get(f->kube, things, "ns", "a", answered, f);
	wait_answer(f);
	assert_int_equal(f->status, 0);
	assert_int_not_equal(f->reason, ERR_NONE);
	fake_open(&f->api);
	kube_get(f->kube, things, "ns", "a", answered, f);
	wait_answer(f);
	assert_int_equal(f->status, 201);
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;

	f->api.other = answer_created;
	kube_cancel(kube_request(f->kube, "GET", "/x", NULL, NULL, answered, f));
	kube_get(f->kube, things, "ns", "a", answered, f);
	wait_answer(f);
	kube_cancel(NULL);
}

static void test_prefix_and_token_file(void **state)
{
	struct fixture *f = *state;
	char path[] = "/tmp/portico-test-token-XXXXXX";
	cleanup(freep) char *url = xasprintf("http://127.0.0.1:%d/clusters/one/", f->api.port);
	struct err e;

	close(mkstemp(path));
	assert_int_equal(file_write(path, STR("fresh\n"), 0600, &e), 0);
	struct kube_client *k = kube_client_new(
		f->loop, &(struct kube_config){ .server = url, .token = "old", .token_file = path },
		"test", &e);
	assert_non_null(k);
	kube_get(k, things, NULL, "a", answered, f);
	wait_answer(f);
	assert_string_equal(f->api.last_path, "/clusters/one/api/v1/things/a");
	assert_string_equal(f->api.last_authorization, "Bearer fresh");
	kube_client_free(k);
	unlink(path);
}

static void test_bad_servers(void **state)
{
	struct fixture *f = *state;
	static const char *const rows[] = {
		"",	    "127.0.0.1:1", "ftp://x",
		"https://", "https:///x",  "http://no.such.host.invalid"
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		assert_null(kube_client_new(
			f->loop, &(struct kube_config){ .server = (char *)rows[i] }, "test", &e));
		assert_true(e.message[0]);
	}
}

static void test_tls_with_client_certificate(void **state)
{
	struct fixture *f = *state;
	struct pki ca = pki_make("ca", NULL, NULL),
		   server = pki_make("server", "IP:127.0.0.1", &ca);
	struct pki client = pki_make("client", NULL, &ca),
		   stranger = pki_make("other ca", NULL, NULL);
	static const char *const alpn[] = { "h2", NULL };
	struct err e;

	fake_close(&f->api);
	f->api.other = answer_created;
	f->api.tls = tls_server_new(&(struct tls_config){ .cert_pem = str_of(server.cert_pem),
							  .key_pem = str_of(server.key_pem),
							  .ca_pem = str_of(ca.cert_pem),
							  .verify_peer = true,
							  .alpn = alpn },
				    &e);
	assert_non_null(f->api.tls);
	fake_open(&f->api);
	cleanup(freep) char *url = xasprintf("https://127.0.0.1:%d", f->api.port);
	struct kube_config c = { .server = url,
				 .ca_pem = ca.cert_pem,
				 .cert_pem = client.cert_pem,
				 .key_pem = client.key_pem };
	struct kube_client *k = kube_client_new(f->loop, &c, "test", &e);
	assert_string_equal(kube_client_ca(k), ca.cert_pem);
	kube_get(k, things, NULL, "a", answered, f);
	wait_answer(f);
	assert_int_equal(f->status, 201);
	kube_client_free(k);
	c.ca_pem = stranger.cert_pem;
	k = kube_client_new(f->loop, &c, "test", &e);
	kube_get(k, things, NULL, "a", answered, f);
	wait_answer(f);
	assert_int_equal(f->status, 0);
	kube_client_free(k);
	fake_close(&f->api);
	tls_unref(f->api.tls);
	pki_done(&ca);
	pki_done(&server);
	pki_done(&client);
	pki_done(&stranger);
}

/* ---- events ---- */

static int answer_gone(struct fake_api *f, const struct http_request *r, json_t **ret_body)
{
	*ret_body = str_eq_c(r->method, "PATCH") ? fake_status(404, "NotFound", "expired")
						 : json_incref(f->last_body);
	return str_eq_c(r->method, "PATCH") ? 404 : 201;
}

static void event(struct fixture *f, const json_t *obj, const char *text)
{
	unsigned before = f->api.requests;

	kube_event(f->kube, obj, "tester", "Warning", "Tested", "%s", text);
	for (int i = 0; i < 100 && f->api.requests == before; i++)
		fake_run(f->loop, NULL, NULL, 5);
	fake_run(f->loop, NULL, NULL, 20);
}

static void test_events_are_counted_up(void **state)
{
	struct fixture *f = *state;
	cleanup(json_decrefp) json_t *pod =
		J("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','namespace':'ns',"
		  "'uid':'u','resourceVersion':'7'}}");
	cleanup(json_decrefp) json_t *node =
		J("{'apiVersion':'v1','kind':'Node','metadata':{'name':'n','uid':'u2'}}");

	f->api.other = answer_created;
	event(f, pod, "first");
	assert_string_equal(f->api.last_path, "/api/v1/namespaces/ns/events");
	assert_string_equal(jx_str(f->api.last_body, "involvedObject.kind"), "Pod");
	assert_string_equal(jx_str(f->api.last_body, "involvedObject.resourceVersion"), "7");
	assert_string_equal(jx_str(f->api.last_body, "message"), "first");
	assert_string_equal(jx_str(f->api.last_body, "source.component"), "tester");
	assert_string_equal(jx_str(f->api.last_body, "type"), "Warning");
	assert_int_equal(jx_int(f->api.last_body, "count", 0), 1);
	event(f, pod, "first");
	assert_string_equal(f->api.last_method, "PATCH");
	assert_int_equal(jx_int(f->api.last_body, "count", 0), 2);
	event(f, pod, "second");
	assert_string_equal(f->api.last_method, "POST");
	event(f, node, "first");
	assert_string_equal(f->api.last_path, "/api/v1/namespaces/default/events");
	/* The server has forgotten the first one: the next is written anew. */
	f->api.other = answer_gone;
	event(f, pod, "first");
	assert_string_equal(f->api.last_method, "PATCH");
	event(f, pod, "first");
	assert_string_equal(f->api.last_method, "POST");
	assert_int_equal(jx_int(f->api.last_body, "count", 0), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_paths),
		T(test_verbs),
		T(test_errors),
		T(test_server_restarts),
		T(test_cancel),
		T(test_prefix_and_token_file),
		T(test_bad_servers),
		T(test_tls_with_client_certificate),
		T(test_events_are_counted_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
