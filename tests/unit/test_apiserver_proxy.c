/* pods/proxy and services/proxy: names, paths, headers and redirects alone, then a real server with
 * a real target.
 *
 * The target must have an address that is nobody's loopback, so the second part runs as root in a
 * network namespace of its own.
 */
#include "apiserver_harness.h"
#include "quoted_json.h"
#include "net/http_server.h"
#include "roles/apiserver/proxy_message.h"
#include "roles/apiserver/proxy_target.h"

#include <sched.h>

#define NS "/api/v1/namespaces/default"
#define TARGET_IP "198.51.100.7"
#define ARENA_BYTES (1u << 20)
#define BIG_BYTES (8u << 20) /* more than all buffers on the way */

/* ---- names ---- */

static void test_names(void **state)
{
	static const struct {
		const char *id, *scheme, *name, *port; /* scheme NULL: refused */
	} rows[] = {
		{"a", "", "a", ""},
		{"a:80", "", "a", "80"},
		{"a:http", "", "a", "http"},
		{"http:a:80", "http", "a", "80"},
		{"https:a:", "https", "a", ""},
		{":a:80", "", "a", "80"},
		{"a:", "", "a", ""},
		{"ftp:a:80"},
		{":80"},
		{"http::80"},
		{"http:a:80:90"},
		{""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct proxy_name n;
		struct arena a;
		struct err e;

		arena_init(&a, ARENA_BYTES);
		int rc = proxy_name_parse(rows[i].id, "pod", &a, &n, &e);
		if ((rc == 0) != (rows[i].scheme != NULL))
			fail_msg("%s: %d", rows[i].id, rc);
		if (rc == 0 && (!c_eq(n.scheme, rows[i].scheme) || !c_eq(n.name, rows[i].name) ||
				!c_eq(n.port, rows[i].port)))
			fail_msg("%s: %s %s %s", rows[i].id, n.scheme, n.name, n.port);
		if (rc < 0)
			assert_int_equal(e.reason, ERR_BAD_REQUEST);
		arena_done(&a);
	}
}

/* ---- messages ---- */

#define PREFIX "/api/v1/namespaces/n/pods/p/proxy"

static struct proxy_message message(struct arena *a, const char *path, size_t rest_at)
{
	arena_init(a, ARENA_BYTES);
	return (struct proxy_message){.arena = a,
				      .path = path,
				      .rest = rest_at ? path + rest_at : NULL,
				      .client = "192.0.2.9",
				      .authority = "10.0.0.5:8080",
				      .own_authority = STR("api.example:6443")};
}

static void test_paths(void **state)
{
	static const struct {
		const char *path, *query, *out;
		size_t rest_at;
	} rows[] = {
		{PREFIX "/", "", "/", 0},
		{PREFIX "/a/b/", "", "/a/b/", sizeof(PREFIX)},
		{PREFIX "/a b?c%#\"", "x=%zz&y", "/a%20b%3Fc%25%23%22?x=%zz&y", sizeof(PREFIX)},
		{PREFIX "/\xc3\xa4$&+,:;=@-_.~!", "", "/%C3%A4$&+,:;=@-_.~%21", sizeof(PREFIX)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a;
		const struct proxy_message m = message(&a, rows[i].path, rows[i].rest_at);

		assert_string_equal(proxy_message_path(&m, str_of(rows[i].query)), rows[i].out);
		arena_done(&a);
	}
}

static void test_locations(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{"/login", PREFIX "/login"},
		{"/login?next=/x#y", PREFIX "/login?next=/x#y"},
		{"http://10.0.0.5:8080/a/", PREFIX "/a/"},
		{"https://api.example:6443/a", PREFIX "/a"},
		{"//10.0.0.5:8080/a", PREFIX "/a"},
		{PREFIX "/a", PREFIX "/a"},
		{"login", "login"},
		{"../login", "../login"},
		{"http://elsewhere.example/a", "http://elsewhere.example/a"},
		{"//elsewhere.example/a", "//elsewhere.example/a"},
		{"mailto:/x", "mailto:/x"},
		{"", ""},
		{":", ":"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct http_header h = {STR("location"), str_of(rows[i].from)};
		struct arena a;
		const struct proxy_message m = message(&a, PREFIX "/x/y", sizeof(PREFIX));
		struct http_headers out;
		struct err e;

		assert_int_equal(proxy_message_answer(&m, (struct http_headers){&h, 1}, &out, &e),
				 0);
		if (!str_eq_c(out.at[0].value, rows[i].to))
			fail_msg("%s: " STR_FMT, rows[i].from, STR_ARG(out.at[0].value));
		arena_done(&a);
	}
}

static void test_request_headers(void **state)
{
	static const struct http_header in[] = {
		{STR("authorization"), STR("Bearer secret")},
		{STR("impersonate-user"), STR("root")},
		{STR("impersonate-extra-x"), STR("y")},
		{STR("connection"), STR("keep-alive, X-Hop")},
		{STR("x-hop"), STR("1")},
		{STR("te"), STR("trailers")},
		{STR("expect"), STR("100-continue")},
		{STR("x-forwarded-for"), STR("203.0.113.1")},
		{STR("accept"), STR("text/html")},
		{STR("cookie"), STR("a=b")},
	};
	static const struct http_header want[] = {
		{STR("accept"), STR("text/html")},
		{STR("cookie"), STR("a=b")},
		{STR("x-forwarded-for"), STR("203.0.113.1, 192.0.2.9")},
		{STR("x-forwarded-uri"), STR(PREFIX "/x%20y/")},
		{STR("content-length"), STR("0")},
	};
	const struct http_request r = {.method = STR("POST"), .headers = {in, ARRAY_LEN(in)}};
	struct arena a;
	const struct proxy_message m = message(&a, PREFIX "/x y/", sizeof(PREFIX));
	struct http_headers out;
	struct err e;

	(void)state;
	assert_int_equal(proxy_message_request(&m, &r, &out, &e), 0);
	assert_int_equal(out.n, ARRAY_LEN(want));
	for (size_t i = 0; i < out.n; i++)
		if (!str_eq(out.at[i].name, want[i].name) ||
		    !str_eq(out.at[i].value, want[i].value))
			fail_msg(STR_FMT ": " STR_FMT, STR_ARG(out.at[i].name),
				 STR_ARG(out.at[i].value));
	arena_done(&a);
}

static void test_answer_headers(void **state)
{
	static const struct http_header in[] = {
		{STR("date"), STR("x")},
		{STR("transfer-encoding"), STR("chunked")},
		{STR("content-length"), STR("7")},
		{STR("access-control-allow-origin"), STR("*")},
		{STR("content-type"), STR("text/plain")},
	};
	static char large[PROXY_ANSWER_HEADER_BYTES];
	const struct http_header too_large = {STR("x"), {large, sizeof(large)}};
	struct arena a;
	const struct proxy_message m = message(&a, PREFIX, 0);
	struct http_headers out;
	struct err e;

	(void)state;
	assert_int_equal(
		proxy_message_answer(&m, (struct http_headers){in, ARRAY_LEN(in)}, &out, &e), 0);
	assert_int_equal(out.n, 1);
	assert_true(str_eq_c(out.at[0].value, "text/plain"));
	assert_int_equal(proxy_message_answer(&m, (struct http_headers){&too_large, 1}, &out, &e),
			 -1);
	assert_int_equal(e.reason, ERR_UNAVAILABLE);
	arena_done(&a);
}

/* ---- a real server and a real target ---- */

struct world {
	struct api_world *api;
	struct http_server *target;
	uint16_t port;
};

static char *text_of(struct str s)
{
	return xstrndup(s.ptr ? s.ptr : "", s.len);
}

/* Says what it was asked; /big says much. */
static void target_answers(void *ctx, struct http_exchange *x)
{
	const struct http_request *r = http_request_of(x);
	const struct http_header type = {STR("content-type"), STR("application/json")};
	static const char *const shown[] = {"authorization", "x-forwarded-uri", "x-forwarded-for"};
	cleanup(json_decrefp) json_t *said = json_object();
	cleanup(freep) char *method = text_of(r->method), *target = text_of(r->target),
			    *body = text_of(r->body);

	(void)ctx;
	jx_set_str(said, "method", method);
	jx_set_str(said, "target", target);
	jx_set_str(said, "body", body);
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		struct str v = http_header_get(r->headers, shown[i]);
		if (v.ptr)
			json_object_set_new(said, shown[i], json_stringn(v.ptr, v.len));
	}
	if (str_eq_c(r->path, "/big")) {
		cleanup(freep) char *big = xmalloc(BIG_BYTES);
		memset(big, 'x', BIG_BYTES);
		json_object_set_new(said, "big", json_stringn(big, BIG_BYTES));
	}
	cleanup(freep) char *text = jx_dump_text(said);
	http_reply(x, str_eq_c(r->path, "/teapot") ? 418 : 200, &type, 1, str_of(text));
}

static void start_target(struct world *w)
{
	const struct http_server_config c = {.request = target_answers,
					     .body_max = 1 << 20,
					     .connections_max = 16,
					     .idle_ms = 60000};
	struct addr a;
	struct err e;

	assert_int_equal(addr_from_ip(TARGET_IP, 0, &a, &e), 0);
	int fd = addr_listen(&a, 16, &e);
	assert_true(fd >= 0);
	a.len = sizeof(a.ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a.ss, &a.len), 0);
	w->port = ntohs(((struct sockaddr_in *)&a.ss)->sin_port);
	w->target = http_server_new(w->api->loop, &c);
	assert_int_equal(http_server_listen(w->target, fd, &e), 0);
}

static void put(struct api_world *w, const char *method, const char *path, const char *body)
{
	cleanup(json_decrefp) json_t *tree = J("%s", body);
	struct api_answer a =
		api_ask(w, method, path, method[1] == 'A' ? KUBE_MERGE_PATCH : KUBE_JSON, tree);

	if (a.status / 100 != 2)
		fail_msg("%s %s: %d %s", method, path, a.status, a.message);
	api_answer_done(&a);
}

static void make_pod(struct world *w, const char *name, const char *ip)
{
	cleanup(freep) char *pod = xasprintf("{'kind':'Pod','apiVersion':'v1','metadata':{'name':'%"
					     "s'},'spec':{'containers':[{'name':'c',"
					     "'image':'i','ports':[{'containerPort':%u}]}]}}",
					     name, w->port);
	cleanup(freep) char *status =
		xasprintf("{'status':{'podIP':'%s','podIPs':[{'ip':'%s'}]}}", ip, ip);
	cleanup(freep) char *path = xasprintf(NS "/pods/%s/status", name);

	put(w->api, "POST", NS "/pods", pod);
	put(w->api, "PATCH", path, status);
}

/* Three endpoints: one that is not ready, one whose address is not its pod's, and the one that may
 * be asked. */
static void make_service(struct world *w)
{
	cleanup(freep) char *slice = xasprintf(
		"{'kind':'EndpointSlice','apiVersion':'discovery.k8s.io/"
		"v1','metadata':{'name':'s-1','labels':"
		"{'kubernetes.io/"
		"service-name':'s'}},'addressType':'IPv4','ports':[{'name':'web','port':%u}],"
		"'endpoints':[{'addresses':['198.51.100.8'],'conditions':{'ready':false},'"
		"targetRef':"
		"{'kind':'Pod','name':'p'}},{'addresses':['198.51.100.9'],'targetRef':{'kind':'Pod'"
		",'name':"
		"'p'}},{'addresses':['" TARGET_IP "'],'targetRef':{'kind':'Pod','name':'p'}}]}",
		w->port);

	put(w->api, "POST", NS "/services",
	    "{'kind':'Service','apiVersion':'v1','metadata':{'name':'s'},'spec':{'ports':[{'name':'"
	    "web',"
	    "'port':81}]}}");
	put(w->api, "POST", NS "/services",
	    "{'kind':'Service','apiVersion':'v1','metadata':{'name':'none'},'spec':{'ports':[{'"
	    "port':81}]}}");
	put(w->api, "POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice);
}

static int world_up(void **state)
{
	struct world *w = *state = xcalloc(1, sizeof(*w));

	w->api = api_world_new();
	start_target(w);
	put(w->api, "POST", NS "/serviceaccounts",
	    "{'kind':'ServiceAccount','apiVersion':'v1','metadata':{'name':'default'}}");
	make_pod(w, "p", TARGET_IP);
	make_pod(w, "loop", "127.0.0.1");
	make_pod(w, "metadata", "169.254.169.254");
	make_service(w);
	return 0;
}

static int world_down(void **state)
{
	struct world *w = *state;

	http_server_free(w->target);
	api_world_free(w->api);
	free(w);
	return 0;
}

static void expect(struct world *w, const char *method, const char *path, int status,
		   const char *message, const char *at, const char *value)
{
	cleanup(json_decrefp) json_t *body = method[0] == 'P' ? J("{'k':'v'}") : NULL;
	struct api_answer a = api_ask(w->api, method, path, KUBE_JSON, body);

	if (a.status != status || (message && !strstr(a.message, message)))
		fail_msg("%s %s: %d %s", method, path, a.status, a.message);
	if (at && !c_eq(jx_str(a.body, at), value))
		fail_msg("%s %s: %s is %s", method, path, at, jx_str(a.body, at));
	api_answer_done(&a);
}

static void test_pods(void **state)
{
	struct world *w = *state;
	cleanup(freep) char *by_port =
		xasprintf(NS "/pods/http:p:%u/proxy/a%%20b?limit=abc&x=%%zz", w->port);
	cleanup(freep) char *tls = xasprintf(NS "/pods/https:p:%u/proxy/", w->port);
	static const char *const verbs[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" };

	expect(w, "GET", NS "/pods/p/proxy/results/x", 200, NULL, "target", "/results/x");
	expect(w, "GET", by_port, 200, NULL, "target", "/a%20b?limit=abc&x=%zz");
	expect(w, "GET", NS "/pods/p/proxy/a/", 200, NULL, "x-forwarded-uri",
	       NS "/pods/p/proxy/a/");
	expect(w, "GET", NS "/pods/p/proxy/", 200, NULL, "x-forwarded-for", "127.0.0.1");
	expect(w, "GET", NS "/pods/p/proxy/", 200, NULL, "authorization", NULL);
	expect(w, "PUT", NS "/pods/p/proxy/", 200, NULL, "body", "{\"k\":\"v\"}");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		expect(w, verbs[i], NS "/pods/p/proxy/", 200, NULL, "method", verbs[i]);
	expect(w, "GET", NS "/pods/p/proxy/teapot", 418, NULL, "target", "/teapot");
	expect(w, "GET", NS "/pods/p/proxy", 301, NULL, NULL, NULL);
	expect(w, "GET", NS "/pods/p:1/proxy/", 503, "error trying to reach service: ", "reason",
	       "ServiceUnavailable");
	expect(w, "GET", tls, 503, "error trying to reach service: ", NULL, NULL);
	expect(w, "GET", NS "/pods/nope:80/proxy/", 404, "pods \"nope\" not found", NULL, NULL);
	expect(w, "GET", NS "/pods/x:y:z:1/proxy/", 400, "invalid pod request \"x:y:z:1\"", NULL,
	       NULL);
	expect(w, "GET", NS "/pods/loop/proxy/", 400, "address not allowed", NULL, NULL);
	expect(w, "GET", NS "/pods/metadata/proxy/", 400, "address not allowed", NULL, NULL);
}

static void test_services(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 8; i++)
		expect(w, "GET", NS "/services/s:web/proxy/y", 200, NULL, "target", "/y");
	expect(w, "GET", NS "/services/s:81/proxy/z", 200, NULL, "target", "/z");
	expect(w, "GET", NS "/services/s:82/proxy/", 503,
	       "no service port 82 found for service \"s\"", NULL, NULL);
	expect(w, "GET", NS "/services/s:x/proxy/", 503,
	       "no endpoints available for service \"s:x\"", NULL, NULL);
	expect(w, "GET", NS "/services/none/proxy/", 503,
	       "no endpoints available for service \"none\"", NULL, NULL);
	expect(w, "GET", NS "/services/nope/proxy/", 404, "services \"nope\" not found", NULL,
	       NULL);
}

static void test_much(void **state)
{
	struct world *w = *state;
	struct api_answer a = api_ask(w->api, "GET", NS "/pods/p/proxy/big", KUBE_JSON, NULL);

	assert_int_equal(a.status, 200);
	assert_int_equal(json_string_length(json_object_get(a.body, "big")), BIG_BYTES);
	api_answer_done(&a);
}

static bool own_network(void)
{
	return geteuid() == 0 && unshare(CLONE_NEWNET) == 0 &&
	       system("ip link set lo up && ip address add " TARGET_IP "/32 dev lo") == 0;
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_up, world_down)
	const struct CMUnitTest pure[] = {
		cmocka_unit_test(test_names),	       cmocka_unit_test(test_paths),
		cmocka_unit_test(test_locations),      cmocka_unit_test(test_request_headers),
		cmocka_unit_test(test_answer_headers),
	};
	const struct CMUnitTest live[] = {T(test_pods), T(test_services), T(test_much)};
	int failed = cmocka_run_group_tests(pure, NULL, NULL);

	if (own_network())
		failed += cmocka_run_group_tests(live, NULL, NULL);
	else
		print_message("the live part is left out: it needs root\n");
	return failed;
}
