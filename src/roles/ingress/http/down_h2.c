/* HTTP/2 connections of clients (RFC 9113), by nghttp2: their life, time-outs, and what goes out.
 *
 * What all streams have to say in one turn of the loop is written at its end, together. Exchanges are never told that their
 * client is gone from inside of what they called: streams that closed wait in `lost` for the end of the turn.
 */
#include "roles/ingress/http/down_h2_int.h"

#include "roles/ingress/observe/metrics.h"

/* A client that does not know of the first GOAWAY may have requests under way: the second, with the last one that is
 * answered, follows its answer to a PING, or a tick later (RFC 9113 §6.8). */
static const uint8_t drain_ping[8] = "drain";

/* --- streams --- */

static struct h2_stream *stream_alloc(struct h2_down *c)
{
	if (list_empty(&c->spare))
		return xcalloc(1, sizeof(struct h2_stream));
	struct h2_stream *s = list_entry(c->spare.next, struct h2_stream, link);
	struct buf out = s->out;

	list_del(&s->link);
	c->n_spare--;
	*s = (struct h2_stream){.out = out};
	return s;
}

struct h2_stream *h2_stream_new(struct h2_down *c, int32_t id)
{
	struct h2_stream *s = stream_alloc(c);
	struct exchange *x = exchange_new(c->d.worker);

	s->c = c;
	s->id = c->last_id = id;
	s->x = x;
	s->got_ms = s->moved_ms = loop_now_ms(c->d.worker->loop);
	s->out.max = H2_OUT_STREAM_MAX_BYTES;
	list_init(&s->drained_link);
	list_append(&c->streams, &s->link);
	c->n_streams++;
	c->n_requests++;
	metrics_inc(c->d.worker->metrics, METRIC_H2_STREAMS);
	x->down = s;
	x->down_ops = &down_h2_ops;
	x->req.content_length = -1;
	return s;
}

static void stream_free(struct h2_stream *s)
{
	struct h2_down *c = s->c;

	if (c->recent == s)
		c->recent = NULL;
	list_del(&s->link);
	list_del(&s->drained_link);
	c->held_bytes -= s->held;
	h2_out_done(s);
	if (c->n_spare < H2_SPARE_STREAMS && !c->closed) {
		list_append(&c->spare, &s->link);
		c->n_spare++;
		return;
	}
	buf_done(&s->out);
	free(s);
}

void h2_stream_reset(struct h2_stream *s, uint32_t code)
{
	if (s->reset)
		return;
	s->reset = true;
	nghttp2_submit_rst_stream(s->c->session, NGHTTP2_FLAG_NONE, s->id, code);
	h2_want_flush(s->c);
}

static void stream_lost(struct h2_stream *s)
{
	struct exchange *x = s->x;

	s->x = NULL;
	if (!x)
		return;
	if (s->begun) {
		exchange_down_lost(x);
	} else { /* a head that is none: as such it is counted */
		h2_fill_request(s, x);
		exchange_refuse(x, 400);
	}
}

static void count_reset(struct h2_down *c)
{
	metrics_inc(c->d.worker->metrics, METRIC_H2_RESETS);
	if (!h2_bucket_take(&c->resets, loop_now_ms(c->d.worker->loop)))
		h2_calm(c);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
	struct h2_down *c = user;
	struct h2_stream *s = h2_stream_of(c, id);

	if (!s)
		return 0;
	c->recent = NULL;
	nghttp2_session_set_stream_user_data(session, id, NULL);
	c->n_streams--;
	c->quiet_since_ms = loop_now_ms(c->d.worker->loop);
	if (code != NGHTTP2_NO_ERROR || s->x) /* whatever a client calls its reason: nobody has the answer */
		count_reset(c);
	if (s->held)
		h2_give_credit(s);
	if (!s->x) {
		stream_free(s);
		return 0;
	}
	s->reset = true;
	list_del(&s->link);
	list_append(&c->lost, &s->link);
	h2_want_flush(c);
	return 0;
}

/* --- the end of a connection --- */

static void down_reap(struct defer *d)
{
	struct h2_down *c = container_of(d, struct h2_down, reap);

	nghttp2_session_del(c->session);
	h2_mem_unref(c->mem);
	while (!list_empty(&c->spare))
		stream_free(list_entry(c->spare.next, struct h2_stream, link));
	free(c);
}

static void streams_lost(struct list *l)
{
	while (!list_empty(l)) {
		struct h2_stream *s = list_entry(l->next, struct h2_stream, link);

		s->reset = true;
		stream_lost(s);
		stream_free(s);
	}
}

static void down_ended(struct h2_down *c)
{
	if (c->closed)
		return;
	c->closed = true;
	timer_stop(&c->timer);
	defer_cancel(&c->flush);
	streams_lost(&c->lost);
	streams_lost(&c->streams);
	down_forget(&c->d);
	loop_defer(c->d.worker->loop, &c->reap);
}

void h2_calm(struct h2_down *c)
{
	if (!c->calmed)
		metrics_inc(c->d.worker->metrics, METRIC_H2_FLOODS);
	c->calmed = true;
	nghttp2_session_terminate_session(c->session, NGHTTP2_ENHANCE_YOUR_CALM);
	h2_want_flush(c);
}

/* --- what goes out --- */

void h2_want_flush(struct h2_down *c)
{
	if (!c->closed)
		loop_defer(c->d.worker->loop, &c->flush);
}

void h2_pump(struct h2_down *c)
{
	const uint8_t *bytes;
	ssize_t n = 0;

	c->in_nghttp2 = true;
	while (conn_pending(c->d.conn) < CONN_HIGH_WATER_BYTES &&
	       (n = nghttp2_session_mem_send(c->session, &bytes)) > 0)
		conn_write(c->d.conn, bytes, (size_t)n);
	c->in_nghttp2 = false;
	if (n < 0)
		c->broken = true;
}

static void tell_drained(struct h2_down *c)
{
	while (!list_empty(&c->drained)) {
		struct h2_stream *s = list_entry(c->drained.next, struct h2_stream, drained_link);

		list_del(&s->drained_link);
		if (s->x && !s->reset)
			exchange_down_drained(s->x);
	}
}

static void down_flush(struct defer *d)
{
	struct h2_down *c = container_of(d, struct h2_down, flush);

	h2_pump(c);
	tell_drained(c);
	streams_lost(&c->lost);
	if (c->broken) {
		conn_close(c->d.conn);
		down_ended(c);
	} else if (!nghttp2_session_want_read(c->session) &&
		   !nghttp2_session_want_write(c->session)) {
		conn_close_after_write(c->d.conn);
		down_ended(c);
	}
}

/* --- time --- */

/* A head that does not end stops everything else on its connection, the frames of other streams included. */
static bool head_late(const struct h2_stream *s, uint64_t now, const struct globals *g)
{
	return !s->begun && !s->reset && now - s->got_ms > g->client_header_timeout_s * 1000ull;
}

/* Whoever takes nothing of an answer, or does not end a request that was answered long ago, is let go. What a body's sender
 * may take of time, while somebody waits for it, is the exchange's matter. */
static void check_stream(struct h2_stream *s, uint64_t now, const struct globals *g)
{
	bool waits = h2_out_left(s) > 0 || (s->ended && s->out_trailers);
	bool unasked = !s->x && !s->request_ended;

	if (s->reset)
		return;
	if (waits && now - s->moved_ms > H2_SEND_STALL_MS) {
		h2_stream_reset(s, NGHTTP2_CANCEL);
		stream_lost(s);
	} else if (unasked && now - s->got_ms > g->client_body_timeout_s * 1000ull) {
		h2_stream_reset(s, NGHTTP2_NO_ERROR);
	}
}

static uint64_t quiet_limit_ms(const struct h2_down *c, const struct globals *g)
{
	return (c->n_requests ? g->keep_alive_s : g->client_header_timeout_s) * 1000ull;
}

static void last_goaway(struct h2_down *c)
{
	nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
			      nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_NO_ERROR,
			      NULL, 0);
}

static void down_tick(struct timer *t)
{
	struct h2_down *c = t->ctx;
	const struct globals *g = globals_now(c->d.worker->shared);
	uint64_t now = loop_now_ms(c->d.worker->loop);

	timer_start(c->d.worker->loop, t, H2_TICK_MS);
	if (c->d.closing)
		last_goaway(c);
	else if (c->n_streams == 0 && now - c->quiet_since_ms >= quiet_limit_ms(c, g))
		nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR);
	list_for(at, tmp, &c->streams)
		check_stream(list_entry(at, struct h2_stream, link), now, g);
	if (!list_empty(&c->streams) && head_late(list_entry(c->streams.prev, struct h2_stream, link), now, g)) {
		metrics_inc(c->d.worker->metrics, METRIC_CLIENT_TIMEOUTS);
		nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR);
	}
	h2_want_flush(c);
}

void down_h2_drain(struct down_conn *d)
{
	struct h2_down *c = container_of(d, struct h2_down, d);

	if (d->closing || c->closed)
		return;
	d->closing = true;
	nghttp2_submit_shutdown_notice(c->session);
	nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, drain_ping);
	timer_start(d->worker->loop, &c->timer, H2_DRAIN_MS);
	h2_want_flush(c);
}

void down_h2_close_now(struct down_conn *d)
{
	struct h2_down *c = container_of(d, struct h2_down, d);

	if (c->closed)
		return;
	conn_close(d->conn);
	down_ended(c);
}

void h2_ping_answered(struct h2_down *c, const uint8_t data[8])
{
	if (c->d.closing && memcmp(data, drain_ping, sizeof(drain_ping)) == 0)
		last_goaway(c);
}

/* --- what comes in --- */

static size_t down_data(struct conn *conn, void *ctx, const uint8_t *bytes, size_t len)
{
	struct h2_down *c = ctx;

	(void)conn;
	c->in_nghttp2 = true;
	h2_receive(c, bytes, len);
	c->in_nghttp2 = false;
	h2_want_flush(c);
	return len;
}

static void down_eof(struct conn *conn, void *ctx)
{
	conn_close(conn);
	down_ended(ctx);
}

static void down_drained(struct conn *conn, void *ctx)
{
	(void)conn;
	h2_want_flush(ctx);
}

static void down_failed(struct conn *conn, void *ctx, const struct err *e)
{
	(void)conn, (void)e;
	down_ended(ctx);
}

static const struct conn_ops down_h2_conn_ops = {
	.data = down_data, .eof = down_eof, .drained = down_drained, .failed = down_failed};

/* --- the start --- */

static nghttp2_session_callbacks *callbacks_new(void)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		abort(); /* only for want of memory */
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	h2_request_callbacks(cb);
	h2_answer_callbacks(cb);
	return cb;
}

static nghttp2_option *options_new(void)
{
	nghttp2_option *o;

	if (nghttp2_option_new(&o) != 0)
		abort();
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_server_fallback_rfc7540_priorities(o, 1);
	nghttp2_option_set_max_outbound_ack(o, H2_ACKS_MAX);
	nghttp2_option_set_max_continuations(o, H2_CONTINUATIONS_MAX);
	/* ours are counted in h2_guard.h, and say why in the GOAWAY */
	nghttp2_option_set_stream_reset_rate_limit(o, 1u << 30, 1u << 30);
	nghttp2_option_set_max_send_header_block_length(o, EXCHANGE_ARENA_BYTES);
	return o;
}

static int session_start(struct h2_down *c, const struct globals *g)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, g->http2_max_concurrent_streams},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW_BYTES},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, c->max_header_bytes},
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
	};
	nghttp2_session_callbacks *cb = callbacks_new();
	nghttp2_option *o = options_new();
	int r = nghttp2_session_server_new3(&c->session, cb, c, o, h2_mem_functions(c->mem));

	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(o);
	if (r == 0)
		r = nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
					    ARRAY_LEN(settings));
	if (r == 0)
		r = nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
							  H2_CONNECTION_WINDOW_BYTES);
	return r;
}

static void adopt(struct h2_down *c, struct down_conn *from)
{
	if (!from)
		return;
	c->d.peer = TAKE_PTR(from->peer);
	c->d.local = TAKE_PTR(from->local);
	c->d.proxied = from->proxied;
	c->d.peer_len = from->peer_len;
	memcpy(c->d.peer_bytes, from->peer_bytes, sizeof(c->d.peer_bytes));
}

void down_h2_start(struct worker *w, struct conn *conn, bool https, struct down_conn *from)
{
	const struct globals *g = globals_now(w->shared);
	struct h2_down *c = xcalloc(1, sizeof(*c));
	uint64_t now = loop_now_ms(w->loop);

	c->d = (struct down_conn){.worker = w, .conn = conn, .https = https, .h2 = true};
	adopt(c, from);
	c->flush.run = down_flush;
	c->reap.run = down_reap;
	c->timer = (struct timer){.fire = down_tick, .ctx = c};
	c->quiet_since_ms = now;
	c->frame_left = NGHTTP2_CLIENT_MAGIC_LEN;
	c->max_header_bytes = (uint32_t)MIN(g->large_client_header_bytes, (uint64_t)H2_HEAD_MAX_BYTES);
	h2_bucket_init(&c->resets, H2_RESETS_BURST, H2_RESETS_PER_SECOND, now);
	h2_bucket_init(&c->control, H2_CONTROL_BURST, H2_CONTROL_PER_SECOND, now);
	if (!w->h2_mem)
		w->h2_mem = h2_mem_new();
	c->mem = h2_mem_ref(w->h2_mem);
	list_init(&c->streams);
	list_init(&c->drained);
	list_init(&c->lost);
	list_init(&c->spare);
	down_remember(&c->d);
	if (session_start(c, g) != 0)
		abort(); /* only for want of memory */
	timer_start(w->loop, &c->timer, H2_TICK_MS);
	conn_set_ops(conn, &down_h2_conn_ops, c);
	h2_want_flush(c);
	if (w->draining) /* it was in its handshake when the others were told */
		down_h2_drain(&c->d);
}
