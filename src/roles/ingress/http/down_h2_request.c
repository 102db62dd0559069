/* Requests of an HTTP/2 connection: header fields to struct request, bodies and trailers to the exchange. RFC 9113 §8. */
#include "roles/ingress/http/down_h2_int.h"
#include "roles/ingress/http/h2_fields.h"
#include "roles/ingress/http/header.h"
#include "roles/ingress/observe/metrics.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

/* Names that are skipped, while their block is still read, until this many times the limit: then the stream is reset. */
#define IGNORED_FACTOR 4
#define REFUSE_TOO_LARGE 431

static void set_pseudo(struct request *r, struct str name, struct str value)
{
	switch (name.ptr[1]) {
	case 'm':
		r->method = value;
		break;
	case 'a':
		r->authority = value;
		break;
	case 'p':
		if (name.len == sizeof(":protocol") - 1)
			r->upgrade = value;
		else
			r->target = value;
		break;
	default: /* :scheme says what the client believes; what we believe is the connection */
		break;
	}
}

static void add_regular(struct h2_stream *s, struct str name, struct str value)
{
	const struct globals *g = globals_now(s->c->d.worker->shared);
	struct exchange *x = s->x;
	uint64_t length;

	switch (header_id(name)) {
	case H_HOST:
		/* kept beside :authority until the head is complete: headers_done compares them */
		x->req.host = value;
		return;
	case H_LENGTH: /* nghttp2 has checked it, and that there is only one */
		if (str_to_u64(value, INT64_MAX, &length))
			x->req.content_length = (int64_t)length;
		else
			s->refuse = 400;
		return;
	case H_EXPECT:
		x->req.expect_continue = str_ieq(value, STR("100-continue"));
		return;
	case H_TE: /* only "trailers" passes nghttp2 */
		x->req.te_trailers = true;
		return;
	case H_HOP:
	case H_CONNECTION:
	case H_UPGRADE: /* nghttp2 refuses these */
		return;
	case H_CONTENT_TYPE:
		x->req.is_grpc = str_starts(value, STR("application/grpc")) &&
				 !str_starts(value, STR("application/grpc-web"));
		break;
	case H_FORWARDED:
	case H_REQUEST_ID:
	case H_PROXY:
		x->req.has_ours = true;
		break;
	case H_OTHER:
		if (g->ignore_invalid_headers &&
		    !h2_field_name_passes(name, g->enable_underscores_in_headers))
			return;
		break;
	}
	if (str_eq(name, STR("cookie")))
		s->crumbs += s->crumbs < 2;
	header_add_str(x, &x->req.headers, name, value);
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_down *c = user;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	h2_bucket_earn(&c->control, 2);
	struct h2_stream *s = h2_stream_new(c, frame->hd.stream_id);
	nghttp2_session_set_stream_user_data(session, s->id, s);
	c->recent = s;
	return 0;
}

static int too_large(struct h2_stream *s)
{
	s->refuse = REFUSE_TOO_LARGE;
	return s->head_bytes > IGNORED_FACTOR * (size_t)s->c->max_header_bytes ||
			       s->n_fields > IGNORED_FACTOR * EXCHANGE_HEADERS_MAX
		       ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
		       : 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name_buf,
		     nghttp2_rcbuf *value_buf, uint8_t flags, void *user)
{
	struct h2_down *c = user;
	struct h2_stream *s = h2_stream_of(c, frame->hd.stream_id);

	(void)session, (void)flags;
	if (!s || !s->x)
		return 0;
	size_t name_len = nghttp2_rcbuf_get_buf(name_buf).len;
	size_t value_len = nghttp2_rcbuf_get_buf(value_buf).len;
	s->head_bytes += name_len + value_len + 32; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts */
	s->n_fields++;
	if (s->refuse || s->head_bytes > c->max_header_bytes || s->n_fields > EXCHANGE_HEADERS_MAX)
		return too_large(s);
	struct str name = h2_field_keep(s->x, name_buf), value = h2_field_keep(s->x, value_buf);
	if (!name.ptr || !value.ptr)
		return too_large(s);
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
		if (header_id(name) == H_OTHER) /* as trailers_of for HTTP/1 */
			header_add_str(s->x, &s->trailers, name, value);
	} else if (name.ptr[0] == ':')
		set_pseudo(&s->x->req, name, value);
	else
		add_regular(s, name, value);
	return 0;
}

/* Fields that no HTTP message may have (RFC 9113 §8.2.1): the request is reset, not repaired. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
			     nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *user)
{
	(void)session, (void)frame, (void)name, (void)value, (void)flags, (void)user;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* --- a head is complete --- */

/* RFC 9113 §8.2.3: crumbs are joined before anything that is not HTTP/2 sees them. */
static void join_cookies(struct h2_stream *s)
{
	struct header_list *l = &s->x->req.headers;
	struct http_header *first = NULL;
	size_t len = 0, kept = 0, at = 0;

	for (size_t i = 0; i < l->n; i++)
		if (str_eq(l->at[i].name, STR("cookie")))
			len += l->at[i].value.len + 2;
	char *all = arena_alloc(&s->x->arena, len);
	if (!all) {
		s->refuse = REFUSE_TOO_LARGE;
		return;
	}
	for (size_t i = 0; i < l->n; i++) {
		const struct http_header h = l->at[i];
		bool cookie = str_eq(h.name, STR("cookie"));

		if (!cookie || !first)
			l->at[kept++] = h;
		if (!cookie)
			continue;
		if (first) {
			memcpy(all + at, "; ", 2);
			at += 2;
		} else {
			first = &l->at[kept - 1];
		}
		memcpy(all + at, h.value.ptr, h.value.len);
		at += h.value.len;
	}
	first->value = (struct str){all, at};
	l->n = kept;
}

/* RFC 3986 §3.2.2 without userinfo: name, IPv4 or [IPv6], and a port. */
static bool authority_valid(struct str a)
{
	static const char other[] = "-._~!$&'()*+,;=%:[]";

	for (size_t i = 0; i < a.len; i++) {
		char ch = a.ptr[i];
		bool alnum = (ch >= '0' && ch <= '9') || ((ch | 32) >= 'a' && (ch | 32) <= 'z');
		if (!alnum && (ch == '\0' || !strchr(other, ch)))
			return false;
	}
	return a.len > 0;
}

static struct str without_port(struct str a)
{
	if (a.len && a.ptr[0] == '[') {
		const char *end = memchr(a.ptr, ']', a.len);
		return end ? (struct str){a.ptr, (size_t)(end - a.ptr) + 1} : STR_NONE;
	}
	const char *colon = memchr(a.ptr, ':', a.len);
	return colon ? (struct str){a.ptr, (size_t)(colon - a.ptr)} : a;
}

static int check_authority(struct request *r)
{
	struct str host = r->host;

	if (r->authority.len && host.ptr && !str_ieq(r->authority, host))
		return 400;
	if (r->authority.len == 0)
		r->authority = host;
	if (!authority_valid(r->authority))
		return 400;
	r->host = without_port(r->authority);
	return r->host.len ? 0 : 400;
}

/* RFC 8441 §5: the opening handshake of RFC 6455 without what HTTP/2 makes superfluous. Upstreams that speak HTTP/1 want it
 * back, and the exchange sees the request that an HTTP/1 client would have sent. */
static int as_upgrade(struct h2_stream *s)
{
	struct exchange *x = s->x;
	unsigned char nonce[16];
	char key[25];

	if (!str_ieq(x->req.upgrade, STR("websocket")))
		return 501; /* RFC 9220 §3 */
	if (s->request_ended)
		return 400;
	s->upgrade = true;
	x->req.content_length = -1; /* a tunnel's bytes are no body */
	x->req.method = STR("GET");
	if (header_get(&x->req.headers, "sec-websocket-key").ptr)
		return 0;
	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return 500;
	EVP_EncodeBlock((unsigned char *)key, nonce, sizeof(nonce));
	header_add(x, &x->req.headers, "sec-websocket-key", x_dup(x, str_of(key)));
	return 0;
}

static int check_head(struct h2_stream *s)
{
	struct request *r = &s->x->req;
	int status = check_authority(r);

	if (status)
		return status;
	if (str_eq(r->method, STR("CONNECT")))
		return r->upgrade.len ? as_upgrade(s) : 405;
	if (memchr(r->target.ptr, '#', r->target.len))
		return 400;
	return 0;
}

static bool is_idempotent(struct str method)
{
	static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (str_eq_c(method, methods[i]))
			return true;
	return false;
}

void h2_fill_request(struct h2_stream *s, struct exchange *x)
{
	struct h2_down *c = s->c;
	struct request *r = &x->req;

	r->scheme = c->d.https ? STR("https") : STR("http");
	r->protocol = STR("HTTP/2.0");
	r->path = str_cut(r->target, '?', &r->query);
	if (!r->query.ptr)
		r->query = STR("");
	r->is_head = str_eq(r->method, STR("HEAD"));
	r->idempotent = is_idempotent(r->method);
	r->has_body = !s->request_ended && !s->upgrade;
	if (!r->has_body && r->content_length < 0 && r->method.len && r->method.ptr[0] == 'P')
		r->content_length = 0; /* POST, PUT, PATCH: HTTP/1 servers want to hear it */
	r->https = c->d.https;
	r->tls = conn_tls_info(c->d.conn);
	r->peer = down_peer(&c->d, &c->peer);
	r->local = c->d.local;
	r->bytes = s->head_bytes;
	r->connection = c->number;
	r->connection_requests = c->n_requests;
}

static void headers_done(struct h2_stream *s, bool end)
{
	struct exchange *x = s->x;
	struct h2_down *c = s->c;

	s->request_ended = x->request_body_done = end;
	s->begun = true;
	if (!s->refuse && s->crumbs > 1)
		join_cookies(s);
	if (!s->refuse)
		s->refuse = check_head(s);
	h2_fill_request(s, x);
	exchange_named(x);
	if (c->n_requests >= globals_now(c->d.worker->shared)->keep_alive_requests)
		down_h2_drain(&c->d);
	if (!s->refuse) {
		exchange_begin(x);
		return;
	}
	metrics_inc(c->d.worker->metrics, METRIC_BAD_REQUESTS);
	exchange_refuse(x, s->refuse);
}

/* --- bodies --- */

static void consume(struct h2_stream *s, size_t stream_bytes, size_t connection_bytes)
{
	nghttp2_session *session = s->c->session;

	if (stream_bytes && !s->request_ended)
		nghttp2_session_consume_stream(session, s->id, stream_bytes);
	if (connection_bytes)
		nghttp2_session_consume_connection(session, connection_bytes);
}

void h2_give_credit(struct h2_stream *s)
{
	consume(s, s->held, s->held_connection);
	s->c->held_bytes -= s->held;
	s->held = s->held_connection = 0;
}

/* The exchange's upstream does not take it now: the stream's window stays closed. The connection's stays open for the
 * other streams, until too much is held. */
static void hold(struct h2_stream *s, size_t len)
{
	s->held += len;
	s->c->held_bytes += len;
	if (s->c->held_bytes > H2_HELD_MAX_BYTES)
		s->held_connection += len;
	else
		consume(s, 0, len);
}

/* An answer that still waits for its client would be lost with a reset: then there is no credit, until the time is over. */
static void drop(struct h2_stream *s, size_t len)
{
	s->dropped += len;
	if (s->dropped <= H2_DROPPED_MAX_BYTES) {
		consume(s, len, len);
		return;
	}
	consume(s, 0, len);
	if (h2_out_left(s) == 0)
		h2_stream_reset(s, NGHTTP2_NO_ERROR);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
		   size_t len, void *user)
{
	struct h2_down *c = user;
	struct h2_stream *s = h2_stream_of(c, id);

	(void)flags;
	if (!s) {
		nghttp2_session_consume_connection(session, len);
		return 0;
	}
	if (!s->x || s->reset) {
		drop(s, len);
		return 0;
	}
	if (s->upgrade && !s->head_sent) { /* RFC 8441 §5: nothing is said before the 200 */
		h2_stream_reset(s, NGHTTP2_PROTOCOL_ERROR);
		consume(s, len, len);
		return 0;
	}
	s->got_ms = loop_now_ms(c->d.worker->loop);
	exchange_request_body(s->x, (struct str){(const char *)bytes, len}, false);
	if (s->x && s->paused)
		hold(s, len);
	else
		consume(s, len, len);
	return 0;
}

static void request_end(struct h2_stream *s)
{
	s->request_ended = true;
	if (!s->x)
		return;
	if (s->trailers.n)
		exchange_request_trailers(s->x, &s->trailers);
	else
		exchange_request_body(s->x, STR_NONE, true);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_stream *s = h2_stream_of(user, frame->hd.stream_id);
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	(void)session;
	if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
		h2_ping_answered(user, frame->ping.opaque_data);
	if (!s || s->reset || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (!s->begun)
		headers_done(s, end);
	else if (end)
		request_end(s);
	return 0;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct h2_down *c = user;

	(void)session;
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		c->reset_id = MAX(c->reset_id, frame->hd.stream_id);
	return 0;
}

void h2_request_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
	nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback2(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
}
