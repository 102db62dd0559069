#include "roles/ingress/l4/l4_int.h"

#include "base/map.h"
#include "loop/quiesce.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#define BACKLOG 4096
#define RETRY_MS 2000 /* a port that somebody else has may become free */

struct l4 {
	struct l4_options o;
	struct l4_port *ports[N_L4][L4_PORTS_MAX];
	size_t n_ports[N_L4];
	json_t *configmaps[N_L4];
	struct worker **workers;
	size_t n_workers;
	struct map reported, reported_now; /* problems, as "uid reason message" */
	struct timer retry;
	bool draining, failed;
};

static const char *const names[N_L4] = { "tcp-services", "udp-services" };

/* ---- ports ---- */

static void target_free(void *p)
{
	struct l4_target *t = p;

	backend_unref(t->backend);
	free(t);
}

void l4_port_unref(struct l4_port *p)
{
	if (__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < p->n_fds; i++)
		close(p->fds[i]);
	target_free(p->target);
	free(p->fds);
	free(p);
}

/* Both families by one socket; a machine without IPv6 has one family. */
static int any_socket(int type, uint16_t port, bool shared, struct err *e)
{
	const int on = 1, off = 0;
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_any, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool six = fd >= 0;

	if (!six)
		fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(e, errno, "socket");
	if (six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, six ? (struct sockaddr *)&in6 : (struct sockaddr *)&in, six ? sizeof(in6) : sizeof(in)) == 0)
		return fd;
	int error = errno;
	close(fd);
	return err_errno(e, error, "listen on port %u", port);
}

static int open_tcp(struct l4_port *p, struct err *e)
{
	const int on = 1;
	int fd = any_socket(SOCK_STREAM, p->number, false, e);

	if (fd < 0)
		return -1;
	/* Inherited by what is accepted: bytes are passed on as they come. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	p->fds[p->n_fds++] = fd;
	return listen(fd, BACKLOG) == 0 ? 0 : err_errno(e, errno, "listen on port %u", p->number);
}

/* A socket for each worker: the kernel keeps a client with one of them. */
static int open_udp(struct l4_port *p, size_t n_workers, struct err *e)
{
	/* Sockets that share a port would also share it with another process's: is it free? */
	int probe = any_socket(SOCK_DGRAM, p->number, false, e);

	if (probe < 0)
		return -1;
	close(probe);
	while (p->n_fds < n_workers) {
		int fd = any_socket(SOCK_DGRAM, p->number, true, e);

		if (fd < 0)
			return -1;
		p->fds[p->n_fds++] = fd;
	}
	return 0;
}

static struct l4_target *target_new(struct l4 *l, enum l4_protocol protocol, const struct l4_spec *spec)
{
	cleanup(freep) char *port = xasprintf("%s%s", spec->service_port, protocol == L4_UDP ? "/udp" : "");
	struct l4_target *t = xcalloc(1, sizeof(*t));

	t->spec = *spec;
	t->backend = l->o.backend(l->o.arg, spec->ns, spec->service, port);
	return t;
}

static struct l4_port *port_new(struct l4 *l, enum l4_protocol protocol, const struct l4_spec *spec, struct err *e)
{
	struct l4_port *p = xcalloc(1, sizeof(*p));

	p->refs = 1;
	p->protocol = protocol;
	p->number = spec->port;
	p->fds = xcalloc(MAX(l->o.shared->n_workers, 1u), sizeof(*p->fds));
	p->target = target_new(l, protocol, spec);
	int r = protocol == L4_TCP ? open_tcp(p, e) : open_udp(p, l->o.shared->n_workers, e);
	if (r == 0)
		return p;
	l4_port_unref(p);
	return NULL;
}

/* ---- what workers are told ---- */

struct order {
	struct worker *worker;
	struct l4_port *port; /* referenced */
	bool add;
};

static void obey(void *arg)
{
	struct order *o = arg;

	if (o->add)
		l4_worker_add(o->worker, o->port);
	else
		l4_worker_del(o->worker, o->port);
	l4_port_unref(o->port);
	free(o);
}

static void tell(const struct l4 *l, struct l4_port *p, bool add)
{
	for (size_t i = 0; i < l->n_workers; i++) {
		struct order *o = xcalloc(1, sizeof(*o));

		*o = (struct order){ l->workers[i], p, add };
		__atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
		loop_post(l->workers[i]->loop, obey, o);
	}
}

/* ---- problems ---- */

static void report(struct l4 *l, enum l4_protocol protocol, const char *reason, const char *message)
{
	const json_t *cm = l->configmaps[protocol];
	cleanup(freep) char *key = xasprintf("%s %s %s", jx_uid(cm) ? jx_uid(cm) : names[protocol], reason, message);

	map_put_c(&l->reported_now, key, l);
	if (!map_get_c(&l->reported, key))
		l->o.problem(l->o.arg, cm, reason, message);
}

static void report_entry(struct l4 *l, enum l4_protocol protocol, const char *key, const char *reason, const struct err *e)
{
	cleanup(freep) char *text = xasprintf("%s \"%s\": %s%s", names[protocol], key, e->message,
					      e->sys_errno == EACCES ? ": ports below net.ipv4.ip_unprivileged_port_start are not this user's"
								     : "");

	report(l, protocol, reason, text);
}

/* ---- the ConfigMaps ---- */

static bool same_spec(const struct l4_spec *a, const struct l4_spec *b)
{
	return a->decode == b->decode && a->encode == b->encode && c_eq(a->ns, b->ns) && c_eq(a->service, b->service) &&
	       c_eq(a->service_port, b->service_port);
}

static void retarget(struct l4 *l, struct l4_port *p, const struct l4_spec *spec)
{
	struct l4_target *old = p->target;

	if (same_spec(&old->spec, spec))
		return;
	__atomic_store_n(&p->target, target_new(l, p->protocol, spec), __ATOMIC_RELEASE);
	quiesce_retire(l->o.shared->quiesce, target_free, old);
}

static struct l4_port **port_find(struct l4 *l, enum l4_protocol protocol, uint16_t number)
{
	for (size_t i = 0; i < l->n_ports[protocol]; i++)
		if (l->ports[protocol][i]->number == number)
			return &l->ports[protocol][i];
	return NULL;
}

static void set_entry(struct l4 *l, enum l4_protocol protocol, const char *key, const char *value, bool wanted[UINT16_MAX + 1])
{
	struct l4_port **have, *p;
	struct l4_spec spec;
	struct err e;

	if (l4_spec_parse(key, value, &spec, &e) < 0) {
		report_entry(l, protocol, key, "InvalidPort", &e);
		return;
	}
	wanted[spec.port] = true;
	have = port_find(l, protocol, spec.port);
	if (have) {
		retarget(l, *have, &spec);
		return;
	}
	if (l->n_ports[protocol] == L4_PORTS_MAX) {
		err_set(&e, ERR_INVALID, "more than %d ports", L4_PORTS_MAX);
		report_entry(l, protocol, key, "TooManyPorts", &e);
		return;
	}
	p = port_new(l, protocol, &spec, &e);
	if (!p) {
		l->failed = true;
		report_entry(l, protocol, key, "PortNotAvailable", &e);
		return;
	}
	l->ports[protocol][l->n_ports[protocol]++] = p;
	tell(l, p, true);
}

static void drop_port(struct l4 *l, enum l4_protocol protocol, size_t i)
{
	struct l4_port *p = l->ports[protocol][i];

	l->ports[protocol][i] = l->ports[protocol][--l->n_ports[protocol]];
	tell(l, p, false);
	l4_port_unref(p);
}

/* Ports that went are closed before new ones are opened: an entry may have moved. */
static void set_all(struct l4 *l, enum l4_protocol protocol)
{
	static bool wanted[UINT16_MAX + 1];
	const json_t *data = json_object_get(l->configmaps[protocol], "data");
	const char *key;
	json_t *value;
	uint64_t number;

	memset(wanted, 0, sizeof(wanted));
	json_object_foreach((json_t *)(uintptr_t)data, key, value)
		if (str_to_u64(str_of(key), UINT16_MAX, &number))
			wanted[number] = true;
	for (size_t i = l->n_ports[protocol]; i-- > 0;)
		if (!wanted[l->ports[protocol][i]->number])
			drop_port(l, protocol, i);
	memset(wanted, 0, sizeof(wanted));
	json_object_foreach((json_t *)(uintptr_t)data, key, value)
		set_entry(l, protocol, key, json_string_value(value) ? json_string_value(value) : "", wanted);
	for (size_t i = l->n_ports[protocol]; i-- > 0;)
		if (!wanted[l->ports[protocol][i]->number]) /* its entry is broken now */
			drop_port(l, protocol, i);
}

static void apply(struct l4 *l)
{
	l->failed = false;
	for (enum l4_protocol p = 0; p < N_L4 && !l->draining; p++)
		set_all(l, p);
	map_done(&l->reported, NULL);
	l->reported = l->reported_now;
	map_init(&l->reported_now);
	if (l->failed)
		timer_start(l->o.shared->main_loop, &l->retry, RETRY_MS);
	else
		timer_stop(&l->retry);
}

static void on_retry(struct timer *t)
{
	apply(t->ctx);
}

void l4_set(struct l4 *l, const json_t *tcp, const json_t *udp)
{
	const json_t *now[N_L4] = { tcp, udp };

	for (size_t i = 0; i < N_L4; i++) {
		json_decref(l->configmaps[i]);
		l->configmaps[i] = json_incref((json_t *)(uintptr_t)now[i]);
	}
	apply(l);
}

/* ---- life ---- */

struct l4 *l4_new(const struct l4_options *o)
{
	struct l4 *l = xcalloc(1, sizeof(*l));

	l->o = *o;
	l->retry = (struct timer){ .fire = on_retry, .ctx = l };
	map_init(&l->reported);
	map_init(&l->reported_now);
	return l;
}

static void add_worker(void *ctx, const struct worker *w)
{
	struct l4 *l = ctx;

	l->workers = xrealloc(l->workers, (l->n_workers + 1) * sizeof(struct worker *));
	l->workers[l->n_workers++] = (struct worker *)(uintptr_t)w;
}

void l4_serve(struct l4 *l, struct workers *ws)
{
	workers_each(ws, add_worker, l);
	for (enum l4_protocol p = 0; p < N_L4; p++)
		for (size_t i = 0; i < l->n_ports[p]; i++)
			tell(l, l->ports[p][i], true);
}

void l4_drain(struct l4 *l)
{
	l->draining = true;
	timer_stop(&l->retry);
	for (enum l4_protocol p = 0; p < N_L4; p++)
		while (l->n_ports[p])
			drop_port(l, p, l->n_ports[p] - 1);
}

void l4_free(struct l4 *l)
{
	if (!l)
		return;
	timer_stop(&l->retry);
	for (enum l4_protocol p = 0; p < N_L4; p++) {
		for (size_t i = 0; i < l->n_ports[p]; i++)
			l4_port_unref(l->ports[p][i]);
		json_decref(l->configmaps[p]);
	}
	map_done(&l->reported, NULL);
	map_done(&l->reported_now, NULL);
	free(l->workers);
	free(l);
}
