#include "net/http_server_int.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define EXCHANGE_ARENA_BYTES (4u << 20) /* the handler's objects; a request's body is apart */
#define SPARE_EXCHANGES 64
#define PREFACE "PRI * HTTP/2.0\r\n" /* what every HTTP/2 client sends first (RFC 9113 §3.4) */

/* --- exchanges --- */

static void http_exchange_free(struct http_exchange *x)
{
	arena_done(&x->arena);
	buf_done(&x->body);
	buf_done(&x->out);
	free(x);
}

static void release_reply(struct http_exchange *x)
{
	void (*release)(void *ctx) = x->reply_release;

	x->reply_release = NULL;
	x->reply_body = STR_NONE;
	if (release)
		release(x->reply_ctx);
}

struct http_exchange *http_exchange_new(struct server_conn *sc)
{
	struct http_server *s = sc->server;
	struct http_exchange *x;

	if (s->n_spare) {
		x = list_entry(s->spare.next, struct http_exchange, link);
		list_del(&x->link);
		s->n_spare--;
		struct arena arena = x->arena;
		*x = (struct http_exchange){.arena = arena};
	} else {
		x = xcalloc(1, sizeof(*x));
		arena_init(&x->arena, EXCHANGE_ARENA_BYTES);
	}
	x->sc = sc;
	buf_init(&x->body, s->config.body_max);
	buf_init(&x->out, LIMIT_RESPONSE_BODY_BYTES);
	list_append(&sc->exchanges, &x->link);
	return x;
}

static void exchanges_collect(struct http_server *s)
{
	list_for(at, tmp, &s->ended)
	{
		struct http_exchange *x = list_entry(at, struct http_exchange, link);

		list_del(&x->link);
		if (s->n_spare == SPARE_EXCHANGES || s->freed) {
			http_exchange_free(x);
			continue;
		}
		arena_clear(&x->arena);
		buf_done(&x->body);
		buf_done(&x->out);
		/* At the front: what was used last is still in the cache. */
		list_append(s->spare.next, &x->link);
		s->n_spare++;
	}
}

static void collect_run(struct defer *d)
{
	exchanges_collect(container_of(d, struct http_server, collect));
}

void http_exchange_end(struct http_exchange *x)
{
	struct http_server *s = x->sc->server;

	x->state = X_ENDED;
	release_reply(x);
	list_del(&x->link);
	list_append(&s->ended, &x->link);
	loop_defer(s->loop, &s->collect);
}

void exchange_dispatch(struct http_exchange *x)
{
	struct http_server *s = x->sc->server;

	x->state = X_HANDLING;
	x->req.body = buf_str(&x->body);
	x->head = str_eq(x->req.method, STR("HEAD"));
	s->config.request(s->config.ctx, x);
}

void exchange_lost(struct http_exchange *x)
{
	bool held = x->state == X_HANDLING || x->state == X_STREAMING;
	void (*closed)(void *ctx) = x->closed;

	http_exchange_end(x);
	if (held && closed)
		closed(x->closed_ctx);
}

void exchange_refusal(struct http_exchange *x, int status, const char *message)
{
	struct http_server *s = x->sc->server;

	buf_done(&x->body);
	buf_init(&x->body, LIMIT_REQUEST_BODY_BYTES);
	if (s->config.refuse)
		s->config.refuse(s->config.ctx, status, message, &x->body);
	else
		buf_printf(&x->body, "%s\n", message);
	x->reply_body = buf_str(&x->body);
}

/* --- connections --- */

static void server_conn_reap(struct defer *d)
{
	struct server_conn *sc = container_of(d, struct server_conn, reap);

	sc->protocol->stop(sc);
	free(sc);
}

static void server_conn_end(struct server_conn *sc)
{
	struct http_server *s = sc->server;

	sc->closed = true;
	timer_stop(&sc->idle);
	defer_cancel(&sc->flush);
	list_del(&sc->link);
	s->n_conns--;
	while (!list_empty(&sc->exchanges))
		exchange_lost(list_entry(sc->exchanges.next, struct http_exchange, link));
	loop_defer(s->loop, &sc->reap);
}

void server_conn_close(struct server_conn *sc)
{
	if (sc->closed)
		return;
	conn_close(sc->conn);
	server_conn_end(sc);
}

void server_conn_detach(struct server_conn *sc)
{
	if (!sc->closed)
		server_conn_end(sc);
}

/* One timer for the connection's life: it looks back, so that requests need not restart it. */
static void idle_fired(struct timer *t)
{
	struct server_conn *sc = t->ctx;
	uint64_t now = loop_now_ms(sc->server->loop), idle_ms = sc->server->config.idle_ms;
	bool busy = false;

	list_for(at, tmp, &sc->exchanges)
	{
		const struct http_exchange *x = list_entry(at, struct http_exchange, link);

		busy = busy || (x->state != X_READING && !x->refused);
	}
	if (busy)
		sc->quiet_since_ms = now;
	if (now - sc->quiet_since_ms >= idle_ms)
		sc->protocol->idle(sc);
	else
		timer_start(sc->server->loop, t, sc->quiet_since_ms + idle_ms - now);
}

/* --- which protocol --- */

static void speak(struct server_conn *sc, const struct http_protocol *p)
{
	sc->protocol = p;
	if (p->start(sc) < 0)
		server_conn_close(sc);
	else
		conn_set_ops(sc->conn, p->conn_ops, sc);
}

static void new_ready(struct conn *c, void *ctx)
{
	struct server_conn *sc = ctx;
	struct str alpn = conn_alpn(c);

	if (str_eq(alpn, STR("h2")))
		speak(sc, &http_server_h2);
	else if (alpn.len)
		speak(sc, &http_server_h1);
}

/* Without ALPN the first bytes tell: HTTP/2 "with prior knowledge". */
static size_t new_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	size_t n = MIN(len, sizeof(PREFACE) - 1);

	(void)c;
	if (memcmp(bytes, PREFACE, n) != 0)
		speak(ctx, &http_server_h1);
	else if (n == sizeof(PREFACE) - 1)
		speak(ctx, &http_server_h2);
	return 0;
}

static void new_eof(struct conn *c, void *ctx)
{
	(void)c;
	server_conn_close(ctx);
}

static void new_failed(struct conn *c, void *ctx, const struct err *e)
{
	(void)c, (void)e;
	server_conn_close(ctx);
}

static const struct conn_ops new_ops = {
	.ready = new_ready, .data = new_data, .eof = new_eof, .failed = new_failed};

static void accepted(void *ctx, int fd, const struct addr *peer)
{
	struct http_server *s = ctx;
	struct server_conn *sc;
	struct err e;

	(void)peer;
	if (s->n_conns >= s->config.connections_max) {
		close(fd);
		return;
	}
	sc = xcalloc(1, sizeof(*sc));
	sc->server = s;
	sc->protocol = &http_server_h1;
	sc->reap.run = server_conn_reap;
	list_init(&sc->exchanges);
	sc->conn = conn_accept(s->loop, fd, s->config.tls, &new_ops, sc, &e);
	if (!sc->conn) {
		free(sc);
		return;
	}
	list_append(&s->conns, &sc->link);
	s->n_conns++;
	sc->quiet_since_ms = loop_now_ms(s->loop);
	sc->idle = (struct timer){.fire = idle_fired, .ctx = sc};
	if (s->config.idle_ms)
		timer_start(s->loop, &sc->idle, s->config.idle_ms);
}

/* --- servers --- */

struct server_listener {
	struct list link;
	struct listener *listener;
	int fd;
};

static void server_reap(struct defer *d)
{
	struct http_server *s = container_of(d, struct http_server, reap);

	exchanges_collect(s);
	defer_cancel(&s->collect);
	list_for(at, tmp, &s->spare) http_exchange_free(list_entry(at, struct http_exchange, link));
	tls_unref(s->config.tls);
	buf_done(&s->head);
	free(s);
}

struct http_server *http_server_new(struct loop *l, const struct http_server_config *c)
{
	struct http_server *s = xcalloc(1, sizeof(*s));

	s->loop = l;
	s->config = *c;
	if (c->connections_max == 0)
		s->config.connections_max = LIMIT_CONNECTIONS;
	tls_ref(c->tls);
	list_init(&s->conns);
	list_init(&s->listeners);
	list_init(&s->ended);
	list_init(&s->spare);
	s->collect.run = collect_run;
	s->reap.run = server_reap;
	buf_init(&s->head, LIMIT_REQUEST_HEAD_BYTES);
	return s;
}

int http_server_listen(struct http_server *s, int fd, struct err *e)
{
	struct server_listener *sl = xcalloc(1, sizeof(*sl));

	sl->fd = fd;
	sl->listener = listener_new(s->loop, fd, accepted, s, e);
	if (!sl->listener) {
		free(sl);
		return -1;
	}
	list_append(&s->listeners, &sl->link);
	return 0;
}

void http_server_free(struct http_server *s)
{
	if (!s || s->freed)
		return;
	s->freed = true;
	list_for(at, tmp, &s->listeners)
	{
		struct server_listener *sl = list_entry(at, struct server_listener, link);

		listener_free(sl->listener);
		close(sl->fd);
		free(sl);
	}
	while (!list_empty(&s->conns))
		server_conn_close(list_entry(s->conns.next, struct server_conn, link));
	/* Connections were deferred before: they are given back first. */
	loop_defer(s->loop, &s->reap);
}

/* Formatting a date is dearer than the rest of a reply's head; it changes once a second. */
const char *server_date(struct http_server *s)
{
	uint64_t now = (uint64_t)wall_now_ms() / 1000;

	if (now != s->date_s) {
		s->date_s = now;
		http_date((time_t)now, s->date);
	}
	return s->date;
}

bool header_is_hop(struct str name)
{
	return str_eq(name, STR("connection")) || str_eq(name, STR("transfer-encoding")) ||
	       str_eq(name, STR("keep-alive")) || str_eq(name, STR("upgrade")) ||
	       str_eq(name, STR("content-length"));
}

/* --- what handlers call --- */

const struct http_request *http_request_of(const struct http_exchange *x)
{
	return &x->req;
}

struct arena *http_arena(struct http_exchange *x)
{
	return &x->arena;
}

X509 *http_peer_cert(const struct http_exchange *x)
{
	return conn_peer_cert(x->sc->conn);
}

const struct addr *http_peer_addr(const struct http_exchange *x)
{
	return conn_peer(x->sc->conn);
}

void http_on_closed(struct http_exchange *x, void (*closed)(void *ctx), void *ctx)
{
	x->closed = closed;
	x->closed_ctx = ctx;
}

static void no_release(void *ctx)
{
	(void)ctx;
}

void http_reply(struct http_exchange *x, int status, const struct http_header *headers, size_t n,
		struct str body)
{
	x->reply_body = body;
	x->sc->protocol->reply(x, status, headers, n);
}

void http_reply_shared(struct http_exchange *x, int status, const struct http_header *headers,
		       size_t n, struct str body, void (*release)(void *ctx), void *ctx)
{
	x->reply_release = release ? release : no_release;
	x->reply_ctx = ctx;
	http_reply(x, status, headers, n, body);
}

void http_reply_start(struct http_exchange *x, int status, const struct http_header *headers,
		      size_t n)
{
	x->state = X_STREAMING;
	x->sc->protocol->reply_start(x, status, headers, n);
}

void http_reply_write(struct http_exchange *x, struct str data)
{
	if (data.len && !x->head)
		x->sc->protocol->write(x, data);
}

size_t http_reply_pending(const struct http_exchange *x)
{
	return x->sc->protocol->pending(x);
}

void http_reply_on_drained(struct http_exchange *x, void (*drained)(void *ctx), void *ctx)
{
	x->drained = drained;
	x->drained_ctx = ctx;
}

void http_reply_end(struct http_exchange *x)
{
	x->sc->protocol->end(x);
}

void http_reply_abort(struct http_exchange *x)
{
	x->sc->protocol->abort(x);
}
