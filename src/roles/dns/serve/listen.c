#include "roles/dns/serve/listen.h"

#include "base/log.h"
#include "net/tls.h"
#include "roles/config.h"
#include "roles/role.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#define STANDALONE_PORT 10053 /* where the kube-dns Service leads; 53 may be the machine's own resolver's */
#define TCP_BACKLOG 1024
#define RECEIVE_BUFFER_BYTES (1 << 20) /* bursts of questions wait here */
#define NAME_BYTES 24

/* ---- sockets ---- */

static int set_on(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on));
}

static int bind_one(const struct addr *a, int type, struct err *e)
{
	int family = a->ss.ss_family, fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), size = RECEIVE_BUFFER_BYTES;
	char text[ADDR_TEXT_BYTES];

	/* Workers' UDP sockets share the address: the kernel gives each client to one of them. TCP's are shared with the process
	 * that will replace this one. */
	bool ok = fd != -1 && (family != AF_INET6 || set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0);
	if (ok && type == SOCK_STREAM)
		ok = set_on(fd, SOL_SOCKET, SO_REUSEADDR) == 0;
	if (ok && (type == SOCK_DGRAM || role_is_supervised()))
		ok = set_on(fd, SOL_SOCKET, SO_REUSEPORT) == 0;
	if (ok && type == SOCK_STREAM)
		ok = set_on(fd, IPPROTO_TCP, TCP_NODELAY) == 0;
	if (ok && type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)); /* up to net.core.rmem_max */
	ok = ok && bind(fd, (const struct sockaddr *)&a->ss, a->len) == 0 && (type == SOCK_DGRAM || listen(fd, TCP_BACKLOG) == 0);
	if (ok)
		return fd;
	err_errno(e, errno, "answer on %s %s", type == SOCK_DGRAM ? "UDP" : "TCP", addr_text(a, text));
	closep(&fd);
	return -1;
}

/* A port 0 was given: the others take the one that the kernel chose. */
static void learn_port(int fd, struct addr *a)
{
	socklen_t len = sizeof(a->ss);

	if (((struct sockaddr_in6 *)&a->ss)->sin6_port == 0)
		getsockname(fd, (struct sockaddr *)&a->ss, &len);
}

static int open_udp(struct dns_endpoint *ep, unsigned n, struct err *e)
{
	ep->udp_fds = xmalloc(n * sizeof(int));
	memset(ep->udp_fds, 0xff, n * sizeof(int));
	for (unsigned i = 0; i < n; i++) {
		ep->udp_fds[i] = bind_one(&ep->addr, SOCK_DGRAM, e);
		if (ep->udp_fds[i] == -1)
			return -1;
		learn_port(ep->udp_fds[i], &ep->addr);
	}
	ep->users_ = n;
	return 0;
}

static void endpoint_close(struct dns_endpoint *ep, unsigned n)
{
	for (unsigned i = 0; ep->udp_fds && i < n; i++)
		closep(&ep->udp_fds[i]);
	dns_endpoint_free(ep);
}

void dns_endpoint_free(struct dns_endpoint *ep)
{
	if (!ep)
		return;
	closep(&ep->tcp_fd);
	tls_unref(ep->tls);
	free(ep->udp_fds);
	free(ep);
}

/* `before` listens there with another certificate: the socket is the same, so that no connection is refused in between. */
static struct dns_endpoint *endpoint_open(const struct dns_endpoint *wanted, const struct dns_endpoint *before, unsigned n_workers, struct err *e)
{
	struct dns_endpoint *ep = xmalloc(sizeof(*ep));

	*ep = *wanted;
	ep->addr = ep->asked;
	ep->tcp_fd = -1;
	ep->udp_fds = NULL;
	if (ep->tls)
		tls_ref(ep->tls);
	if (ep->entrance.transport == DNS_PLAIN && open_udp(ep, n_workers, e) < 0)
		goto fail;
	ep->tcp_fd = before ? fcntl(before->tcp_fd, F_DUPFD_CLOEXEC, 0) : bind_one(&ep->addr, SOCK_STREAM, e);
	if (ep->tcp_fd == -1 && before)
		err_errno(e, errno, "another certificate");
	if (ep->tcp_fd == -1)
		goto fail;
	learn_port(ep->tcp_fd, &ep->addr);
	return ep;
fail:
	endpoint_close(ep, n_workers);
	return NULL;
}

/* What the supervisor holds open across restarts: a UDP socket a worker, and the TCP one. */
static struct dns_endpoint *inherited(unsigned n_workers)
{
	struct dns_endpoint *ep;
	int tcp = role_listen_fd("dns-tcp");
	socklen_t len = sizeof(ep->addr.ss);

	if (tcp == -1)
		return NULL;
	ep = xcalloc(1, sizeof(*ep));
	ep->entrance = (struct dns_entrance){ DNS_PLAIN, DNS_PORT };
	ep->inherited = true;
	ep->tcp_fd = tcp;
	ep->udp_fds = xmalloc(n_workers * sizeof(int));
	for (unsigned i = 0; i < n_workers; i++) {
		char name[NAME_BYTES] = "dns-udp";
		if (i)
			snprintf(name, sizeof(name), "dns-udp%u", i);
		ep->udp_fds[i] = role_listen_fd(name);
	}
	if (getsockname(tcp, (struct sockaddr *)&ep->addr.ss, &len) == 0)
		ep->addr.len = len;
	return ep;
}

/* ---- what is wanted ---- */

struct wanted {
	struct dns_endpoint at[DNS_ENDPOINTS_MAX];
	bool optional[DNS_ENDPOINTS_MAX]; /* IPv6, where the machine may have none */
	size_t n;
};

static bool same_place(const struct dns_endpoint *a, const struct dns_endpoint *b)
{
	return a->entrance.transport == b->entrance.transport && a->entrance.port == b->entrance.port &&
	       a->asked.len == b->asked.len && memcmp(&a->asked.ss, &b->asked.ss, a->asked.len) == 0;
}

static int want(struct wanted *w, const struct dns_block *b, const char *ip, bool optional, struct err *e)
{
	struct dns_endpoint ep = { .entrance = { b->transport, b->port }, .tls = b->tls };

	if (addr_from_ip(ip, b->port, &ep.asked, e) < 0)
		return -1;
	for (size_t i = 0; i < w->n; i++)
		if (same_place(&w->at[i], &ep))
			return 0;
	if (w->n == DNS_ENDPOINTS_MAX)
		return err_set(e, ERR_INVALID, "more than %d addresses to listen on", DNS_ENDPOINTS_MAX);
	w->optional[w->n] = optional;
	w->at[w->n++] = ep;
	return 0;
}

static int want_block(struct wanted *w, const struct dns_block *b, struct err *e)
{
	for (const char *const *ip = b->bind; ip && *ip; ip++)
		if (want(w, b, *ip, false, e) < 0)
			return -1;
	if (b->bind && b->bind[0])
		return 0;
	return want(w, b, "0.0.0.0", false, e) < 0 ? -1 : want(w, b, "::", true, e);
}

/* An address of the command line's in place of all plain ones at port 53. */
static int want_address(struct wanted *w, const char *address, const char *setting, struct err *e)
{
	struct dns_endpoint ep = { .entrance = { DNS_PLAIN, DNS_PORT } };

	if (addr_parse(address, &ep.asked, e) < 0)
		return err_wrap(e, "%s", setting);
	w->at[w->n++] = ep;
	return 0;
}

/* Where plain questions at port 53 come in, if not where the Corefile says; NULL: there. On the heap. */
static char *own_address(const struct config *c)
{
	if (c->dns_address && c->dns_address[0])
		return xstrdup(c->dns_address);
	return c->standalone ? xasprintf(strchr(c->node_ip, ':') ? "[%s]:%d" : "%s:%d", c->node_ip, STANDALONE_PORT) : NULL;
}

/* The node-local one comes with whatever else there is. NULL: none. On the heap. */
static char *node_address(const struct config *c)
{
	return c->node_local && c->node_local[0] ? xasprintf("%s:%d", c->node_local, DNS_PORT) : NULL;
}

static int want_all(struct wanted *w, const struct dns_shared *s, const struct dns_config *c, bool have_inherited, struct err *e)
{
	cleanup(freep) char *own = own_address(s->settings), *node = node_address(s->settings);

	if (own && !have_inherited && want_address(w, own, "--listen", e) < 0)
		return -1;
	if (node && want_address(w, node, "--node-local", e) < 0)
		return -1;
	for (size_t i = 0; i < c->n_blocks; i++) {
		const struct dns_block *b = &c->blocks[i];
		if ((own || node || have_inherited) && b->transport == DNS_PLAIN && b->port == DNS_PORT)
			continue;
		if (want_block(w, b, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- from what is open to what is wanted ---- */

static bool is_open(struct dns_listen *l, const struct dns_endpoint *wanted)
{
	for (size_t i = 0; i < l->n; i++)
		if (same_place(l->at[i], wanted) && l->at[i]->tls == wanted->tls) {
			l->at[i]->wanted_ = true;
			return true;
		}
	return false;
}

static const struct dns_endpoint *open_otherwise(const struct dns_listen *l, const struct dns_endpoint *wanted)
{
	for (size_t i = 0; i < l->n; i++)
		if (wanted->tls && same_place(l->at[i], wanted))
			return l->at[i];
	return NULL;
}

static int open_missing(struct dns_listen *l, const struct wanted *w, const struct dns_shared *s, struct dns_listen *fresh,
			struct err *e)
{
	for (size_t i = 0; i < w->n; i++) {
		if (is_open(l, &w->at[i]))
			continue;
		struct dns_endpoint *ep = endpoint_open(&w->at[i], open_otherwise(l, &w->at[i]), s->n_workers, e);
		if (!ep && !w->optional[i])
			return -1;
		if (!ep) {
			log_debug("%s", e->message);
			continue;
		}
		ep->wanted_ = true;
		fresh->at[fresh->n++] = ep;
	}
	return l->n + fresh->n <= DNS_ENDPOINTS_MAX ? 0 : err_set(e, ERR_INVALID, "more than %d addresses to listen on", DNS_ENDPOINTS_MAX);
}

static void close_unwanted(struct dns_listen *l, void (*gone)(void *ctx, struct dns_endpoint *ep), void *ctx)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (l->at[i]->wanted_)
			l->at[kept++] = l->at[i];
		else
			gone(ctx, l->at[i]);
	}
	l->n = kept;
}

int dns_listen_apply(struct dns_listen *l, const struct dns_shared *s, const struct dns_config *c,
		     void (*added)(void *ctx, struct dns_endpoint *ep), void (*gone)(void *ctx, struct dns_endpoint *ep), void *ctx,
		     struct err *e)
{
	struct wanted w = { .n = 0 };
	struct dns_listen fresh = { .n = 0 };
	bool first = l->n == 0, from_supervisor = role_listen_fd("dns-tcp") != -1;

	for (size_t i = 0; i < l->n; i++)
		l->at[i]->wanted_ = from_supervisor && i == 0;
	if (want_all(&w, s, c, from_supervisor, e) < 0 || open_missing(l, &w, s, &fresh, e) < 0) {
		for (size_t i = 0; i < fresh.n; i++)
			endpoint_close(fresh.at[i], s->n_workers);
		return -1;
	}
	close_unwanted(l, gone, ctx);
	if (first && from_supervisor) {
		l->at[l->n++] = inherited(s->n_workers);
		added(ctx, l->at[0]);
	}
	for (size_t i = 0; i < fresh.n; i++) {
		l->at[l->n++] = fresh.at[i];
		added(ctx, fresh.at[i]);
	}
	return 0;
}

uint16_t dns_listen_port(const struct dns_listen *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->at[i]->entrance.transport == DNS_PLAIN)
			return ntohs(((const struct sockaddr_in6 *)&l->at[i]->addr.ss)->sin6_port);
	return 0;
}
