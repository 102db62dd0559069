/* HTTP/2 for the server (RFC 9113), by nghttp2. */
#include "net/http_server_int.h"

#include <stdio.h>

#define STREAM_WINDOW_BYTES (256 << 10) /* a usual body needs no round trip for credit */
#define CONNECTION_WINDOW_BYTES (1 << 20)
#define BODIES_PER_CONNECTION 8 /* as many bodies of the maximal size may be held for one client   \
				 */
#define RESETS_BURST 1000	/* CVE-2023-44487: streams opened only to be reset; */
#define RESETS_PER_SECOND 100	/* an informer that restarts closes one watch per kind */
/* The rest of a refused body is read and dropped: told to stop (RFC 9113 §8.1), some clients,
 * curl 7.88 among them, lose the answer that came just before. */
#define DROPPED_MAX_BYTES (32u << 20)
#define HEADERS_FIRST 16

static void want_flush(struct server_conn *sc)
{
	if (!sc->closed)
		loop_defer(sc->server->loop, &sc->flush);
}

/* --- what is still to be sent of a body --- */

static struct str out_left(const struct http_exchange *x)
{
	struct str all = x->reply_release ? x->reply_body : buf_str(&x->out);

	return (struct str){all.ptr + x->out_at, all.len - x->out_at};
}

static void out_taken(struct http_exchange *x, size_t n)
{
	x->out_at += n;
	if (x->reply_release)
		return;
	if (x->out_at == x->out.len) {
		buf_done(&x->out); /* a quiet watch holds no buffer */
		x->out_at = 0;
	} else if (x->out_at > x->out.len / 2 && x->out_at > CONN_LOW_WATER_BYTES) {
		buf_consume(&x->out, x->out_at);
		x->out_at = 0;
	}
	if (x->above_low && out_left(x).len <= CONN_LOW_WATER_BYTES) {
		x->above_low = false;
		x->drain_owed = x->sc->drain_owed = true;
	}
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t max,
		       uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct http_exchange *x = nghttp2_session_get_stream_user_data(session, id);

	(void)to, (void)source, (void)user;
	if (!x)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	size_t left = out_left(x).len, n = MIN(left, max);
	if (n == 0 && !x->ended) {
		x->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n == left && x->ended)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
			size_t len, nghttp2_data_source *source, void *user)
{
	struct server_conn *sc = user;
	struct http_exchange *x =
		nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)source;
	if (!x)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	conn_write(sc->conn, head, 9);
	conn_write(sc->conn, out_left(x).ptr, len);
	out_taken(x, len);
	return 0;
}

static void tell_drained(struct server_conn *sc)
{
	while (sc->drain_owed && !sc->closed) {
		struct http_exchange *x = NULL;

		list_for(at, tmp,
			 &sc->exchanges) if (list_entry(at, struct http_exchange, link)->drain_owed)
			x = list_entry(at, struct http_exchange, link);
		sc->drain_owed = x != NULL;
		if (!x)
			return;
		x->drain_owed = false;
		if (x->state == X_STREAMING && x->drained)
			x->drained(x->drained_ctx);
	}
}

static void h2_flush(struct defer *d)
{
	struct server_conn *sc = container_of(d, struct server_conn, flush);
	const uint8_t *bytes;
	ssize_t n = 1;

	while (conn_pending(sc->conn) < CONN_HIGH_WATER_BYTES) {
		n = nghttp2_session_mem_send(sc->session, &bytes);
		if (n <= 0)
			break;
		conn_write(sc->conn, bytes, (size_t)n);
	}
	if (n < 0) {
		server_conn_close(sc);
	} else if (!nghttp2_session_want_read(sc->session) &&
		   !nghttp2_session_want_write(sc->session)) {
		conn_close_after_write(sc->conn);
		server_conn_detach(sc);
	} else {
		tell_drained(sc);
	}
}

/* --- replies --- */

static nghttp2_nv nv(struct str name, struct str value)
{
	return (nghttp2_nv){(uint8_t *)name.ptr, (uint8_t *)value.ptr, name.len, value.len,
			    NGHTTP2_NV_FLAG_NONE};
}

static void h2_reset(struct http_exchange *x, uint32_t code)
{
	nghttp2_submit_rst_stream(x->sc->session, NGHTTP2_FLAG_NONE, x->stream_id, code);
	want_flush(x->sc);
}

/* `length` below 0: none is announced. */
static void submit(struct http_exchange *x, int status, const struct http_header *headers, size_t n,
		   ssize_t length, bool body)
{
	struct server_conn *sc = x->sc;
	nghttp2_data_provider provider = {.read_callback = on_read};
	nghttp2_nv *list = arena_alloc(&x->arena, (n + 3) * sizeof(*list));
	char status_text[12], length_text[24];
	size_t at = 0;

	if (!list) {
		h2_reset(x, NGHTTP2_INTERNAL_ERROR);
		return;
	}
	snprintf(status_text, sizeof(status_text), "%d", status);
	list[at++] = nv(STR(":status"), str_of(status_text));
	list[at++] = nv(STR("date"), str_of(server_date(sc->server)));
	if (length >= 0) {
		snprintf(length_text, sizeof(length_text), "%zd", length);
		list[at++] = nv(STR("content-length"), str_of(length_text));
	}
	for (size_t i = 0; i < n; i++)
		if (!header_is_hop(headers[i].name))
			list[at++] = nv(headers[i].name, headers[i].value);
	if (nghttp2_submit_response(sc->session, x->stream_id, list, at, body ? &provider : NULL) !=
	    0)
		h2_reset(x, NGHTTP2_INTERNAL_ERROR);
	want_flush(sc);
}

static bool status_has_body(int status)
{
	return status >= 200 && status != 204 && status != 304;
}

static void h2_reply(struct http_exchange *x, int status, const struct http_header *headers,
		     size_t n)
{
	bool body = status_has_body(status);
	size_t len = x->reply_body.len;
	bool send = body && !x->head && len;

	x->state = X_ENDED;
	x->ended = true;
	if (send && !x->reply_release && buf_put_str(&x->out, x->reply_body) < 0) {
		h2_reset(x, NGHTTP2_INTERNAL_ERROR);
		return;
	}
	submit(x, status, headers, n, body ? (ssize_t)len : -1, send);
}

static void h2_reply_start(struct http_exchange *x, int status, const struct http_header *headers,
			   size_t n)
{
	x->head = x->head || !status_has_body(status);
	submit(x, status, headers, n, -1, !x->head);
}

static void out_more(struct http_exchange *x)
{
	if (!x->deferred)
		return;
	x->deferred = false;
	nghttp2_session_resume_data(x->sc->session, x->stream_id);
	want_flush(x->sc);
}

static void h2_write(struct http_exchange *x, struct str data)
{
	if (buf_put_str(&x->out, data) < 0) {
		h2_reset(x, NGHTTP2_INTERNAL_ERROR);
		return;
	}
	if (out_left(x).len > CONN_LOW_WATER_BYTES)
		x->above_low = true;
	out_more(x);
}

static void h2_end(struct http_exchange *x)
{
	x->state = X_ENDED;
	x->ended = true;
	out_more(x);
}

static void h2_abort(struct http_exchange *x)
{
	x->state = X_ENDED;
	h2_reset(x, NGHTTP2_INTERNAL_ERROR);
}

static size_t h2_pending(const struct http_exchange *x)
{
	return out_left(x).len;
}

/* --- requests --- */

static struct http_exchange *exchange_of(nghttp2_session *session, int32_t id)
{
	return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct server_conn *sc = user;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct http_exchange *x = http_exchange_new(sc);
	x->req.h2 = true;
	x->stream_id = frame->hd.stream_id;
	nghttp2_session_set_stream_user_data(session, x->stream_id, x);
	return 0;
}

static int add_header(struct http_exchange *x, struct str name, struct str value)
{
	if (x->n_headers == x->max_headers) {
		size_t max = MIN(MAX(x->max_headers * 2, (size_t)HEADERS_FIRST),
				 (size_t)LIMIT_REQUEST_HEADERS);
		struct http_header *more =
			x->n_headers == max ? NULL : arena_alloc(&x->arena, max * sizeof(*more));

		if (!more)
			return -1;
		if (x->n_headers)
			memcpy(more, x->headers, x->n_headers * sizeof(*more));
		x->headers = more;
		x->max_headers = max;
	}
	x->headers[x->n_headers++] = (struct http_header){name, value};
	return 0;
}

static void set_pseudo(struct http_request *r, struct str name, struct str value)
{
	if (str_eq(name, STR(":method"))) {
		r->method = value;
	} else if (str_eq(name, STR(":authority"))) {
		r->authority = value;
	} else if (str_eq(name, STR(":path"))) {
		r->target = value;
		r->path = str_cut(value, '?', &r->query);
	}
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user)
{
	struct http_exchange *x = exchange_of(session, frame->hd.stream_id);

	(void)flags, (void)user;
	if (!x || frame->headers.cat != NGHTTP2_HCAT_REQUEST || x->refused)
		return 0;
	x->headers_bytes += name_len + value_len + 32; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts */
	char *copy = x->headers_bytes > LIMIT_REQUEST_HEAD_BYTES
			     ? NULL
			     : arena_alloc(&x->arena, name_len + value_len + 1);
	if (!copy) {
		x->refused = 431;
		return 0;
	}
	memcpy(copy, name, name_len);
	memcpy(copy + name_len, value, value_len);
	struct str n = {copy, name_len}, v = {copy + name_len, value_len};
	if (copy[0] == ':')
		set_pseudo(&x->req, n, v);
	else if (add_header(x, n, v) < 0)
		x->refused = 431;
	return 0;
}

static void h2_refuse(struct http_exchange *x, int status, const char *message)
{
	static const struct http_header text = {STR("content-type"),
						STR("text/plain; charset=utf-8")};
	static const struct http_header json = {STR("content-type"), STR("application/json")};

	x->refused = status;
	x->head = str_eq(x->req.method, STR("HEAD"));
	exchange_refusal(x, status, message);
	h2_reply(x, status, x->sc->server->config.refuse ? &json : &text, 1);
}

static void headers_done(struct http_exchange *x)
{
	struct http_request *r = &x->req;
	uint64_t length;

	r->headers = (struct http_headers){x->headers, x->n_headers};
	struct str host = http_header_get(r->headers, "host");
	struct str length_text = http_header_get(r->headers, "content-length");
	if (x->refused) {
		h2_refuse(x, x->refused, "the request's headers are too large");
		return;
	}
	if (r->authority.len && host.len && !str_ieq(r->authority, host)) {
		h2_refuse(x, 400, "Host differs from :authority");
		return;
	}
	if (r->authority.len == 0)
		r->authority = host;
	if (length_text.len && str_to_u64(length_text, INT64_MAX, &length) &&
	    length > x->sc->server->config.body_max)
		h2_refuse(x, 413, "the request's body is too large");
}

static void say_continue(struct http_exchange *x)
{
	const nghttp2_nv status = nv(STR(":status"), STR("100"));

	if (str_ieq(http_header_get(x->req.headers, "expect"), STR("100-continue")))
		nghttp2_submit_headers(x->sc->session, NGHTTP2_FLAG_NONE, x->stream_id, NULL,
				       &status, 1, NULL);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct server_conn *sc = user;
	struct http_exchange *x = exchange_of(session, frame->hd.stream_id);
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	if (!x || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		headers_done(x);
		if (!x->refused && !end)
			say_continue(x);
	}
	if (end && !x->refused && x->state == X_READING)
		exchange_dispatch(x);
	return sc->closed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
		   size_t len, void *user)
{
	struct server_conn *sc = user;
	struct http_exchange *x = exchange_of(session, id);

	(void)flags;
	if (!x)
		return 0;
	if (x->refused || x->state != X_READING) {
		x->dropped += len;
		if (x->dropped > DROPPED_MAX_BYTES)
			nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
		return 0;
	}
	if (buf_put(&x->body, bytes, len) < 0) {
		h2_refuse(x, 413, "the request's body is too large");
		return 0;
	}
	x->counted += len;
	sc->bodies_bytes += len;
	if (sc->bodies_bytes > sc->server->config.body_max * BODIES_PER_CONNECTION)
		h2_refuse(x, 429, "too many request bodies at once on this connection");
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct server_conn *sc = user;
	struct http_exchange *x = exchange_of(session, id);

	(void)code;
	if (!x)
		return 0;
	sc->bodies_bytes -= x->counted;
	sc->quiet_since_ms = loop_now_ms(sc->server->loop);
	nghttp2_session_set_stream_user_data(session, id, NULL);
	exchange_lost(x);
	return sc->closed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* --- the connection --- */

static int session_new(struct server_conn *sc)
{
	nghttp2_session_callbacks *cb;
	nghttp2_option *option;

	if (nghttp2_session_callbacks_new(&cb) != 0 || nghttp2_option_new(&option) != 0)
		abort(); /* only for want of memory */
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
	nghttp2_option_set_stream_reset_rate_limit(option, RESETS_BURST, RESETS_PER_SECOND);
	nghttp2_option_set_no_closed_streams(option, 1);
	int r = nghttp2_session_server_new2(&sc->session, cb, sc, option);
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(option);
	return r;
}

static int h2_start(struct server_conn *sc)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, LIMIT_STREAMS_PER_CONNECTION},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_REQUEST_HEAD_BYTES},
	};

	sc->flush.run = h2_flush;
	if (session_new(sc) != 0 ||
	    nghttp2_submit_settings(sc->session, NGHTTP2_FLAG_NONE, settings,
				    ARRAY_LEN(settings)) != 0 ||
	    nghttp2_session_set_local_window_size(sc->session, NGHTTP2_FLAG_NONE, 0,
						  CONNECTION_WINDOW_BYTES) != 0)
		return -1;
	want_flush(sc);
	return 0;
}

static void h2_stop(struct server_conn *sc)
{
	nghttp2_session_del(sc->session);
}

static void h2_idle(struct server_conn *sc)
{
	nghttp2_session_terminate_session(sc->session, NGHTTP2_NO_ERROR);
	want_flush(sc);
}

static size_t h2_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct server_conn *sc = ctx;

	(void)c;
	ssize_t n = nghttp2_session_mem_recv(sc->session, bytes, len);
	if (n < 0)
		server_conn_close(sc);
	else
		want_flush(sc);
	return len;
}

static void h2_eof(struct conn *c, void *ctx)
{
	(void)c;
	server_conn_close(ctx);
}

static void h2_drained(struct conn *c, void *ctx)
{
	(void)c;
	want_flush(ctx);
}

static void h2_failed(struct conn *c, void *ctx, const struct err *e)
{
	(void)c, (void)e;
	server_conn_detach(ctx);
}

static const struct conn_ops h2_ops = {
	.data = h2_data, .eof = h2_eof, .drained = h2_drained, .failed = h2_failed};

const struct http_protocol http_server_h2 = {
	.conn_ops = &h2_ops,
	.start = h2_start,
	.stop = h2_stop,
	.idle = h2_idle,
	.reply = h2_reply,
	.reply_start = h2_reply_start,
	.write = h2_write,
	.end = h2_end,
	.abort = h2_abort,
	.pending = h2_pending,
};
