#include "roles/node/tunnel.h"

enum { NEAR, FAR };

struct tunnel {
	struct loop *loop;
	struct conn *side[2];
	bool over[2]; /* this side will send no more */
	struct defer reap;
	bool ended;
};

static void on_reap(struct defer *d)
{
	free(container_of(d, struct tunnel, reap));
}

static void tunnel_end(struct tunnel *t)
{
	if (t->ended)
		return;
	t->ended = true;
	for (int i = NEAR; i <= FAR; i++)
		if (t->side[i])
			conn_close_after_write(t->side[i]);
	t->reap.run = on_reap;
	loop_defer(t->loop, &t->reap);
}

static size_t pass_on(struct tunnel *t, int from, const uint8_t *bytes, size_t len)
{
	struct conn *to = t->side[!from];

	if (t->ended)
		return len;
	if (!to)
		return 0;
	conn_write(to, bytes, len);
	if (conn_pending(to) > CONN_HIGH_WATER_BYTES && t->side[from])
		conn_pause(t->side[from]);
	return len;
}

static void side_over(struct tunnel *t, int from)
{
	t->over[from] = true;
	if (t->ended)
		return;
	if (t->over[!from])
		tunnel_end(t);
	else if (t->side[!from])
		conn_shutdown(t->side[!from]);
}

static void side_failed(struct tunnel *t, int from)
{
	t->side[from] = NULL;
	tunnel_end(t);
}

static size_t near_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	(void)c;
	return pass_on(ctx, NEAR, bytes, len);
}

static size_t far_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	(void)c;
	return pass_on(ctx, FAR, bytes, len);
}

static void near_eof(struct conn *c, void *ctx)
{
	(void)c;
	side_over(ctx, NEAR);
}

static void far_eof(struct conn *c, void *ctx)
{
	(void)c;
	side_over(ctx, FAR);
}

static void near_drained(struct conn *c, void *ctx)
{
	struct tunnel *t = ctx;

	(void)c;
	if (!t->ended && t->side[FAR])
		conn_resume(t->side[FAR]);
}

static void far_drained(struct conn *c, void *ctx)
{
	struct tunnel *t = ctx;

	(void)c;
	if (!t->ended && t->side[NEAR])
		conn_resume(t->side[NEAR]);
}

static void near_failed(struct conn *c, void *ctx, const struct err *e)
{
	(void)c;
	(void)e;
	side_failed(ctx, NEAR);
}

static void far_failed(struct conn *c, void *ctx, const struct err *e)
{
	(void)c;
	(void)e;
	side_failed(ctx, FAR);
}

static void no_ready(struct conn *c, void *ctx)
{
	(void)c;
	(void)ctx;
}

const struct conn_ops tunnel_near_ops = { no_ready, near_data, near_eof, near_drained,
					  near_failed };
static const struct conn_ops far_ops = { no_ready, far_data, far_eof, far_drained, far_failed };

struct tunnel *tunnel_new(struct loop *l, struct conn *far)
{
	struct tunnel *t = xcalloc(1, sizeof(*t));

	*t = (struct tunnel){ .loop = l, .side = { NULL, far } };
	conn_set_ops(far, &far_ops, t);
	conn_pause(far); /* until there is somebody to pass it on to */
	return t;
}

void tunnel_join(struct tunnel *t, struct conn *near)
{
	if (!near) {
		tunnel_end(t);
		return;
	}
	t->side[NEAR] = near;
	conn_resume(t->side[FAR]);
	/* What came before there was anybody to take it is offered again. */
	conn_set_ops(t->side[FAR], &far_ops, t);
	conn_set_ops(near, &tunnel_near_ops, t);
}
