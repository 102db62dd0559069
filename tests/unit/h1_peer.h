/* h1_peer.h - an HTTP/1.1 upstream for tests, whose paths say what it does:
 *
 *	/hello   200 "hello"                 /dump      200 with the request, as it came
 *	/big     200 with BIG_BYTES          /trailers  200 chunked, with a trailer
 *	/early   103, then 200               /204 /304  those
 *	/ws      101, then echoes            /hang      reads nothing more, answers nothing
 *	/early-answer   200 before the body has come
 */
#pragma once

#include "base/buf.h"
#include "ingress_rig.h"
#include "net/conn.h"

#define BIG_BYTES (8u << 20)
#define h1_own static __attribute__((unused))

struct h1_server {
	struct rig *r;
	struct listener *listener;
	int fd;
	uint16_t port;
	unsigned n_open, n_requests;
	struct list conns;
	size_t big_sent; /* of the last /big */
};
struct h1_peer {
	struct list link;
	struct h1_server *s;
	struct conn *conn;
	struct buf in;
	size_t big_left;
	bool echo, hung;
};

h1_own void h1_say(struct h1_peer *p, const char *text)
{
	conn_write(p->conn, text, strlen(text));
}

/* The length of the first whole request; 0: it is not complete. */
h1_own size_t h1_request(struct buf *in)
{
	const char *end = in->len ? memmem(in->ptr, in->len, "\r\n\r\n", 4) : NULL;
	size_t head = end ? (size_t)(end - in->ptr) + 4 : 0, body = 0;
	const char *length = end ? strcasestr(in->ptr, "\r\ncontent-length: ") : NULL;
	const char *chunked = end ? strcasestr(in->ptr, "\r\ntransfer-encoding: chunked") : NULL;

	if (!end)
		return 0;
	if (length && length < end)
		body = strtoul(length + 18, NULL, 10);
	if (chunked && chunked < end) {
		const char *last = memmem(in->ptr + head - 2, in->len - head + 2, "\r\n0\r\n", 5);
		const char *over = last ? memmem(last + 3, in->len - (size_t)(last + 3 - in->ptr), "\r\n\r\n", 4) : NULL;
		if (!over)
			return 0;
		body = (size_t)(over + 4 - in->ptr) - head;
	}
	return in->len >= head + body ? head + body : 0;
}

h1_own void h1_big(struct h1_peer *p)
{
	char piece[16384];

	memset(piece, 'b', sizeof(piece));
	while (p->big_left && conn_pending(p->conn) < CONN_HIGH_WATER_BYTES) {
		size_t n = MIN(p->big_left, sizeof(piece));
		conn_write(p->conn, piece, n);
		p->big_left -= n;
		p->s->big_sent += n;
	}
}

h1_own void h1_answer(struct h1_peer *p, size_t len)
{
	static const struct {
		const char *path, *answer;
	} fixed[] = {
		{"/hello", "HTTP/1.1 200 OK\r\nX-Case: Kept\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nContent-Length: 5\r\n\r\nhello"},
		{"/trailers", "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n"},
		{"/early", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		{"/204", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"/304", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"},
	};
	char path[64], head[128];

	sscanf(p->in.ptr, "%*s %63s", path);
	p->s->n_requests++;
	if (strncmp(p->in.ptr, "HEAD ", 5) == 0) {
		h1_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
		return;
	}
	if (strcmp(path, "/hang") == 0) {
		p->hung = true;
		return;
	}
	if (strcmp(path, "/big") == 0) {
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", BIG_BYTES);
		h1_say(p, head);
		p->s->big_sent = 0;
		p->big_left = BIG_BYTES;
		h1_big(p);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (strcmp(path, fixed[i].path) == 0) {
			h1_say(p, fixed[i].answer);
			return;
		}
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
	h1_say(p, head);
	conn_write(p->conn, p->in.ptr, len);
}

/* What is answered before the request has ended. true: nothing else is to be done with these bytes. */
h1_own bool h1_at_once(struct h1_peer *p)
{
	const char *end = p->in.len ? memmem(p->in.ptr, p->in.len, "\r\n\r\n", 4) : NULL;

	if (!end)
		return false;
	if (strncmp(p->in.ptr, "GET /ws", 7) == 0) {
		p->echo = true;
		h1_say(p, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			  "Sec-WebSocket-Accept: x\r\n\r\n");
		buf_consume(&p->in, (size_t)(end + 4 - p->in.ptr));
		conn_write(p->conn, p->in.ptr, p->in.len);
		buf_clear(&p->in);
		return true;
	}
	if (strncmp(p->in.ptr, "POST /hang", 10) == 0) {
		p->hung = true;
		conn_pause(p->conn);
		return true;
	}
	if (strncmp(p->in.ptr, "POST /early-answer", 18) == 0) {
		h1_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
		p->hung = true;
		buf_clear(&p->in);
		return true;
	}
	return false;
}

h1_own size_t h1_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct h1_peer *p = ctx;
	size_t n;

	if (p->echo) {
		conn_write(c, bytes, len);
		return len;
	}
	if (p->hung)
		return len;
	buf_put(&p->in, bytes, len);
	if (h1_at_once(p))
		return len;
	while ((n = h1_request(&p->in))) {
		h1_answer(p, n);
		buf_consume(&p->in, n);
	}
	return len;
}

h1_own void h1_gone(struct h1_peer *p)
{
	p->s->n_open--;
	list_del(&p->link);
	buf_done(&p->in);
	free(p);
}

h1_own void h1_eof(struct conn *c, void *ctx)
{
	struct h1_peer *p = ctx;

	conn_close_after_write(c);
	h1_gone(p);
}

h1_own void h1_failed(struct conn *c, void *ctx, const struct err *e)
{
	(void)c, (void)e;
	h1_gone(ctx);
}

h1_own void h1_drained(struct conn *c, void *ctx)
{
	(void)c;
	h1_big(ctx);
}

static const struct conn_ops h1_peer_ops = {.data = h1_data, .eof = h1_eof, .failed = h1_failed, .drained = h1_drained};

h1_own void h1_accepted(void *ctx, int fd, const struct addr *peer)
{
	struct h1_server *s = ctx;
	struct h1_peer *p = xcalloc(1, sizeof(*p));
	struct err e;

	(void)peer;
	p->s = s;
	buf_init(&p->in, 64u << 20);
	s->n_open++;
	list_append(&s->conns, &p->link);
	p->conn = conn_accept(s->r->loop, fd, NULL, &h1_peer_ops, p, &e);
	if (!p->conn)
		abort();
}

h1_own void h1_start(struct h1_server *s, struct rig *r)
{
	struct err e;

	s->r = r;
	list_init(&s->conns);
	s->fd = rig_listen(&s->port);
	s->listener = listener_new(r->loop, s->fd, h1_accepted, s, &e);
}

h1_own void h1_stop(struct h1_server *s)
{
	listener_free(s->listener);
	close(s->fd);
	while (!list_empty(&s->conns)) {
		struct h1_peer *p = list_entry(s->conns.next, struct h1_peer, link);
		conn_close(p->conn);
		h1_gone(p);
	}
}
