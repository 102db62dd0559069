#include "roles/ingress/proxy_int.h"

#include "net/http.h"

#define SWEEP_MS 5000

static struct str pool_key(const struct addr *a)
{
	return (struct str){ (const char *)&a->ss, a->len };
}

static void up_reap(struct defer *d)
{
	struct up *u = container_of(d, struct up, reap);

	buf_done(&u->head_text);
	free(u);
}

void up_close(struct up *u)
{
	struct pool *p = u->idle ? map_get(&u->proxy->pools, pool_key(&u->to)) : NULL;

	if (p)
		p->n--;
	list_del(&u->link);
	u->idle = false;
	if (u->down)
		u->down->up = NULL;
	u->down = NULL;
	conn_close(u->conn);
	u->conn = NULL;
	loop_defer(u->proxy->loop, &u->reap);
}

void up_release(struct up *u)
{
	struct pool *p = map_get(&u->proxy->pools, pool_key(&u->to));

	if (!p) {
		p = xcalloc(1, sizeof(*p));
		list_init(&p->idle);
		map_put(&u->proxy->pools, pool_key(&u->to), p);
	}
	if (p->n >= IDLE_PER_ENDPOINT) {
		up_close(u);
		return;
	}
	u->down->up = NULL;
	u->down = NULL;
	u->idle = true;
	u->idle_since_ms = loop_now_ms(u->proxy->loop);
	buf_clear(&u->head_text);
	list_append(&p->idle, &u->link);
	p->n++;
}

void up_sweep(struct timer *t)
{
	struct proxy *p = t->ctx;
	uint64_t now = loop_now_ms(p->loop);

	for (struct map_iter it = { 0 }; map_next(&p->pools, &it);) {
		struct pool *pool = it.value;
		list_for(n, tmp, &pool->idle) {
			struct up *u = list_entry(n, struct up, link);
			if (now - u->idle_since_ms >= IDLE_MS)
				up_close(u);
		}
	}
	timer_start(p->loop, t, SWEEP_MS);
}

static void pool_free(void *p)
{
	free(p);
}

void up_pools_done(struct proxy *p)
{
	for (struct map_iter it = { 0 }; map_next(&p->pools, &it);) {
		struct pool *pool = it.value;
		list_for(n, tmp, &pool->idle)
			up_close(list_entry(n, struct up, link));
	}
	map_done(&p->pools, pool_free);
}

/* ---- the answer ---- */

static void upstream_lost(struct up *u, bool timeout)
{
	struct down *d = u->down;
	/* A kept connection that ends before any byte was most likely closed before it saw the request. */
	bool seen = u->ready && !u->reused;

	up_close(u);
	if (d)
		down_upstream_failed(d, timeout, seen);
}

static void complete(struct up *u)
{
	down_answer_complete(u->down, u->keep_alive);
}

static size_t tunnel(struct conn *from, struct conn *to, const uint8_t *bytes, size_t len)
{
	conn_write(to, bytes, len);
	if (conn_pending(to) > CONN_HIGH_WATER_BYTES)
		conn_pause(from);
	return len;
}

static void send_body(struct up *u, struct str data)
{
	struct down *d = u->down;
	char head[HTTP1_CHUNK_HEAD_BYTES];

	if (d->out_chunked)
		conn_write(d->conn, head, http1_chunk_head(head, data.len));
	conn_write(d->conn, data.ptr, data.len);
	if (d->out_chunked)
		conn_write(d->conn, "\r\n", 2);
	if (conn_pending(d->conn) > CONN_HIGH_WATER_BYTES)
		conn_pause(u->conn);
}

/* Bytes used; -1: the answer is broken. */
static ssize_t take_body(struct up *u, const uint8_t *bytes, size_t len)
{
	size_t used = 0;
	struct err e;

	while (!u->body.done && used < len) {
		struct str data = STR_NONE;
		ssize_t n = http1_body_next(&u->body, (const char *)bytes + used, len - used, &data, &e);
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		if (data.len)
			send_body(u, data);
		used += (size_t)n;
	}
	if (u->body.done) {
		if (used < len)
			u->keep_alive = false; /* it says more than was asked */
		complete(u);
		return (ssize_t)len;
	}
	return (ssize_t)used;
}

static int start_answer(struct up *u)
{
	struct down *d = u->down;
	enum http1_framing framing = http1_response_framing(&u->head, d->head_method);
	struct buf out;

	buf_init(&out, HEAD_BYTES * 2);
	int rc = message_response(d, &u->head, framing, &out);
	if (rc == 0) {
		d->answered = true;
		conn_write(d->conn, out.ptr, out.len);
	}
	buf_done(&out);
	u->in_body = true;
	u->keep_alive = u->head.keep_alive && framing != HTTP1_UNTIL_CLOSE;
	http1_body_init(&u->body, framing, u->head.content_length);
	return rc;
}

/* Bytes used; 0: more are needed; -1: broken. */
static ssize_t take_head(struct up *u, const uint8_t *bytes, size_t len)
{
	struct err e;

	buf_clear(&u->head_text);
	if (buf_put(&u->head_text, bytes, len) < 0)
		return -1;
	ssize_t n = http1_head_parse(&u->head, u->head_text.ptr, len, &e);
	if (n <= 0)
		return n == 0 && len >= HEAD_BYTES ? -1 : n;
	if (u->head.status == 101 && u->down->head.upgrade) {
		if (start_answer(u) < 0)
			return -1;
		u->down->state = DOWN_TUNNEL;
		down_offer_again(u->down);
		return n;
	}
	if (u->head.status < 200) { /* 100 was answered by us, 103 is not passed on yet */
		http1_head_init(&u->head, HTTP1_RESPONSE, u->table, HEADERS_MAX);
		return n;
	}
	return start_answer(u) < 0 ? -1 : n;
}

static size_t on_bytes(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct up *u = ctx;
	size_t used = 0;

	if (!u->down) { /* an idle upstream has nothing to say */
		up_close(u);
		return len;
	}
	u->any_bytes = true;
	down_activity(u->down);
	while (u->down && used < len) {
		if (u->down->state == DOWN_TUNNEL)
			return used + tunnel(c, u->down->conn, bytes + used, len - used);
		ssize_t n = u->in_body ? take_body(u, bytes + used, len - used) : take_head(u, bytes + used, len - used);
		if (n < 0) {
			upstream_lost(u, false);
			return len;
		}
		if (n == 0)
			break;
		used += (size_t)n;
	}
	/* An answer without a body is complete with its head. */
	if (u->down && u->down->state != DOWN_TUNNEL && u->in_body && u->body.done)
		complete(u);
	return u->conn ? used : len;
}

static void on_eof(struct conn *c, void *ctx)
{
	struct up *u = ctx;

	(void)c;
	if (!u->down) {
		up_close(u);
	} else if (u->down->state == DOWN_TUNNEL) {
		conn_shutdown(u->down->conn);
		if (u->down->client_eof)
			down_close(u->down);
	} else if (u->in_body && u->body.framing == HTTP1_UNTIL_CLOSE) {
		u->keep_alive = false;
		complete(u);
	} else {
		upstream_lost(u, false);
	}
}

static void on_failed(struct conn *c, void *ctx, const struct err *e)
{
	struct up *u = ctx;

	(void)c;
	u->conn = NULL;
	upstream_lost(u, e->reason == ERR_TIMEOUT);
}

static void on_ready(struct conn *c, void *ctx)
{
	struct up *u = ctx;

	(void)c;
	u->ready = true;
	if (u->down)
		down_upstream_ready(u->down);
}

static void on_drained(struct conn *c, void *ctx)
{
	struct up *u = ctx;

	(void)c;
	if (u->down)
		conn_resume(u->down->conn);
}

static const struct conn_ops up_ops = {
	.ready = on_ready, .data = on_bytes, .eof = on_eof, .drained = on_drained, .failed = on_failed,
};

static void attach(struct up *u, struct down *d)
{
	u->down = d;
	d->up = u;
	u->any_bytes = u->in_body = false;
	http1_head_init(&u->head, HTTP1_RESPONSE, u->table, HEADERS_MAX);
}

void up_get(struct down *d, const struct addr *to)
{
	struct pool *p = map_get(&d->proxy->pools, pool_key(to));
	struct up *u;
	struct err e;

	if (p && p->n) {
		u = list_entry(p->idle.prev, struct up, link);
		list_del(&u->link);
		p->n--;
		u->idle = false;
		u->reused = true;
		attach(u, d);
		down_upstream_ready(d);
		return;
	}
	u = xcalloc(1, sizeof(*u));
	*u = (struct up){ .proxy = d->proxy, .to = *to, .reap.run = up_reap };
	list_init(&u->link);
	buf_init(&u->head_text, CONN_READ_BUFFER_MAX_BYTES);
	u->conn = conn_connect(d->proxy->loop, to, NULL, NULL, &up_ops, u, &e);
	if (!u->conn) {
		free(u);
		down_upstream_failed(d, false, false);
		return;
	}
	attach(u, d);
}
