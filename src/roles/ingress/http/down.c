#include "roles/ingress/http/down.h"

#include "codec/proxy_protocol.h"
#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/observe/metrics.h"

#include <unistd.h>

/* A connection before anything is spoken on it: in its PROXY header, or its TLS handshake. */
struct greeting {
	struct down_conn d;
	struct timer timer;
	struct defer reap;
	bool tls_next; /* behind the PROXY header */
};

const struct addr *down_peer(const struct down_conn *d, struct addr *room)
{
	if (d->peer)
		return d->peer;
	memcpy(&room->ss, d->peer_bytes, sizeof(d->peer_bytes));
	room->len = d->peer_len;
	return room;
}

void down_forget(struct down_conn *d)
{
	list_del(&d->link);
	d->worker->n_downs--;
	free(TAKE_PTR(d->peer));
	free(TAKE_PTR(d->local));
}

void down_drain(struct down_conn *d)
{
	if (d->greeting)
		return; /* its first request is answered, then it ends */
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

/* Only a trusted balancer's word about who its client is counts; the header itself must be there in any case. */
static void believe(struct greeting *g, const struct proxy_header *h)
{
	const struct globals *globals = globals_now(g->d.worker->shared);
	struct addr room;

	if (h->local || h->datagram || !cidr_list_has(&globals->proxy_real_ip_cidr, down_peer(&g->d, &room)))
		return;
	g->d.peer = addr_dup(&h->source, h->addr_len);
	g->d.local = addr_dup(&h->destination, h->addr_len);
	g->d.proxied = true;
}

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
	believe(g, &h);
	if (!g->tls_next)
		start_http(g);
	else if (conn_start_tls(c, g->d.worker->shared->default_tls, &e) < 0)
		greeting_close(g);
	return (size_t)n;
}

static const struct conn_ops tls_ops = { .ready = on_handshake, .eof = on_eof, .failed = on_failed };
static const struct conn_ops proxy_ops = { .ready = NULL, .data = on_proxy_bytes, .eof = on_eof, .failed = on_failed };

static void set_peer(struct down_conn *d, const struct addr *peer)
{
	size_t len = MIN((size_t)peer->len, sizeof(d->peer_bytes));

	memcpy(d->peer_bytes, &peer->ss, len);
	d->peer_len = (uint8_t)len;
}

static void greet(struct worker *w, struct conn *c, struct down_conn *d, bool proxy)
{
	struct greeting *g = xcalloc(1, sizeof(*g));

	g->d = *d;
	g->d.conn = c;
	g->d.greeting = true;
	g->timer = (struct timer){ .fire = on_timeout, .ctx = g };
	g->reap.run = greeting_reap;
	g->tls_next = proxy && d->https;
	list_append(&w->downs, &g->d.link);
	w->n_downs++;
	timer_start(w->loop, &g->timer, globals_now(w->shared)->client_header_timeout_s * 1000ull);
	conn_set_ops(c, proxy ? &proxy_ops : &tls_ops, g);
}

void down_accept(struct worker *w, int fd, const struct addr *peer, bool https)
{
	bool proxy = globals_now(w->shared)->use_proxy_protocol;
	struct down_conn d = { .worker = w, .https = https };
	struct err e;

	metrics_inc(w->metrics, METRIC_CONNECTIONS_ACCEPTED);
	if (w->n_downs >= DOWN_CLIENTS_MAX) {
		close(fd);
		return;
	}
	metrics_inc(w->metrics, METRIC_CONNECTIONS_HANDLED);
	set_peer(&d, peer);
	struct tls *tls = https && !proxy ? __atomic_load_n(&w->shared->default_tls, __ATOMIC_ACQUIRE) : NULL;
	struct conn *c = conn_accept(w->loop, fd, tls, &proxy_ops, NULL, &e);
	if (!c)
		return;
	if (https || proxy)
		greet(w, c, &d, proxy);
	else
		down_h1_start(w, c, false, &d);
}
