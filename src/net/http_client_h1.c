/* HTTP/1.1 for the client (RFC 9112): a connection for each call at a time, a few kept for the next
 * ones. */
#include "codec/http1.h"
#include "net/http_client_int.h"

#include <stdio.h>

#define IDLE_MAX 4
#define IDLE_MS 30000		   /* below the 60 s and more after which servers close */
#define REQUEST_BYTES (512u << 10) /* of a request's head */
#define CONNECT_MS 10000

enum h1_stage { H1_HEAD, H1_BODY };

struct h1_conn {
	struct list link; /* idle */
	struct http_client *client;
	struct loop *loop;
	struct conn *conn;
	struct http_call *call; /* NULL: idle */
	enum h1_stage stage;
	struct http1_head head;
	struct http_header table[CALL_HEADERS_MAX];
	struct http1_body body;
	struct timer timer;
	struct defer reap;
	bool keep;
};

static void h1_reap(struct defer *d)
{
	struct h1_conn *h = container_of(d, struct h1_conn, reap);

	free(h);
}

static void h1_close(struct h1_conn *h)
{
	if (!h->client)
		return;
	if (!list_empty(&h->link))
		h->client->n_idle--;
	list_del(&h->link);
	if (h->call)
		h->call->h1 = NULL;
	h->call = NULL;
	h->client = NULL;
	timer_stop(&h->timer);
	conn_close(h->conn);
	h->conn = NULL;
	loop_defer(h->loop, &h->reap);
}

static void h1_fail(struct h1_conn *h, const struct err *e)
{
	struct http_call *call = h->call;

	h1_close(h);
	if (call)
		call_done(call, e);
}

static void h1_idle(struct timer *t)
{
	struct h1_conn *h = t->ctx;
	struct err e;

	err_set(&e, ERR_TIMEOUT, "no connection in time");
	h1_fail(h, &e);
}

/* The response is complete: the connection waits for the next call, or goes. */
static void h1_complete(struct h1_conn *h)
{
	struct http_call *call = h->call;
	struct http_client *c = h->client;

	call->h1 = NULL;
	h->call = NULL;
	conn_resume(h->conn);
	if (h->keep && c->n_idle < (c->config.idle_max ? c->config.idle_max : IDLE_MAX)) {
		c->n_idle++;
		list_append(&c->idle, &h->link);
		timer_start(h->loop, &h->timer, IDLE_MS);
	} else {
		h1_close(h);
	}
	call_done(call, NULL);
}

static int h1_on_head(struct h1_conn *h)
{
	struct http_call *call = h->call;

	if (h->head.status >= 100 && h->head.status < 200) {
		http1_head_init(&h->head, HTTP1_RESPONSE, h->table, CALL_HEADERS_MAX);
		return 0;
	}
	enum http1_framing framing =
		http1_response_framing(&h->head, strcmp(call->method, "HEAD") == 0);
	for (size_t i = 0; i < h->head.n_headers; i++)
		if (call_add_header(call, h->table[i].name, h->table[i].value) < 0)
			return -1;
	call->status = h->head.status;
	h->keep = h->head.keep_alive && framing != HTTP1_UNTIL_CLOSE;
	http1_body_init(&h->body, framing, h->head.content_length);
	h->stage = H1_BODY;
	call_headers_done(call);
	return 0;
}

/* Returns how many bytes were used; 0: needs more; -1: broken. The bytes are ours to change. */
static ssize_t h1_step(struct h1_conn *h, char *bytes, size_t len, struct err *e)
{
	struct str data = STR_NONE;
	ssize_t n;

	if (h->stage == H1_BODY) {
		n = http1_body_next(&h->body, bytes, len, &data, e);
		if (n > 0 && data.len)
			call_data(h->call, data);
		return n;
	}
	n = http1_head_parse(&h->head, bytes, len, e);
	if ((n == 0 && len > CALL_HEADER_BYTES) || (n > 0 && h1_on_head(h) < 0))
		return err_set(e, ERR_TOO_LARGE, "the response's headers are too large");
	return n;
}

static size_t on_bytes(struct conn *conn, void *ctx, const uint8_t *bytes, size_t len)
{
	struct h1_conn *h = ctx;
	size_t used = 0;
	struct err e;

	(void)conn;
	while (h->call && used < len) {
		ssize_t n = h1_step(h, (char *)bytes + used, len - used, &e);

		if (n < 0) {
			h1_fail(h, &e);
			return len;
		}
		if (n == 0)
			return used;
		used += (size_t)n;
		if (h->call && h->stage == H1_BODY && h->body.done) {
			/* What stands behind an answer belongs to no request. */
			h->keep = h->keep && used == len;
			h1_complete(h);
		}
	}
	if (h->client && used < len) {
		err_set(&e, ERR_UNAVAILABLE, "the server spoke unasked");
		h1_fail(h, &e);
	}
	return len;
}

static void on_eof(struct conn *conn, void *ctx)
{
	struct h1_conn *h = ctx;
	struct err e;

	(void)conn;
	if (h->call && h->stage == H1_BODY && h->body.framing == HTTP1_UNTIL_CLOSE) {
		h->keep = false;
		h1_complete(h);
		return;
	}
	err_set(&e, ERR_UNAVAILABLE, "the server closed the connection");
	h1_fail(h, &e);
}

static void h1_write_request(struct h1_conn *h)
{
	struct http_call *call = h->call;
	struct buf out;

	buf_init(&out, REQUEST_BYTES);
	buf_printf(&out, "%s %s HTTP/1.1\r\nhost: " STR_FMT "\r\n", call->method, call->path,
		   STR_ARG(call->host));
	for (size_t i = 0; i < call->n_headers; i++)
		buf_printf(&out, STR_FMT ": " STR_FMT "\r\n", STR_ARG(call->headers[i].name),
			   STR_ARG(call->headers[i].value));
	if (call->has_body)
		buf_printf(&out, "content-length: %zu\r\n", call->body.len);
	buf_puts(&out, "\r\n");
	conn_write(h->conn, out.ptr, out.len);
	conn_write(h->conn, call->body.ptr, call->body.len);
	buf_done(&out);
	call->stage = CALL_SENT;
}

static void on_ready(struct conn *conn, void *ctx)
{
	struct h1_conn *h = ctx;

	(void)conn;
	timer_stop(&h->timer);
	if (h->call)
		h1_write_request(h);
}

static void on_failed(struct conn *conn, void *ctx, const struct err *e)
{
	struct h1_conn *h = ctx;

	(void)conn;
	h->conn = NULL;
	h1_fail(h, e);
}

static const struct conn_ops h1_ops = {
	.ready = on_ready, .data = on_bytes, .eof = on_eof, .failed = on_failed};

static void h1_begin(struct h1_conn *h, struct http_call *call)
{
	h->call = call;
	call->h1 = h;
	h->stage = H1_HEAD;
	http1_head_init(&h->head, HTTP1_RESPONSE, h->table, CALL_HEADERS_MAX);
}

void h1_call_send(struct http_call *call)
{
	struct http_client *c = call->client;
	struct h1_conn *h;
	struct err e;

	if (!list_empty(&c->idle)) {
		h = list_entry(c->idle.prev, struct h1_conn,
			       link); /* the newest: least likely to be closed */
		list_del(&h->link);
		c->n_idle--;
		timer_stop(&h->timer);
		h1_begin(h, call);
		h1_write_request(h);
		return;
	}
	h = xcalloc(1, sizeof(*h));
	*h = (struct h1_conn){.client = c,
			      .loop = c->loop,
			      .timer = {.fire = h1_idle, .ctx = h},
			      .reap.run = h1_reap};
	list_init(&h->link);
	h->conn =
		conn_connect(c->loop, &c->config.to, c->config.tls, c->server_name, &h1_ops, h, &e);
	if (!h->conn) {
		free(h);
		call_fail_later(call, &e);
		return;
	}
	h1_begin(h, call);
	timer_start(c->loop, &h->timer,
		    c->config.connect_timeout_ms ? c->config.connect_timeout_ms : CONNECT_MS);
}

void h1_call_cancel(struct http_call *call)
{
	if (call->h1)
		h1_close(call->h1);
}

void h1_call_want_body(struct http_call *call, bool on)
{
	struct h1_conn *h = call->h1;

	if (!h)
		return;
	if (on)
		conn_resume(h->conn);
	else
		conn_pause(h->conn);
}

void h1_client_close(struct http_client *c)
{
	while (!list_empty(&c->idle))
		h1_close(list_entry(c->idle.next, struct h1_conn, link));
}
