/* Answers of an HTTP/2 connection: what the exchange says, to frames. RFC 9113 §8.1, RFC 8441 §5, RFC 8297.
 *
 * A body is kept in its stream until the client's window and the connection take it. What the window takes at once is never
 * copied into the stream: body() lends its bytes to nghttp2 for the time of the call.
 */
#include "roles/ingress/http/down_h2_int.h"
#include "roles/ingress/http/h2_fields.h"

#define LEND_MIN_BYTES 4096 /* smaller ones wait for the end of the turn, and go out with those of other streams */
#define KEEP_OUT_BYTES 4096 /* memory that a spare stream may keep */
#define FIELDS_MAX (HEADER_LIST_MAX + 2) /* :status, content-length */

/* --- what is still to be sent --- */

size_t h2_out_left(const struct h2_stream *s)
{
	return s->out.len - s->out_at + s->lent.len;
}

static void out_taken(struct h2_stream *s, size_t n)
{
	if (s->lent.len) { /* nothing is kept behind it */
		s->lent.ptr += n;
		s->lent.len -= n;
		return;
	}
	s->out_at += n;
	s->c->out_bytes -= n;
	if (s->out_at == s->out.len) {
		s->out_at = 0;
		if (s->out.cap > KEEP_OUT_BYTES)
			buf_done(&s->out); /* a quiet stream holds no buffer */
		else
			buf_clear(&s->out);
	} else if (s->out_at > s->out.len / 2 && s->out_at > H2_OUT_LOW_BYTES) {
		buf_consume(&s->out, s->out_at);
		s->out_at = 0;
	}
	if (s->above_low && h2_out_left(s) <= H2_OUT_LOW_BYTES) {
		s->above_low = false;
		list_del(&s->drained_link);
		list_append(&s->c->drained, &s->drained_link);
	}
}

void h2_out_done(struct h2_stream *s)
{
	s->c->out_bytes -= s->out.len - s->out_at;
	s->out_at = 0;
	s->lent = STR_NONE;
	if (s->out.cap > KEEP_OUT_BYTES)
		buf_done(&s->out);
	else
		buf_clear(&s->out);
	free(s->out_trailers);
	s->out_trailers = NULL;
}

static ssize_t on_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t max,
		       uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct h2_stream *s = source->ptr;

	(void)to, (void)user;
	size_t left = s->lent.len ? s->lent.len : s->out.len - s->out_at, n = MIN(left, max);
	if (n == 0 && !s->ended) {
		s->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n < left || !s->ended)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
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
	struct h2_down *c = user;
	struct h2_stream *s = source->ptr;

	(void)session, (void)frame;
	const char *from = s->lent.len ? s->lent.ptr : s->out.ptr + s->out_at;
	char *to = conn_reserve(c->d.conn, 9 + len);
	memcpy(to, head, 9);
	if (len)
		memcpy(to + 9, from, len);
	conn_commit(c->d.conn, 9 + len);
	if (len)
		out_taken(s, len);
	s->moved_ms = loop_now_ms(c->d.worker->loop);
	h2_bucket_earn(&c->control, 2);
	return 0;
}

void h2_answer_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
}

/* --- heads --- */

/* 1xx to 9xx in three digits. */
static struct str status_text(int status, char to[3])
{
	to[0] = (char)('0' + status / 100 % 10);
	to[1] = (char)('0' + status / 10 % 10);
	to[2] = (char)('0' + status % 10);
	return (struct str){to, 3};
}

/* The key was ours (as_upgrade): its proof is nothing to the client. */
static bool passes(const struct h2_stream *s, struct str name)
{
	return !h2_field_is_hop(name) &&
	       !(s->upgrade && str_ieq(name, STR("sec-websocket-accept")));
}

static size_t put_headers(const struct h2_stream *s, const struct header_list *l,
			  nghttp2_nv list[FIELDS_MAX], size_t at)
{
	for (size_t i = 0; l && i < l->n && at < FIELDS_MAX; i++)
		if (passes(s, l->at[i].name))
			list[at++] = h2_field(l->at[i].name, l->at[i].value);
	return at;
}

static void down_interim(struct exchange *x, int status, const struct header_list *h)
{
	struct h2_stream *s = x->down;
	nghttp2_nv list[FIELDS_MAX];
	char text[3];

	if (s->reset || s->head_sent)
		return;
	list[0] = h2_field(STR(":status"), status_text(status, text));
	nghttp2_submit_headers(s->c->session, NGHTTP2_FLAG_NONE, s->id, NULL, list,
			       put_headers(s, h, list, 1), NULL);
	h2_want_flush(s->c);
}

static void down_head(struct exchange *x, const struct answer *a)
{
	struct h2_stream *s = x->down;
	nghttp2_data_provider body = {.source.ptr = s, .read_callback = on_read};
	nghttp2_nv list[FIELDS_MAX];
	char code[3], length[24];
	bool tunnel = s->upgrade && a->status == 101;
	bool none = a->no_body && !tunnel;
	size_t n = 1;

	if (s->reset || s->head_sent)
		return;
	s->head_sent = true;
	s->ended = none;
	s->moved_ms = loop_now_ms(s->c->d.worker->loop);
	list[0] = h2_field(STR(":status"), status_text(tunnel ? 200 : a->status, code));
	if (a->content_length >= 0 && !tunnel)
		list[n++] = h2_field(STR("content-length"), h2_number_text((uint64_t)a->content_length, length));
	n = put_headers(s, &a->headers, list, n);
	for (size_t i = 0; i < n; i++)
		x->answer_head_bytes += list[i].namelen + list[i].valuelen;
	if (nghttp2_submit_response(s->c->session, s->id, list, n, none ? NULL : &body) != 0)
		h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR);
	h2_want_flush(s->c);
}

/* --- bodies --- */

static void out_more(struct h2_stream *s)
{
	if (s->deferred) {
		s->deferred = false;
		nghttp2_session_resume_data(s->c->session, s->id);
	}
	h2_want_flush(s->c);
}

static void out_keep(struct h2_stream *s, struct str data)
{
	if (data.len == 0)
		return;
	if (s->out.len == s->out_at)
		s->moved_ms = loop_now_ms(s->c->d.worker->loop); /* its time to be taken begins */
	if (buf_put_str(&s->out, data) < 0) {
		h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR);
		return;
	}
	s->c->out_bytes += data.len;
	if (h2_out_left(s) > H2_OUT_LOW_BYTES)
		s->above_low = true;
}

/* Frames as much as the windows allow straight from the caller's memory; returns the rest. */
static struct str out_lend(struct h2_stream *s, struct str data)
{
	struct h2_down *c = s->c;

	if (data.len < LEND_MIN_BYTES || c->in_nghttp2 || s->out.len > s->out_at)
		return data;
	s->lent = data;
	if (s->deferred) {
		s->deferred = false;
		nghttp2_session_resume_data(c->session, s->id);
	}
	h2_pump(c);
	struct str rest = s->lent;
	s->lent = STR_NONE;
	return rest;
}

static void down_body(struct exchange *x, struct str data, bool end)
{
	struct h2_stream *s = x->down;

	if (s->reset || s->ended)
		return;
	s->ended = end; /* known before its bytes go out: the last frame says so */
	struct str rest = out_lend(s, data);
	if (s->reset)
		return;
	out_keep(s, rest);
	if (rest.len || end)
		out_more(s);
}

static void down_trailers(struct exchange *x, const struct header_list *h)
{
	struct h2_stream *s = x->down;

	if (s->reset || s->ended)
		return;
	s->out_trailers = h2_fields_copy(h, &s->n_out_trailers);
	s->ended = true;
	out_more(s);
}

static void down_abort(struct exchange *x)
{
	h2_stream_reset(x->down, NGHTTP2_INTERNAL_ERROR);
}

static void down_want_body(struct exchange *x, bool on)
{
	struct h2_stream *s = x->down;

	s->paused = !on;
	if (on && s->held) {
		h2_give_credit(s);
		h2_want_flush(s->c);
	}
}

/* When all of a connection's answers together are too much, each counts as too much, so that the exchanges stop their
 * upstreams. */
static size_t down_pending(const struct exchange *x)
{
	const struct h2_stream *s = x->down;
	size_t left = h2_out_left(s);

	if (s->c->out_bytes > H2_OUT_MAX_BYTES && left > H2_OUT_LOW_BYTES)
		return left + CONN_HIGH_WATER_BYTES;
	return left;
}

static void down_done(struct exchange *x)
{
	struct h2_stream *s = x->down;

	s->x = NULL;
	s->got_ms = loop_now_ms(s->c->d.worker->loop); /* from now on the rest of the body is not asked for */
	x->down = NULL;
	s->trailers = (struct header_list){0};
	if (s->held)
		h2_give_credit(s);
	if (!s->ended && !s->reset)
		h2_stream_reset(s, NGHTTP2_INTERNAL_ERROR);
	else if (s->ended && !s->reset)
		h2_bucket_earn(&s->c->resets, 1);
}

static struct conn *down_no_conn(struct exchange *x)
{
	(void)x;
	return NULL;
}

static int down_fd(const struct exchange *x)
{
	const struct h2_stream *s = x->down;

	return s && !s->c->d.closing && !s->c->closed ? conn_fd(s->c->d.conn) : -1;
}

const struct down_ops down_h2_ops = {
	.interim = down_interim,
	.head = down_head,
	.body = down_body,
	.trailers = down_trailers,
	.abort = down_abort,
	.want_body = down_want_body,
	.pending = down_pending,
	.done = down_done,
	.conn = down_no_conn,
	.fd = down_fd,
};
