/* The proxy's core on real sockets: a worker on its thread, an upstream on another, a plain blocking client here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ingress_rig.h"
#include "net/conn.h"
#include "net/http_server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#define BIG_BYTES (3u << 20)

static struct {
	struct rig rig;
	struct http_server *upstream;
	uint16_t upstream_port, dead_port, hang_port;
	int hang_fd, trailer_fd;
	uint16_t trailer_port;
	struct listener *trailers;
	struct conn *trailer_conns[8]; /* open until the end */
	size_t n_trailer_conns;
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
	if (str_eq(r->path, STR("/status/500"))) {
		http_reply(x, 500, NULL, 0, STR("broken"));
	} else if (str_eq(r->path, STR("/a/upgrade"))) {
		http_upgrade(x, up, 2, &echo_ops, NULL);
	} else if (str_eq(r->path, STR("/a/stream"))) {
		http_reply_start(x, 200, NULL, 0);
		http_reply_write(x, STR("one,"));
		http_reply_write(x, STR("two"));
		http_reply_end(x);
	} else if (str_eq(r->path, STR("/a/big"))) {
		char *big = xmalloc(BIG_BYTES);
		memset(big, 'x', BIG_BYTES);
		http_reply(x, 200, NULL, 0, (struct str){ big, BIG_BYTES });
		free(big);
	} else if (str_eq(r->path, STR("/a/headers"))) {
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

/* ---- locations: /a answers, /half has a dead endpoint as well, /dead only that, /none has none, /hang never answers ---- */

static void *run_loop(void *arg)
{
	loop_run(arg);
	for (size_t i = 0; i < g.n_trailer_conns; i++)
		conn_close(g.trailer_conns[i]);
	g.n_trailer_conns = 0;
	conn_thread_done();
	return NULL;
}

/* An upstream of its own, as http_server.h writes no trailers. */
static size_t trailer_bytes(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nX-Sum: 7\r\n"
				     "Content-Length: 9\r\n\r\n";

	(void)ctx, (void)bytes;
	conn_write(c, answer, sizeof(answer) - 1);
	return len;
}

static void ignore_eof(struct conn *c, void *ctx)
{
	(void)c, (void)ctx;
}

static const struct conn_ops trailer_ops = { .data = trailer_bytes, .eof = ignore_eof };

static void trailer_accepted(void *ctx, int fd, const struct addr *peer)
{
	struct err e;

	(void)ctx, (void)peer;
	assert_true(g.n_trailer_conns < ARRAY_LEN(g.trailer_conns));
	g.trailer_conns[g.n_trailer_conns] = conn_accept(g.rig.loop, fd, NULL, &trailer_ops, NULL, &e);
	assert_non_null(g.trailer_conns[g.n_trailer_conns++]);
}

static int setup(void **state)
{
	struct rig *r = &g.rig;
	struct err e;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	rig_init(r);
	r->set.proxy_body_size_bytes = 1u << 20;
	close(rig_listen(&g.dead_port)); /* nobody listens there any more */
	g.hang_fd = rig_listen(&g.hang_port);
	g.upstream = http_server_new(r->loop, &(struct http_server_config){ .request = upstream_request, .body_max = 8 << 20,
									    .connections_max = 64, .idle_ms = 60000 });
	assert_int_equal(http_server_listen(g.upstream, rig_listen(&g.upstream_port), &e), 0);
	g.trailer_fd = rig_listen(&g.trailer_port);
	g.trailers = listener_new(r->loop, g.trailer_fd, trailer_accepted, NULL, &e);
	rig_location(r, "/a", g.upstream_port, PROTOCOL_HTTP);
	rig_location(r, "/dead", g.dead_port, PROTOCOL_HTTP);
	rig_location(r, "/hang", g.hang_port, PROTOCOL_HTTP)->proxy_read_timeout_s = 1;
	rig_location(r, "/half", 1, PROTOCOL_HTTP);
	rig_location(r, "/none", 2, PROTOCOL_HTTP);
	struct settings *status = rig_location(r, "/status", 3, PROTOCOL_HTTP);
	status->next_upstream |= NEXT_500;
	rig_location(r, "/trailers", g.trailer_port, PROTOCOL_HTTP);
	struct endpoint_want two[] = { { .addr = rig_loopback(g.dead_port) }, { .addr = rig_loopback(g.upstream_port) } };
	backend_set(r->shared.backends, r->locations[3].backend, two, 2);
	backend_set(r->shared.backends, r->locations[4].backend, NULL, 0);
	struct endpoint_want again[] = { { .addr = rig_loopback(g.upstream_port) } };
	backend_set(r->shared.backends, r->locations[5].backend, again, 1);
	rig_start(r, NULL);
	return pthread_create(&g.thread, NULL, run_loop, r->loop);
}

static void stop(void *ctx)
{
	loop_stop(ctx);
}

static int teardown(void **state)
{
	(void)state;
	loop_post(g.rig.loop, stop, g.rig.loop);
	pthread_join(g.thread, NULL);
	http_server_free(g.upstream);
	listener_free(g.trailers);
	close(g.trailer_fd);
	close(g.hang_fd);
	rig_stop(&g.rig);
	return 0;
}

/* ---- the client ---- */

static int dial(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(g.rig.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
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
		{ GET("a", "/a/x?y=1"), "HTTP/1.1 200 ", "GET /a/x?y=1 0" },
		{ GET("A:8080", "/a"), "HTTP/1.1 200 ", "GET /a 0" },
		{ GET("a", "/half"), "HTTP/1.1 200 ", NULL },
		{ GET("a", "/half"), "HTTP/1.1 200 ", NULL }, /* round robin: one of the two meets the dead endpoint first */
		{ GET("a", "/dead"), "HTTP/1.1 502 Bad Gateway", "<hr><center>nginx</center>" },
		{ GET("a", "/none"), "HTTP/1.1 503 Service Temporarily Unavailable",
		  "<center><h1>503 Service Temporarily Unavailable</h1></center>" },
		{ GET("a", "/hang"), "HTTP/1.1 504 Gateway Time-out", NULL },
		{ GET("a", "/status/500"), "HTTP/1.1 500 ", "broken" }, /* nobody else to ask */
		{ GET("a", "/other"), "HTTP/1.1 404 Not Found", "<title>404 Not Found</title>" },
		{ GET("a", "/../x"), "HTTP/1.1 400 ", NULL },
		{ GET("a", "/%00"), "HTTP/1.1 400 ", NULL },
		{ "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "HTTP/1.1 200 ", "POST /a 5" },
		{ "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
		  "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		  "HTTP/1.1 200 ", "POST /a 5" },
		{ "POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "HTTP/1.1 200 ", "POST /half 5" },
		{ "POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "HTTP/1.1 200 ", "POST /half 5" },
		{ "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\nConnection: close\r\n\r\n", "HTTP/1.1 413 ", NULL },
		{ "POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 404 ", "Connection: close" },
		{ "GET /a HTTP/1.0\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "Connection: close" },
		{ GET("a", "/a/stream"), "HTTP/1.1 200 ", "Transfer-Encoding: chunked" },
		{ "GET /a/stream HTTP/1.0\r\nHost: a\r\n\r\n", "HTTP/1.1 200 ", "\r\n\r\none,two" },
		{ "GET /a/headers HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nProxy: evil\r\nConnection: close\r\n\r\n",
		  "HTTP/1.1 200 ", "a|127.0.0.1|6.6.6.6|http" },
		/* what Connection names is this hop's */
		{ "GET /a/headers HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close, X-Forwarded-For\r\n\r\n",
		  "HTTP/1.1 200 ", "a|127.0.0.1||http" },
		/* trailers reach who asked for them */
		{ "GET /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 ",
		  "3\r\none\r\n0\r\nX-Sum: 7\r\n\r\n" },
		{ GET("a", "/trailers"), "HTTP/1.1 200 ", "3\r\none\r\n0\r\n\r\n" },
		{ "\r\nGET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 ", "GET /a 0" },
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
	put(fd, "GET /a/1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /a/2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
		"GET /3 HTTP/1.1\r\nHost: other\r\n\r\n" GET("a", "/a/4"));
	char *got = rest(fd);
	const char *one = strstr(got, "GET /a/1 0"), *two = strstr(got, "POST /a/2 3"), *three = strstr(got, "404 Not Found");
	const char *four = strstr(got, "GET /a/4 0");
	if (!one || !two || !three || !four || one > two || two > three || three > four)
		fail_msg("%s", got);
	free(got);
}

static void test_continue(void **state)
{
	char first[64] = { 0 };
	int fd = dial();

	(void)state;
	put(fd, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
	assert_true(recv(fd, first, sizeof(first) - 1, 0) > 0);
	assert_string_equal(first, "HTTP/1.1 100 Continue\r\n\r\n");
	put(fd, "ok");
	char *got = rest(fd);
	assert_non_null(strstr(got, "POST /a 2"));
	free(got);
}

static void test_head(void **state)
{
	char *got = ask("HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

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
	put(fd, GET("a", "/a/big"));
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
	put(fd, "GET /a/upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ");
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

static int setup_crowded(void **state)
{
	int rc = setup(state);

	rig_crowd(&g.rig);
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers), cmocka_unit_test(test_smuggling), cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_continue), cmocka_unit_test(test_head), cmocka_unit_test(test_big),
		cmocka_unit_test(test_upgrade),
	};

	return cmocka_run_group_tests(tests, setup, teardown) + cmocka_run_group_tests(tests, setup_crowded, teardown);
}
