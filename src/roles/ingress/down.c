#include "roles/ingress/proxy_int.h"

#include "net/http.h"

#include <stdio.h>
#include <unistd.h>

#define BODY_MAX_BYTES (1u << 20) /* proxy-body-size: 1m */

static const struct conn_ops down_ops;

static void request_done(struct down *d)
{
	route_table_unref(d->routes);
	d->routes = NULL;
	d->loc = NULL;
	d->tries = 0;
	d->body_seen = 0;
	d->body_started = d->answered = d->out_chunked = false;
	buf_clear(&d->path);
	buf_clear(&d->request);
}

static void down_reap(struct defer *r)
{
	struct down *d = container_of(r, struct down, reap);

	request_done(d);
	buf_done(&d->head_text);
	buf_done(&d->path);
	buf_done(&d->request);
	free(d);
}

static void down_end(struct down *d)
{
	d->closed = true;
	timer_stop(&d->timer);
	list_del(&d->link);
	d->proxy->n_downs--;
	d->conn = NULL;
	if (d->up)
		up_close(d->up);
	loop_defer(d->proxy->loop, &d->reap);
}

void down_close(struct down *d)
{
	if (d->closed)
		return;
	conn_close(d->conn);
	down_end(d);
}

static void finish_and_close(struct down *d)
{
	conn_close_after_write(d->conn);
	down_end(d);
}

void down_activity(struct down *d)
{
	timer_start(d->proxy->loop, &d->timer, READ_MS);
}

void down_offer_again(struct down *d)
{
	conn_resume(d->conn);
	conn_set_ops(d->conn, &down_ops, d);
}

/* Ready for the next request; one that was sent ahead is offered again. */
static void next_request(struct down *d)
{
	request_done(d);
	if (d->client_eof || !d->keep_alive) {
		finish_and_close(d);
		return;
	}
	d->state = DOWN_HEAD;
	buf_clear(&d->head_text);
	http1_head_init(&d->head, HTTP1_REQUEST, d->table, HEADERS_MAX);
	timer_start(d->proxy->loop, &d->timer, KEEPALIVE_MS);
	down_offer_again(d);
}

void down_fail(struct down *d, int status)
{
	struct buf out;
	/* A body that was not read to its end cannot be told from the next request. */
	bool unread = d->state != DOWN_WAIT;

	if (d->up)
		up_close(d->up);
	if (d->answered) {
		down_close(d); /* half an answer: only a cut tells the client so */
		return;
	}
	if (unread)
		d->keep_alive = false;
	buf_init(&out, 4096);
	message_error_page(status, d->keep_alive, d->head_method, &out);
	conn_write(d->conn, out.ptr, out.len);
	buf_done(&out);
	next_request(d);
}

void down_redirect_https(struct down *d)
{
	struct str rest, host = str_cut(d->head.authority, ':', &rest);
	struct buf out;

	if (d->state != DOWN_WAIT)
		d->keep_alive = false;
	buf_init(&out, HEAD_BYTES * 2);
	buf_printf(&out, "HTTP/1.1 308 Permanent Redirect\r\nContent-Length: 0\r\nLocation: https://" STR_FMT STR_FMT "\r\n%s\r\n",
		   STR_ARG(host), STR_ARG(d->head.target), d->keep_alive ? "" : "Connection: close\r\n");
	conn_write(d->conn, out.ptr, out.len);
	buf_done(&out);
	next_request(d);
}

/* ---- towards the upstream ---- */

static void try_upstream(struct down *d)
{
	const struct addr *to = d->loc->backend ? backend_pick(d->loc->backend, d->tries ? &d->tried : NULL) : NULL;

	if (!to) {
		down_fail(d, d->tries ? 502 : 503);
		return;
	}
	d->tries++;
	d->tried = *to;
	timer_start(d->proxy->loop, &d->timer, CONNECT_MS);
	up_get(d, &d->tried);
}

void down_upstream_ready(struct down *d)
{
	conn_write(d->up->conn, d->request.ptr, d->request.len);
	timer_start(d->proxy->loop, &d->timer, READ_MS);
	if (d->state == DOWN_BODY) {
		if (d->head.expect_continue && !d->body_started)
			conn_write(d->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
		down_offer_again(d); /* its body has waited for us */
	}
}

static bool idempotent(struct str method)
{
	static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE" };

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (str_eq_c(method, methods[i]))
			return true;
	return false;
}

void down_upstream_failed(struct down *d, bool timeout, bool maybe_seen)
{
	if (d->closed)
		return;
	if (!d->answered && !d->body_started && d->tries < TRIES_MAX && (!maybe_seen || idempotent(d->head.method)))
		try_upstream(d);
	else
		down_fail(d, timeout ? 504 : 502);
}

void down_answer_complete(struct down *d, bool upstream_keeps)
{
	struct up *u = d->up;

	if (d->out_chunked)
		conn_write(d->conn, "0\r\n\r\n", 5);
	if (upstream_keeps && d->state == DOWN_WAIT)
		up_release(u);
	else
		up_close(u);
	if (d->state != DOWN_WAIT)
		d->keep_alive = false; /* answered before its body was read */
	next_request(d);
}

/* ---- the request ---- */

/* Decides where the request goes. False: it was answered already. */
static bool route(struct down *d)
{
	struct route_table *t = d->proxy->config.table(d->proxy->config.ctx);
	struct str rest, host = str_cut(d->head.authority, ':', &rest);

	if (!t) {
		down_fail(d, 503);
		return false;
	}
	if (uri_normalise(d->head.path, &d->path) < 0) {
		down_fail(d, 400);
		return false;
	}
	d->routes = route_table_ref(t);
	d->loc = route_match(t, host, buf_str(&d->path));
	if (!d->loc)
		down_fail(d, 404);
	else if (d->loc->ssl_redirect && !d->https)
		down_redirect_https(d);
	else if (d->head.framing == HTTP1_LENGTH && d->head.content_length > BODY_MAX_BYTES)
		down_fail(d, 413);
	else if (message_request(d, &d->request) < 0)
		down_fail(d, 400);
	else
		return true;
	return false;
}

static void start_request(struct down *d)
{
	d->keep_alive = d->head.keep_alive;
	d->head_method = str_eq(d->head.method, STR("HEAD"));
	http1_body_init(&d->body, d->head.framing, d->head.content_length);
	d->state = d->body.done ? DOWN_WAIT : DOWN_BODY;
	timer_start(d->proxy->loop, &d->timer, READ_MS);
	if (route(d))
		try_upstream(d);
}

/* Bytes used; 0: more are needed. */
static size_t take_head(struct down *d, const uint8_t *bytes, size_t len)
{
	struct err e;
	size_t look = MIN(len, (size_t)HEAD_BYTES);

	if (d->head_text.len == 0)
		timer_start(d->proxy->loop, &d->timer, CLIENT_HEADER_MS);
	buf_clear(&d->head_text);
	buf_put(&d->head_text, bytes, look);
	ssize_t n = http1_head_parse(&d->head, d->head_text.ptr, look, &e);
	if (n == 0 && look < HEAD_BYTES)
		return 0;
	if (n <= 0) {
		d->keep_alive = false;
		int too_large = d->head.target.len ? 431 : 414;
		down_fail(d, n == 0 ? too_large : d->head.refuse_status ? d->head.refuse_status : 400);
		return len;
	}
	start_request(d);
	return (size_t)n;
}

static void forward_body(struct down *d, struct str data)
{
	char head[HTTP1_CHUNK_HEAD_BYTES];
	bool chunked = d->head.framing == HTTP1_CHUNKED;

	d->body_started = true;
	if (data.len && chunked)
		conn_write(d->up->conn, head, http1_chunk_head(head, data.len));
	conn_write(d->up->conn, data.ptr, data.len);
	if (data.len && chunked)
		conn_write(d->up->conn, "\r\n", 2);
	if (d->body.done && chunked)
		conn_write(d->up->conn, "0\r\n\r\n", 5);
	if (conn_pending(d->up->conn) > CONN_HIGH_WATER_BYTES)
		conn_pause(d->conn);
}

static size_t take_body(struct down *d, const uint8_t *bytes, size_t len)
{
	struct str data = STR_NONE;
	struct err e;

	if (!d->up || !d->up->ready)
		return 0; /* kept until somebody can take it, so that another endpoint may still be tried */
	ssize_t n = http1_body_next(&d->body, (const char *)bytes, len, &data, &e);
	d->body_seen += data.len;
	if (n < 0 || d->body_seen > BODY_MAX_BYTES) {
		d->keep_alive = false;
		down_fail(d, n < 0 ? 400 : 413);
		return len;
	}
	if (d->body.done)
		d->state = DOWN_WAIT;
	if (data.len || d->body.done)
		forward_body(d, data);
	return (size_t)n;
}

static size_t on_bytes(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct down *d = ctx;
	size_t used = 0;

	while (!d->closed && used < len) {
		size_t n = 0;
		if (d->state == DOWN_TUNNEL) {
			conn_write(d->up->conn, bytes + used, len - used);
			if (conn_pending(d->up->conn) > CONN_HIGH_WATER_BYTES)
				conn_pause(c);
			down_activity(d);
			return len;
		}
		if (d->state == DOWN_HEAD)
			n = take_head(d, bytes + used, len - used);
		else if (d->state == DOWN_BODY)
			n = take_body(d, bytes + used, len - used);
		if (n == 0)
			break;
		used += n;
	}
	return d->closed ? len : used;
}

static void on_eof(struct conn *c, void *ctx)
{
	struct down *d = ctx;

	(void)c;
	d->client_eof = true;
	if (d->state == DOWN_TUNNEL)
		conn_shutdown(d->up->conn);
	else if (d->state != DOWN_WAIT)
		down_close(d);
}

static void on_drained(struct conn *c, void *ctx)
{
	struct down *d = ctx;

	(void)c;
	if (d->up && d->up->conn)
		conn_resume(d->up->conn);
}

static void on_failed(struct conn *c, void *ctx, const struct err *e)
{
	(void)c, (void)e;
	down_end(ctx);
}

static const struct conn_ops down_ops = {
	.data = on_bytes, .eof = on_eof, .drained = on_drained, .failed = on_failed,
};

static void on_timeout(struct timer *t)
{
	struct down *d = t->ctx;

	if (d->state == DOWN_HEAD && d->head_text.len == 0) {
		down_close(d); /* an idle connection */
	} else if (d->state == DOWN_HEAD) {
		d->keep_alive = false;
		down_fail(d, 408);
	} else if (d->state == DOWN_TUNNEL) {
		down_close(d);
	} else if (d->up && !d->up->ready) {
		up_close(d->up);
		down_upstream_failed(d, true, false);
	} else {
		down_fail(d, 504);
	}
}

void down_accept(struct proxy *p, int fd, const struct addr *peer, bool https)
{
	struct down *d;
	struct err e;

	(void)peer;
	if (p->n_downs >= CLIENTS_MAX) {
		close(fd);
		return;
	}
	d = xcalloc(1, sizeof(*d));
	*d = (struct down){ .proxy = p, .https = https, .timer = { .fire = on_timeout, .ctx = d }, .reap.run = down_reap };
	d->conn = conn_accept(p->loop, fd, https ? p->tls : NULL, &down_ops, d, &e);
	if (!d->conn) {
		close(fd);
		free(d);
		return;
	}
	buf_init(&d->head_text, HEAD_BYTES);
	buf_init(&d->path, HEAD_BYTES);
	buf_init(&d->request, HEAD_BYTES * 2);
	list_append(&p->downs, &d->link);
	p->n_downs++;
	http1_head_init(&d->head, HTTP1_REQUEST, d->table, HEADERS_MAX);
	timer_start(p->loop, &d->timer, CLIENT_HEADER_MS);
}
