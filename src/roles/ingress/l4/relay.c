#include "roles/ingress/l4/relay.h"

#include "codec/proxy_protocol.h"
#include "roles/ingress/route/routes.h"

#define BULK_BYTES (32u << 10)	 /* a read of this length begins a long transfer */
#define SPLICE_BYTES (64u << 20) /* then so much goes without being looked at; a pipe is held meanwhile */

struct relay {
	struct down_conn d; /* the client's side */
	struct conn *up;
	struct backend *backend;
	struct endpoint *tried[RELAY_TRIES_MAX]; /* referenced; the last one is in use */
	unsigned n_tried;
	struct relay_options options;
	bool connected, client_ended, up_ended;
	struct timer timer;
	struct defer reap;
};

static void relay_reap(struct defer *d)
{
	struct relay *r = container_of(d, struct relay, reap);

	for (unsigned i = 0; i < r->n_tried; i++)
		endpoint_unref(r->tried[i]);
	backend_unref(r->backend);
	free(r);
}

static void relay_over(struct relay *r)
{
	timer_stop(&r->timer);
	down_forget(&r->d);
	loop_defer(r->d.worker->loop, &r->reap);
}

void relay_close(struct down_conn *d)
{
	struct relay *r = container_of(d, struct relay, d);

	conn_close(TAKE_PTR(r->d.conn));
	conn_close(TAKE_PTR(r->up));
	relay_over(r);
}

/* What is queued still goes out. */
static void relay_finish(struct relay *r)
{
	conn_close_after_write(TAKE_PTR(r->d.conn));
	conn_close_after_write(TAKE_PTR(r->up));
	relay_over(r);
}

static void on_timeout(struct timer *t);
static void relay_connect(struct relay *r);

static void touch(struct relay *r)
{
	timer_start(r->d.worker->loop, &r->timer, RELAY_IDLE_MS);
}

/* ---- endpoints ---- */

static bool usable(const struct endpoints *es, size_t i, const struct endpoint *const *before, size_t n_before)
{
	for (size_t k = 0; k < n_before; k++)
		if (before[k] == es->at[i])
			return false;
	return !(es->draining && es->draining[i]);
}

struct endpoint *relay_pick(struct backend *b, const struct endpoint *const *before, size_t n_before)
{
	const struct endpoints *es = backend_endpoints(b);
	struct endpoint *second = NULL;

	if (es->n == 0)
		return NULL;
	size_t from = __atomic_fetch_add(&b->next, 1, __ATOMIC_RELAXED);
	for (size_t k = 0; k < es->n; k++) {
		size_t i = (from + k) % es->n;

		if (!usable(es, i, before, n_before))
			continue;
		if (__atomic_load_n(&es->at[i]->health, __ATOMIC_RELAXED) != HEALTH_DOWN)
			return endpoint_ref(es->at[i]);
		if (!second)
			second = es->at[i];
	}
	return second ? endpoint_ref(second) : NULL;
}

/* ---- bytes ---- */

static struct conn *other(const struct relay *r, const struct conn *c)
{
	return c == r->up ? r->d.conn : r->up;
}

static void moved(void *ctx, size_t n, bool done)
{
	(void)n, (void)done;
	touch(ctx);
}

static size_t on_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct relay *r = ctx;
	struct conn *to = other(r, c);

	touch(r);
	conn_write(to, bytes, len);
	if (conn_pending(to) > CONN_HIGH_WATER_BYTES)
		conn_pause(c);
	else if (len >= BULK_BYTES)
		conn_splice(c, to, SPLICE_BYTES, moved, r); /* if it cannot, bytes go on coming here */
	return len;
}

static void on_drained(struct conn *c, void *ctx)
{
	struct relay *r = ctx;

	touch(r);
	conn_resume(other(r, c));
}

static void on_eof(struct conn *c, void *ctx)
{
	struct relay *r = ctx;

	if (c == r->up)
		r->up_ended = true;
	else
		r->client_ended = true;
	if (r->up_ended && r->client_ended)
		relay_finish(r);
	else
		conn_shutdown(other(r, c));
}

static void on_failed(struct conn *c, void *ctx, const struct err *e)
{
	struct relay *r = ctx;

	(void)e;
	if (c == r->up)
		r->up = NULL;
	else
		r->d.conn = NULL;
	relay_finish(r);
}

static const struct conn_ops relay_ops = { .data = on_data, .eof = on_eof, .drained = on_drained, .failed = on_failed };

/* ---- connecting ---- */

static void send_proxy_header(struct relay *r)
{
	char text[PROXY_HEADER_WRITE_BYTES];
	struct addr room, local = { .len = sizeof(local.ss) };
	const struct addr *to = r->d.local;

	if (!to && getsockname(conn_fd(r->d.conn), (struct sockaddr *)&local.ss, &local.len) == 0)
		to = &local;
	const struct addr *from = down_peer(&r->d, &room);
	size_t n = proxy_header_write(r->options.send_proxy_version, &from->ss, to ? &to->ss : NULL, text);
	conn_write(r->up, text, n);
}

static void on_connected(struct conn *c, void *ctx)
{
	struct relay *r = ctx;

	r->connected = true;
	touch(r);
	if (r->options.send_proxy_version)
		send_proxy_header(r);
	conn_set_ops(c, &relay_ops, r);
	conn_set_ops(r->d.conn, &relay_ops, r);
	conn_resume(r->d.conn);
}

static void on_refused(struct conn *c, void *ctx, const struct err *e)
{
	struct relay *r = ctx;

	(void)c, (void)e;
	r->up = NULL;
	relay_connect(r);
}

static size_t no_data_yet(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	(void)c, (void)ctx, (void)bytes, (void)len;
	return 0;
}

static const struct conn_ops connecting_ops = { .ready = on_connected, .data = no_data_yet, .failed = on_refused };

static void relay_connect(struct relay *r)
{
	struct err e;

	while (r->n_tried < RELAY_TRIES_MAX) {
		struct endpoint *to = relay_pick(r->backend, (const struct endpoint *const *)r->tried, r->n_tried);

		if (!to)
			break;
		r->tried[r->n_tried++] = to;
		timer_start(r->d.worker->loop, &r->timer, RELAY_CONNECT_MS);
		r->up = conn_connect(r->d.worker->loop, &to->addr, NULL, NULL, &connecting_ops, r, &e);
		if (r->up)
			return;
	}
	relay_close(&r->d);
}

static void on_timeout(struct timer *t)
{
	struct relay *r = t->ctx;

	if (r->connected || !r->up) {
		relay_close(&r->d);
		return;
	}
	conn_close(TAKE_PTR(r->up));
	relay_connect(r);
}

/* ---- the client, until there is somebody to talk to ---- */

static void on_early_end(struct conn *c, void *ctx)
{
	(void)c;
	relay_close(&((struct relay *)ctx)->d);
}

static void on_early_failure(struct conn *c, void *ctx, const struct err *e)
{
	struct relay *r = ctx;

	(void)c, (void)e;
	r->d.conn = NULL;
	relay_close(&r->d);
}

static size_t on_proxy_header(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct relay *r = ctx;
	struct proxy_header h;
	struct err e;
	ssize_t n = proxy_header_parse(bytes, len, &h, &e);

	if (n == 0 && len < PROXY_HEADER_BYTES_MAX)
		return 0;
	if (n <= 0) {
		relay_close(&r->d);
		return len;
	}
	down_believe(&r->d, &h);
	conn_pause(c);
	relay_connect(r);
	return (size_t)n;
}

static const struct conn_ops header_ops = { .data = on_proxy_header, .eof = on_early_end, .failed = on_early_failure };
static const struct conn_ops waiting_ops = { .data = no_data_yet, .failed = on_early_failure };

void relay_start(struct worker *w, struct down_conn *from, struct backend *b, const struct relay_options *o)
{
	struct relay *r = xcalloc(1, sizeof(*r));

	r->d = *from;
	from->peer = from->local = NULL;
	r->d.worker = w;
	r->d.relay = true;
	r->d.greeting = false;
	r->options = *o;
	r->backend = backend_ref(b);
	r->timer = (struct timer){ .fire = on_timeout, .ctx = r };
	r->reap.run = relay_reap;
	down_remember(&r->d);
	if (o->expects_proxy_header) {
		conn_set_ops(r->d.conn, &header_ops, r);
		timer_start(w->loop, &r->timer, RELAY_CONNECT_MS);
		return;
	}
	conn_pause(r->d.conn);
	conn_set_ops(r->d.conn, &waiting_ops, r);
	relay_connect(r);
}
