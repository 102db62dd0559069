/* HTTP/1.1 to an endpoint. The request's head is written at once, even before the connection is there: it goes out with it. */
#include "roles/ingress/upstream/up_h1_int.h"

#include "roles/ingress/observe/metrics.h"

#include <errno.h>
#include <sys/socket.h>

static const struct conn_ops up_conn_ops;
static const struct up_ops up_h1_ops;

/* ---- life ---- */

static void up_reap(struct defer *d)
{
	struct up_h1 *u = container_of(d, struct up_h1, reap);

	endpoint_unref(u->pooled.endpoint);
	buf_done(&u->trailers);
	free(u->server_name);
	tls_unref(u->pooled.kind.tls_context);
	free(u);
}

/* The connection is closed, or about to close by itself. */
static void up_over(struct up_h1 *u)
{
	pool_remove(u->worker->pools, &u->pooled);
	u->conn = NULL;
	loop_defer(u->worker->loop, &u->reap);
}

static void up_close(struct up_h1 *u)
{
	conn_close(u->conn);
	up_over(u);
}

static void pooled_close(struct pooled *p)
{
	up_close(container_of(p, struct up_h1, pooled));
}

/* x goes on without the connection. */
static struct exchange *detach(struct up_h1 *u)
{
	struct exchange *x = u->x;

	u->x = NULL;
	x->up = NULL;
	return x;
}

static void lost(struct up_h1 *u, enum up_failure how)
{
	struct exchange *x = detach(u);

	if (u->conn)
		up_close(u);
	exchange_up_failed(x, how);
}

/* The answer is complete: the connection serves others, or ends. */
static struct exchange *answer_complete(struct up_h1 *u, bool reusable)
{
	struct exchange *x = detach(u);
	const struct globals *g = globals_now(u->worker->shared);

	/* A slow client may have stopped it within its last bytes. */
	conn_resume(u->conn);
	if (reusable && u->keep_alive && x->request_body_done && conn_pending(u->conn) == 0 && !u->pooled.kind.proxy_protocol &&
	    ++u->requests < g->upstream_keepalive_requests && !u->worker->draining)
		pool_put(u->worker->pools, &u->pooled);
	else
		up_close(u);
	return x;
}

/* ---- the answer ---- */

/* What does not concern this hop only; `to` may be where they are. */
static size_t end_to_end(const struct http1_head *h, struct http_header *to)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n_headers; i++)
		switch (header_id(h->headers[i].name)) {
		case H_HOP: case H_LENGTH: case H_CONNECTION: case H_UPGRADE:
			continue;
		default:
			to[n++] = h->headers[i];
		}
	return n;
}

static bool take_headers(struct exchange *x, const struct http1_head *h)
{
	struct header_list *l = &x->ans.headers;

	l->cap = h->n_headers + 8; /* room for what filters add */
	l->n = 0;
	l->at = arena_alloc(&x->arena, l->cap * sizeof(*l->at));
	if (!l->at)
		return false;
	l->n = end_to_end(h, l->at);
	return true;
}

static void start_answer(struct up_h1 *u, const struct http1_head *h)
{
	struct exchange *x = u->x;
	enum http1_framing framing = http1_response_framing(h, x->req.is_head);

	x->ans.status = h->status;
	x->ans.reason = h->reason;
	x->ans.content_length = h->framing == HTTP1_CHUNKED || !h->has_length ? -1 : (int64_t)h->content_length;
	u->keep_alive = h->keep_alive && framing != HTTP1_UNTIL_CLOSE;
	u->state = h->status == 101 ? UP_TUNNEL : UP_BODY;
	http1_body_init(&u->body, framing, h->content_length);
	buf_done(&u->trailers);
	buf_init(&u->trailers, UP_TRAILER_BYTES_MAX);
	u->body.trailers = &u->trailers;
	x->ans.no_body = framing == HTTP1_NO_BODY && h->status != 101;
	if (x->ans.no_body && !x->req.is_head && x->ans.content_length < 0)
		x->ans.content_length = h->status == 204 || h->status == 304 ? -1 : 0;
}

/* Bytes used; 0: more are needed; -1: no HTTP. */
static ssize_t take_head(struct up_h1 *u, const uint8_t *bytes, size_t len)
{
	static _Thread_local struct http_header table[EXCHANGE_HEADERS_MAX];
	struct exchange *x = u->x;
	struct http1_head h;
	struct err e;

	http1_head_init(&h, HTTP1_RESPONSE, table, EXCHANGE_HEADERS_MAX);
	h.keep_case = true;
	ssize_t n = http1_head_parse(&h, (char *)bytes, len, &e);
	if (n <= 0)
		return n == 0 && len >= UP_HEAD_BYTES_MAX ? -1 : n;
	if (h.status < 200 && h.status != 101) {
		struct header_list l = { h.headers, end_to_end(&h, h.headers), h.n_headers };
		if (++u->interims > UP_INTERIMS_MAX)
			return -1;
		exchange_up_interim(x, h.status, &l);
		return n;
	}
	char *own = arena_strndup(&x->arena, (const char *)bytes, (size_t)n);
	if (!own || (h.status == 101 && !x->req.upgrade.len))
		return -1;
	http1_head_move(&h, own);
	if (!take_headers(x, &h))
		return -1;
	start_answer(u, &h);
	if (x->ans.no_body)
		answer_complete(u, (size_t)n == len);
	exchange_up_head(x);
	return n;
}

static void on_moved(void *ctx, size_t n, bool done)
{
	struct up_h1 *u = ctx;

	u->body.left -= n;
	u->body.done = done;
	exchange_up_moved(u->x, n);
	if (done)
		exchange_up_body(answer_complete(u, true), STR_NONE, true);
}

/* A long body that nobody looks at goes from socket to socket within the kernel. */
static void splice_rest(struct up_h1 *u)
{
	struct exchange *x = u->x;
	struct conn *down = exchange_may_splice(x) ? x->down_ops->conn(x) : NULL;

	if (down && u->body.framing == HTTP1_LENGTH && u->body.left >= UP_SPLICE_MIN_BYTES)
		conn_splice(u->conn, down, u->body.left, on_moved, u);
}

static void answer_ends(struct up_h1 *u, bool reusable, struct str data)
{
	if (!u->trailers.len) {
		exchange_up_body(answer_complete(u, reusable), data, true);
		return;
	}
	struct exchange *x = u->x;
	struct header_list l = trailers_of(x, buf_str(&u->trailers));
	if (data.len)
		exchange_up_body(x, data, false);
	if (u->x == x)
		exchange_up_trailers(answer_complete(u, reusable), &l);
}

/* The last piece of a body is passed on when the connection is free already: whoever gets it may ask anew. */
static ssize_t take_body(struct up_h1 *u, const uint8_t *bytes, size_t len)
{
	size_t used = 0;
	struct err e;

	while (u->x && used < len) {
		struct str data = STR_NONE;
		ssize_t n = http1_body_next(&u->body, (const char *)bytes + used, len - used, &data, &e);
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		used += (size_t)n;
		if (u->body.done) {
			answer_ends(u, used == len, data);
			return (ssize_t)len;
		}
		if (data.len)
			exchange_up_body(u->x, data, false);
	}
	if (u->x)
		splice_rest(u);
	return (ssize_t)used;
}

static size_t on_bytes(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct up_h1 *u = ctx;
	size_t used = 0;

	(void)c;
	if (!u->x) { /* an idle upstream has nothing to say */
		up_close(u);
		return len;
	}
	u->any_bytes = true;
	while (u->x && used < len) {
		ssize_t n;
		if (u->state == UP_TUNNEL) {
			exchange_up_body(u->x, (struct str){ (const char *)bytes + used, len - used }, false);
			return len;
		}
		n = u->state == UP_BODY ? take_body(u, bytes + used, len - used) : take_head(u, bytes + used, len - used);
		if (n < 0) {
			lost(u, UP_BAD);
			return len;
		}
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return u->x ? used : len;
}

static void on_eof(struct conn *c, void *ctx)
{
	struct up_h1 *u = ctx;

	(void)c;
	if (!u->x)
		up_close(u);
	else if (u->state == UP_TUNNEL)
		exchange_up_body(u->x, STR_NONE, true);
	else if (u->state == UP_BODY && u->body.framing == HTTP1_UNTIL_CLOSE)
		exchange_up_body(answer_complete(u, false), STR_NONE, true);
	else
		lost(u, u->reused && !u->any_bytes ? UP_STALE : UP_RESET);
}

static void on_failed(struct conn *c, void *ctx, const struct err *e)
{
	struct up_h1 *u = ctx;
	struct exchange *x = u->x;
	enum up_failure how = !u->ready ? UP_REFUSED : u->reused && !u->any_bytes ? UP_STALE : UP_RESET;

	(void)c;
	if (!u->ready)
		metrics_inc(u->worker->metrics, METRIC_UP_CONNECT_FAILURES);
	if (e->reason == ERR_TIMEOUT)
		how = UP_TIMEOUT;
	if (x)
		detach(u);
	up_over(u);
	if (x)
		exchange_up_failed(x, how);
}

static void on_ready(struct conn *c, void *ctx)
{
	struct up_h1 *u = ctx;

	(void)c;
	u->ready = true;
	if (u->x)
		exchange_up_ready(u->x);
}

static void on_drained(struct conn *c, void *ctx)
{
	struct up_h1 *u = ctx;

	(void)c;
	if (u->x)
		exchange_up_drained(u->x);
}

static const struct conn_ops up_conn_ops = {
	.ready = on_ready, .data = on_bytes, .eof = on_eof, .drained = on_drained, .failed = on_failed,
};

/* ---- what the exchange asks for ---- */

static void h1_body(struct exchange *x, struct str data, bool end)
{
	struct up_h1 *u = x->up;
	char head[HTTP1_CHUNK_HEAD_BYTES];

	if (u->state == UP_TUNNEL) {
		conn_write(u->conn, data.ptr, data.len);
		if (end)
			conn_shutdown(u->conn);
		return;
	}
	if (!u->chunked) {
		conn_write(u->conn, data.ptr, data.len);
		return;
	}
	if (data.len) {
		conn_write(u->conn, head, http1_chunk_head(head, data.len));
		conn_write(u->conn, data.ptr, data.len);
		conn_write(u->conn, "\r\n", 2);
	}
	if (end)
		conn_write(u->conn, "0\r\n\r\n", 5);
}

static void h1_trailers(struct exchange *x, const struct header_list *h)
{
	struct up_h1 *u = x->up;

	if (u->chunked)
		up_h1_write_trailers(u->conn, h);
}

static void h1_want_body(struct exchange *x, bool on)
{
	struct up_h1 *u = x->up;

	if (on)
		conn_resume(u->conn);
	else
		conn_pause(u->conn);
}

static size_t h1_pending(const struct exchange *x)
{
	const struct up_h1 *u = x->up;

	return conn_pending(u->conn);
}

static void h1_cancel(struct exchange *x)
{
	struct up_h1 *u = x->up;

	detach(u);
	if (u->state != UP_TUNNEL) {
		up_close(u);
		return;
	}
	conn_close_after_write(u->conn); /* the client's last words */
	up_over(u);
}

static const struct up_ops up_h1_ops = {
	.body = h1_body, .trailers = h1_trailers, .want_body = h1_want_body, .pending = h1_pending, .cancel = h1_cancel,
};

/* ---- the start ---- */

static void attach(struct up_h1 *u, struct exchange *x)
{
	u->x = x;
	u->state = UP_HEAD;
	u->any_bytes = false;
	u->interims = 0;
	u->chunked = x->req.has_body && x->req.content_length < 0;
	x->up = u;
	x->up_ops = &up_h1_ops;
	up_h1_write_head(u->conn, x, u->chunked);
}

static struct up_h1 *connect_new(struct exchange *x, const struct up_kind *kind)
{
	struct up_h1 *u = xcalloc(1, sizeof(*u));
	struct err e;

	u->worker = x->worker;
	u->reap.run = up_reap;
	list_init(&u->pooled.at_endpoint);
	list_init(&u->pooled.oldest);
	u->pooled.kind = *kind;
	u->pooled.kind.tls_context = tls_ref(kind->tls_context);
	u->pooled.kind.server_name = u->server_name = xstrdup(kind->server_name);
	u->pooled.endpoint = endpoint_ref(x->endpoint);
	u->pooled.close = pooled_close;
	u->conn = conn_connect(x->worker->loop, &x->endpoint->addr, kind->tls_context, u->server_name, &up_conn_ops, u, &e);
	metrics_inc(x->worker->metrics, METRIC_UP_CONNECTS);
	if (!u->conn) {
		loop_defer(x->worker->loop, &u->reap);
		return NULL;
	}
	if (kind->proxy_protocol)
		up_h1_write_proxy_header(u->conn, x);
	return u;
}

/* What has arrived on an idle connection, its end included, and was not looked at yet in this turn. */
static bool has_news(const struct up_h1 *u)
{
	char byte;

	return recv(conn_fd(u->conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

/* A kept connection. One that may not be tried again on another goes only where the upstream has not ended it yet. */
static struct pooled *kept_for(struct exchange *x, const struct up_kind *kind)
{
	struct pooled *p;

	if (kind->proxy_protocol)
		return NULL;
	while ((p = pool_take(x->worker->pools, x->endpoint, kind))) {
		struct up_h1 *u = container_of(p, struct up_h1, pooled);
		if (x->req.idempotent || !has_news(u))
			break;
		up_close(u);
	}
	return p;
}

void up_h1_start(struct exchange *x, const struct up_kind *kind)
{
	struct pooled *kept = kept_for(x, kind);
	struct up_h1 *u = kept ? container_of(kept, struct up_h1, pooled) : connect_new(x, kind);

	if (!u) {
		metrics_inc(x->worker->metrics, METRIC_UP_CONNECT_FAILURES);
		exchange_up_failed(x, UP_REFUSED);
		return;
	}
	attach(u, x);
	if (!kept)
		return;
	u->reused = true;
	metrics_inc(x->worker->metrics, METRIC_UP_REUSED);
	exchange_up_ready(x);
}
