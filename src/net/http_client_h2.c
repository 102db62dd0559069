/* HTTP/2 for the client (RFC 9113): one connection for all calls, by nghttp2. */
#include "net/http_client_int.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>

#define WINDOW_BYTES (1 << 20) /* a stream's: a list of a thousand objects flows without waiting   \
				*/
#define CONNECTION_WINDOW_BYTES (16 << 20) /* several of them, beside quiet watches */
#define PING_MS 15000			   /* a peer that vanished is noticed within two of these */
#define FIXED_HEADERS 5

struct h2_client {
	struct list link;	    /* in the client's h2_conns */
	struct http_client *client; /* NULL once it has let go of us */
	struct loop *loop;
	struct conn *conn;
	nghttp2_session *session;
	struct timer timer; /* connecting, then pings */
	bool ready, ping_open, heard;
	struct defer flush, reap;
};

static void h2_fail(struct h2_client *h, const struct err *e);

static void h2_reap(struct defer *d)
{
	struct h2_client *h = container_of(d, struct h2_client, reap);

	nghttp2_session_del(h->session);
	free(h);
}

static void h2_close(struct h2_client *h)
{
	if (h->client && h->client->h2 == h)
		h->client->h2 = NULL;
	h->client = NULL;
	list_del(&h->link);
	timer_stop(&h->timer);
	defer_cancel(&h->flush);
	conn_close(h->conn);
	h->conn = NULL;
	loop_defer(h->loop, &h->reap);
}

/* Every call on this connection ends with the error. Its call-backs may send new calls: those open
 * a new connection. */
static void h2_fail(struct h2_client *h, const struct err *e)
{
	struct http_client *c = h->client;
	struct list mine;

	if (!c)
		return;
	h2_close(h);
	list_init(&mine);
	list_for(n, tmp, &c->calls)
	{
		if (list_entry(n, struct http_call, link)->h2 != h)
			continue;
		list_del(n);
		list_append(&mine, n);
	}
	while (!list_empty(&mine))
		call_done(list_entry(mine.next, struct http_call, link), e);
}

/* ---- sending ---- */

static void h2_flush(struct defer *d)
{
	struct h2_client *h = container_of(d, struct h2_client, flush);
	const uint8_t *bytes;
	struct err e;
	ssize_t n = 0;

	while (h->conn && conn_pending(h->conn) < CONN_HIGH_WATER_BYTES &&
	       (n = nghttp2_session_mem_send(h->session, &bytes)) > 0)
		conn_write(h->conn, bytes, (size_t)n);
	if (n < 0 ||
	    !(nghttp2_session_want_read(h->session) || nghttp2_session_want_write(h->session))) {
		err_set(&e, ERR_UNAVAILABLE, "HTTP/2 session ended");
		h2_fail(h, &e);
	}
}

static void h2_want_flush(struct h2_client *h)
{
	if (h->ready)
		loop_defer(h->loop, &h->flush);
}

static ssize_t read_body(nghttp2_session *s, int32_t id, uint8_t *out, size_t max, uint32_t *flags,
			 nghttp2_data_source *source, void *user)
{
	/* Not source->ptr: a cancelled call is gone while its last frame still waits. */
	struct http_call *call = nghttp2_session_get_stream_user_data(s, id);
	size_t n = call ? MIN(call->body.len - call->body_at, max) : 0;

	(void)source, (void)user;
	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (n == 0 && call->body_open)
		return NGHTTP2_ERR_DEFERRED;
	if (n)
		memcpy(out, call->body.ptr + call->body_at, n);
	call->body_at += n;
	if (call->body_at == call->body.len) {
		buf_clear(&call->body);
		call->body_at = 0;
		if (!call->body_open)
			*flags |= NGHTTP2_DATA_FLAG_EOF;
	}
	return (ssize_t)n;
}

static nghttp2_nv nv(struct str name, struct str value)
{
	return (nghttp2_nv){(uint8_t *)name.ptr, (uint8_t *)value.ptr, name.len, value.len,
			    NGHTTP2_NV_FLAG_NONE};
}

static void h2_submit(struct h2_client *h, struct http_call *call)
{
	struct http_client *c = h->client;
	nghttp2_nv *list = xcalloc(call->n_headers + FIXED_HEADERS, sizeof(*list));
	nghttp2_data_provider body = {.read_callback = read_body};
	size_t n = 0;
	char length[24];

	list[n++] = nv(STR(":method"), str_of(call->method));
	list[n++] = nv(STR(":scheme"), c->config.tls ? STR("https") : STR("http"));
	list[n++] = nv(STR(":authority"), call->host);
	list[n++] = nv(STR(":path"), str_of(call->path));
	if (call->has_body && !call->body_open) {
		snprintf(length, sizeof(length), "%zu", call->body.len);
		list[n++] = nv(STR("content-length"), str_of(length));
	}
	for (size_t i = 0; i < call->n_headers; i++)
		list[n++] = nv(call->headers[i].name, call->headers[i].value);
	call->stream_id = nghttp2_submit_request(h->session, NULL, list, n,
						 call->has_body ? &body : NULL, call);
	free(list);
	call->stage = CALL_SENT;
	if (call->stream_id < 0) {
		struct err e;
		err_set(&e, ERR_UNAVAILABLE, "HTTP/2 request: %s",
			nghttp2_strerror(call->stream_id));
		call_fail_later(call, &e);
		/* It takes no more streams: their numbers may have run out. The next call
		 * reconnects. */
		if (c->h2 == h)
			c->h2 = NULL;
	}
	h2_want_flush(h);
}

/* ---- receiving ---- */

static struct http_call *call_of(nghttp2_session *s, int32_t id)
{
	struct http_call *call = nghttp2_session_get_stream_user_data(s, id);

	return call && call->stage != CALL_ENDED ? call : NULL;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user)
{
	struct http_call *call = call_of(s, frame->hd.stream_id);
	struct str n = {(const char *)name, name_len}, v = {(const char *)value, value_len};
	uint64_t status;

	(void)flags, (void)user;
	if (!call)
		return 0;
	if (str_eq(n, STR(":status"))) {
		call->status = str_to_u64(v, 999, &status) ? (int)status : 0;
		return 0;
	}
	return call_add_header(call, n, v) < 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct h2_client *h = user;
	struct http_call *call = frame->hd.stream_id ? call_of(s, frame->hd.stream_id) : NULL;

	h->heard = true;
	if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
		h->ping_open = false;
	/* Old calls go on; new ones open another connection. */
	if (frame->hd.type == NGHTTP2_GOAWAY && h->client && h->client->h2 == h)
		h->client->h2 = NULL;
	if (!call)
		return 0;
	/* 1xx answers come before the real one. */
	if (frame->hd.type == NGHTTP2_HEADERS && call->stage == CALL_SENT) {
		if (call->status < 200)
			call->n_got = 0;
		else
			call_headers_done(call);
	}
	call = call_of(s, frame->hd.stream_id);
	if (call && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA)) {
		nghttp2_session_set_stream_user_data(s, frame->hd.stream_id, NULL);
		if (call->body_open ||
		    call->body.len) /* the answer came before we had sent everything */
			nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
						  NGHTTP2_NO_ERROR);
		call_done(call, NULL);
	}
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
		   void *user)
{
	struct http_call *call = call_of(s, id);

	(void)flags, (void)user;
	if (call)
		call_data(call, (struct str){(const char *)bytes, len});
	return 0;
}

static int on_stream_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
	struct http_call *call = call_of(s, id);
	struct err e;

	(void)user;
	if (!call)
		return 0;
	err_set(&e, ERR_UNAVAILABLE, "%s %s: stream closed: %s", call->method, call->path,
		nghttp2_http2_strerror(code));
	call_done(call, &e);
	return 0;
}

static size_t on_bytes(struct conn *conn, void *ctx, const uint8_t *bytes, size_t len)
{
	struct h2_client *h = ctx;
	struct err e;

	(void)conn;
	ssize_t n = nghttp2_session_mem_recv(h->session, bytes, len);
	if (!h->client)
		return len; /* a call-back closed us */
	if (n < 0) {
		err_set(&e, ERR_UNAVAILABLE, "HTTP/2: %s", nghttp2_strerror((int)n));
		h2_fail(h, &e);
		return len;
	}
	h2_want_flush(h);
	return len;
}

/* ---- the connection ---- */

static void on_timer(struct timer *t)
{
	struct h2_client *h = t->ctx;
	struct err e;

	if (!h->ready || (h->ping_open && !h->heard)) {
		err_set(&e, ERR_TIMEOUT,
			h->ready ? "the peer does not answer any more" : "no connection in time");
		h2_fail(h, &e);
		return;
	}
	/* A Unix socket's peer cannot vanish unnoticed, and gRPC servers punish such pings with
	 * GOAWAY. */
	if (!h->heard && !list_empty(&h->client->calls) &&
	    h->client->config.to.ss.ss_family != AF_UNIX) {
		nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
		h->ping_open = true;
		h2_want_flush(h);
	}
	h->heard = false;
	timer_start(h->loop, t, PING_MS);
}

static void on_connected(struct conn *conn, void *ctx)
{
	struct h2_client *h = ctx;
	struct err e;

	if (h->client->config.tls && !str_eq(conn_alpn(conn), STR("h2"))) {
		err_set(&e, ERR_UNAVAILABLE, "the server does not speak HTTP/2");
		h2_fail(h, &e);
		return;
	}
	h->ready = true;
	h->heard = true;
	timer_start(h->loop, &h->timer, PING_MS);
	list_for(n, tmp, &h->client->calls)
	{
		struct http_call *call = list_entry(n, struct http_call, link);
		if (call->stage == CALL_QUEUED && call->h2 == h)
			h2_submit(h, call);
	}
	h2_want_flush(h);
}

static void on_conn_eof(struct conn *conn, void *ctx)
{
	struct err e;

	(void)conn;
	err_set(&e, ERR_UNAVAILABLE, "the server closed the connection");
	h2_fail(ctx, &e);
}

static void on_conn_failed(struct conn *conn, void *ctx, const struct err *e)
{
	struct h2_client *h = ctx;

	(void)conn;
	h->conn = NULL; /* freed by whoever called */
	h2_fail(h, e);
}

static void on_conn_drained(struct conn *conn, void *ctx)
{
	(void)conn;
	h2_want_flush(ctx);
}

static const struct conn_ops h2_conn_ops = {
	.ready = on_connected,
	.data = on_bytes,
	.eof = on_conn_eof,
	.drained = on_conn_drained,
	.failed = on_conn_failed,
};

static void h2_session_new(struct h2_client *h)
{
	nghttp2_session_callbacks *cb;
	nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, CALL_HEADER_BYTES},
	};

	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	if (nghttp2_session_client_new(&h->session, cb, h) != 0)
		abort(); /* only for want of memory */
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings));
	nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
					      CONNECTION_WINDOW_BYTES);
}

static int h2_connect(struct http_client *c, struct err *e)
{
	struct h2_client *h = xcalloc(1, sizeof(*h));

	*h = (struct h2_client){.client = c,
				.loop = c->loop,
				.flush.run = h2_flush,
				.reap.run = h2_reap,
				.timer = {.fire = on_timer, .ctx = h}};
	h->conn = conn_connect(c->loop, &c->config.to, c->config.tls, c->server_name, &h2_conn_ops,
			       h, e);
	if (!h->conn) {
		free(h);
		return -1;
	}
	h2_session_new(h);
	timer_start(c->loop, &h->timer,
		    c->config.connect_timeout_ms ? c->config.connect_timeout_ms : PING_MS);
	list_append(&c->h2_conns, &h->link);
	c->h2 = h;
	return 0;
}

void h2_call_send(struct http_call *call)
{
	struct http_client *c = call->client;
	struct err e;

	if (!c->h2 && h2_connect(c, &e) < 0) {
		call_fail_later(call, &e);
		return;
	}
	call->h2 = c->h2;
	if (c->h2->ready)
		h2_submit(c->h2, call);
}

void h2_call_more(struct http_call *call)
{
	if (!call->h2 || call->stream_id < 0)
		return;
	nghttp2_session_resume_data(call->h2->session, call->stream_id);
	h2_want_flush(call->h2);
}

void h2_call_cancel(struct http_call *call)
{
	struct h2_client *h = call->h2;

	if (!h || call->stream_id < 0)
		return;
	nghttp2_session_set_stream_user_data(h->session, call->stream_id, NULL);
	nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
	h2_want_flush(h);
}

void h2_client_close(struct http_client *c)
{
	while (!list_empty(&c->h2_conns))
		h2_close(list_entry(c->h2_conns.next, struct h2_client, link));
}
