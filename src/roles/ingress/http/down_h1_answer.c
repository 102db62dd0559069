/* HTTP/1 clients: writing answers. */
#include "roles/ingress/http/down_h1_int.h"

#include "roles/ingress/http/wire.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define LINE_BYTES_MAX 96 /* of what is written besides headers that have a length of their own */

static struct down_h1 *down_of(const struct exchange *x)
{
	return x->down;
}

static char *put_status(char *p, int status, struct str reason)
{
	p = WIRE_LITERAL(p, "HTTP/1.1 ");
	p = wire_number(p, (uint64_t)status);
	*p++ = ' ';
	p = wire_put(p, reason);
	return WIRE_LITERAL(p, "\r\n");
}

static void h1_interim(struct exchange *x, int status, const struct header_list *h)
{
	struct down_h1 *d = down_of(x);
	struct str reason = str_of(status == 100 ? "Continue" : "Early Hints");

	if (d->d.closing || d->now->head.minor == 0)
		return;
	char *start = conn_reserve(d->d.conn, LINE_BYTES_MAX + (h ? wire_headers_size(h) : 0));
	char *p = put_status(start, status, reason);
	if (h)
		p = wire_headers(p, h);
	p = WIRE_LITERAL(p, "\r\n");
	conn_commit(d->d.conn, (size_t)(p - start));
}

/* Whether the connection goes on after this answer. */
static bool goes_on(const struct down_h1 *d, const struct exchange *x)
{
	const struct globals *g = globals_now(x->worker->shared);

	return d->now->keep_alive && !d->client_eof && !x->worker->draining && d->requests < g->keep_alive_requests &&
	       g->keep_alive_s && d->state == H1_WAIT; /* else the rest of its body would have to be read */
}

static char *put_framing(struct down_h1 *d, const struct answer *a, char *p)
{
	if (a->status == 101) {
		p = WIRE_LITERAL(p, "Upgrade: ");
		p = wire_put(p, d->x->req.upgrade);
		return WIRE_LITERAL(p, "\r\nConnection: upgrade\r\n");
	}
	if (d->now->out_chunked) {
		p = WIRE_LITERAL(p, "Transfer-Encoding: chunked\r\n");
	} else if (a->content_length >= 0 && a->status != 204) {
		p = WIRE_LITERAL(p, "Content-Length: ");
		p = wire_number(p, (uint64_t)a->content_length);
		p = WIRE_LITERAL(p, "\r\n");
	}
	if (!d->now->keep_alive)
		p = WIRE_LITERAL(p, "Connection: close\r\n");
	else if (d->now->head.minor == 0)
		p = WIRE_LITERAL(p, "Connection: keep-alive\r\n");
	return p;
}

static void h1_head(struct exchange *x, const struct answer *a)
{
	struct down_h1 *d = down_of(x);
	struct str reason = a->reason.ptr ? a->reason : str_of(status_text(a->status));
	bool unknown = a->content_length < 0 && !a->no_body && a->status != 101;

	if (d->d.closing)
		return;
	bool http10 = d->now->head.minor == 0;
	d->now->keep_alive = goes_on(d, x) && !(unknown && http10);
	d->now->out_chunked = unknown && !http10;
	if (a->status == 101)
		d->state = H1_TUNNEL;
	char *start = conn_reserve(d->d.conn, LINE_BYTES_MAX * 2 + reason.len + x->req.upgrade.len + wire_headers_size(&a->headers));
	char *p = put_status(start, a->status, reason);
	p = wire_headers(p, &a->headers);
	p = put_framing(d, a, p);
	p = WIRE_LITERAL(p, "\r\n");
	conn_commit(d->d.conn, (size_t)(p - start));
	if (d->state == H1_TUNNEL)
		conn_resume(d->d.conn);
}

static void h1_body(struct exchange *x, struct str data, bool end)
{
	struct down_h1 *d = down_of(x);
	char head[HTTP1_CHUNK_HEAD_BYTES];

	if (d->d.closing)
		return;
	if (d->now->out_chunked) {
		if (data.len) {
			conn_write(d->d.conn, head, http1_chunk_head(head, data.len));
			conn_write(d->d.conn, data.ptr, data.len);
		}
		if (data.len && end)
			conn_write(d->d.conn, "\r\n0\r\n\r\n", 7);
		else if (data.len)
			conn_write(d->d.conn, "\r\n", 2);
		else if (end)
			conn_write(d->d.conn, "0\r\n\r\n", 5);
		return;
	}
	conn_write(d->d.conn, data.ptr, data.len);
	if (end && d->state == H1_TUNNEL)
		conn_shutdown(d->d.conn);
}

static void h1_trailers(struct exchange *x, const struct header_list *h)
{
	struct down_h1 *d = down_of(x);

	if (d->d.closing || !d->now->out_chunked || !x->req.te_trailers) {
		h1_body(x, STR_NONE, true);
		return;
	}
	char *start = conn_reserve(d->d.conn, LINE_BYTES_MAX + wire_headers_size(h));
	char *p = WIRE_LITERAL(start, "0\r\n");
	p = wire_headers(p, h);
	p = WIRE_LITERAL(p, "\r\n");
	conn_commit(d->d.conn, (size_t)(p - start));
}

static void h1_abort(struct exchange *x)
{
	static const struct linger reset = { .l_onoff = 1 };
	struct down_h1 *d = down_of(x);

	d->aborted = true;
	/* Where nothing but the end says that an answer is complete, the end must be another one. */
	if (x->ans.content_length < 0 && d->now && !d->now->out_chunked && !d->d.closing)
		setsockopt(conn_fd(d->d.conn), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

static void h1_want_body(struct exchange *x, bool on)
{
	struct down_h1 *d = down_of(x);

	if (d->d.closing)
		return;
	if (on)
		conn_resume(d->d.conn);
	else
		conn_pause(d->d.conn);
}

static size_t h1_pending(const struct exchange *x)
{
	const struct down_h1 *d = down_of(x);

	return d->d.closing ? 0 : conn_pending(d->d.conn);
}

static size_t h1_unread(const struct exchange *x)
{
	const struct down_h1 *d = down_of(x);
	int kernel = 0;

	if (d->d.closing || ioctl(conn_fd(d->d.conn), SIOCOUTQ, &kernel) < 0)
		return 0;
	return conn_pending(d->d.conn) + (size_t)kernel;
}

/* Ready for the next request, or the end. */
static void h1_done(struct exchange *x)
{
	struct down_h1 *d = down_of(x);
	struct worker *w = x->worker;

	d->x = NULL;
	if (d->d.closing || d->failed)
		return;
	if (d->aborted || (x->client_gone && d->state != H1_WAIT)) {
		down_h1_close(d);
		return;
	}
	if (!d->now->keep_alive || d->state != H1_WAIT || d->client_eof) {
		/* A client that asked for the end sends nothing more. */
		down_h1_finish(d, d->state != H1_WAIT || d->now->head.keep_alive);
		return;
	}
	down_h1_next(d);
	timer_start(w->loop, &d->timer, globals_now(w->shared)->keep_alive_s * 1000ull);
	conn_resume(d->d.conn);
}

static struct conn *h1_conn(struct exchange *x)
{
	struct down_h1 *d = down_of(x);

	/* In chunks every part has a head of its own. */
	return d->d.closing || d->now->out_chunked ? NULL : d->d.conn;
}

static int h1_fd(const struct exchange *x)
{
	const struct down_h1 *d = down_of(x);

	return d->d.closing || d->failed ? -1 : conn_fd(d->d.conn);
}

const struct down_ops down_h1_ops = {
	.interim = h1_interim, .head = h1_head, .body = h1_body, .trailers = h1_trailers, .abort = h1_abort,
	.want_body = h1_want_body, .pending = h1_pending, .unread = h1_unread, .done = h1_done, .conn = h1_conn,
	.fd = h1_fd,
};
