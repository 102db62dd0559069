/* HTTP/1.1 for the server (RFC 9112): one exchange at a time, in the order of the requests. */
#include "net/http_server_int.h"

#define BODY_FIRST_BYTES (64u << 10) /* taken on a Content-Length's word; the rest as it arrives   \
				      */

/* The state of a head that came in pieces; most come whole and need none. */
struct h1_partial {
	struct http1_head head;
	struct http_header table[LIMIT_REQUEST_HEADERS];
};

static int h1_start(struct server_conn *sc)
{
	sc->keep_alive = true;
	return 0;
}

static void h1_idle(struct server_conn *sc)
{
	server_conn_close(sc);
}

static void h1_stop(struct server_conn *sc)
{
	free(sc->partial);
}

/* --- replies --- */

/* A CR or LF in a value would end the header; whatever made it, it does not get onto the wire. */
static void put_value(struct buf *b, struct str value)
{
	size_t at = b->len;

	buf_put_str(b, value);
	for (; at < b->len; at++)
		if ((uint8_t)b->ptr[at] < 0x20 && b->ptr[at] != '\t')
			b->ptr[at] = ' ';
}

static void put_headers(struct buf *b, const struct http_header *headers, size_t n, bool hop)
{
	for (size_t i = 0; i < n; i++) {
		if (!hop && header_is_hop(headers[i].name))
			continue;
		buf_put_str(b, headers[i].name);
		buf_put(b, ": ", 2);
		put_value(b, headers[i].value);
		buf_put(b, "\r\n", 2);
	}
}

static struct buf *head_begin(struct http_exchange *x, int status)
{
	struct http_server *s = x->sc->server;

	buf_clear(&s->head);
	if (status == 200)
		buf_put_str(&s->head, STR("HTTP/1.1 200 OK\r\n"));
	else
		buf_printf(&s->head, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
	buf_put_str(&s->head, STR("date: "));
	buf_puts(&s->head, server_date(s));
	buf_put(&s->head, "\r\n", 2);
	return &s->head;
}

static void put_connection(struct buf *b, const struct server_conn *sc)
{
	if (!sc->keep_alive)
		buf_put_str(b, STR("connection: close\r\n"));
	else if (sc->old_version)
		buf_put_str(b, STR("connection: keep-alive\r\n"));
}

static void put_length(struct buf *b, size_t length)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + length % 10);
	while (length /= 10);
	buf_put_str(b, STR("content-length: "));
	buf_put(b, digits + at, sizeof(digits) - at);
	buf_put(b, "\r\n", 2);
}

static bool status_has_body(int status)
{
	return status >= 200 && status != 204 && status != 304;
}

static void h1_finish(struct http_exchange *x)
{
	struct server_conn *sc = x->sc;

	http_exchange_end(x);
	sc->x = NULL;
	sc->quiet_since_ms = loop_now_ms(sc->server->loop);
	if (!sc->keep_alive) {
		conn_close_after_write(sc->conn);
		server_conn_detach(sc);
	} else if (!sc->in_data) {
		/* A request that came early waits in the connection. */
		conn_set_ops(sc->conn, sc->protocol->conn_ops, sc);
	}
}

static void h1_abort(struct http_exchange *x)
{
	struct server_conn *sc = x->sc;

	http_exchange_end(x);
	sc->x = NULL;
	server_conn_close(sc);
}

static void h1_reply(struct http_exchange *x, int status, const struct http_header *headers,
		     size_t n)
{
	struct server_conn *sc = x->sc;
	struct buf *b = head_begin(x, status);
	struct str body = x->reply_body;

	put_headers(b, headers, n, false);
	if (status_has_body(status))
		put_length(b, body.len);
	put_connection(b, sc);
	buf_put(b, "\r\n", 2);
	if (b->overflow) {
		h1_abort(x);
		return;
	}
	conn_write(sc->conn, b->ptr, b->len);
	if (!x->head && status_has_body(status) && body.len) {
		if (x->reply_release)
			conn_write_shared(sc->conn, body, TAKE_PTR(x->reply_release), x->reply_ctx);
		else
			conn_write(sc->conn, body.ptr, body.len);
	}
	h1_finish(x);
}

static void h1_reply_start(struct http_exchange *x, int status, const struct http_header *headers,
			   size_t n)
{
	struct server_conn *sc = x->sc;
	struct buf *b = head_begin(x, status);

	x->head = x->head || !status_has_body(status);
	sc->chunked = !x->head && !sc->old_version;
	if (!x->head && sc->old_version)
		sc->keep_alive =
			false; /* HTTP/1.0 knows one end of such a body: the connection's */
	put_headers(b, headers, n, false);
	if (sc->chunked)
		buf_put_str(b, STR("transfer-encoding: chunked\r\n"));
	put_connection(b, sc);
	buf_put(b, "\r\n", 2);
	conn_write(sc->conn, b->ptr, b->len);
}

static void h1_write(struct http_exchange *x, struct str data)
{
	struct server_conn *sc = x->sc;
	char size[HTTP1_CHUNK_HEAD_BYTES];

	if (sc->chunked)
		conn_write(sc->conn, size, http1_chunk_head(size, data.len));
	conn_write(sc->conn, data.ptr, data.len);
	if (sc->chunked)
		conn_write(sc->conn, "\r\n", 2);
}

static void h1_end(struct http_exchange *x)
{
	if (x->sc->chunked)
		conn_write(x->sc->conn, "0\r\n\r\n", 5);
	x->sc->chunked = false;
	h1_finish(x);
}

static size_t h1_pending(const struct http_exchange *x)
{
	return conn_pending(x->sc->conn);
}

/* --- requests --- */

/* Answers, and reads no further: what follows cannot be told from an attack. */
static void h1_refuse(struct server_conn *sc, int status, const char *message)
{
	struct http_exchange *x = sc->x ? sc->x : http_exchange_new(sc);
	static const struct http_header text = {STR("content-type"),
						STR("text/plain; charset=utf-8")};
	static const struct http_header json = {STR("content-type"), STR("application/json")};

	sc->keep_alive = false;
	sc->refused = true;
	exchange_refusal(x, status, message);
	h1_reply(x, status, sc->server->config.refuse ? &json : &text, 1);
}

static int set_request(struct http_exchange *x, const struct http1_head *h)
{
	struct http_header *headers = arena_alloc(&x->arena, h->n_headers * sizeof(*headers));

	if (!headers)
		return -1;
	memcpy(headers, h->headers, h->n_headers * sizeof(*headers));
	x->req = (struct http_request){
		.method = h->method,
		.target = h->target,
		.path = h->path,
		.query = h->query,
		.authority = h->authority,
		.headers = {headers, h->n_headers},
	};
	return 0;
}

static void h1_head_done(struct server_conn *sc, struct http1_head *h, const char *bytes,
			 size_t len)
{
	struct http_exchange *x = sc->x = http_exchange_new(sc);
	char *copy = arena_strndup(&x->arena, bytes, len);

	if (!copy) {
		h1_refuse(sc, 431, "the request's head is too large");
		return;
	}
	http1_head_move(h, copy);
	if (set_request(x, h) < 0) {
		h1_refuse(sc, 431, "the request's head is too large");
		return;
	}
	sc->keep_alive = h->keep_alive;
	sc->old_version = h->minor == 0;
	if (h->framing == HTTP1_LENGTH && h->content_length > sc->server->config.body_max) {
		h1_refuse(sc, 413, "the request's body is too large");
		return;
	}
	http1_body_init(&sc->h1_body, h->framing, h->content_length);
	if (h->framing == HTTP1_LENGTH)
		buf_reserve(&x->body, (size_t)MIN(h->content_length, (uint64_t)BODY_FIRST_BYTES));
	if (h->expect_continue && !sc->h1_body.done)
		conn_write(sc->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	sc->quiet_since_ms = loop_now_ms(sc->server->loop);
}

/* Returns the head's length, or 0. The bytes are ours to change: names become lower case in them.
 */
static size_t h1_read_head(struct server_conn *sc, char *bytes, size_t len)
{
	struct http_server *s = sc->server;
	struct http1_head whole, *h = sc->partial ? &sc->partial->head : &whole;
	struct err e;

	if (!sc->partial)
		http1_head_init(h, HTTP1_REQUEST, s->table, LIMIT_REQUEST_HEADERS);
	ssize_t n = http1_head_parse(h, bytes, MIN(len, (size_t)LIMIT_REQUEST_HEAD_BYTES), &e);
	if (n > 0) {
		h1_head_done(sc, h, bytes, (size_t)n);
	} else if (n < 0) {
		h1_refuse(sc, h->refuse_status, e.message);
	} else if (len >= LIMIT_REQUEST_HEAD_BYTES) {
		h1_refuse(sc, 431, "the request's head is too large");
	} else if (!sc->partial) {
		sc->partial = xmalloc(sizeof(*sc->partial));
		http1_head_init(&sc->partial->head, HTTP1_REQUEST, sc->partial->table,
				LIMIT_REQUEST_HEADERS);
		return 0;
	} else {
		return 0;
	}
	free(sc->partial);
	sc->partial = NULL;
	return n > 0 ? (size_t)n : 0;
}

static size_t h1_read_body(struct server_conn *sc, const char *bytes, size_t len)
{
	struct http_exchange *x = sc->x;
	size_t used = 0;
	struct str data;
	struct err e;
	ssize_t n = 1;

	while (n > 0 && !sc->h1_body.done) {
		n = http1_body_next(&sc->h1_body, bytes + used, len - used, &data, &e);
		if (n < 0) {
			h1_refuse(sc, 400, e.message);
			return used;
		}
		if (data.len && buf_put_str(&x->body, data) < 0) {
			h1_refuse(sc, 413, "the request's body is too large");
			return used;
		}
		used += (size_t)n;
	}
	return used;
}

static bool h1_can_read(const struct server_conn *sc)
{
	if (sc->closed || sc->refused)
		return false;
	/* A client that sends requests and reads no answers gets no more of them. */
	return sc->x ? sc->x->state == X_READING : conn_pending(sc->conn) < CONN_HIGH_WATER_BYTES;
}

static size_t h1_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct server_conn *sc = ctx;
	size_t used = 0;

	(void)c;
	sc->in_data = true;
	while (used < len && h1_can_read(sc)) {
		char *at = (char *)bytes + used;

		if (sc->x) {
			used += h1_read_body(sc, at, len - used);
		} else {
			size_t n = h1_read_head(sc, at, len - used);

			if (n == 0)
				break;
			used += n;
		}
		if (!sc->closed && sc->x && sc->x->state == X_READING && sc->h1_body.done)
			exchange_dispatch(sc->x);
	}
	sc->in_data = false;
	return used;
}

static void h1_eof(struct conn *c, void *ctx)
{
	struct server_conn *sc = ctx;

	/* Answered, and perhaps not yet sent: it still is. With a request open, the client gave up
	 * on it. */
	if (!sc->x)
		conn_close_after_write(c);
	else
		conn_close(c);
	server_conn_detach(sc);
}

static void h1_drained(struct conn *c, void *ctx)
{
	struct server_conn *sc = ctx;
	struct http_exchange *x = sc->x;

	if (!x)
		conn_set_ops(c, sc->protocol->conn_ops, sc);
	else if (x->state == X_STREAMING && x->drained)
		x->drained(x->drained_ctx);
}

static void h1_failed(struct conn *c, void *ctx, const struct err *e)
{
	(void)c, (void)e;
	server_conn_detach(ctx);
}

static const struct conn_ops h1_ops = {
	.data = h1_data, .eof = h1_eof, .drained = h1_drained, .failed = h1_failed};

const struct http_protocol http_server_h1 = {
	.conn_ops = &h1_ops,
	.start = h1_start,
	.stop = h1_stop,
	.idle = h1_idle,
	.reply = h1_reply,
	.reply_start = h1_reply_start,
	.write = h1_write,
	.end = h1_end,
	.abort = h1_abort,
	.pending = h1_pending,
};

struct conn *http_upgrade(struct http_exchange *x, const struct http_header *headers, size_t n,
			  const struct conn_ops *ops, void *ctx)
{
	struct server_conn *sc = x->sc;
	struct conn *c = sc->conn;

	if (sc->protocol != &http_server_h1)
		return NULL;
	struct buf *b = head_begin(x, 101);
	put_headers(b, headers, n, true);
	buf_put(b, "\r\n", 2);
	http_exchange_end(x);
	sc->x = NULL;
	if (b->overflow) {
		server_conn_close(sc);
		return NULL;
	}
	conn_write(c, b->ptr, b->len);
	server_conn_detach(sc);
	conn_set_ops(c, ops, ctx);
	return c;
}
