/* HTTP/2 connections to upstreams: kept by each worker for an endpoint and kind, many streams on each. */
#include "roles/ingress/upstream/up_h2_int.h"

#include "codec/proxy_protocol.h"
#include "roles/ingress/observe/metrics.h"

#define SLOTS 64 /* lists by endpoint */

static const unsigned char alpn_h2[] = {2, 'h', '2'};

struct up_h2_pool {
	struct list slots[SLOTS]; /* those that take new streams */
	struct list all;
};

/* --- the end of a connection --- */

static void up_reap(struct defer *d)
{
	struct up_h2 *c = container_of(d, struct up_h2, reap);

	nghttp2_session_del(c->session);
	endpoint_unref(c->endpoint);
	tls_unref(c->kind.tls_context);
	free((char *)(uintptr_t)c->kind.server_name);
	free(c);
}

static void up_ended(struct up_h2 *c)
{
	c->closed = true;
	list_del(&c->link);
	list_del(&c->all_link);
	timer_stop(&c->timer);
	defer_cancel(&c->flush);
	conn_close(c->conn);
	loop_defer(c->worker->loop, &c->reap);
}

/* What a request's stream can expect of a connection that is gone: one that had been kept and has not said a word since the
 * request went out had most likely been closed before it. */
static enum up_failure failure_of(const struct up_h2 *c, const struct up_stream *s)
{
	if (s->id == 0)
		return UP_REFUSED;
	if (c->broken && !s->head_got)
		return UP_BAD;
	return s->kept && c->n_reads == s->reads_before ? UP_STALE : UP_RESET;
}

/* Their exchanges may start new attempts: those find another connection. */
static void up_lost(struct up_h2 *c)
{
	if (c->closed)
		return;
	up_ended(c);
	while (!list_empty(&c->streams)) {
		struct up_stream *s = list_entry(c->streams.next, struct up_stream, link);

		up_stream_fail(s, failure_of(c, s));
	}
}

void up_h2_retire(struct up_h2 *c)
{
	c->retired = true;
	list_del(&c->link);
}

/* --- what goes out --- */

void up_h2_want_flush(struct up_h2 *c)
{
	if (!c->closed)
		loop_defer(c->worker->loop, &c->flush);
}

static void pump(struct up_h2 *c)
{
	const uint8_t *bytes;
	ssize_t n = 0;

	while (conn_pending(c->conn) < CONN_HIGH_WATER_BYTES &&
	       (n = nghttp2_session_mem_send(c->session, &bytes)) > 0)
		conn_write(c->conn, bytes, (size_t)n);
	if (n < 0)
		c->broken = true;
}

static void tell_drained(struct up_h2 *c)
{
	while (!list_empty(&c->drained)) {
		struct up_stream *s = list_entry(c->drained.next, struct up_stream, drained_link);

		list_del(&s->drained_link);
		if (s->x)
			exchange_up_drained(s->x);
	}
}

static bool is_over(const struct up_h2 *c)
{
	if (c->broken)
		return true;
	if (c->n_streams == 0 && (c->retired || !c->ready))
		return true;
	return !nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session);
}

static void up_flush(struct defer *d)
{
	struct up_h2 *c = container_of(d, struct up_h2, flush);

	if (c->ready)
		pump(c);
	tell_drained(c);
	if (is_over(c) && !c->closed)
		up_lost(c);
}

/* --- what comes in --- */

static bool speaks_h2(struct up_h2 *c)
{
	struct str alpn = conn_alpn(c->conn);

	/* Without ALPN, a server that is configured as one for gRPC is believed to be one (nginx, too, does not ask). */
	return alpn.len == 0 || str_eq(alpn, STR("h2"));
}

static struct up_stream *first_waiting(struct up_h2 *c)
{
	list_for(at, tmp, &c->streams) {
		struct up_stream *s = list_entry(at, struct up_stream, link);

		if (s->id == 0)
			return s;
	}
	return NULL;
}

static void up_connected(struct conn *conn, void *ctx)
{
	struct up_h2 *c = ctx;
	uint64_t kept_ms = globals_now(c->worker->shared)->upstream_keepalive_timeout_s * 1000ull;

	(void)conn;
	if (!speaks_h2(c)) {
		up_lost(c);
		return;
	}
	c->ready = true;
	timer_start(c->worker->loop, &c->timer, kept_ms);
	struct up_stream *s;
	while ((s = first_waiting(c)))
		up_stream_submit(s);
	up_h2_want_flush(c);
}

static size_t up_data(struct conn *conn, void *ctx, const uint8_t *bytes, size_t len)
{
	struct up_h2 *c = ctx;

	(void)conn;
	c->n_reads++;
	if (nghttp2_session_mem_recv(c->session, bytes, len) < 0)
		c->broken = true;
	up_h2_want_flush(c);
	return len;
}

static void up_eof(struct conn *conn, void *ctx)
{
	(void)conn;
	up_lost(ctx);
}

static void up_drained(struct conn *conn, void *ctx)
{
	(void)conn;
	up_h2_want_flush(ctx);
}

static void up_failed(struct conn *conn, void *ctx, const struct err *e)
{
	struct up_h2 *c = ctx;

	(void)conn, (void)e;
	if (!c->ready)
		metrics_inc(c->worker->metrics, METRIC_UP_CONNECT_FAILURES);
	up_lost(c);
}

static const struct conn_ops up_conn_ops = {.ready = up_connected,
					    .data = up_data,
					    .eof = up_eof,
					    .drained = up_drained,
					    .failed = up_failed};

/* Connecting took too long, or nobody has used it. Streams have time-outs of their own. */
static void up_timer(struct timer *t)
{
	struct up_h2 *c = t->ctx;

	if (!c->ready || c->n_streams == 0) {
		up_lost(c);
		return;
	}
	timer_start(c->worker->loop, t,
		    globals_now(c->worker->shared)->upstream_keepalive_timeout_s * 1000ull);
}

/* --- a new connection --- */

static void session_new(struct up_h2 *c)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, UP_H2_STREAM_WINDOW_BYTES},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UP_H2_HEAD_MAX_BYTES},
	};
	nghttp2_session_callbacks *cb;
	nghttp2_option *o;

	if (nghttp2_session_callbacks_new(&cb) != 0 || nghttp2_option_new(&o) != 0)
		abort(); /* only for want of memory */
	up_h2_callbacks(cb);
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_closed_streams(o, 1);
	nghttp2_option_set_peer_max_concurrent_streams(o, UP_H2_STREAMS_MAX);
	nghttp2_option_set_max_send_header_block_length(o, EXCHANGE_ARENA_BYTES);
	if (nghttp2_session_client_new2(&c->session, cb, c, o) != 0 ||
	    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) !=
		    0 ||
	    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
						  UP_H2_CONNECTION_WINDOW_BYTES) != 0)
		abort();
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(o);
}

static struct list *slot_of(struct worker *w, const struct endpoint *e)
{
	if (!w->up_h2) {
		w->up_h2 = xmalloc(sizeof(*w->up_h2));
		for (size_t i = 0; i < SLOTS; i++)
			list_init(&w->up_h2->slots[i]);
		list_init(&w->up_h2->all);
	}
	return &w->up_h2->slots[e->index % SLOTS];
}

/* It speaks of one client: the connection is not for others. */
static void put_proxy_header(struct up_h2 *c, const struct exchange *x)
{
	char text[PROXY_HEADER_WRITE_BYTES];

	conn_write_ahead(c->conn, text, proxy_header_write(2, &x->req.client.ss, &x->endpoint->addr.ss, text));
	up_h2_retire(c);
}

static struct up_h2 *up_connect(struct exchange *x, const struct up_kind *kind)
{
	struct worker *w = x->worker;
	struct up_h2 *c = xcalloc(1, sizeof(*c));
	struct err e;

	c->worker = w;
	c->kind = *kind;
	c->flush.run = up_flush;
	c->reap.run = up_reap;
	c->timer = (struct timer){.fire = up_timer, .ctx = c};
	list_init(&c->link);
	list_init(&c->streams);
	list_init(&c->drained);
	c->conn = conn_connect(w->loop, &x->endpoint->addr, kind->tls ? kind->tls_context : NULL,
			       kind->server_name, &up_conn_ops, c, &e);
	if (!c->conn) {
		free(c);
		return NULL;
	}
	if (kind->tls)
		SSL_set_alpn_protos(conn_ssl(c->conn), alpn_h2, sizeof(alpn_h2));
	c->endpoint = endpoint_ref(x->endpoint);
	c->kind.tls_context = tls_ref(kind->tls_context);
	c->kind.server_name = xstrdup(kind->server_name);
	session_new(c);
	timer_start(w->loop, &c->timer, x->loc->set->proxy_connect_timeout_s * 1000ull);
	list_append(slot_of(w, c->endpoint), &c->link);
	list_append(&w->up_h2->all, &c->all_link);
	if (kind->proxy_protocol)
		put_proxy_header(c, x);
	return c;
}

/* --- the choice --- */

static bool same_kind(const struct up_kind *a, const struct up_kind *b)
{
	return a->tls == b->tls && a->tls_context == b->tls_context && c_eq(a->server_name, b->server_name);
}

static bool has_room(const struct up_h2 *c)
{
	uint32_t peers = nghttp2_session_get_remote_settings(c->session,
							     NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	return c->n_streams < MIN(peers, (uint32_t)UP_H2_STREAMS_MAX);
}

static struct up_h2 *up_find(struct exchange *x, const struct up_kind *kind)
{
	struct list *slot = slot_of(x->worker, x->endpoint);
	unsigned most = globals_now(x->worker->shared)->upstream_keepalive_requests;

	list_for(at, tmp, slot) {
		struct up_h2 *c = list_entry(at, struct up_h2, link);

		if (c->endpoint != x->endpoint || !same_kind(&c->kind, kind) || !has_room(c))
			continue;
		if (c->n_requests < most)
			return c;
		up_h2_retire(c);
		up_h2_want_flush(c);
	}
	return NULL;
}

void up_h2_start(struct exchange *x, const struct up_kind *kind)
{
	struct up_h2 *c = kind->proxy_protocol ? NULL : up_find(x, kind);

	if (!c) {
		metrics_inc(x->worker->metrics, METRIC_UP_CONNECTS);
		c = up_connect(x, kind);
	}
	if (!c) {
		metrics_inc(x->worker->metrics, METRIC_UP_CONNECT_FAILURES);
		exchange_up_failed(x, UP_REFUSED);
		return;
	}
	struct up_stream *s = up_stream_new(c, x);
	if (c->ready)
		up_stream_submit(s);
}

void up_h2_pool_free(struct worker *w)
{
	struct up_h2_pool *p = w->up_h2;

	while (p && !list_empty(&p->all))
		up_lost(list_entry(p->all.next, struct up_h2, all_link));
	w->up_h2 = NULL;
	free(p);
}
