/* A connection of its own that asks to become something else (RFC 9110 §7.8). */
#include "codec/http1.h"
#include "net/http_client_int.h"

#define UPGRADE_HEAD_BYTES (64u << 10)
#define UPGRADE_BODY_BYTES (64u << 10) /* of a refusal: a Status, with room */
#define UPGRADE_MS 30000

struct http_upgrade_call {
	struct loop *loop;
	struct conn *conn;
	const struct http_upgrade_ops *ops;
	void *ctx;
	struct buf request, body;
	struct http1_head h;
	struct http_header table[CALL_HEADERS_MAX];
	struct http1_body framing;
	bool refusing;
	struct timer timer;
	struct defer reap, fail;
	struct err error;
};

static void upgrade_reap(struct defer *d)
{
	struct http_upgrade_call *u = container_of(d, struct http_upgrade_call, reap);

	buf_done(&u->request);
	buf_done(&u->body);
	free(u);
}

static void upgrade_end(struct http_upgrade_call *u)
{
	timer_stop(&u->timer);
	defer_cancel(&u->fail);
	u->conn = NULL;
	loop_defer(u->loop, &u->reap);
}

static void refuse(struct http_upgrade_call *u, int status, const struct err *e)
{
	conn_close(u->conn);
	upgrade_end(u);
	u->ops->refused(u->ctx, status, buf_str(&u->body), e);
}

/* The body of a refusal, as far as it is worth keeping. */
static void take_body(struct http_upgrade_call *u, const char *bytes, size_t len)
{
	struct str data;
	struct err e;

	while (len && !u->framing.done) {
		ssize_t n = http1_body_next(&u->framing, bytes, len, &data, &e);
		if (n < 0 || buf_put_str(&u->body, data) < 0) {
			refuse(u, u->h.status, NULL);
			return;
		}
		if (n == 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
	if (u->framing.done)
		refuse(u, u->h.status, NULL);
}

/* The bytes are ours to change: the parser makes names lower case in them. */
static size_t take_head(struct http_upgrade_call *u, char *bytes, size_t len)
{
	struct err e;
	ssize_t n = http1_head_parse(&u->h, bytes, len, &e);

	if (n == 0 && len > UPGRADE_HEAD_BYTES)
		n = err_set(&e, ERR_TOO_LARGE, "the answer's head is too large");
	if (n < 0)
		refuse(u, 0, &e);
	if (n <= 0)
		return 0;
	if (u->h.status == 101) {
		struct conn *c = u->conn;
		struct http_headers headers = {u->table, u->h.n_headers};

		upgrade_end(u);
		u->ops->upgraded(u->ctx, c, headers);
		return (size_t)n;
	}
	if (u->h.status < 200) {
		http1_head_init(&u->h, HTTP1_RESPONSE, u->table, CALL_HEADERS_MAX);
		return (size_t)n;
	}
	u->refusing = true;
	http1_body_init(&u->framing, http1_response_framing(&u->h, false), u->h.content_length);
	take_body(u, bytes + n, len - (size_t)n);
	return len;
}

static size_t on_bytes(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct http_upgrade_call *u = ctx;
	size_t used = 0, n = 1;

	/* A 1xx answer may stand in front of the real one. */
	while (n && used < len && u->conn == c && !u->refusing) {
		n = take_head(u, (char *)bytes + used, len - used);
		used += n;
	}
	if (u->conn != c || used == len || !u->refusing)
		return used;
	take_body(u, (const char *)bytes + used, len - used);
	return len;
}

static void on_ready(struct conn *c, void *ctx)
{
	struct http_upgrade_call *u = ctx;

	conn_write(c, u->request.ptr, u->request.len);
}

static void on_eof(struct conn *c, void *ctx)
{
	struct http_upgrade_call *u = ctx;
	struct err e;

	(void)c;
	err_set(&e, ERR_UNAVAILABLE, "the server closed the connection");
	refuse(u, u->refusing ? u->h.status : 0, u->refusing ? NULL : &e);
}

static void on_failed(struct conn *c, void *ctx, const struct err *e)
{
	struct http_upgrade_call *u = ctx;

	(void)c;
	u->conn = NULL;
	refuse(u, 0, e);
}

static void on_timeout(struct timer *t)
{
	struct err e;

	err_set(&e, ERR_TIMEOUT, "no answer in time");
	refuse(t->ctx, 0, &e);
}

static void on_fail(struct defer *d)
{
	struct http_upgrade_call *u = container_of(d, struct http_upgrade_call, fail);

	refuse(u, 0, &u->error);
}

static const struct conn_ops upgrade_ops = {
	.ready = on_ready, .data = on_bytes, .eof = on_eof, .failed = on_failed};

static void write_request(struct http_upgrade_call *u, const struct http_client_config *c,
			  const struct http_call_request *r)
{
	buf_printf(&u->request, "%s %s HTTP/1.1\r\nhost: %s\r\nconnection: Upgrade\r\n", r->method,
		   r->path, c->authority ? c->authority : "localhost");
	for (size_t i = 0; i < r->n_headers; i++)
		buf_printf(&u->request, STR_FMT ": " STR_FMT "\r\n", STR_ARG(r->headers[i].name),
			   STR_ARG(r->headers[i].value));
	if (strcmp(r->method, "GET") != 0)
		buf_printf(&u->request, "content-length: 0\r\n");
	buf_puts(&u->request, "\r\n");
}

struct http_upgrade_call *http_client_upgrade(struct loop *l, const struct http_client_config *c,
					      const struct http_call_request *r,
					      const struct http_upgrade_ops *ops, void *ctx)
{
	struct http_upgrade_call *u = xcalloc(1, sizeof(*u));

	*u = (struct http_upgrade_call){.loop = l,
					.ops = ops,
					.ctx = ctx,
					.timer = {.fire = on_timeout, .ctx = u},
					.reap.run = upgrade_reap,
					.fail.run = on_fail};
	buf_init(&u->request, UPGRADE_HEAD_BYTES);
	buf_init(&u->body, UPGRADE_BODY_BYTES);
	http1_head_init(&u->h, HTTP1_RESPONSE, u->table, CALL_HEADERS_MAX);
	write_request(u, c, r);
	timer_start(l, &u->timer, r->timeout_ms ? r->timeout_ms : UPGRADE_MS);
	if (u->request.overflow)
		err_set(&u->error, ERR_TOO_LARGE, "the request's head is too large");
	else
		u->conn =
			conn_connect(l, &c->to, c->tls, c->server_name, &upgrade_ops, u, &u->error);
	if (!u->conn)
		loop_defer(l, &u->fail);
	return u;
}

void http_upgrade_cancel(struct http_upgrade_call *u)
{
	if (!u)
		return;
	conn_close(u->conn);
	upgrade_end(u);
}
