/* The workers' side of l4.h: sockets that they accept from. */
#include "roles/ingress/l4/l4_int.h"

#include "roles/ingress/l4/relay.h"

struct l4_listener {
	struct list link;
	struct worker *worker;
	struct l4_port *port;	  /* referenced */
	struct listener *tcp;
	struct l4_udp *udp;
};
struct l4_worker {
	struct list listeners;
};

static void accepted(void *ctx, int fd, const struct addr *peer)
{
	static const struct conn_ops none;
	struct l4_listener *l = ctx;
	struct worker *w = l->worker;
	const struct l4_target *t = l4_target(l->port);
	const struct relay_options o = { .expects_proxy_header = t->spec.decode, .send_proxy_version = t->spec.encode ? 1 : 0 };
	struct down_conn d = { .worker = w };
	struct err e;

	if (!down_admit(&d, fd, peer))
		return;
	d.conn = conn_accept(w->loop, fd, NULL, &none, NULL, &e);
	if (d.conn)
		relay_start(w, &d, t->backend, &o);
}

static void listener_close(struct l4_listener *l)
{
	list_del(&l->link);
	listener_free(l->tcp);
	l4_udp_free(l->udp);
	l4_port_unref(l->port);
	free(l);
}

void l4_worker_add(struct worker *w, struct l4_port *p)
{
	struct l4_listener *l;
	struct err e;
	bool ok;

	if (w->draining)
		return;
	if (!w->l4) {
		w->l4 = xcalloc(1, sizeof(*w->l4));
		list_init(&w->l4->listeners);
	}
	l = xcalloc(1, sizeof(*l));
	l->worker = w;
	l->port = p;
	__atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
	list_append(&w->l4->listeners, &l->link);
	if (p->protocol == L4_TCP) {
		l->tcp = listener_new_shared(w->loop, p->fds[0], accepted, l, &e);
		ok = l->tcp != NULL;
	} else {
		l->udp = l4_udp_new(w, p, p->fds[w->number], &e);
		ok = l->udp != NULL;
	}
	if (!ok)
		listener_close(l); /* epoll has no memory: the other workers may serve it */
}

void l4_worker_del(struct worker *w, const struct l4_port *p)
{
	if (!w->l4)
		return;
	list_for(at, tmp, &w->l4->listeners) {
		struct l4_listener *l = list_entry(at, struct l4_listener, link);

		if (l->port == p)
			listener_close(l);
	}
}

void l4_worker_free(struct l4_worker *w)
{
	if (!w)
		return;
	while (!list_empty(&w->listeners))
		listener_close(list_entry(w->listeners.next, struct l4_listener, link));
	free(w);
}
