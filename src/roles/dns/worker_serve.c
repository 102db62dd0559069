/* What a worker does at endpoints: it serves them, and leaves them when what was asked there is answered. */
#include "roles/dns/worker_int.h"

#include "base/log.h"
#include "net/conn.h"
#include "roles/dns/serve/tcp.h"
#include "roles/dns/serve/udp.h"

#define LEAVE_LOOK_MS 10
#define LEAVE_MS 6000 /* no question takes longer than resolve/forwarder.h's FORWARD_TOTAL_MS; some more for the client's part */

struct served {
	struct list link;
	struct dns_endpoint *ep; /* NULL: left */
	struct dns_udp *udp;	 /* NULL: none, or closed */
	struct dns_tcp *tcp;
	uint64_t leave_by_ms; /* 0: serving */
};

/* A message from the main thread to a worker. */
struct job {
	struct dns_worker *w;
	struct dns_endpoint *ep;
	struct drain *drain;
};

struct drain {
	unsigned left; /* workers; the main thread's */
	void (*done)(void *ctx);
	void *ctx;
};

static void tell(struct dns_worker *w, void (*fn)(void *job), struct job what)
{
	struct job *j = xmalloc(sizeof(*j));

	*j = what;
	j->w = w;
	loop_post(w->loop, fn, j);
}

static void served_free(struct served *at)
{
	dns_udp_free(at->udp);
	dns_tcp_free(at->tcp);
	list_del(&at->link);
	free(at);
}

void worker_serve_done(struct thread *t)
{
	timer_stop(&t->leaving);
	while (!list_empty(&t->served))
		served_free(list_entry(t->served.next, struct served, link));
}

/* ---- serving ---- */

static int serve(struct dns_worker *w, struct dns_endpoint *ep, struct served *at, struct err *e)
{
	int *udp = ep->udp_fds ? &ep->udp_fds[w->number] : NULL;

	if (udp && *udp != -1) {
		at->udp = dns_udp_new(w, *udp, &ep->entrance, e);
		if (!at->udp)
			closep(udp);
		*udp = -1;
		if (!at->udp)
			return -1;
	}
	at->tcp = dns_tcp_new(w, ep->tcp_fd, &ep->entrance, ep->tls, e);
	return at->tcp ? 0 : -1;
}

static void on_serve(void *arg)
{
	struct job *j = arg;
	struct served *at = xcalloc(1, sizeof(*at));
	char text[ADDR_TEXT_BYTES];
	struct err e;

	at->ep = j->ep;
	list_init(&at->link);
	list_append(&thread_of(j->w)->served, &at->link);
	if (serve(j->w, j->ep, at, &e) < 0)
		log_error("%s: %s", addr_text(&j->ep->addr, text), e.message);
	free(j);
}

void dns_workers_serve(struct dns_shared *s, struct dns_endpoint *ep)
{
	ep->users_ = s->n_workers;
	for (unsigned i = 0; i < s->n_workers; i++)
		tell(s->workers[i], on_serve, (struct job){ .ep = ep });
}

/* ---- leaving ---- */

/* Of a socket that is ours alone, what has arrived is still answered: it is closed at a moment when nothing is left. */
static bool has_left(struct served *at, uint64_t now)
{
	if (now < at->leave_by_ms && ((at->udp && !dns_udp_finish(at->udp)) || (at->tcp && !dns_tcp_is_done(at->tcp))))
		return false;
	served_free(at);
	return true;
}

static void one_drained(void *arg)
{
	struct drain *d = arg;

	if (--d->left)
		return;
	d->done(d->ctx);
	free(d);
}

static void look(struct thread *t)
{
	bool more = false;

	list_for(n, tmp, &t->served) {
		struct served *at = list_entry(n, struct served, link);
		if (at->leave_by_ms && !has_left(at, loop_now_ms(t->w.loop)))
			more = true;
	}
	if (t->drain && conn_finishing() && loop_now_ms(t->w.loop) < t->drain_by_ms)
		more = true; /* what was answered is still on its way into a socket */
	if (more)
		timer_start(t->w.loop, &t->leaving, LEAVE_LOOK_MS);
	else if (t->drain)
		loop_post(t->w.shared->main_loop, one_drained, TAKE_PTR(t->drain));
}

static void on_look(struct timer *t)
{
	look(t->ctx);
}

void worker_serve_init(struct thread *t)
{
	list_init(&t->served);
	t->leaving = (struct timer){ .fire = on_look, .ctx = t };
}

static void leave(struct thread *t, struct served *at)
{
	at->leave_by_ms = loop_now_ms(t->w.loop) + LEAVE_MS;
	at->ep = NULL;
	if (at->tcp)
		dns_tcp_drain(at->tcp);
}

static void one_left(void *arg)
{
	struct dns_endpoint *ep = arg;

	if (--ep->users_ == 0)
		dns_endpoint_free(ep);
}

static void on_leave(void *arg)
{
	struct job *j = arg;
	struct thread *t = thread_of(j->w);

	list_for(n, tmp, &t->served) {
		struct served *at = list_entry(n, struct served, link);
		if (at->ep == j->ep)
			leave(t, at);
	}
	loop_post(j->w->shared->main_loop, one_left, j->ep);
	look(t);
	free(j);
}

void dns_workers_leave(struct dns_shared *s, struct dns_endpoint *ep)
{
	for (unsigned i = 0; i < s->n_workers; i++)
		tell(s->workers[i], on_leave, (struct job){ .ep = ep });
}

static void on_drain(void *arg)
{
	struct job *j = arg;
	struct thread *t = thread_of(j->w);

	list_for(n, tmp, &t->served) {
		struct served *at = list_entry(n, struct served, link);
		if (at->ep && at->ep->inherited && at->udp)
			dns_udp_stop(at->udp);
		if (at->ep)
			leave(t, at);
	}
	t->drain = j->drain;
	t->drain_by_ms = loop_now_ms(t->w.loop) + LEAVE_MS;
	look(t);
	free(j);
}

void dns_workers_drain(struct dns_shared *s, void (*done)(void *ctx), void *ctx)
{
	struct drain *d = xmalloc(sizeof(*d));

	*d = (struct drain){ s->n_workers, done, ctx };
	for (unsigned i = 0; i < s->n_workers; i++)
		tell(s->workers[i], on_drain, (struct job){ .drain = d });
}
