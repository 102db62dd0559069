#include "roles/ingress/upstream/pool.h"

#define SWEEP_MS 5000

struct up_pools {
	struct worker *worker;
	struct list *at; /* by endpoint->index: struct pooled, newest last */
	size_t n_at;
	struct list oldest; /* all of them, oldest first */
	size_t n;
	struct timer sweep;
};

static bool same_kind(const struct up_kind *a, const struct up_kind *b)
{
	return a->tls == b->tls && a->h2 == b->h2 && a->tls_context == b->tls_context && c_eq(a->server_name, b->server_name);
}

/* The lists move with the array, and their neighbours point to them. */
static void grow(struct up_pools *ps, size_t index)
{
	size_t n = MAX(ps->n_at * 2, index + 16);
	struct list *at = xmalloc(n * sizeof(*at));

	for (size_t i = 0; i < n; i++) {
		if (i >= ps->n_at || list_empty(&ps->at[i])) {
			list_init(&at[i]);
			continue;
		}
		at[i] = ps->at[i];
		at[i].next->prev = at[i].prev->next = &at[i];
	}
	free(ps->at);
	ps->at = at;
	ps->n_at = n;
}

struct pooled *pool_take(struct up_pools *ps, const struct endpoint *e, const struct up_kind *kind)
{
	if (e->index >= ps->n_at)
		return NULL;
	for (struct list *at = ps->at[e->index].prev; at != &ps->at[e->index]; at = at->prev) {
		struct pooled *p = list_entry(at, struct pooled, at_endpoint);
		if (p->endpoint == e && same_kind(&p->kind, kind)) {
			pool_remove(ps, p);
			return p;
		}
	}
	return NULL;
}

void pool_put(struct up_pools *ps, struct pooled *p)
{
	if (p->endpoint->index >= ps->n_at)
		grow(ps, p->endpoint->index);
	p->since_ms = loop_now_ms(ps->worker->loop);
	list_append(&ps->at[p->endpoint->index], &p->at_endpoint);
	list_append(&ps->oldest, &p->oldest);
	ps->n++;
	if (ps->n > globals_now(ps->worker->shared)->upstream_keepalive_connections) {
		struct pooled *old = list_entry(ps->oldest.next, struct pooled, oldest);
		old->close(old);
	}
}

void pool_remove(struct up_pools *ps, struct pooled *p)
{
	if (list_empty(&p->oldest))
		return;
	list_del(&p->at_endpoint);
	list_del(&p->oldest);
	ps->n--;
}

static void on_sweep(struct timer *t)
{
	struct up_pools *ps = t->ctx;
	uint64_t now = loop_now_ms(ps->worker->loop);
	uint64_t max_ms = globals_now(ps->worker->shared)->upstream_keepalive_timeout_s * 1000ull;

	while (!list_empty(&ps->oldest)) {
		struct pooled *p = list_entry(ps->oldest.next, struct pooled, oldest);
		if (now - p->since_ms < max_ms)
			break;
		p->close(p);
	}
	timer_start(ps->worker->loop, t, SWEEP_MS);
}

struct up_pools *up_pools_new(struct worker *w)
{
	struct up_pools *ps = xcalloc(1, sizeof(*ps));

	ps->worker = w;
	list_init(&ps->oldest);
	ps->sweep = (struct timer){ .fire = on_sweep, .ctx = ps };
	timer_start(w->loop, &ps->sweep, SWEEP_MS);
	return ps;
}

void up_pools_free(struct up_pools *ps)
{
	if (!ps)
		return;
	while (!list_empty(&ps->oldest)) {
		struct pooled *p = list_entry(ps->oldest.next, struct pooled, oldest);
		p->close(p);
	}
	timer_stop(&ps->sweep);
	free(ps->at);
	free(ps);
}

/* ---- which protocol ---- */

/* SNI and the name to verify: proxy-ssl-name, else the request's host, without its port. */
static const char *tls_name(struct exchange *x)
{
	const struct settings *set = x->loc->set;

	if (!set->proxy_ssl_server_name && !set->proxy_ssl_verify)
		return NULL;
	return set->proxy_ssl_name ? set->proxy_ssl_name : x_dup(x, x->req.host).ptr;
}

/* The proxy's own default backend speaks HTTP, whatever the Service that has no endpoints would have spoken. */
static bool speaks_fcgi(const struct exchange *x)
{
	const struct location *loc = x->loc;
	bool fallback = x->backend && x->backend == loc->default_backend && x->backend != loc->backend && !loc->set->default_backend;

	return loc->set->fastcgi && !fallback;
}

void up_start(struct exchange *x)
{
	const struct settings *set = x->loc->set;
	struct shared *s = x->worker->shared;
	enum backend_protocol p = set->backend_protocol;
	bool https = p == PROTOCOL_HTTPS || p == PROTOCOL_GRPCS || (p == PROTOCOL_AUTO_HTTP && x->req.https);
	struct up_kind kind = { .tls = https, .h2 = p == PROTOCOL_GRPC || p == PROTOCOL_GRPCS,
				.proxy_protocol = set->proxy_protocol_upstream };

	if (https) {
		kind.tls_context = set->proxy_ssl ? set->proxy_ssl : s->upstream_tls;
		kind.server_name = tls_name(x);
	}
	x->connect_us = x_now_us(x);
	if (speaks_fcgi(x))
		up_fcgi_start(x, &kind);
	else if (kind.h2)
		up_h2_start(x, &kind);
	else
		up_h1_start(x, &kind);
}
