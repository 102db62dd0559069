#include "roles/apiserver/stream_pipe.h"

#include "net/websocket.h"

struct pipe_end {
	struct conn *conn;
	struct pipe *pipe;
};

struct pipe {
	struct loop *loop;
	struct pipe_end ends[2]; /* a tunnel uses only the second, the node's */
	struct ws *ws;		 /* a tunnel's client */
	struct defer reap;
};

static size_t hold(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	(void)c, (void)ctx, (void)bytes, (void)len;
	return 0;
}

const struct conn_ops stream_hold_ops = { .data = hold };

static void on_reap(struct defer *d)
{
	free(container_of(d, struct pipe, reap));
}

static struct pipe *pipe_new(struct loop *l)
{
	struct pipe *p = xcalloc(1, sizeof(*p));

	p->loop = l;
	p->reap.run = on_reap;
	p->ends[0].pipe = p->ends[1].pipe = p;
	return p;
}

static struct pipe_end *other(struct pipe_end *end)
{
	return end == &end->pipe->ends[0] ? &end->pipe->ends[1] : &end->pipe->ends[0];
}

/* ---- two plain connections ---- */

static size_t pipe_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct conn *to = other(ctx)->conn;

	conn_write(to, bytes, len);
	if (conn_pending(to) > CONN_HIGH_WATER_BYTES)
		conn_pause(c);
	return len;
}

static void pipe_drained(struct conn *c, void *ctx)
{
	(void)c;
	conn_resume(other(ctx)->conn);
}

static void pipe_over(struct pipe_end *ended)
{
	conn_close_after_write(other(ended)->conn);
	loop_defer(ended->pipe->loop, &ended->pipe->reap);
}

static void pipe_eof(struct conn *c, void *ctx)
{
	pipe_over(ctx);
	conn_close(c);
}

static void pipe_failed(struct conn *c, void *ctx, const struct err *e)
{
	(void)c, (void)e;
	pipe_over(ctx);
}

static const struct conn_ops pipe_ops = {
	.data = pipe_data,
	.eof = pipe_eof,
	.drained = pipe_drained,
	.failed = pipe_failed,
};

void stream_pipe_join(struct loop *l, struct conn *a, struct conn *b)
{
	struct pipe *p = pipe_new(l);

	p->ends[0].conn = a;
	p->ends[1].conn = b;
	conn_set_ops(a, &pipe_ops, &p->ends[0]);
	conn_set_ops(b, &pipe_ops, &p->ends[1]);
}

/* ---- a WebSocket and a connection ---- */

static void tunnel_message(void *ctx, bool binary, struct str payload)
{
	struct pipe *p = ctx;
	struct conn *node = p->ends[1].conn;

	if (!binary)
		return;
	conn_write(node, payload.ptr, payload.len);
	if (conn_pending(node) > CONN_HIGH_WATER_BYTES)
		ws_pause(p->ws);
}

static void tunnel_ws_drained(void *ctx)
{
	struct pipe *p = ctx;

	conn_resume(p->ends[1].conn);
}

static void tunnel_ws_closed(void *ctx, int code, struct str reason)
{
	struct pipe *p = ctx;

	(void)code, (void)reason;
	conn_close_after_write(p->ends[1].conn);
	loop_defer(p->loop, &p->reap);
}

static const struct ws_ops tunnel_ws_ops = {
	.message = tunnel_message,
	.drained = tunnel_ws_drained,
	.closed = tunnel_ws_closed,
};

static size_t tunnel_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct ws *ws = ((struct pipe_end *)ctx)->pipe->ws;

	ws_send(ws, true, (struct str){ (const char *)bytes, len });
	if (ws_pending(ws) > CONN_HIGH_WATER_BYTES)
		conn_pause(c);
	return len;
}

static void tunnel_drained(struct conn *c, void *ctx)
{
	(void)c;
	ws_resume(((struct pipe_end *)ctx)->pipe->ws);
}

static void tunnel_over(struct pipe *p)
{
	ws_close(p->ws, 1000);
	loop_defer(p->loop, &p->reap);
}

static void tunnel_eof(struct conn *c, void *ctx)
{
	tunnel_over(((struct pipe_end *)ctx)->pipe);
	conn_close(c);
}

static void tunnel_failed(struct conn *c, void *ctx, const struct err *e)
{
	(void)c, (void)e;
	tunnel_over(((struct pipe_end *)ctx)->pipe);
}

static const struct conn_ops tunnel_ops = {
	.data = tunnel_data,
	.eof = tunnel_eof,
	.drained = tunnel_drained,
	.failed = tunnel_failed,
};

void stream_tunnel_join(struct loop *l, struct conn *client, struct conn *node)
{
	struct pipe *p = pipe_new(l);

	p->ends[1].conn = node;
	p->ws = ws_new(client, false, STREAM_MESSAGE_BYTES_MAX, &tunnel_ws_ops, p);
	conn_set_ops(node, &tunnel_ops, &p->ends[1]);
}
