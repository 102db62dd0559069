/* Watches over the wire: where they begin, what selectors make of events, bookmarks, and 410. */
#include "apiserver_harness.h"

#include "base/file.h"
#include "net/http_client.h"

#define NS "/api/v1/namespaces/default"
#define PEM_BYTES (64u << 10)

struct watch {
	struct api_world *w;
	struct tls *tls;
	struct http_client *client;
	struct http_call *call;
	struct buf text; /* all lines so far */
	const char *until;
	bool ended;
};

static void read_pem(struct api_world *w, const char *file, struct buf *out)
{
	cleanup(freep) char *path = xasprintf("%s/pki/%s", w->config.data_dir, file);
	struct err e;

	buf_init(out, PEM_BYTES);
	if (file_read(path, out, &e) < 0)
		fail_msg("%s", e.message);
}

static void on_data(void *ctx, struct str bytes)
{
	struct watch *wa = ctx;

	assert_int_equal(buf_put_str(&wa->text, bytes), 0);
	if (wa->until && strstr(wa->text.ptr, wa->until))
		loop_stop(wa->w->loop);
}

static void on_done(void *ctx, const struct err *e, struct http_headers trailers)
{
	struct watch *wa = ctx;

	(void)trailers;
	if (e)
		fail_msg("%s", e->message);
	wa->ended = true;
	wa->call = NULL;
	loop_stop(wa->w->loop);
}

static const struct http_call_ops ops = { .data = on_data, .done = on_done };

static void watch_start(struct watch *wa, struct api_world *w, const char *path, const char *accept)
{
	struct buf ca, crt, key;
	struct err e;

	*wa = (struct watch){ .w = w };
	buf_init(&wa->text, 1 << 20);
	buf_puts(&wa->text, "");
	read_pem(w, "ca.crt", &ca);
	read_pem(w, "admin.crt", &crt);
	read_pem(w, "admin.key", &key);
	static const char *const alpn[] = { "h2", NULL };
	const struct tls_config tc = { .ca_pem = buf_str(&ca),
				       .cert_pem = buf_str(&crt),
				       .key_pem = buf_str(&key),
				       .verify_peer = true,
				       .alpn = alpn };
	wa->tls = tls_client_new(&tc, &e);
	assert_non_null(wa->tls);
	buf_done(&ca);
	buf_done(&crt);
	buf_done(&key);
	struct http_client_config c = {
		.authority = "localhost", .server_name = "localhost", .tls = wa->tls, .h2 = true
	};
	assert_int_equal(addr_parse(w->config.api_address, &c.to, &e), 0);
	wa->client = http_client_new(w->loop, &c);
	const struct http_header headers[] = { { STR("accept"),
						 str_of(accept ? accept : "application/json") } };
	const struct http_call_request r = {
		.method = "GET", .path = path, .headers = headers, .n_headers = 1
	};
	wa->call = http_client_send(wa->client, &r, &ops, wa);
}

static void watch_until(struct watch *wa, const char *text)
{
	wa->until = text;
	while (!strstr(wa->text.ptr, text) && !wa->ended)
		loop_run(wa->w->loop);
	if (!strstr(wa->text.ptr, text))
		fail_msg("no %s in %s", text, wa->text.ptr);
}

static void watch_to_end(struct watch *wa)
{
	wa->until = NULL;
	while (!wa->ended)
		loop_run(wa->w->loop);
}

static void watch_stop(struct watch *wa)
{
	http_call_cancel(wa->call);
	http_client_free(wa->client);
	tls_unref(wa->tls);
	buf_done(&wa->text);
}

/* "ADDED:a MODIFIED:b …": types and names of all events but bookmarks. */
static char *summary(struct watch *wa)
{
	struct str rest = buf_str(&wa->text);
	struct buf out;

	buf_init(&out, 1 << 16);
	buf_puts(&out, "");
	while (rest.ptr && rest.len) {
		struct err e;
		struct str line = str_cut(rest, '\n', &rest);
		cleanup(json_decrefp) json_t *ev = jx_parse(line, 1 << 20, &e);
		if (!ev)
			fail_msg("%s in " STR_FMT, e.message, STR_ARG(line));
		if (!c_eq(jx_str(ev, "type"), "BOOKMARK"))
			buf_printf(&out, "%s:%s ", jx_str(ev, "type"),
				   jx_str_or(ev, "object.metadata.name", "-"));
	}
	return buf_take(&out);
}

static void put(struct api_world *w, const char *method, const char *name, const char *app)
{
	cleanup(freep) char *path = xasprintf(NS "/configmaps%s%s", c_eq(method, "POST") ? "" : "/",
					      c_eq(method, "POST") ? "" : name);
	cleanup(json_decrefp) json_t *map =
		json_pack("{s:s,s:s,s:{s:s,s:{s:s}}}", "kind", "ConfigMap", "apiVersion", "v1",
			  "metadata", "name", name, "labels", "app", app);
	struct api_answer a =
		api_ask(w, method, path, KUBE_JSON, c_eq(method, "DELETE") ? NULL : map);

	if (a.status / 100 != 2)
		fail_msg("%s %s: %s", method, path, a.message);
	api_answer_done(&a);
}

static char *list_rv(struct api_world *w)
{
	struct api_answer a = api_ask(w, "GET", NS "/configmaps", NULL, NULL);
	char *rv = xstrdup(jx_str(a.body, "metadata.resourceVersion"));

	api_answer_done(&a);
	return rv;
}

static void test_from_a_version(void **state)
{
	struct api_world *w = *state;
	struct watch wa;

	put(w, "POST", "before", "x");
	cleanup(freep) char *rv = list_rv(w),
			    *path = xasprintf(NS "/configmaps?watch=1&resourceVersion=%s", rv);
	put(w, "POST", "missed", "x");
	put(w, "DELETE", "before", "x");
	watch_start(&wa, w, path, NULL);
	watch_until(&wa, "DELETED");
	put(w, "PUT", "missed", "y");
	watch_until(&wa, "MODIFIED");
	cleanup(freep) char *seen = summary(&wa);
	assert_string_equal(seen, "ADDED:missed DELETED:before MODIFIED:missed ");
	watch_stop(&wa);
}

static void test_objects_enter_and_leave_a_selector(void **state)
{
	struct api_world *w = *state;
	struct watch wa;
	cleanup(freep) char *rv = list_rv(w);
	cleanup(freep) char *path =
		xasprintf(NS "/configmaps?watch=1&labelSelector=app%%3Dweb&resourceVersion=%s", rv);

	watch_start(&wa, w, path, NULL);
	put(w, "POST", "a", "other");
	put(w, "POST", "b", "web");
	put(w, "PUT", "a", "web");
	put(w, "PUT", "b", "other");
	put(w, "DELETE", "b", NULL);
	put(w, "DELETE", "a", NULL);
	watch_until(&wa, "\"DELETED\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\","
			 "\"metadata\":{\"name\":\"a\"");
	cleanup(freep) char *seen = summary(&wa);
	assert_string_equal(seen, "ADDED:b ADDED:a DELETED:b DELETED:a ");
	watch_stop(&wa);
}

static void test_initial_events(void **state)
{
	struct api_world *w = *state;
	struct watch wa;

	put(w, "POST", "a", "x");
	watch_start(&wa, w,
		    NS "/configmaps?watch=1&sendInitialEvents=true&resourceVersionMatch="
		       "NotOlderThan&allowWatchBookmarks=true",
		    NULL);
	watch_until(&wa, "\"k8s.io/initial-events-end\":\"true\"");
	put(w, "POST", "b", "x");
	watch_until(&wa, "\"name\":\"b\"");
	cleanup(freep) char *seen = summary(&wa);
	assert_string_equal(seen, "ADDED:a ADDED:b ");
	watch_stop(&wa);
}

static void test_too_old(void **state)
{
	struct api_world *w = *state;
	struct watch wa;

	/* History is in memory: what was before the restart cannot be resumed. */
	api_disconnect(w);
	api_kill(w, SIGTERM);
	api_start(w);
	api_connect(w);
	watch_start(&wa, w, NS "/configmaps?watch=1&resourceVersion=1&timeoutSeconds=30", NULL);
	watch_until(&wa, "Expired");
	assert_non_null(strstr(wa.text.ptr, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\""));
	assert_non_null(strstr(wa.text.ptr, "too old resource version: 1 ("));
	watch_to_end(&wa);
	watch_stop(&wa);
	/* A version that this store never gave belongs to another one's past. */
	watch_start(&wa, w, NS "/configmaps?watch=1&resourceVersion=99999999&timeoutSeconds=30",
		    NULL);
	watch_until(&wa, "\"code\":410");
	watch_stop(&wa);
}

static void test_end_with_a_bookmark(void **state)
{
	struct api_world *w = *state;
	struct watch wa;
	cleanup(freep) char *rv = list_rv(w);
	cleanup(freep) char *path = xasprintf(
		NS
		"/configmaps?watch=1&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion=%s",
		rv);

	watch_start(&wa, w, path, NULL);
	watch_to_end(&wa);
	assert_non_null(
		strstr(wa.text.ptr, "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"ConfigMap\""));
	watch_stop(&wa);
}

static void test_tables(void **state)
{
	struct api_world *w = *state;
	struct watch wa;

	put(w, "POST", "a", "x");
	watch_start(&wa, w, NS "/configmaps?watch=1",
		    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
	watch_until(&wa, "\"cells\":[\"a\"");
	put(w, "POST", "b", "x");
	watch_until(&wa, "\"cells\":[\"b\"");
	/* Only the first event says what the columns are. */
	const char *columns = strstr(wa.text.ptr, "\"columnDefinitions\":[");
	assert_non_null(columns);
	assert_null(strstr(columns + 1, "\"columnDefinitions\":["));
	watch_stop(&wa);
}

static int setup(void **state)
{
	*state = api_world_new();
	return 0;
}

static int teardown(void **state)
{
	api_world_free(*state);
	return 0;
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_from_a_version),	     T(test_objects_enter_and_leave_a_selector),
		T(test_initial_events),	     T(test_too_old),
		T(test_end_with_a_bookmark), T(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
