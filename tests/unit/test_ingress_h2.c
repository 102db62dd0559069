/* HTTP/2 in front of the proxy and behind it, over real sockets: what users rely on. Attacks: test_ingress_h2_attacks.c. */
#include "h1_peer.h"
#include "h2_peer.h"
#include "net_pki.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

static struct rig r;
static struct h1_server h1;
static struct h2_server h2, h2_tls;
static struct tls *client_tls;
static struct client *cl;

static int group_setup(void **state)
{
	static const char *const alpn[] = {"h2", "http/1.1", NULL};
	struct pki ca = pki_make("ca", NULL, NULL), me = pki_make("a.test", "DNS:localhost,DNS:a.test", &ca);
	struct tls_config server = {.cert_pem = str_of(me.cert_pem), .key_pem = str_of(me.key_pem), .alpn = alpn};
	struct tls_config client = {.ca_pem = str_of(ca.cert_pem), .verify_peer = true, .alpn = alpn};
	struct tls_config trusting = {.alpn = NULL};
	struct err e;

	(void)state;
	rig_init(&r);
	h1_start(&h1, &r);
	server_start(&h2, &r);
	h2_tls.tls = tls_server_new(&server, &e);
	server_start(&h2_tls, &r);
	rig_location(&r, "/", h1.port, PROTOCOL_HTTP);
	rig_location(&r, "/unbuffered", h1.port, PROTOCOL_HTTP)->proxy_request_buffering = false;
	rig_location(&r, "/hang", h1.port, PROTOCOL_HTTP)->proxy_request_buffering = false;
	rig_location(&r, "/early-answer", h1.port, PROTOCOL_HTTP)->proxy_request_buffering = false;
	rig_location(&r, "/grpc", h2.port, PROTOCOL_GRPC);
	rig_location(&r, "/grpcs", h2_tls.port, PROTOCOL_GRPCS);
	r.shared.upstream_tls = tls_client_new(&trusting, &e);
	rig_start(&r, tls_server_new(&server, &e));
	client_tls = tls_client_new(&client, &e);
	pki_done(&ca);
	pki_done(&me);
	return client_tls ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	h1_stop(&h1);
	server_stop(&h2);
	server_stop(&h2_tls);
	tls_unref(client_tls);
	tls_unref(h2_tls.tls);
	tls_unref(r.shared.default_tls);
	tls_unref(r.shared.upstream_tls);
	rig_stop(&r);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	h2.request = NULL;
	cl = client_new(&r, r.port, NULL, false, 0);
	return cl->closed ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	client_free(cl);
	return 0;
}

static bool field_is(const struct buf *list, const char *line)
{
	return list->ptr && strstr(list->ptr, line);
}

/* ---- requests and answers ---- */

static void test_get(void **state)
{
	struct call *k = client_ask(cl, "GET", "/hello", NULL, false);

	(void)state;
	assert_true(call_wait(k));
	assert_int_equal(k->status, 200);
	assert_string_equal(call_body(k), "hello");
	assert_true(field_is(&k->head, "x-case: Kept\n"));
	assert_true(field_is(&k->head, "content-length: 5\n"));
	assert_false(field_is(&k->head, "connection"));
	assert_false(field_is(&k->head, "keep-alive"));
	assert_int_equal(k->code, 0);
	assert_true(cl->connect_protocol);
	assert_int_equal(cl->max_streams, 128);
}

static void test_get_tls(void **state)
{
	struct client *over_tls = client_new(&r, r.https_port, client_tls, false, 0);

	(void)state;
	assert_true(str_eq(conn_alpn(over_tls->conn), STR("h2")));
	struct call *k = client_ask(over_tls, "GET", "/dump", NULL, false);
	assert_true(call_wait(k));
	assert_int_equal(k->status, 200);
	assert_non_null(strstr(call_body(k), "X-Forwarded-Proto: https\r\n"));
	client_free(over_tls);
}

/* What an HTTP/1 upstream gets of an HTTP/2 request. */
static void test_head_to_h1(void **state)
{
	struct call *k = client_ask(cl, "GET", "/dump?q=1",
				    "cookie: a=1\nx-one: 1\ncookie: b=2\ncookie: c=3\nuser-agent: t\nte: trailers\nbad_name: 1\n", false);
	const char *got;

	(void)state;
	assert_true(call_wait(k));
	got = call_body(k);
	assert_non_null(strstr(got, "GET /dump?q=1 HTTP/1.1\r\nHost: a.test\r\n"));
	assert_non_null(strstr(got, "cookie: a=1; b=2; c=3\r\n"));
	assert_null(strstr(strstr(got, "cookie:") + 1, "cookie:"));
	assert_non_null(strstr(got, "x-one: 1\r\n"));
	assert_null(strstr(got, ":authority"));
	assert_null(strstr(got, "bad_name"));
	assert_null(strcasestr(got, "content-length"));
	assert_null(strcasestr(got, "transfer-encoding"));
}

static void test_host_without_authority(void **state)
{
	struct call *k = client_ask(cl, "GET", "/dump", "host: b.test\n", false);

	(void)state;
	assert_true(call_wait(k));
	assert_int_equal(k->status, 400); /* it differs from :authority */
	k = client_ask(cl, "GET", "/dump", "host: a.test\n", false);
	assert_true(call_wait(k));
	assert_int_equal(k->status, 200);
}

static void test_post(void **state)
{
	struct call *k = client_ask(cl, "POST", "/dump", "content-length: 4\n", true);

	(void)state;
	call_write(k, "body", 4, true);
	assert_true(call_wait(k));
	assert_non_null(strstr(call_body(k), "Content-Length: 4\r\n"));
	assert_non_null(strstr(call_body(k), "\r\n\r\nbody"));
}

static void test_post_empty(void **state)
{
	struct call *k = client_ask(cl, "POST", "/dump", NULL, false);

	(void)state;
	assert_true(call_wait(k));
	assert_non_null(strstr(call_body(k), "Content-Length: 0\r\n"));
}

/* Of unknown length, with trailers, while the upstream reads along. */
static void test_post_chunked(void **state)
{
	struct call *k = client_ask(cl, "POST", "/unbuffered", NULL, true);

	(void)state;
	call_write(k, "one", 3, false);
	assert_false(rig_until(&r, call_is_over, k, 20));
	k->trailers_out = true;
	call_write(k, "two", 3, true);
	assert_true(call_wait(k));
	assert_non_null(strstr(call_body(k), "Transfer-Encoding: chunked\r\n"));
	assert_non_null(strstr(call_body(k), "3\r\none\r\n3\r\ntwo\r\n0\r\nx-sum: 42\r\n\r\n"));
}

static void test_answer_trailers(void **state)
{
	struct call *k = client_ask(cl, "GET", "/trailers", "te: trailers\n", false);

	(void)state;
	assert_true(call_wait(k));
	assert_string_equal(call_body(k), "abc");
	assert_true(field_is(&k->trailers, "x-sum: 7\n"));
}

static void test_interim(void **state)
{
	struct call *k = client_ask(cl, "GET", "/early", NULL, false);

	(void)state;
	assert_true(call_wait(k));
	assert_int_equal(k->interim, 103);
	assert_true(field_is(&k->head, "link: </a.css>\n"));
	assert_int_equal(k->status, 200);
	k = client_ask(cl, "POST", "/dump", "expect: 100-continue\n", true);
	assert_false(rig_until(&r, call_is_over, k, 20));
	assert_int_equal(k->interim, 100);
	call_write(k, "x", 1, true);
	assert_true(call_wait(k));
	assert_int_equal(k->status, 200);
	assert_null(strcasestr(call_body(k), "expect:"));
}

static void test_bodiless(void **state)
{
	static const struct {
		const char *method, *path;
		int status;
		const char *length;
	} rows[] = {
		{"HEAD", "/hello", 200, "content-length: 1234\n"},
		{"GET", "/204", 204, NULL},
		{"GET", "/304", 304, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct call *k = client_ask(cl, rows[i].method, rows[i].path, NULL, false);
		assert_true(call_wait(k));
		assert_int_equal(k->status, rows[i].status);
		assert_int_equal(k->body.len, 0);
		assert_int_equal(k->code, 0);
		if (rows[i].length)
			assert_true(field_is(&k->head, rows[i].length));
		else
			assert_false(field_is(&k->head, "content-length"));
	}
}

static bool all_over(void *ctx)
{
	(void)ctx;
	for (size_t i = 0; i < cl->n_calls; i++)
		if (!cl->calls[i].closed)
			return cl->closed;
	return true;
}

static void test_many(void **state)
{
	(void)state;
	for (int i = 0; i < 500; i++)
		client_ask(cl, "GET", i % 25 ? "/hello" : "/big", NULL, false);
	assert_true(rig_until(&r, all_over, NULL, 60000));
	for (int i = 0; i < 500; i++) {
		assert_int_equal(cl->calls[i].status, 200);
		assert_int_equal(cl->calls[i].body.len, i % 25 ? 5 : BIG_BYTES);
	}
}

/* An answer that comes before its request has ended is not lost, and the connection goes on. */
static void test_early_answer(void **state)
{
	struct call *k = client_ask(cl, "POST", "/early-answer", NULL, true);

	(void)state;
	call_write(k, "some", 4, false);
	assert_true(rig_until(&r, call_has_head, k, 5000));
	call_write(k, "more", 4, true);
	assert_true(call_wait(k));
	assert_string_equal(call_body(k), "early");
	k = client_ask(cl, "GET", "/hello", NULL, false);
	assert_true(call_wait(k));
	assert_int_equal(k->status, 200);
}

/* ---- back-pressure ---- */

static bool big_stalls(void *ctx)
{
	static size_t last;
	static uint64_t since;
	uint64_t now = loop_now_ms(r.loop);

	(void)ctx;
	if (h1.big_sent != last) {
		last = h1.big_sent;
		since = now;
	}
	return last && now - since > 300;
}

/* A client that takes nothing stops the upstream; other streams go on; when it takes again, all arrives. */
static void test_slow_reader(void **state)
{
	struct call *k = client_ask(cl, "GET", "/big", NULL, false), *other;

	(void)state;
	cl->hold = true;
	assert_true(rig_until(&r, big_stalls, NULL, 10000));
	/* our windows, the proxy's queue, and the kernel's buffers of both connections, which grow to 6 MiB */
	assert_true(h1.big_sent < BIG_BYTES);
	assert_int_equal(k->body.len, 65535);
	other = client_ask(cl, "GET", "/204", NULL, false);
	assert_true(call_wait(other));
	cl->hold = false;
	nghttp2_session_consume(cl->session, k->id, k->body.len);
	client_kick(cl);
	assert_true(call_wait(k));
	assert_int_equal(k->body.len, BIG_BYTES);
}

static bool upload_stalls(void *ctx)
{
	struct call *k = ctx;
	static size_t last;
	static uint64_t since;
	uint64_t now = loop_now_ms(r.loop);

	if (k->out_at != last) {
		last = k->out_at;
		since = now;
	}
	return last && now - since > 300;
}

/* An upstream that reads nothing stops the client of that stream, and no other. */
static void test_slow_upstream(void **state)
{
	struct call *k = client_ask(cl, "POST", "/hang", NULL, true), *other;
	static char much[32u << 20];

	(void)state;
	call_write(k, much, sizeof(much), true);
	assert_true(rig_until(&r, upload_stalls, k, 10000));
	assert_true(k->out_at < sizeof(much));
	other = client_ask(cl, "GET", "/hello", NULL, false);
	assert_true(call_wait(other));
	assert_int_equal(other->status, 200);
	other = client_ask(cl, "POST", "/dump", NULL, true);
	call_write(other, much, 200000, true);
	assert_true(call_wait(other));
	assert_int_equal(other->status, 200);
}

/* ---- the end of things ---- */

static bool upstream_idle(void *ctx)
{
	return h1.n_open <= *(unsigned *)ctx;
}

static bool upstream_busy(void *ctx)
{
	return h1.n_requests > *(unsigned *)ctx;
}

static void test_client_resets(void **state)
{
	unsigned asked = h1.n_requests, open = h1.n_open;
	struct call *k = client_ask(cl, "GET", "/hang", NULL, false);

	(void)state;
	assert_true(rig_until(&r, upstream_busy, &asked, 5000));
	nghttp2_submit_rst_stream(cl->session, 0, k->id, NGHTTP2_CANCEL);
	client_kick(cl);
	open = open ? open - 1 : 0; /* a kept one was used, or a new one made: it is closed */
	assert_true(rig_until(&r, upstream_idle, &open, 5000));
	k = client_ask(cl, "GET", "/hello", NULL, false);
	assert_true(call_wait(k));
	assert_int_equal(k->status, 200);
}

/* ---- RFC 8441 ---- */

static bool body_arrived(void *ctx)
{
	struct call *k = ctx;

	return k->body.len >= 4 || k->closed;
}

static void test_websocket(void **state)
{
	struct call *k = client_ask(cl, "CONNECT", "/ws", ":protocol: websocket\nsec-websocket-version: 13\n", true);

	(void)state;
	assert_true(rig_until(&r, call_has_head, k, 5000));
	assert_int_equal(k->status, 200);
	assert_false(field_is(&k->head, "sec-websocket-accept"));
	assert_false(field_is(&k->head, "upgrade"));
	call_write(k, "ping", 4, false);
	assert_true(rig_until(&r, body_arrived, k, 5000));
	assert_string_equal(call_body(k), "ping");
	assert_false(k->closed);
	call_write(k, "", 0, true); /* half-closed: the upstream hears it, and ends */
	assert_true(call_wait(k));
	assert_int_equal(k->code, 0);
}

static void test_websocket_refused(void **state)
{
	struct call *k = client_ask(cl, "CONNECT", "/hello", ":protocol: websocket\n", true);

	(void)state;
	assert_true(rig_until(&r, call_has_head, k, 5000));
	assert_int_equal(k->status, 200); /* the upstream's own answer, no tunnel */
	k = client_ask(cl, "CONNECT", "/x", ":protocol: chat\n", true);
	assert_true(rig_until(&r, call_has_head, k, 5000));
	assert_int_equal(k->status, 501);
	k = client_ask(cl, "CONNECT", NULL, NULL, true);
	k->open = false;
}

/* ---- gRPC ---- */

static void check_echo(struct client *from, const char *path)
{
	struct call *k = client_ask(from, "POST", path, "content-type: application/grpc\nte: trailers\n", true);

	assert_true(rig_until(&r, call_has_head, k, 5000)); /* before anything was said: streaming both ways */
	assert_int_equal(k->status, 200);
	assert_true(field_is(&k->head, "x-te: trailers\n"));
	call_write(k, "ping", 4, false);
	assert_true(rig_until(&r, body_arrived, k, 5000));
	assert_string_equal(call_body(k), "ping");
	call_write(k, "pong", 4, true);
	assert_true(call_wait(k));
	assert_string_equal(call_body(k), "pingpong");
	assert_true(field_is(&k->trailers, "grpc-status: 0\n"));
	assert_true(field_is(&k->trailers, "grpc-message: fine\n"));
	assert_int_equal(k->code, 0);
}

static void test_grpc(void **state)
{
	unsigned conns;

	(void)state;
	check_echo(cl, "/grpc/a.B/C");
	conns = h2.n_conns;
	for (int i = 0; i < 20; i++)
		check_echo(cl, "/grpc/a.B/C");
	assert_int_equal(h2.n_conns, conns); /* all on one */
}

static void test_grpcs(void **state)
{
	(void)state;
	check_echo(cl, "/grpcs/a.B/C");
}

static bool raw_has(void *ctx)
{
	struct client *raw = ctx;

	return raw->closed || (raw->raw_in.ptr && memmem(raw->raw_in.ptr, raw->raw_in.len, "\r\n0\r\n", 5));
}

/* Trailers reach HTTP/1.1 clients in the last chunk. */
static void test_grpc_to_h1(void **state)
{
	struct client *raw = client_new(&r, r.port, NULL, true, 0);
	static const char ask[] = "POST /grpc/x HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nContent-Type: application/grpc\r\n"
				  "Content-Length: 4\r\n\r\nping";

	(void)state;
	conn_write(raw->conn, ask, sizeof(ask) - 1);
	assert_true(rig_until(&r, raw_has, raw, 5000));
	assert_non_null(strstr(raw->raw_in.ptr, "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strcasestr(raw->raw_in.ptr, "4\r\nping\r\n0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n"));
	client_free(raw);
}

static unsigned faults;

static bool refuse_once(struct server_conn_ *c, struct served *v)
{
	if (faults-- == 0)
		return false;
	nghttp2_submit_rst_stream(c->session, 0, v->id, NGHTTP2_REFUSED_STREAM);
	h2.request = NULL;
	return true;
}

/* Certainly not seen: asked again, though POST is not idempotent. */
static void test_refused_stream(void **state)
{
	struct call *k;
	unsigned before = h2.n_requests;

	(void)state;
	faults = 1;
	h2.request = refuse_once;
	k = client_ask(cl, "POST", "/grpc/x", "content-type: application/grpc\n", true);
	call_write(k, "ping", 4, true);
	assert_true(call_wait(k));
	assert_int_equal(k->status, 200);
	assert_string_equal(call_body(k), "ping");
	assert_int_equal(h2.n_requests, before + 2);
}

static bool go_away(struct server_conn_ *c, struct served *v)
{
	nghttp2_submit_goaway(c->session, 0, v->id - 2, NGHTTP2_NO_ERROR, NULL, 0);
	h2.request = NULL;
	return true;
}

static void test_goaway(void **state)
{
	unsigned conns = h2.n_conns;
	struct call *k;

	(void)state;
	h2.request = go_away;
	k = client_ask(cl, "POST", "/grpc/x", "content-type: application/grpc\n", true);
	call_write(k, "ping", 4, true);
	assert_true(call_wait(k));
	assert_int_equal(k->status, 200);
	assert_string_equal(call_body(k), "ping");
	assert_true(h2.n_conns > conns);
}

static struct {
	struct server_conn_ *conn;
	struct served *v;
	int32_t id;
} awaited;

static bool answer_later(struct server_conn_ *c, struct served *v)
{
	awaited.conn = c;
	awaited.v = v;
	awaited.id = v->id;
	return true;
}

static bool window_used_up(void *ctx)
{
	(void)ctx;
	return awaited.v && awaited.v->out.len == NGHTTP2_INITIAL_WINDOW_SIZE - 4;
}

static bool stream_gone(void *ctx)
{
	(void)ctx;
	return nghttp2_session_get_stream_remote_close(awaited.conn->session, awaited.id) != 0;
}

/* All of the request but its end has gone when the answer is complete: the upstream's stream is ended all the same. */
static void test_early_end(void **state)
{
	char *bytes = xcalloc(1, NGHTTP2_INITIAL_WINDOW_SIZE);
	struct call *k;

	awaited.v = NULL;
	h2.no_credit = true;
	test_goaway(state); /* on a new connection, whose window it has begun to use: 4 bytes */
	h2.request = answer_later;
	k = client_ask(cl, "POST", "/grpc/x", "content-type: application/grpc\n", true);
	call_write(k, bytes, NGHTTP2_INITIAL_WINDOW_SIZE - 4, false);
	assert_true(rig_until(&r, window_used_up, NULL, 5000));
	call_write(k, "", 0, true);
	assert_false(rig_until(&r, stream_gone, NULL, 50)); /* the end waits for credit */
	awaited.v->ended = true;
	server_answer(awaited.conn, awaited.v);
	loop_defer(r.loop, &awaited.conn->flush);
	assert_true(call_wait(k));
	assert_int_equal(k->status, 200);
	assert_true(rig_until(&r, stream_gone, NULL, 2000));
	h2.no_credit = false;
	test_goaway(state);
	free(bytes);
}

static bool reset_it(struct server_conn_ *c, struct served *v)
{
	nghttp2_submit_rst_stream(c->session, 0, v->id, NGHTTP2_INTERNAL_ERROR);
	return true;
}

/* Possibly seen: a POST is not asked again. nginx answers a plain 502 to gRPC, too. */
static void test_reset(void **state)
{
	unsigned before = h2.n_requests;
	struct call *k;

	(void)state;
	h2.request = reset_it;
	k = client_ask(cl, "POST", "/grpc/x", "content-type: application/grpc\n", true);
	call_write(k, "ping", 4, true);
	assert_true(call_wait(k));
	assert_int_equal(k->status, 502);
	assert_true(field_is(&k->head, "content-type: text/html\n"));
	assert_int_equal(h2.n_requests, before + 1);
}

static bool reset_later(struct server_conn_ *c, struct served *v)
{
	server_answer(c, v);
	buf_put(&v->out, "half", 4);
	nghttp2_session_resume_data(c->session, v->id);
	return true;
}

/* Half an answer: the client's stream is reset, not ended. */
static void test_reset_midway(void **state)
{
	struct call *k;

	(void)state;
	h2.request = reset_later;
	k = client_ask(cl, "POST", "/grpc/x", "content-type: application/grpc\n", true);
	assert_true(rig_until(&r, body_arrived, k, 5000));
	struct server_conn_ *c = list_entry(h2.conns.prev, struct server_conn_, link);
	conn_close(c->conn);
	server_gone(c);
	assert_true(call_wait(k));
	assert_string_equal(call_body(k), "half");
	assert_int_equal(k->code, NGHTTP2_INTERNAL_ERROR);
}

/* ---- no new requests ---- */

static bool client_over(void *ctx)
{
	(void)ctx;
	return cl->closed;
}

static bool goaways(void *ctx)
{
	return cl->n_goaways >= *(int *)ctx || cl->closed;
}

/* keep-alive-requests: what is under way is answered, and no request that the client sends meanwhile is lost. */
static void test_keep_alive_requests(void **state)
{
	const unsigned before = r.globals.keep_alive_requests;

	(void)state;
	__atomic_store_n(&r.globals.keep_alive_requests, 3, __ATOMIC_RELAXED);
	for (int i = 0; i < 4; i++)
		client_ask(cl, "GET", "/hello", NULL, false);
	assert_true(rig_until(&r, client_over, NULL, 5000));
	__atomic_store_n(&r.globals.keep_alive_requests, before, __ATOMIC_RELAXED);
	for (int i = 0; i < 4; i++)
		assert_int_equal(cl->calls[i].status, 200);
	assert_int_equal(cl->goaway_code, NGHTTP2_NO_ERROR);
	/* the second one, too, unless the client's library stopped listening when nothing was left to do */
	assert_true(cl->goaway_last == 7 || cl->n_goaways == 1);
}

static bool drained;

static void on_closed(void *arg)
{
	(void)arg;
}

static void on_drained(void *arg)
{
	(void)arg;
	drained = true;
}

static bool is_drained(void *ctx)
{
	(void)ctx;
	return drained;
}

/* A worker that another process takes over from: the WebSocket goes on until its own end. The last test. */
static void test_drain(void **state)
{
	struct call *k = client_ask(cl, "CONNECT", "/ws", ":protocol: websocket\n", true);
	int one = 1, two = 2;

	(void)state;
	drained = false;
	assert_true(rig_until(&r, call_has_head, k, 5000));
	workers_drain(r.workers, on_closed, on_drained, NULL);
	assert_true(rig_until(&r, goaways, &one, 5000));
	assert_true(rig_until(&r, goaways, &two, 5000));
	assert_int_equal(cl->goaway_last, k->id);
	call_write(k, "ping", 4, false);
	assert_true(rig_until(&r, body_arrived, k, 5000));
	assert_string_equal(call_body(k), "ping");
	assert_false(drained);
	call_write(k, "", 0, true);
	assert_true(call_wait(k));
	assert_int_equal(k->code, 0);
	assert_true(rig_until(&r, is_drained, NULL, 5000));
}

static int group_setup_crowded(void **state)
{
	int rc = group_setup(state);

	rig_crowd(&r);
	return rc;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_get),		T(test_get_tls),	 T(test_head_to_h1),	T(test_host_without_authority),
		T(test_post),		T(test_post_empty),	 T(test_post_chunked),	T(test_answer_trailers),
		T(test_interim),	T(test_bodiless),	 T(test_early_answer),	T(test_client_resets),
		T(test_slow_reader),	T(test_slow_upstream),	 T(test_many),		T(test_websocket),
		T(test_websocket_refused), T(test_grpc),	 T(test_grpcs),		T(test_grpc_to_h1),
		T(test_refused_stream), T(test_goaway),		 T(test_early_end),	T(test_reset),		T(test_reset_midway),
		T(test_keep_alive_requests), T(test_drain),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown) + cmocka_run_group_tests(tests, group_setup_crowded, group_teardown);
}
