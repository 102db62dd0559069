/* The endpoints of a backend: of its Service's slices, of its cluster address, or of the addresses that names have. */
#include "roles/ingress/route/services_int.h"

#include <netinet/in.h>

struct resolved {
	char *name;
	struct addr *at;
	size_t n;
	bool used;
};

/* ---- resolved names ---- */

static const struct resolved *resolve(struct model *m, const char *name)
{
	struct resolved *r = names_get(m->resolved, str_of(name));

	if (!r) {
		r = xcalloc(1, sizeof(*r));
		r->name = xstrdup(name);
		names_put(m->resolved, r);
		if (m->ops.resolve)
			m->ops.resolve(m->ctx, name);
	}
	r->used = true;
	return r;
}

void resolved_free(void *p)
{
	struct resolved *r = p;

	free(r->at);
	free(r->name);
	free(r);
}

static void dirty_by_name(void *ctx, void *obj)
{
	struct service *s = obj;

	if (s->by_name)
		service_dirty(ctx, s);
}

void model_resolved(struct model *m, const char *host_name, const struct addr *at, size_t n)
{
	struct resolved *r = names_get(m->resolved, str_of(host_name));

	if (!r || n == 0 || (r->n == n && memcmp(r->at, at, n * sizeof(*at)) == 0))
		return;
	free(r->at);
	r->at = memcpy(xmalloc(n * sizeof(*at)), at, n * sizeof(*at));
	r->n = n;
	names_each(m->services, dirty_by_name, m);
}

struct each_resolved {
	void (*fn)(void *ctx, const char *host_name);
	void *ctx;
};

static void each_resolved(void *ctx, void *obj)
{
	struct each_resolved *e = ctx;

	e->fn(e->ctx, ((struct resolved *)obj)->name);
}

void model_each_name(struct model *m, void (*fn)(void *ctx, const char *host_name), void *ctx)
{
	struct each_resolved e = { fn, ctx };

	names_each(m->resolved, each_resolved, &e);
}

static void forget_use(void *ctx, void *obj)
{
	(void)ctx;
	((struct resolved *)obj)->used = false;
}

static void drop_unused(void *ctx, void *obj)
{
	struct model *m = ctx;
	struct resolved *r = obj;

	if (r->used)
		return;
	names_del(m->resolved, str_of(r->name));
	resolved_free(r);
}

void resolved_sweep_begin(struct model *m)
{
	names_each(m->resolved, forget_use, NULL);
}

void resolved_sweep_end(struct model *m)
{
	names_each(m->resolved, drop_unused, m);
}

/* ---- endpoints of a backend ---- */

struct wants {
	struct model *m;
	struct endpoint_want *at;
	size_t n, cap;
};

static void want_ip(struct wants *w, const char *ip, uint16_t port, const char *pod, bool draining)
{
	struct endpoint_want one = { .pod = pod && pod[0] ? pod : NULL, .draining = draining };
	struct err ignored;

	if (port && addr_from_ip(ip, port, &one.addr, &ignored) == 0)
		array_push(w->at, w->n, w->cap, one);
}

static void set_port(struct addr *a, uint16_t port)
{
	if (a->ss.ss_family == AF_INET)
		((struct sockaddr_in *)&a->ss)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)&a->ss)->sin6_port = htons(port);
}

static void want_name(struct wants *w, struct service *s, const char *name, uint16_t port, bool draining)
{
	const struct resolved *r = resolve(w->m, name);

	s->by_name = true;
	for (size_t i = 0; port && i < r->n; i++) {
		struct endpoint_want one = { .addr = r->at[i], .host_name = r->name, .draining = draining };

		set_port(&one.addr, port);
		array_push(w->at, w->n, w->cap, one);
	}
}

static uint16_t slice_port(const struct slice *s, const struct service_port *port)
{
	for (unsigned k = 0; k < s->n_ports; k++)
		if (s->ports[k].udp == port->udp && (strcmp(s->ports[k].name, port->name) == 0 || !port->name[0]))
			return s->ports[k].number;
	return 0;
}

static void want_slice(struct wants *w, struct service *s, const struct slice *slice, const struct service_port *wanted)
{
	uint16_t port = slice_port(slice, wanted);

	for (unsigned k = 0; k < slice->n_endpoints; k++) {
		const struct slice_endpoint *ep = &slice->endpoints[k];

		if (slice->fqdn)
			want_name(w, s, ep->address, port, ep->draining);
		else
			want_ip(w, ep->address, port, ep->pod, ep->draining);
	}
}

/* As in ingress-nginx, a name for this machine is refused: it would open what listens on loopback here. */
static bool loopback_name(const char *name)
{
	return strcasecmp(name, "localhost") == 0 || strncmp(name, "127.", 4) == 0 || strcmp(name, "::1") == 0;
}

static void want_external(struct wants *w, struct service *s, const char *name, const char *port_text)
{
	uint64_t number = 0;
	struct service_port port;
	struct addr ip;
	struct err ignored;

	if (loopback_name(name))
		return;
	if (service_find_port(s, port_text, &port))
		port_text = port.target[0] ? port.target : port_text;
	if (!str_to_u64(str_of(port_text), UINT16_MAX, &number) && service_find_port(s, port_text, &port))
		number = port.number;
	if (addr_from_ip(name, 0, &ip, &ignored) == 0)
		want_ip(w, name, (uint16_t)number, NULL, false);
	else
		want_name(w, s, name, (uint16_t)number, false);
}

void service_fill(struct model *m, struct service *s, struct backend *b)
{
	struct wants w = { .m = m };
	struct service_port port = { 0 };
	const char *cluster_ip, *external;

	b->service_missing = !s->exists;
	if (s->exists) {
		bool has_port = service_find_port(s, b->port, &port);

		service_addresses(s, &cluster_ip, &external);
		backend_set_external_name(m->backends, b, external);
		b->service_missing = !has_port && !external[0];
		if (external[0])
			want_external(&w, s, external, b->port);
		else if (has_port && b->cluster_ip && cluster_ip[0])
			want_ip(&w, cluster_ip, port.number, NULL, false);
		else if (has_port)
			for (const struct slice *slice = s->slices; slice; slice = slice->next)
				want_slice(&w, s, slice, &port);
	}
	backend_set(m->backends, b, w.at, w.n);
	free(w.at);
}
