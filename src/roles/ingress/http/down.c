#include "roles/ingress/http/down.h"

#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/l4/relay.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/tls/client_hello.h"
#include "roles/ingress/tls/server.h"

#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

/* Records around a ClientHello are as long as the client likes. */
#define HELLO_PEEK_BYTES_MAX (2 * CLIENT_HELLO_BYTES_MAX)
#define IDLE_SOUGHT_MAX 64 /* connections that are looked at for an idle one */

/* A connection before anything is spoken on it: in its PROXY header, its ClientHello, or its TLS handshake. */
struct greeting {
	struct down_conn d;
	struct timer timer;
	struct defer reap;
};

const struct addr *down_peer(const struct down_conn *d, struct addr *room)
{
	if (d->peer)
		return d->peer;
	memcpy(&room->ss, d->peer_bytes, sizeof(d->peer_bytes));
	room->len = d->peer_len;
	return room;
}

void down_remember(struct down_conn *d)
{
	struct worker *w = d->worker;

	list_append(&w->downs, &d->link);
	worker_count(&w->n_downs, 1);
	crowd_counted(&w->crowd, w->n_downs);
}

void down_forget(struct down_conn *d)
{
	struct worker *w = d->worker;

	list_del(&d->link);
	worker_count(&w->n_downs, -1);
	crowd_counted(&w->crowd, w->n_downs);
	free(TAKE_PTR(d->peer));
	free(TAKE_PTR(d->local));
}

void down_drain(struct down_conn *d)
{
	if (d->greeting || d->relay)
		return; /* its first request is answered, then it ends; bytes flow as long as they may */
	if (d->h2)
		down_h2_drain(d);
	else
		down_h1_drain(d);
}

static void greeting_reap(struct defer *r)
{
	free(container_of(r, struct greeting, reap));
}

static void greeting_over(struct greeting *g)
{
	timer_stop(&g->timer);
	down_forget(&g->d);
	loop_defer(g->d.worker->loop, &g->reap);
}

static void greeting_close(struct greeting *g)
{
	conn_close(g->d.conn);
	greeting_over(g);
}

void down_close(struct down_conn *d)
{
	if (d->greeting)
		greeting_close(container_of(d, struct greeting, d));
	else if (d->relay)
		relay_close(d);
	else if (d->h2)
		down_h2_close_now(d);
	else
		down_h1_close_now(d);
}

static void start_http(struct greeting *g)
{
	struct down_conn from = g->d;
	bool h2 = str_eq(conn_alpn(from.conn), STR("h2"));

	g->d.peer = g->d.local = NULL;
	greeting_over(g);
	from.greeting = false;
	(h2 ? down_h2_start : down_h1_start)(from.worker, from.conn, from.https, &from);
}

static void on_handshake(struct conn *c, void *ctx)
{
	struct greeting *g = ctx;
	const struct tls_info *tls = conn_tls_info(c);

	metrics_inc(g->d.worker->metrics, tls && tls->resumed ? METRIC_TLS_RESUMED : METRIC_TLS_HANDSHAKES);
	start_http(g);
}

static void on_failed(struct conn *c, void *ctx, const struct err *e)
{
	struct greeting *g = ctx;

	(void)c, (void)e;
	if (g->d.https)
		metrics_inc(g->d.worker->metrics, METRIC_TLS_FAILURES);
	greeting_over(g);
}

static void on_timeout(struct timer *t)
{
	struct greeting *g = t->ctx;

	metrics_inc(g->d.worker->metrics, METRIC_CLIENT_TIMEOUTS);
	greeting_close(g);
}

static void on_eof(struct conn *c, void *ctx)
{
	(void)c;
	greeting_close(ctx);
}

static struct addr *addr_dup(const struct sockaddr_storage *ss, socklen_t len)
{
	struct addr *a = xcalloc(1, sizeof(*a));

	a->ss = *ss;
	a->len = len;
	return a;
}

void down_believe(struct down_conn *d, const struct proxy_header *h)
{
	const struct globals *globals = globals_now(d->worker->shared);
	struct addr room;

	if (h->local || h->datagram || !cidr_list_has(&globals->proxy_real_ip_cidr, down_peer(d, &room)))
		return;
	d->peer = addr_dup(&h->source, h->addr_len);
	d->local = addr_dup(&h->destination, h->addr_len);
	d->proxied = true;
}

/* ---- TLS ---- */

static const struct conn_ops tls_ops = { .ready = on_handshake, .eof = on_eof, .failed = on_failed };

static struct tls *tls_context(const struct shared *s)
{
	return s->tls_front ? tls_front_context(s->tls_front) : __atomic_load_n(&s->default_tls, __ATOMIC_ACQUIRE);
}

static void start_tls(struct greeting *g)
{
	struct err e;

	if (conn_start_tls(g->d.conn, tls_context(g->d.worker->shared), &e) < 0)
		greeting_close(g);
	else
		conn_set_ops(g->d.conn, &tls_ops, g);
}

static void start_relay(struct greeting *g, const struct host *h)
{
	const struct relay_options o = { .send_proxy_version = h->passthrough->proxy_protocol_upstream ? 2 : 0 };
	struct down_conn from = g->d;

	g->d.peer = g->d.local = NULL;
	greeting_over(g);
	relay_start(from.worker, &from, h->passthrough_backend, &o);
}

/* A handshake record, or what may be SSL 2's: nginx looks no further, either. */
static bool may_be_tls(uint8_t first)
{
	return first == 0x16 || first & 0x80;
}

static bool peeks(const struct worker *w)
{
	return w->shared->routes && routes_pass_through(w->shared->routes);
}

/* The beginning of TLS, or of a request that has come to the wrong port and is told so. What is no ClientHello is OpenSSL's
 * to answer. */
static size_t on_hello_bytes(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct greeting *g = ctx;
	struct client_hello hello;

	(void)c;
	if (!may_be_tls(bytes[0])) {
		g->d.https = false;
		g->d.plain_to_tls = true;
		start_http(g);
		return 0;
	}
	if (!peeks(g->d.worker)) {
		start_tls(g);
		return 0;
	}
	int r = client_hello_parse(bytes, len, &hello);
	if (r == 0 && len < HELLO_PEEK_BYTES_MAX)
		return 0;
	struct host *h = r > 0 && hello.server_name[0] ? routes_host(g->d.worker->shared->routes, str_of(hello.server_name)) : NULL;
	if (h && h->name[0] && h->passthrough && h->passthrough_backend)
		start_relay(g, h);
	else
		start_tls(g);
	host_unref(h);
	return 0;
}

static const struct conn_ops hello_ops = { .data = on_hello_bytes, .eof = on_eof, .failed = on_failed };

/* ---- PROXY header ---- */

static size_t on_proxy_bytes(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct greeting *g = ctx;
	struct proxy_header h;
	struct err e;
	ssize_t n = proxy_header_parse(bytes, len, &h, &e);

	if (n == 0 && len < PROXY_HEADER_BYTES_MAX)
		return 0;
	if (n <= 0) {
		metrics_inc(g->d.worker->metrics, METRIC_BAD_REQUESTS);
		greeting_close(g);
		return len;
	}
	down_believe(&g->d, &h);
	if (!g->d.https)
		start_http(g);
	else
		conn_set_ops(c, &hello_ops, g);
	return (size_t)n;
}

static const struct conn_ops proxy_ops = { .data = on_proxy_bytes, .eof = on_eof, .failed = on_failed };

static void set_peer(struct down_conn *d, const struct addr *peer)
{
	size_t len = MIN((size_t)peer->len, sizeof(d->peer_bytes));

	memcpy(d->peer_bytes, &peer->ss, len);
	d->peer_len = (uint8_t)len;
}

static void greet(struct worker *w, struct conn *c, struct down_conn *d, const struct conn_ops *ops)
{
	struct greeting *g = xcalloc(1, sizeof(*g));

	g->d = *d;
	g->d.conn = c;
	g->d.greeting = true;
	g->timer = (struct timer){ .fire = on_timeout, .ctx = g };
	g->reap.run = greeting_reap;
	down_remember(&g->d);
	timer_start(w->loop, &g->timer, globals_now(w->shared)->client_header_timeout_s * 1000ull);
	conn_set_ops(c, ops, g);
}

/* An eighth of the descriptors is for upstreams and for the process itself. The lowest free number is always the next, so a
 * connection's own number says how many are in use. */
static int client_descriptors(void)
{
	static _Thread_local int max;
	struct rlimit limit;

	if (!max && getrlimit(RLIMIT_NOFILE, &limit) == 0)
		max = (int)MIN(limit.rlim_cur - limit.rlim_cur / 8, (rlim_t)INT_MAX);
	return max;
}

/* As nginx does: who has been connected for long and asks nothing goes first. */
static bool make_room(struct worker *w, int fd)
{
	if (w->n_downs < DOWN_CLIENTS_MAX && fd < client_descriptors())
		return true;
	for (int i = 0; i < IDLE_SOUGHT_MAX && !list_empty(&w->downs); i++) {
		struct down_conn *d = list_entry(w->downs.next, struct down_conn, link);
		if (!d->greeting && !d->relay && !d->h2 && down_h1_close_idle(d))
			return true;
		list_del(&d->link); /* looked at last the next time */
		list_append(&w->downs, &d->link);
	}
	return false;
}

bool down_admit(struct down_conn *d, int fd, const struct addr *peer)
{
	struct worker *w = d->worker;

	metrics_inc(w->metrics, METRIC_CONNECTIONS_ACCEPTED);
	if (!make_room(w, fd)) {
		close(fd);
		return false;
	}
	metrics_inc(w->metrics, METRIC_CONNECTIONS_HANDLED);
	set_peer(d, peer);
	return true;
}

void down_accept(struct worker *w, int fd, const struct addr *peer, bool https)
{
	bool proxy = globals_now(w->shared)->use_proxy_protocol;
	struct down_conn d = { .worker = w, .https = https };
	struct err e;

	if (!down_admit(&d, fd, peer))
		return;
	const struct conn_ops *ops = proxy ? &proxy_ops : https ? &hello_ops : NULL;
	struct conn *c = conn_accept(w->loop, fd, NULL, &proxy_ops, NULL, &e);
	if (!c)
		return;
	if (ops)
		greet(w, c, &d, ops);
	else
		down_h1_start(w, c, false, &d);
}
