#include "roles/proxy/plan.h"

#define BACKENDS_MAX UINT16_MAX /* svc_value.count */

/* Which endpoints count: the ready ones; if there are none, those that terminate but still serve. */
enum { USE_READY, USE_SERVING };

struct port_view {
	const struct service_port *port;
	const struct slice *const *slices;
	size_t n_slices;
};

static bool endpoint_counts(const struct slice_endpoint *ep, int use, bool local_only)
{
	if (local_only && !ep->local)
		return false;
	return use == USE_READY ? ep->ready : ep->serving && ep->terminating;
}

static int backend_compare(const void *va, const void *vb)
{
	const struct svc_backend *a = va, *b = vb;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return a->port == b->port ? 0 : a->port < b->port ? -1 : 1;
}

bool proxy_plan_list_eq(const struct svc_backend *a, const struct svc_backend *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (backend_compare(&a[i], &b[i]) != 0 || a[i].flags != b[i].flags)
			return false;
	return true;
}

static void list_add(struct plan_list *l, const struct slice_endpoint *ep, __be16 port)
{
	if (l->n >= BACKENDS_MAX)
		return;
	if ((l->n & (l->n - 1)) == 0) /* at each power of two, to the next one */
		l->at = xrealloc(l->at, MAX(l->n * 2, 1) * sizeof(*l->at));
	l->at[l->n++] = (struct svc_backend){
		.addr = ep->addr, .port = port, .flags = ep->local ? BACKEND_LOCAL : 0
	};
}

static void list_collect_slice(struct plan_list *l, const struct service_port *port, const struct slice *s,
			       int use, bool local_only)
{
	for (size_t p = 0; p < s->n_ports; p++) {
		if (s->ports[p].proto != port->proto || !c_eq(s->ports[p].name, port->name))
			continue;
		for (size_t i = 0; i < s->n_endpoints; i++)
			if (endpoint_counts(&s->endpoints[i], use, local_only))
				list_add(l, &s->endpoints[i], s->ports[p].port);
	}
}

static void list_sort(struct plan_list *l)
{
	size_t n = 0;

	if (l->n)
		qsort(l->at, l->n, sizeof(*l->at), backend_compare);
	for (size_t i = 0; i < l->n; i++)
		if (n == 0 || backend_compare(&l->at[n - 1], &l->at[i]) != 0)
			l->at[n++] = l->at[i];
	l->n = n;
}

static struct plan_list list_collect(const struct port_view *v, bool local_only)
{
	struct plan_list l = { .proto = v->port->proto };

	for (int use = USE_READY; use <= USE_SERVING && l.n == 0; use++)
		for (size_t i = 0; i < v->n_slices; i++)
			list_collect_slice(&l, v->port, v->slices[i], use, local_only);
	list_sort(&l);
	return l;
}

static uint32_t plan_list_add(struct plan *p, struct plan_list l)
{
	p->lists[p->n_lists] = l;
	return p->n_lists++;
}

static void frontend_add(struct plan *p, __be32 addr, __be16 port, uint8_t proto, uint8_t flags, size_t port_at,
			 uint32_t list)
{
	p->frontends[p->n_frontends++] = (struct plan_frontend){
		.key = { .addr = addr, .port = port, .proto = proto },
		.flags = flags,
		.port = port_at,
		.list = list,
	};
}

static void plan_port(struct plan *p, const struct service *s, const struct port_view *v, size_t at)
{
	const struct service_port *port = v->port;
	uint8_t outside = SVC_EXTERNAL | (s->external_local ? SVC_LOCAL : 0);
	uint8_t inside = s->internal_local ? SVC_LOCAL : 0;
	uint32_t all = plan_list_add(p, list_collect(v, false)), local = all;

	if (s->external_local || s->internal_local)
		local = plan_list_add(p, list_collect(v, true));
	for (size_t i = 0; i < s->cluster_ips.n; i++)
		frontend_add(p, s->cluster_ips.at[i], port->port, port->proto, inside, at,
			     s->internal_local ? local : all);
	uint32_t list = s->external_local ? local : all;
	if (port->node_port)
		frontend_add(p, 0, port->node_port, port->proto, outside, at, list);
	for (size_t i = 0; i < s->external_ips.n; i++)
		frontend_add(p, s->external_ips.at[i], port->port, port->proto, outside, at, list);
	for (size_t i = 0; i < s->balancer_ips.n; i++)
		frontend_add(p, s->balancer_ips.at[i], port->port, port->proto,
			     outside | (s->n_sources ? SVC_SOURCES : 0), at, list);
}

void proxy_plan_build(const struct service *s, const struct slice *const *slices, size_t n_slices,
		      struct plan *ret_plan)
{
	struct plan p = { 0 };
	size_t addrs;

	*ret_plan = p;
	if (!s || !s->n_ports)
		return;
	addrs = s->cluster_ips.n + s->external_ips.n + s->balancer_ips.n + 1;
	p.lists = xcalloc(s->n_ports * 2, sizeof(*p.lists));
	p.frontends = xcalloc(s->n_ports * addrs + s->cluster_ips.n, sizeof(*p.frontends));
	p.n_ports = s->n_ports;
	p.affinity_s = s->affinity_s;
	for (size_t i = 0; i < s->n_ports; i++) {
		struct port_view v = { .port = &s->ports[i], .slices = slices, .n_slices = n_slices };

		plan_port(&p, s, &v, i);
	}
	for (size_t i = 0; i < s->cluster_ips.n; i++)
		frontend_add(&p, s->cluster_ips.at[i], 0, 0, SVC_ADDRESS, 0, 0);
	if (s->n_sources && s->balancer_ips.n) {
		p.sources = xcalloc(s->n_sources, sizeof(*p.sources));
		memcpy(p.sources, s->sources, s->n_sources * sizeof(*p.sources));
		p.n_sources = s->n_sources;
	}
	*ret_plan = p;
}

void proxy_plan_done(struct plan *p)
{
	for (size_t i = 0; i < p->n_lists; i++)
		free(p->lists[i].at);
	free(p->lists);
	free(p->frontends);
	free(p->sources);
	*p = (struct plan){ 0 };
}
