/* Server and client in one loop, over every transport that they share. */
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/websocket.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include <unistd.h>

#include "net_pki.h"

static struct loop *loop;
static struct err e;
static struct pki ca, server_pki, client_pki;
static struct http_server *server;
static struct addr address;
static struct tls *server_tls, *client_tls;

/* --- the server's side: what is done depends on the path --- */

#define BIG (5u << 20)
#define BODY_MAX (8u << 20)

static char *big;
static int closed_calls, released, requests;
static struct http_exchange *parked;
static struct timer tick;
static int ticks_left;
static struct conn *upgraded_conn;
static struct ws *server_ws;

static void on_closed(void *ctx)
{
	closed_calls++;
	if (ctx)
		*(struct http_exchange **)ctx = NULL;
	timer_stop(&tick);
}

static void release(void *ctx)
{
	(void)ctx;
	released++;
}

static void echo(struct http_exchange *x)
{
	const struct http_request *r = http_request_of(x);
	const struct http_header h[] = {
		{STR("content-type"), STR("text/plain")},
		{STR("x-path"), r->path},
		{STR("x-query"), r->query},
		{STR("x-host"), r->authority},
		{STR("x-evil"), STR("a\r\nb: c")},
	};

	http_reply(x, 200, h, r->h2 ? 4 : 5, r->body);
}

static void stream_tick(struct timer *t)
{
	char text[32];

	if (ticks_left-- == 0) {
		http_reply_end(TAKE_PTR(parked));
		return;
	}
	snprintf(text, sizeof(text), "event %d\n", ticks_left);
	http_reply_write(parked, str_of(text));
	timer_start(loop, t, 5);
}

static size_t streamed;
static void stream_big(void *ctx)
{
	struct http_exchange *x = ctx;

	while (streamed < BIG) {
		size_t n = MIN((size_t)10000, BIG - streamed);

		if (http_reply_pending(x) > CONN_HIGH_WATER_BYTES)
			return;
		http_reply_write(x, (struct str){big + streamed, n});
		streamed += n;
	}
	http_reply_end(x);
}

static void who(struct http_exchange *x)
{
	char cn[64] = "nobody";
	X509 *cert = http_peer_cert(x);

	if (cert)
		X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, cn,
					  sizeof(cn));
	http_reply(x, 200, NULL, 0, str_of(cn));
}

static size_t upgraded_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	(void)ctx;
	conn_write(c, bytes, len);
	return len;
}

static void upgraded_eof(struct conn *c, void *ctx)
{
	(void)ctx;
	conn_close_after_write(c);
	upgraded_conn = NULL;
}

static void upgraded_failed(struct conn *c, void *ctx, const struct err *why)
{
	(void)c, (void)ctx, (void)why;
	upgraded_conn = NULL;
}

static const struct conn_ops upgraded_ops = {
	.data = upgraded_data, .eof = upgraded_eof, .failed = upgraded_failed};

static void server_message(void *ctx, bool binary, struct str payload)
{
	(void)ctx;
	ws_send(server_ws, binary, payload);
}

static int ws_closed_code;
static void server_ws_closed(void *ctx, int code, struct str reason)
{
	(void)ctx, (void)reason;
	ws_closed_code = code;
	server_ws = NULL;
}

static void upgrade(struct http_exchange *x, bool websocket)
{
	static const struct ws_ops ops = {server_message, NULL, server_ws_closed};
	char accept[29];

	ws_accept_key(http_header_get(http_request_of(x)->headers, "sec-websocket-key"), accept);
	const struct http_header h[] = {
		{STR("upgrade"), websocket ? STR("websocket") : STR("echo")},
		{STR("connection"), STR("Upgrade")},
		{STR("sec-websocket-accept"), str_of(accept)},
	};
	struct conn *c = http_upgrade(x, h, websocket ? 3 : 2, &upgraded_ops, NULL);
	if (!c) {
		http_reply(x, 400, NULL, 0, STR("not over HTTP/2"));
		return;
	}
	if (websocket)
		server_ws = ws_new(c, false, 100000, &ops, NULL);
	else
		upgraded_conn = c;
}

static void on_request(void *ctx, struct http_exchange *x)
{
	const struct http_request *r = http_request_of(x);
	struct str path = r->path;

	(void)ctx;
	requests++;
	if (str_eq_c(path, "/echo")) {
		echo(x);
	} else if (str_eq_c(path, "/who")) {
		who(x);
	} else if (str_eq_c(path, "/204")) {
		http_reply(x, 204, NULL, 0, STR_NONE);
	} else if (str_eq_c(path, "/shared")) {
		http_reply_shared(x, 200, NULL, 0, (struct str){big, BIG}, release, NULL);
	} else if (str_eq_c(path, "/park")) {
		parked = x;
		http_on_closed(x, on_closed, &parked);
	} else if (str_eq_c(path, "/ticks")) {
		parked = x;
		http_on_closed(x, on_closed, &parked);
		ticks_left = 5;
		tick = (struct timer){.fire = stream_tick};
		http_reply_start(x, 200, NULL, 0);
		timer_start(loop, &tick, 5);
	} else if (str_eq_c(path, "/big")) {
		streamed = 0;
		http_reply_start(x, 200, NULL, 0);
		http_reply_on_drained(x, stream_big, x);
		stream_big(x);
	} else if (str_eq_c(path, "/abort")) {
		http_reply_start(x, 200, NULL, 0);
		http_reply_write(x, STR("half"));
		http_reply_abort(x);
	} else if (str_eq_c(path, "/upgrade")) {
		upgrade(x, false);
	} else if (str_eq_c(path, "/ws")) {
		upgrade(x, true);
	} else {
		http_reply(x, 404, NULL, 0, STR("no\n"));
	}
}

/* --- the client's side --- */

struct answer {
	int status;
	struct buf body;
	char path[64], query[64], host[64];
	bool done, failed;
	int data_calls;
	struct err why;
	bool hold_loop; /* the loop goes on */
};
static int waiting;

static void on_response(void *ctx, int status, struct http_headers h)
{
	struct answer *a = ctx;

	a->status = status;
	snprintf(a->path, sizeof(a->path), STR_FMT, STR_ARG(http_header_get(h, "x-path")));
	snprintf(a->query, sizeof(a->query), STR_FMT, STR_ARG(http_header_get(h, "x-query")));
	snprintf(a->host, sizeof(a->host), STR_FMT, STR_ARG(http_header_get(h, "x-host")));
	assert_null(http_header_get(h, "b").ptr);
}

static void on_data(void *ctx, struct str bytes)
{
	struct answer *a = ctx;

	a->data_calls++;
	assert_int_equal(buf_put_str(&a->body, bytes), 0);
}

static void on_done(void *ctx, const struct err *why, struct http_headers trailers)
{
	struct answer *a = ctx;

	(void)trailers;
	assert_false(a->done);
	a->done = true;
	a->failed = why != NULL;
	if (why)
		a->why = *why;
	if (--waiting == 0 && !a->hold_loop)
		loop_stop(loop);
}

static const struct http_call_ops call_ops = {on_response, on_data, on_done};

static struct answer *answer_new(void)
{
	struct answer *a = xcalloc(1, sizeof(*a));

	buf_init(&a->body, 64u << 20);
	waiting++;
	return a;
}

static void answer_free(struct answer *a)
{
	buf_done(&a->body);
	free(a);
}

static struct http_client *client_new(bool h2, bool tls)
{
	struct http_client_config c = {.to = address,
				       .authority = "host.test:1",
				       .server_name = "server.test",
				       .tls = tls ? client_tls : NULL,
				       .h2 = h2,
				       .connect_timeout_ms = 5000};
	return http_client_new(loop, &c);
}

static void guard_fired(struct timer *t)
{
	(void)t;
	fail_msg("the test hangs");
}

static void run(uint64_t at_most_ms)
{
	struct timer guard = {.fire = guard_fired};

	timer_start(loop, &guard, at_most_ms);
	loop_run(loop);
	timer_stop(&guard);
}

static void stop_fired(struct timer *t)
{
	(void)t;
	loop_stop(loop);
}

static void settle(uint64_t ms)
{
	struct timer t = {.fire = stop_fired};

	timer_start(loop, &t, ms);
	loop_run(loop);
}

/* Time is only a limit here: the condition ends the wait. */
#define WAIT(condition)                                                                            \
	do {                                                                                       \
		for (int w_ = 0; w_ < 5000 && !(condition); w_++)                                  \
			settle(1);                                                                 \
		assert_true(condition);                                                            \
	} while (0)

static struct answer *ask(struct http_client *c, const char *method, const char *path,
			  struct str body)
{
	struct answer *a = answer_new();
	struct http_call_request r = {
		.method = method, .path = path, .body = body, .timeout_ms = 20000};

	http_client_send(c, &r, &call_ops, a);
	run(20000);
	assert_true(a->done);
	return a;
}

static void check(struct http_client *c, const char *method, const char *path, struct str body,
		  int status, struct str want)
{
	struct answer *a = ask(c, method, path, body);

	if (a->failed)
		fail_msg("%s %s: %s", method, path, a->why.message);
	assert_int_equal(a->status, status);
	assert_true(str_eq(buf_str(&a->body), want));
	answer_free(a);
}

/* --- every test on every transport --- */

struct mode {
	bool h2, tls;
};
static const struct mode modes[] = {{false, false}, {true, false}, {false, true}, {true, true}};

static struct tls *make_tls(bool is_server, const struct pki *own, bool h2)
{
	static const char *const both[] = {"h2", "http/1.1", NULL}, *const one[] = {"http/1.1",
										    NULL};
	struct tls_config tc = {
		.ca_pem = str_of(ca.cert_pem), .verify_peer = true, .alpn = h2 ? both : one};

	if (own) {
		tc.cert_pem = str_of(own->cert_pem);
		tc.key_pem = str_of(own->key_pem);
	}
	struct tls *t = is_server ? tls_server_new(&tc, &e) : tls_client_new(&tc, &e);
	assert_non_null(t);
	return t;
}

static uint64_t idle_ms;
static struct http_client *start(const struct mode *m)
{
	struct http_server_config sc = {.request = on_request,
					.body_max = BODY_MAX,
					.connections_max = 100,
					.idle_ms = idle_ms ? idle_ms : 60000};

	loop = loop_new(&e);
	assert_int_equal(addr_parse("127.0.0.1:0", &address, &e), 0);
	int fd = addr_listen(&address, 64, &e);
	assert_true(fd >= 0);
	address.len = sizeof(address.ss);
	getsockname(fd, (struct sockaddr *)&address.ss, &address.len);
	if (m->tls) {
		server_tls = make_tls(true, &server_pki, true);
		client_tls = make_tls(false, &client_pki, m->h2);
		sc.tls = server_tls;
	}
	server = http_server_new(loop, &sc);
	assert_int_equal(http_server_listen(server, fd, &e), 0);
	closed_calls = released = requests = waiting = 0;
	parked = NULL;
	return client_new(m->h2, m->tls);
}

static void finish(struct http_client *c)
{
	http_client_free(c);
	settle(10);
	http_server_free(server);
	settle(10);
	tls_unref(server_tls);
	tls_unref(client_tls);
	server_tls = client_tls = NULL;
	loop_free(loop);
}

#define ON_EVERY_TRANSPORT(name, body)                                                             \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		for (size_t i_ = 0; i_ < ARRAY_LEN(modes); i_++) {                                 \
			const struct mode *m = &modes[i_];                                         \
			struct http_client *c = start(m);                                          \
			body(c, m);                                                                \
			finish(c);                                                                 \
		}                                                                                  \
	}

static void do_simple(struct http_client *c, const struct mode *m)
{
	struct answer *a = ask(c, "POST", "/echo?a=b&c", STR("hello"));

	assert_int_equal(a->status, 200);
	assert_true(str_eq_c(buf_str(&a->body), "hello"));
	assert_string_equal(a->path, "/echo");
	assert_string_equal(a->query, "a=b&c");
	assert_string_equal(a->host, "host.test:1");
	answer_free(a);
	check(c, "GET", "/nothing", STR_NONE, 404, STR("no\n"));
	check(c, "HEAD", "/nothing", STR_NONE, 404, STR_NONE);
	check(c, "HEAD", "/ticks", STR_NONE, 200, STR_NONE);
	check(c, "GET", "/204", STR_NONE, 204, STR_NONE);
	check(c, "GET", "/who", STR_NONE, 200, m->tls ? STR("alice") : STR("nobody"));
	check(c, "GET", "/ticks", STR_NONE, 200,
	      STR("event 4\nevent 3\nevent 2\nevent 1\nevent 0\n"));
	check(c, "GET", "/echo", STR_NONE, 200, STR_NONE);
}
ON_EVERY_TRANSPORT(requests_are_answered, do_simple)

static void do_big(struct http_client *c, const struct mode *m)
{
	struct str all = {big, BIG};

	(void)m;
	check(c, "POST", "/echo", all, 200, all);
	check(c, "GET", "/big", STR_NONE, 200, all);
	check(c, "GET", "/shared", STR_NONE, 200, all);
	WAIT(released == 1);
	check(c, "HEAD", "/shared", STR_NONE, 200, STR_NONE);
	WAIT(released == 2);
}
ON_EVERY_TRANSPORT(big_bodies_both_ways, do_big)

static void do_many(struct http_client *c, const struct mode *m)
{
	struct answer *a[100];
	struct http_call_request r = {.method = "POST", .path = "/echo", .body = STR("x")};

	(void)m;
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		a[i] = answer_new();
		r.body = (struct str){big, i * 700};
		http_client_send(c, &r, &call_ops, a[i]);
	}
	run(20000);
	for (size_t i = 0; i < ARRAY_LEN(a); i++) {
		/* The server takes a hundred connections, no more. */
		assert_true(a[i]->done && !a[i]->failed);
		assert_true(str_eq(buf_str(&a[i]->body), (struct str){big, i * 700}));
		answer_free(a[i]);
	}
}
ON_EVERY_TRANSPORT(a_hundred_calls_at_once, do_many)

static void do_too_large(struct http_client *c, const struct mode *m)
{
	char *huge = xmalloc(BODY_MAX + 1);
	struct answer *a;

	(void)m;
	memset(huge, 'x', BODY_MAX + 1);
	a = ask(c, "POST", "/echo", (struct str){huge, BODY_MAX + 1});
	assert_false(a->failed);
	assert_int_equal(a->status, 413);
	answer_free(a);
	assert_int_equal(requests, 0);
	check(c, "POST", "/echo", STR("y"), 200, STR("y"));
	free(huge);
}
ON_EVERY_TRANSPORT(too_large_a_body_is_refused_with_an_answer, do_too_large)

static void do_abort(struct http_client *c, const struct mode *m)
{
	struct answer *a = ask(c, "GET", "/abort", STR_NONE);

	(void)m;
	assert_true(a->failed);
	answer_free(a);
	check(c, "GET", "/who", STR_NONE, 200, m->tls ? STR("alice") : STR("nobody"));
	assert_int_equal(closed_calls, 0);
}
ON_EVERY_TRANSPORT(an_aborted_answer_is_an_error, do_abort)

static void do_cancel(struct http_client *c, const struct mode *m)
{
	struct answer *a = answer_new();
	struct http_call_request r = {.method = "GET", .path = "/park"};
	struct http_call *call = http_client_send(c, &r, &call_ops, a);

	(void)m;
	WAIT(parked);
	http_call_cancel(call);
	WAIT(!parked);
	assert_int_equal(closed_calls, 1);
	assert_false(a->done);
	waiting = 0;
	answer_free(a);

	/* In the middle of a stream. */
	a = answer_new();
	r.path = "/ticks";
	call = http_client_send(c, &r, &call_ops, a);
	WAIT(a->data_calls >= 1);
	http_call_cancel(call);
	WAIT(closed_calls == 2);
	assert_null(parked);
	waiting = 0;
	answer_free(a);

	/* A time limit is a cancellation with a call-back. */
	for (int before = requests; requests == before;) { /* on a busy machine it may be over before the handler has heard of it */
		a = answer_new();
		r = (struct http_call_request){.method = "GET", .path = "/park", .timeout_ms = 30};
		http_client_send(c, &r, &call_ops, a);
		run(5000);
		assert_true(a->failed && a->why.reason == ERR_TIMEOUT);
		answer_free(a);
	}
	WAIT(closed_calls >= 3);
	check(c, "GET", "/204", STR_NONE, 204, STR_NONE);
}
ON_EVERY_TRANSPORT(handlers_hear_that_the_client_is_gone, do_cancel)

static void do_server_gone(struct http_client *c, const struct mode *m)
{
	struct answer *a = answer_new();
	struct http_call_request r = {.method = "GET", .path = "/park"};

	(void)m;
	http_client_send(c, &r, &call_ops, a);
	WAIT(parked);
	http_server_free(server);
	assert_int_equal(closed_calls, 1);
	run(5000);
	assert_true(a->failed);
	answer_free(a);
	server = NULL;
	a = ask(c, "GET", "/204", STR_NONE);
	assert_true(a->failed);
	answer_free(a);
}
ON_EVERY_TRANSPORT(calls_fail_when_the_server_goes, do_server_gone)

static void do_idle(struct http_client *c, const struct mode *m)
{
	(void)m;
	check(c, "GET", "/204", STR_NONE, 204, STR_NONE);
	settle(1000);
	/* The connection was closed by the server; the client makes a new one. */
	check(c, "GET", "/204", STR_NONE, 204, STR_NONE);
	struct answer *a = answer_new();
	struct http_call_request r = {.method = "GET", .path = "/park"};
	http_client_send(c, &r, &call_ops, a);
	WAIT(parked);
	settle(900); /* longer than an idle connection lives */
	assert_non_null(parked);
	http_reply(parked, 200, NULL, 0, STR("late"));
	run(5000);
	assert_true(!a->failed && str_eq_c(buf_str(&a->body), "late"));
	answer_free(a);
}

static void idle_connections_are_closed_busy_ones_are_not(void **state)
{
	(void)state;
	idle_ms = 400; /* longer than a handshake takes on a busy machine */
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		struct http_client *c = start(&modes[i]);

		do_idle(c, &modes[i]);
		finish(c);
	}
	idle_ms = 0;
}

/* --- request bodies in pieces (HTTP/2) --- */

static void open_request_bodies(void **state)
{
	static const struct mode m = {true, false};
	struct http_client *c = start(&m);
	struct answer *a = answer_new();
	struct http_call_request r = {
		.method = "POST", .path = "/echo", .body = STR("one "), .body_open = true};
	struct http_call *call = http_client_send(c, &r, &call_ops, a);

	(void)state;
	http_call_write(call, STR("two "));
	settle(20);
	http_call_write(call, STR("three"));
	settle(20);
	assert_false(a->done);
	http_call_end(call);
	run(5000);
	assert_true(str_eq_c(buf_str(&a->body), "one two three"));
	answer_free(a);
	finish(c);
}

/* --- bytes that only a raw client sends --- */

static struct buf raw_in;
static bool raw_ended;

static size_t raw_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	(void)c, (void)ctx;
	buf_put(&raw_in, bytes, len);
	return len;
}

static void raw_eof(struct conn *c, void *ctx)
{
	(void)c, (void)ctx;
	raw_ended = true;
	loop_stop(loop);
}

static void raw_failed(struct conn *c, void *ctx, const struct err *why)
{
	(void)why;
	*(struct conn **)ctx = NULL;
	raw_eof(c, ctx);
}

static const struct conn_ops raw_ops = {.data = raw_data, .eof = raw_eof, .failed = raw_failed};

static struct conn *raw_open(void)
{
	static struct conn *c;

	c = conn_connect(loop, &address, NULL, NULL, &raw_ops, &c, &e);
	assert_non_null(c);
	buf_done(&raw_in);
	buf_init(&raw_in, 1 << 20);
	raw_ended = false;
	return c;
}

static int count(const char *needle)
{
	int n = 0;

	for (const char *p = raw_in.ptr; p && (p = strstr(p, needle)); p++)
		n++;
	return n;
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	static const struct mode m = {false, false};
	struct http_client *client = start(&m);
	struct conn *c = raw_open();
	const char *post = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab";

	(void)state;
	for (int i = 0; i < 50; i++)
		conn_write(c, post, strlen(post));
	const char *park =
		"GET /park HTTP/1.1\r\nHost: h\r\n\r\nGET /nothing HTTP/1.1\r\nHost: h\r\n\r\n"
		"GET /echo HTTP/1.0\r\n\r\n";
	conn_write(c, park, strlen(park));
	WAIT(parked && count("HTTP/1.1 200") == 50);
	assert_int_equal(requests, 51);
	http_reply(TAKE_PTR(parked), 202, NULL, 0, STR_NONE);
	run(5000);
	assert_true(raw_ended);
	assert_int_equal(requests, 53);
	assert_int_equal(count("HTTP/1.1 202"), 1);
	assert_int_equal(count("HTTP/1.1 404"), 1);
	assert_int_equal(count("connection: close"), 1);
	assert_true(strstr(raw_in.ptr, "HTTP/1.1 202") < strstr(raw_in.ptr, "HTTP/1.1 404"));
	conn_close(c);
	finish(client);
}

static void malformed_requests_get_an_answer_and_an_end(void **state)
{
	static const struct {
		const char *bytes, *answer;
	} rows[] = {
		{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: "
		 "chunked\r\n\r\n",
		 "HTTP/1.1 400"},
		{"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		 "HTTP/1.1 400"},
		{"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
		 "HTTP/1.1 400"},
		{"GET / HTTP/3.0\r\n\r\n", "HTTP/1.1 505"},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n", "HTTP/1.1 413"},
		{"\x16\x03\x01\x02", "HTTP/1.1 400"},
		{"POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nConnection: close\r\n"
		 "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nt: v\r\n\r\n",
		 "HTTP/1.1 100"},
		{"GET /ticks HTTP/1.0\r\n\r\n", "event 0"},
	};
	static const struct mode m = {false, false};
	struct http_client *client = start(&m);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int pieces = 0; pieces < 2; pieces++) {
			struct conn *c = raw_open();
			size_t len = strlen(rows[i].bytes);

			for (size_t at = 0; pieces && at < len; at += 7) {
				conn_write(c, rows[i].bytes + at, MIN((size_t)7, len - at));
				settle(0);
			}
			if (!pieces)
				conn_write(c, rows[i].bytes, len);
			if (!raw_ended)
				run(5000);
			if (count(rows[i].answer) != 1)
				fail_msg("row %zu: %s", i, raw_in.ptr);
			conn_close(c);
		}
	finish(client);
}

static void long_heads_are_refused(void **state)
{
	static const struct mode m = {false, false};
	struct http_client *client = start(&m);
	struct conn *c = raw_open();

	(void)state;
	conn_write(c, "GET / HTTP/1.1\r\nHost: h\r\nX: ", 28);
	for (int i = 0; i < 70000 / 10; i++)
		conn_write(c, "0123456789", 10);
	run(5000);
	assert_int_equal(count("HTTP/1.1 431"), 1);
	conn_close(c);
	finish(client);
}

/* --- upgrades --- */

static struct conn *client_conn;
static int refused_status;
static bool refused_error;

static void on_upgraded(void *ctx, struct conn *c, struct http_headers headers)
{
	(void)ctx;
	assert_true(http_header_has_token(headers, "connection", "upgrade"));
	client_conn = c;
	conn_set_ops(c, &raw_ops, &client_conn);
	loop_stop(loop);
}

static void on_refused(void *ctx, int status, struct str body, const struct err *why)
{
	(void)ctx, (void)body;
	refused_status = status;
	refused_error = why != NULL;
	loop_stop(loop);
}

static const struct http_upgrade_ops upgrade_ops = {on_upgraded, on_refused};

static void start_upgrade(const struct mode *m, const char *path)
{
	static const struct http_header h[] = {
		{STR("upgrade"), STR("echo")},
		{STR("sec-websocket-key"), STR("dGhlIHNhbXBsZSBub25jZQ==")},
	};
	struct http_client_config c = {
		.to = address, .authority = "h", .server_name = "server.test", .tls = client_tls};
	struct http_call_request r = {.method = "GET", .path = path, .headers = h, .n_headers = 2};

	(void)m;
	client_conn = NULL;
	refused_status = -1;
	buf_done(&raw_in);
	buf_init(&raw_in, 1 << 20);
	raw_ended = false;
	http_client_upgrade(loop, &c, &r, &upgrade_ops, NULL);
	run(5000);
}

static void connections_are_upgraded(void **state)
{
	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		struct mode m = {false, tls};
		struct http_client *c = start(&m);

		start_upgrade(&m, "/upgrade");
		assert_non_null(client_conn);
		conn_write(client_conn, "ping", 4);
		WAIT(count("ping") == 1);
		conn_shutdown(client_conn);
		run(5000);
		assert_true(raw_ended);
		assert_null(upgraded_conn);
		conn_close(client_conn);
		start_upgrade(&m, "/nothing");
		assert_int_equal(refused_status, 404);
		http_server_free(TAKE_PTR(server));
		settle(5);
		start_upgrade(&m, "/upgrade");
		assert_true(refused_error && refused_status == 0);
		finish(c);
	}
}

static struct ws *client_ws;
static size_t ws_got;
static int ws_messages, ws_client_code;

static void client_message(void *ctx, bool binary, struct str payload)
{
	(void)ctx;
	assert_true(binary == (ws_messages % 2 == 0));
	assert_true(payload.len == 0 || memcmp(payload.ptr, big, payload.len) == 0);
	ws_got += payload.len;
	if (++ws_messages == 20)
		loop_stop(loop);
}

static void client_ws_closed(void *ctx, int code, struct str reason)
{
	(void)ctx, (void)reason;
	ws_client_code = code;
	client_ws = NULL;
	loop_stop(loop);
}

static void websocket_messages_are_echoed(void **state)
{
	static const struct ws_ops ops = {client_message, NULL, client_ws_closed};
	char accept[29];

	(void)state;
	ws_accept_key(STR("dGhlIHNhbXBsZSBub25jZQ=="), accept);
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	for (int tls = 0; tls < 2; tls++) {
		struct mode m = {false, tls};
		struct http_client *c = start(&m);
		size_t want = 0;

		ws_messages = 0;
		ws_got = 0;
		start_upgrade(&m, "/ws");
		client_ws = ws_new(client_conn, true, 100000, &ops, NULL);
		for (size_t i = 0; i < 20; i++) {
			ws_send(client_ws, i % 2 == 0, (struct str){big, i * 5000});
			want += i * 5000;
		}
		run(5000);
		assert_int_equal(ws_got, want);
		/* One that is too long ends it. */
		ws_send(client_ws, true, (struct str){big, 100001});
		run(5000);
		assert_int_equal(ws_client_code, 1009);
		WAIT(!server_ws);

		/* An orderly end from our side. */
		ws_messages = 0;
		start_upgrade(&m, "/ws");
		client_ws = ws_new(client_conn, true, 100000, &ops, NULL);
		WAIT(server_ws);
		ws_close(client_ws, 1000);
		WAIT(!server_ws);
		assert_int_equal(ws_closed_code, 1000);

		/* And from theirs. */
		start_upgrade(&m, "/ws");
		client_ws = ws_new(client_conn, true, 100000, &ops, NULL);
		WAIT(server_ws);
		ws_close(server_ws, 1001);
		run(5000);
		assert_int_equal(ws_client_code, 1001);
		finish(c);
	}
}

static void websocket_frames_that_break_the_rules_end_it(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		int code;
	} rows[] = {
		{"\x81\x02hi", 4, 1002},					 /* not masked */
		{"\x81\x82\0\0\0\0\xff\xff", 8, 1007},				 /* not UTF-8 */
		{"\xf1\x82\0\0\0\0hi", 8, 1002},				 /* reserved bits */
		{"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0x", 15, 1009}, /* 2^63-1 bytes */
		{"\x80\x82\0\0\0\0hi", 8, 1002}, /* goes on with nothing */
	};
	static const struct mode m = {false, false};
	struct http_client *c = start(&m);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start_upgrade(&m, "/ws");
		conn_write(client_conn, rows[i].bytes, rows[i].len);
		for (int w = 0; w < 5000 && raw_in.len < 4; w++)
			settle(1);
		/* A close frame with the code. */
		if (raw_in.len < 4 || raw_in.ptr[0] != '\x88' ||
		    (uint8_t)raw_in.ptr[2] * 256 + (uint8_t)raw_in.ptr[3] != rows[i].code)
			fail_msg("row %zu: %zu bytes", i, raw_in.len);
		conn_close(client_conn);
		WAIT(!server_ws);
	}
	finish(c);
}

static int paused_messages;
static void paused_message(void *ctx, bool binary, struct str payload)
{
	(void)ctx, (void)binary, (void)payload;
	if (++paused_messages == 1)
		ws_pause(client_ws);
	if (paused_messages == 20)
		loop_stop(loop);
}

static void websocket_pauses(void **state)
{
	static const struct ws_ops ops = {paused_message, NULL, client_ws_closed};
	static const struct mode m = {false, false};
	struct http_client *c = start(&m);

	(void)state;
	start_upgrade(&m, "/ws");
	client_ws = ws_new(client_conn, true, 100000, &ops, NULL);
	paused_messages = 0;
	for (size_t i = 0; i < 20; i++)
		ws_send(client_ws, true, (struct str){big, 5000});
	WAIT(paused_messages >= 1);
	settle(30);
	assert_true(paused_messages >= 1 && paused_messages <= 2);
	ws_resume(client_ws);
	run(5000);
	assert_int_equal(paused_messages, 20);
	ws_close(client_ws, 1000);
	WAIT(!server_ws);
	finish(c);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_answered),
		cmocka_unit_test(big_bodies_both_ways),
		cmocka_unit_test(a_hundred_calls_at_once),
		cmocka_unit_test(too_large_a_body_is_refused_with_an_answer),
		cmocka_unit_test(an_aborted_answer_is_an_error),
		cmocka_unit_test(handlers_hear_that_the_client_is_gone),
		cmocka_unit_test(calls_fail_when_the_server_goes),
		cmocka_unit_test(idle_connections_are_closed_busy_ones_are_not),
		cmocka_unit_test(open_request_bodies),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(malformed_requests_get_an_answer_and_an_end),
		cmocka_unit_test(long_heads_are_refused),
		cmocka_unit_test(connections_are_upgraded),
		cmocka_unit_test(websocket_messages_are_echoed),
		cmocka_unit_test(websocket_frames_that_break_the_rules_end_it),
		cmocka_unit_test(websocket_pauses),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	big = xmalloc(BIG);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)('a' + i * 7919 % 26);
	ca = pki_make("ca", NULL, NULL);
	server_pki = pki_make("server", "DNS:server.test,IP:127.0.0.1", &ca);
	client_pki = pki_make("alice", NULL, &ca);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pki_done(&ca);
	pki_done(&server_pki);
	pki_done(&client_pki);
	buf_done(&raw_in);
	free(big);
	return failed;
}
