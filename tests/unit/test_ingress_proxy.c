/* The ingress proxy on real sockets: a proxy and an upstream on a loop in a thread, a plain blocking client here. */
#include "net/http_server.h"
#include "roles/ingress/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

#define BIG_BYTES (3u << 20)

static struct {
	struct loop *loop;
	struct proxy *proxy;
	struct http_server *upstream;
	struct route_table *table;
	struct tls *tls;
	json_t *ingresses, *services;
	uint16_t proxy_port, upstream_port, dead_port;
	int proxy_fd;
	pthread_t thread;
} g;

/* ---- the upstream ---- */

static size_t echo_bytes(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	(void)ctx;
	conn_write(c, bytes, len);
	return len;
}

static void echo_eof(struct conn *c, void *ctx)
{
	(void)ctx;
	conn_close_after_write(c);
}

static const struct conn_ops echo_ops = { .data = echo_bytes, .eof = echo_eof };

static void upstream_request(void *ctx, struct http_exchange *x)
{
	const struct http_request *r = http_request_of(x);
	struct http_header up[] = { { STR("upgrade"), STR("echo") }, { STR("connection"), STR("upgrade") } };
	char text[256];

	(void)ctx;
	if (str_eq(r->path, STR("/upgrade"))) {
		http_upgrade(x, up, 2, &echo_ops, NULL);
	} else if (str_eq(r->path, STR("/stream"))) {
		http_reply_start(x, 200, NULL, 0);
		http_reply_write(x, STR("one,"));
		http_reply_write(x, STR("two"));
		http_reply_end(x);
	} else if (str_eq(r->path, STR("/big"))) {
		char *big = xmalloc(BIG_BYTES);
		memset(big, 'x', BIG_BYTES);
		http_reply(x, 200, NULL, 0, (struct str){ big, BIG_BYTES });
		free(big);
	} else if (str_eq(r->path, STR("/headers"))) {
		struct str xff = http_header_get(r->headers, "x-forwarded-for");
		struct str orig = http_header_get(r->headers, "x-original-forwarded-for");
		struct str proto = http_header_get(r->headers, "x-forwarded-proto");
		int n = snprintf(text, sizeof(text), STR_FMT "|" STR_FMT "|" STR_FMT "|" STR_FMT, STR_ARG(r->authority), STR_ARG(xff),
				 STR_ARG(orig), STR_ARG(proto));
		http_reply(x, 200, NULL, 0, (struct str){ text, (size_t)n });
	} else {
		int n = snprintf(text, sizeof(text), STR_FMT " " STR_FMT " %zu", STR_ARG(r->method), STR_ARG(r->target), r->body.len);
		http_reply(x, 200, NULL, 0, (struct str){ text, (size_t)n });
	}
}

/* ---- the cluster: Service "a" answers, "half" has a dead endpoint as well, "dead" only that, "none" has none ---- */

static void each_ingress(void *ctx, void (*fn)(void *, const json_t *), void *fn_ctx)
{
	json_t *ing;
	size_t i;

	(void)ctx;
	json_array_foreach(g.ingresses, i, ing)
		fn(fn_ctx, ing);
}

static const json_t *get_service(void *ctx, const char *ns, const char *name)
{
	(void)ctx, (void)ns;
	return json_object_get(g.services, name);
}

static void slice(void (*fn)(void *, const json_t *), void *fn_ctx, int port)
{
	json_t *s = json_pack("{s:[{s:s, s:i}], s:[{s:[s]}]}", "ports", "name", "http", "port", port, "endpoints", "addresses",
			      "127.0.0.1");
	fn(fn_ctx, s);
	json_decref(s);
}

static void each_slice(void *ctx, const char *ns, const char *name, void (*fn)(void *, const json_t *), void *fn_ctx)
{
	(void)ctx, (void)ns;
	if (strcmp(name, "half") == 0 || strcmp(name, "dead") == 0)
		slice(fn, fn_ctx, g.dead_port);
	if (strcmp(name, "half") == 0 || strcmp(name, "a") == 0)
		slice(fn, fn_ctx, g.upstream_port);
}

static const json_t *get_secret(void *ctx, const char *ns, const char *name)
{
	(void)ctx, (void)ns, (void)name;
	return NULL;
}

static bool our_class(void *ctx, const char *name)
{
	(void)ctx;
	return name != NULL;
}

static struct route_table *table(void *ctx)
{
	(void)ctx;
	return g.table;
}

static int listen_any(uint16_t *ret_port)
{
	struct addr a;
	struct err e;
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	assert_int_equal(addr_parse("127.0.0.1:0", &a, &e), 0);
	int fd = addr_listen(&a, 64, &e);
	assert_true(fd >= 0);
	getsockname(fd, (struct sockaddr *)&sin, &len);
	*ret_port = ntohs(sin.sin_port);
	return fd;
}

static void *run_loop(void *arg)
{
	loop_run(arg);
	return NULL;
}

static json_t *rule(const char *host, const char *service)
{
	return json_pack("{s:s, s:{s:[{s:s, s:s, s:{s:{s:s, s:{s:i}}}}]}}", "host", host, "http", "paths", "path", "/", "pathType",
			 "Prefix", "backend", "service", "name", service, "port", "number", 80);
}

static int setup(void **state)
{
	static const char *const names[] = { "a", "half", "dead", "none" };
	struct err e;

	(void)state;
	struct route_source src = { NULL, each_ingress, get_service, each_slice, get_secret, our_class, NULL };
	g.loop = loop_new(&e);
	g.tls = tls_server_new(&(struct tls_config){ 0 }, &e);
	int dead = listen_any(&g.dead_port);
	close(dead); /* nobody listens there any more */
	g.upstream = http_server_new(g.loop, &(struct http_server_config){ .request = upstream_request, .body_max = 8 << 20,
									   .connections_max = 64, .idle_ms = 60000 });
	assert_int_equal(http_server_listen(g.upstream, listen_any(&g.upstream_port), &e), 0);
	json_t *rules = json_array();
	g.services = json_object();
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		json_array_append_new(rules, rule(names[i], names[i]));
		json_object_set_new(g.services, names[i], json_pack("{s:{s:[{s:s, s:i}]}}", "spec", "ports", "name", "http", "port", 80));
	}
	g.ingresses = json_pack("[{s:{s:s, s:s}, s:{s:s, s:o}}]", "metadata", "namespace", "d", "name", "i", "spec",
				"ingressClassName", "nginx", "rules", rules);
	g.table = route_table_new(&src);
	g.proxy = proxy_new(g.loop, &(struct proxy_config){ .table = table, .default_tls = g.tls });
	g.proxy_fd = listen_any(&g.proxy_port);
	assert_int_equal(proxy_listen(g.proxy, g.proxy_fd, false, &e), 0);
	return pthread_create(&g.thread, NULL, run_loop, g.loop);
}

static void stop(void *ctx)
{
	loop_stop(ctx);
}

static int teardown(void **state)
{
	(void)state;
	loop_post(g.loop, stop, g.loop);
	pthread_join(g.thread, NULL);
	proxy_free(g.proxy);
	http_server_free(g.upstream);
	route_table_unref(g.table);
	tls_unref(g.tls);
	json_decref(g.ingresses);
	json_decref(g.services);
	close(g.proxy_fd);
	loop_free(g.loop);
	return 0;
}

/* ---- the client ---- */

static int dial(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(g.proxy_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void put(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Everything until the other side closes. */
static char *rest(int fd)
{
	struct buf all;
	char chunk[65536];
	ssize_t n;

	buf_init(&all, 16 << 20);
	while ((n = recv(fd, chunk, sizeof(chunk), 0)) > 0)
		buf_put(&all, chunk, (size_t)n);
	if (n < 0 && errno == EAGAIN)
		fail_msg("the connection stayed open after: %s", all.ptr ? all.ptr : "nothing");
	close(fd);
	return buf_take(&all);
}

static char *ask(const char *request)
{
	int fd = dial();

	put(fd, request);
	return rest(fd);
}

static void expect(const char *request, const char *status, const char *part)
{
	char *got = ask(request);

	if (strncmp(got, status, strlen(status)) != 0 || (part && !strstr(got, part)))
		fail_msg("%s\nwant %s … %s\ngot %s", request, status, part ? part : "", got);
	free(got);
}

#define GET(host, path) "GET " path " HTTP/1.1\r\nHost: " host "\r\nConnection: close\r\n\r\n"

static void test_answers(void **state)
{
	static const struct {
		const char *request, *status, *part;
	} rows[] = {
		{ GET("a", "/x?y=1"), "HTTP/1.1 200 ", "GET /x?y=1 0" },
		{ GET("A:8080", "/"), "HTTP/1.1 200 ", "GET / 0" },
		{ GET("half", "/"), "HTTP/1.1 200 ", NULL },
		{ GET("half", "/"), "HTTP/1.1 200 ", NULL }, /* round robin: one of the two meets the dead endpoint first */
		{ GET("dead", "/"), "HTTP/1.1 502 Bad Gateway", "<hr><center>nginx</center>" },
		{ GET("none", "/"), "HTTP/1.1 503 Service Temporarily Unavailable", "<center><h1>503 Service Temporarily Unavailable</h1></center>" },
		{ GET("other", "/"), "HTTP/1.1 404 Not Found", "<title>404 Not Found</title>" },
		{ GET("a", "/../x"), "HTTP/1.1 400 ", NULL },
		{ GET("a", "/%00"), "HTTP/1.1 400 ", NULL },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "HTTP/1.1 200 ", "POST / 5" },
		{ "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		  "HTTP/1.1 200 ", "POST / 5" },
		{ "POST / HTTP/1.1\r\nHost: half\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "HTTP/1.1 200 ", "POST / 5" },
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\nConnection: close\r\n\r\n", "HTTP/1.1 413 ", NULL },
		{ "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "Connection: close" },
		{ GET("a", "/stream"), "HTTP/1.1 200 ", "Transfer-Encoding: chunked" },
		{ "GET /stream HTTP/1.0\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "\r\n\r\none,two" },
		{ "GET /headers HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nProxy: evil\r\nConnection: close\r\n\r\n",
		  "HTTP/1.1 200 ", "a|127.0.0.1|6.6.6.6|http" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect(rows[i].request, rows[i].status, rows[i].part);
}

/* Requests that two readers could read differently never pass. */
static void test_smuggling(void **state)
{
	static const char *const rows[] = {
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
		"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\n",
		"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *got = ask(rows[i]);
		if (strncmp(got, "HTTP/1.1 400 ", 13) != 0 && strncmp(got, "HTTP/1.1 501 ", 13) != 0)
			fail_msg("row %zu was answered: %s", i, got);
		assert_null(strstr(got + 13, "HTTP/1.1")); /* and nothing behind it was taken for a request */
		free(got);
	}
}

static void test_keep_alive(void **state)
{
	int fd = dial();

	(void)state;
	/* Sent ahead: answered one after another, in order, on the same connection. */
	put(fd, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
		"GET /3 HTTP/1.1\r\nHost: other\r\n\r\n" GET("a", "/4"));
	char *got = rest(fd);
	const char *one = strstr(got, "GET /1 0"), *two = strstr(got, "POST /2 3"), *three = strstr(got, "404 Not Found");
	const char *four = strstr(got, "GET /4 0");
	if (!one || !two || !three || !four || one > two || two > three || three > four)
		fail_msg("%s", got);
	free(got);
}

static void test_continue(void **state)
{
	char first[64] = { 0 };
	int fd = dial();

	(void)state;
	put(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
	assert_true(recv(fd, first, sizeof(first) - 1, 0) > 0);
	assert_string_equal(first, "HTTP/1.1 100 Continue\r\n\r\n");
	put(fd, "ok");
	char *got = rest(fd);
	assert_non_null(strstr(got, "POST / 2"));
	free(got);
}

static void test_head(void **state)
{
	char *got = ask("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

	(void)state;
	assert_non_null(strstr(got, "200 OK"));
	assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\n");
	free(got);
	got = ask("HEAD / HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n");
	assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\n");
	free(got);
}

static void test_big(void **state)
{
	char *got;
	int fd = dial();

	(void)state;
	put(fd, GET("a", "/big"));
	usleep(50000); /* a reader that is late: the upstream has to wait meanwhile */
	got = rest(fd);
	assert_int_equal(strlen(strstr(got, "\r\n\r\n") + 4), BIG_BYTES);
	free(got);
}

static void test_upgrade(void **state)
{
	char got[512] = { 0 };
	size_t have = 0;
	int fd = dial();

	(void)state;
	/* Bytes right behind the request belong to the new protocol. */
	put(fd, "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ");
	put(fd, "late");
	while (!strstr(got, "late")) {
		ssize_t n = recv(fd, got + have, sizeof(got) - 1 - have, 0);
		if (n <= 0)
			fail_msg("%s", got);
		have += (size_t)n;
	}
	assert_int_equal(strncmp(got, "HTTP/1.1 101 ", 13), 0);
	assert_non_null(strstr(got, "early late"));
	shutdown(fd, SHUT_WR);
	char *end = rest(fd);
	assert_string_equal(end, "");
	free(end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers), cmocka_unit_test(test_smuggling), cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_continue), cmocka_unit_test(test_head), cmocka_unit_test(test_big),
		cmocka_unit_test(test_upgrade),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
