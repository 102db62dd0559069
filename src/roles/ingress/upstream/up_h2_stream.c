/* Requests to HTTP/2 upstreams and their answers. RFC 9113 §8; gRPC over HTTP/2 is that with trailers.
 *
 * Within nghttp2's call-backs an exchange may do all it likes, give up this stream or open another one: only sending waits for
 * the end of the turn.
 */
#include "roles/ingress/http/h2_fields.h"
#include "roles/ingress/http/header.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/upstream/up_h2_int.h"

#define FIXED_FIELDS 6 /* four pseudo-header fields, content-length, te */
#define FIELDS_MAX (HEADER_LIST_MAX + FIXED_FIELDS)

/* --- life --- */

struct up_stream *up_stream_new(struct up_h2 *c, struct exchange *x)
{
	struct up_stream *s = xcalloc(1, sizeof(*s));

	s->c = c;
	s->x = x;
	s->kept = c->ready;
	buf_init(&s->out, UP_H2_OUT_MAX_BYTES);
	list_init(&s->drained_link);
	list_append(&c->streams, &s->link);
	c->n_streams++;
	x->up = s;
	x->up_ops = &up_h2_ops;
	return s;
}

static void stream_free(struct up_stream *s)
{
	list_del(&s->link);
	list_del(&s->drained_link);
	s->c->n_streams--;
	buf_done(&s->out);
	free(s->out_trailers);
	free(s);
}

/* The exchange and the stream forget each other. */
static struct exchange *detach(struct up_stream *s)
{
	struct exchange *x = s->x;

	s->x = NULL;
	if (x)
		x->up = NULL;
	return x;
}

void up_stream_fail(struct up_stream *s, enum up_failure how)
{
	struct exchange *x = detach(s);

	stream_free(s);
	if (x)
		exchange_up_failed(x, how);
}

/* Nobody needs the rest of it. Credit that was withheld is the connection's again. */
static void stream_stop(struct up_stream *s, uint32_t code)
{
	struct up_h2 *c = s->c;

	detach(s);
	if (s->id == 0) {
		stream_free(s);
		up_h2_want_flush(c);
		return;
	}
	nghttp2_session_consume_connection(c->session, s->held);
	s->held = 0;
	nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, s->id, code);
	up_h2_want_flush(c);
}

static void stream_fail_and_stop(struct up_stream *s, enum up_failure how)
{
	struct exchange *x = s->x;

	stream_stop(s, NGHTTP2_CANCEL);
	if (x)
		exchange_up_failed(x, how);
}

/* --- the request --- */

size_t up_stream_out_left(const struct up_stream *s)
{
	return s->out.len - s->out_at;
}

static void out_taken(struct up_stream *s, size_t n)
{
	s->out_at += n;
	if (s->out_at == s->out.len) {
		buf_done(&s->out); /* a quiet stream holds no buffer */
		s->out_at = 0;
	} else if (s->out_at > s->out.len / 2 && s->out_at > UP_H2_OUT_LOW_BYTES) {
		buf_consume(&s->out, s->out_at);
		s->out_at = 0;
	}
	if (s->above_low && up_stream_out_left(s) <= UP_H2_OUT_LOW_BYTES) {
		s->above_low = false;
		list_append(&s->c->drained, &s->drained_link);
	}
}

static struct up_stream *stream_of(nghttp2_session *session, int32_t id)
{
	return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t max,
		       uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct up_stream *s = stream_of(session, id);

	(void)to, (void)source, (void)user;
	if (!s || !s->x)
		return NGHTTP2_ERR_DEFERRED; /* its RST_STREAM is under way */
	size_t left = up_stream_out_left(s), n = MIN(left, max);
	if (n == 0 && !s->ended) {
		s->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n < left || !s->ended)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	s->fin = true;
	if (s->out_trailers) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (nghttp2_submit_trailer(session, id, s->out_trailers, s->n_out_trailers) != 0)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	return (ssize_t)n;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
			size_t len, nghttp2_data_source *source, void *user)
{
	struct up_h2 *c = user;
	struct up_stream *s = stream_of(session, frame->hd.stream_id);

	(void)source;
	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	char *to = conn_reserve(c->conn, 9 + len);
	memcpy(to, head, 9);
	if (len)
		memcpy(to + 9, s->out.ptr + s->out_at, len);
	conn_commit(c->conn, 9 + len);
	if (len)
		out_taken(s, len);
	return 0;
}

static size_t put_head(const struct up_stream *s, nghttp2_nv list[FIELDS_MAX], char length[24])
{
	const struct exchange *x = s->x;
	size_t n = 0;

	list[n++] = h2_field(STR(":method"), x->up_method);
	list[n++] = h2_field(STR(":scheme"), s->c->kind.tls ? STR("https") : STR("http"));
	list[n++] = h2_field(STR(":authority"), x->up_host);
	list[n++] = h2_field(STR(":path"), x->up_target);
	for (size_t i = 0; i < x->up_headers.n && n < FIELDS_MAX - 2; i++)
		if (!h2_field_is_hop(x->up_headers.at[i].name))
			list[n++] = h2_field(x->up_headers.at[i].name, x->up_headers.at[i].value);
	/* nginx's grpc_pass says it always: without it gRPC servers do not answer */
	if (x->req.te_trailers || x->req.is_grpc)
		list[n++] = h2_field(STR("te"), STR("trailers"));
	if (x->req.has_body && x->req.content_length >= 0) {
		struct str text = h2_number_text((uint64_t)x->req.content_length, length);
		list[n++] = h2_field(STR("content-length"), text);
	}
	return n;
}

void up_stream_submit(struct up_stream *s)
{
	struct up_h2 *c = s->c;
	struct exchange *x = s->x;
	nghttp2_data_provider body = {.read_callback = on_read};
	nghttp2_nv list[FIELDS_MAX];
	char length[24];
	size_t n = put_head(s, list, length);

	s->id = nghttp2_submit_request(c->session, NULL, list, n, x->req.has_body ? &body : NULL, s);
	if (s->id < 0) { /* their numbers have run out */
		up_h2_retire(c);
		up_stream_fail(s, UP_REFUSED);
		return;
	}
	if (s->kept)
		metrics_inc(c->worker->metrics, METRIC_UP_REUSED);
	s->reads_before = c->n_reads;
	s->ended = s->fin = !x->req.has_body;
	c->n_requests++;
	up_h2_want_flush(c);
	exchange_up_ready(x);
}

static void out_more(struct up_stream *s)
{
	if (s->deferred) {
		s->deferred = false;
		nghttp2_session_resume_data(s->c->session, s->id);
	}
	up_h2_want_flush(s->c);
}

static void up_body(struct exchange *x, struct str data, bool end)
{
	struct up_stream *s = x->up;

	if (s->ended)
		return;
	if (data.len && buf_put_str(&s->out, data) < 0) {
		stream_fail_and_stop(s, UP_RESET);
		return;
	}
	if (up_stream_out_left(s) > UP_H2_OUT_LOW_BYTES)
		s->above_low = true;
	s->ended = end;
	if (data.len || end)
		out_more(s);
}

static void up_trailers(struct exchange *x, const struct header_list *h)
{
	struct up_stream *s = x->up;

	if (s->ended)
		return;
	s->out_trailers = h2_fields_copy(h, &s->n_out_trailers);
	s->ended = true;
	out_more(s);
}

static void up_want_body(struct exchange *x, bool on)
{
	struct up_stream *s = x->up;

	s->paused = !on;
	if (!on || !s->held)
		return;
	nghttp2_session_consume(s->c->session, s->id, s->held);
	s->held = 0;
	up_h2_want_flush(s->c);
}

static size_t up_pending(const struct exchange *x)
{
	return up_stream_out_left(x->up);
}

static void up_cancel(struct exchange *x)
{
	struct up_stream *s = x->up;

	/* A connection that has not said a word since may be dead: others do not wait for it. */
	if (s->id && !s->head_got && s->c->n_reads == s->reads_before)
		up_h2_retire(s->c);
	stream_stop(s, NGHTTP2_CANCEL);
}

const struct up_ops up_h2_ops = {
	.body = up_body,
	.trailers = up_trailers,
	.want_body = up_want_body,
	.pending = up_pending,
	.cancel = up_cancel,
};

/* --- the answer --- */

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct up_stream *s = stream_of(session, frame->hd.stream_id);

	(void)user;
	if (!s || !s->x || s->head_got)
		return 0;
	s->status = 0;
	s->x->ans = (struct answer){.content_length = -1, .headers = s->x->ans.headers};
	s->x->ans.headers.n = 0;
	return 0;
}

static void add_field(struct up_stream *s, struct str name, struct str value)
{
	struct exchange *x = s->x;
	uint64_t number;

	if (str_eq(name, STR(":status"))) {
		s->status = str_to_u64(value, 999, &number) ? (int)number : 0;
		return;
	}
	if (header_id(name) == H_LENGTH && str_to_u64(value, INT64_MAX, &number))
		x->ans.content_length = (int64_t)number;
	else if (!h2_field_is_hop(name))
		header_add_str(x, s->head_got ? &s->trailers : &x->ans.headers, name, value);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name_buf,
		     nghttp2_rcbuf *value_buf, uint8_t flags, void *user)
{
	struct up_stream *s = stream_of(session, frame->hd.stream_id);

	(void)flags, (void)user;
	if (!s || !s->x)
		return 0;
	s->head_bytes += nghttp2_rcbuf_get_buf(name_buf).len + nghttp2_rcbuf_get_buf(value_buf).len + 32;
	struct str name = STR_NONE, value = STR_NONE;
	if (s->head_bytes <= UP_H2_HEAD_MAX_BYTES && ++s->n_fields <= EXCHANGE_HEADERS_MAX) {
		name = h2_field_keep(s->x, name_buf);
		value = h2_field_keep(s->x, value_buf);
	}
	if (name.ptr && value.ptr)
		add_field(s, name, value);
	else
		stream_fail_and_stop(s, UP_BAD);
	return 0;
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
			     nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *user)
{
	(void)session, (void)frame, (void)name, (void)value, (void)flags, (void)user;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* The answer is complete; what the request still has to say is of no use to anybody (RFC 9113 §8.1). */
static struct exchange *answer_complete(struct up_stream *s)
{
	struct exchange *x = s->x;

	if (!s->fin)
		stream_stop(s, NGHTTP2_NO_ERROR);
	else
		detach(s);
	return x;
}

static void got_head(struct up_stream *s, bool end)
{
	struct exchange *x = s->x;

	if (s->status < 100) { /* three digits, for nghttp2; no status (RFC 9110 §15) */
		stream_fail_and_stop(s, UP_BAD);
		return;
	}
	if (s->status < 200 && !end) {
		exchange_up_interim(x, s->status, &x->ans.headers);
		s->n_fields = 0;
		return;
	}
	s->head_got = true;
	s->n_fields = 0;
	x->ans.status = s->status;
	x->ans.no_body = end;
	if (end)
		answer_complete(s);
	exchange_up_head(x);
}

static void got_end(struct up_stream *s)
{
	struct header_list trailers = s->trailers;
	struct exchange *x = answer_complete(s);

	if (trailers.n)
		exchange_up_trailers(x, &trailers);
	else
		exchange_up_body(x, STR_NONE, true);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct up_stream *s = stream_of(session, frame->hd.stream_id);
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	if (frame->hd.type == NGHTTP2_GOAWAY)
		up_h2_retire(user);
	if (!s || !s->x || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (!s->head_got)
		got_head(s, end);
	else if (end)
		got_end(s);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
		   size_t len, void *user)
{
	struct up_stream *s = stream_of(session, id);

	(void)flags, (void)user;
	if (s && s->x)
		exchange_up_body(s->x, (struct str){(const char *)bytes, len}, false);
	if (s && s->x && s->paused)
		s->held += len;
	else
		nghttp2_session_consume(session, id, len);
	return 0;
}

/* What the reason for a stream's end says about whether its request was seen (RFC 9113 §8.7). */
static enum up_failure failure_of(uint32_t code, const struct up_stream *s)
{
	switch (code) {
	case NGHTTP2_REFUSED_STREAM:
		return UP_REFUSED;
	case NGHTTP2_NO_ERROR:
	case NGHTTP2_PROTOCOL_ERROR:
	case NGHTTP2_FLOW_CONTROL_ERROR:
	case NGHTTP2_FRAME_SIZE_ERROR:
	case NGHTTP2_COMPRESSION_ERROR:
	case NGHTTP2_HTTP_1_1_REQUIRED:
		return s->head_got ? UP_RESET : UP_BAD;
	default:
		return UP_RESET;
	}
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct up_stream *s = stream_of(session, id);

	if (!s)
		return 0;
	nghttp2_session_set_stream_user_data(session, id, NULL);
	if (s->held)
		nghttp2_session_consume_connection(session, s->held);
	up_stream_fail(s, failure_of(code, s));
	up_h2_want_flush(user);
	return 0;
}

void up_h2_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
	nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback2(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
}
