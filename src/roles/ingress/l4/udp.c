/* Datagrams of a port: each client has a socket towards an endpoint, as long as it says something now and then. */
#include "base/map.h"
#include "roles/ingress/l4/l4_int.h"
#include "roles/ingress/l4/relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#define SESSIONS_MAX 1024	/* of a port and worker, a descriptor for each; beyond it the quietest goes */
#define SESSION_IDLE_MS 60000	/* nothing in either direction: longer than resolvers and games wait for a word */
#define SWEEP_MS 5000
#define DATAGRAM_BYTES_MAX 65536
#define DATAGRAMS_PER_TURN 64	/* then others are served */
#define CONTROL_BYTES 64	/* one in_pktinfo or in6_pktinfo */

struct session {
	struct list link; /* in udp->quiet: the one heard of last is the last */
	struct l4_udp *udp;
	struct sockaddr_storage peer;
	socklen_t peer_len;
	/* Which of our addresses it asked: answers leave there. */
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES];
	size_t control_len;
	struct io up;
	struct endpoint *endpoint;
	uint64_t heard_ms;
};

struct l4_udp {
	struct worker *worker;
	struct l4_port *port;
	struct io io;
	struct map sessions; /* peer address → struct session */
	struct list quiet;
	struct timer sweep;
};

static _Thread_local char datagram[DATAGRAM_BYTES_MAX];

/* ---- sessions ---- */

static struct str key_of(const struct session *s)
{
	return (struct str){ (const char *)&s->peer, s->peer_len };
}

static void session_end(struct session *s)
{
	map_del(&s->udp->sessions, key_of(s));
	list_del(&s->link);
	io_stop(&s->up);
	close(s->up.fd);
	endpoint_unref(s->endpoint);
	free(s);
}

static void heard(struct session *s)
{
	s->heard_ms = loop_now_ms(s->udp->worker->loop);
	list_del(&s->link);
	list_append(&s->udp->quiet, &s->link);
}

/* An endpoint that is not there (ICMP) ends the session: the client's next datagram goes to another one. */
static void on_answer(struct io *io, uint32_t events)
{
	struct session *s = io->ctx;

	(void)events;
	for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
		struct iovec iov = { datagram, sizeof(datagram) };
		ssize_t n = recv(io->fd, datagram, sizeof(datagram), 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			session_end(s);
			return;
		}
		iov.iov_len = (size_t)n;
		struct msghdr m = { .msg_name = &s->peer, .msg_namelen = s->peer_len, .msg_iov = &iov, .msg_iovlen = 1,
				    .msg_control = s->control_len ? s->control : NULL, .msg_controllen = s->control_len };
		/* A full socket loses it, as the network may. */
		if (sendmsg(s->udp->io.fd, &m, 0) >= 0)
			heard(s);
	}
}

static int connect_to(const struct endpoint *e)
{
	int fd = socket(e->addr.ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&e->addr.ss, e->addr.len) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static struct session *session_new(struct l4_udp *u, const struct msghdr *from)
{
	struct endpoint *e = relay_pick(l4_target(u->port)->backend, NULL, 0);
	int fd = e ? connect_to(e) : -1;
	struct session *s;
	struct err why;

	if (fd < 0) {
		if (e)
			endpoint_unref(e);
		return NULL;
	}
	if (u->sessions.count >= SESSIONS_MAX)
		session_end(list_entry(u->quiet.next, struct session, link));
	s = xcalloc(1, sizeof(*s));
	s->udp = u;
	s->endpoint = e;
	s->peer_len = from->msg_namelen;
	memcpy(&s->peer, from->msg_name, from->msg_namelen);
	s->up = (struct io){ .fd = fd, .ready = on_answer, .ctx = s };
	list_append(&u->quiet, &s->link);
	map_put(&u->sessions, key_of(s), s);
	if (io_watch(u->worker->loop, &s->up, EPOLLIN, &why) == 0)
		return s;
	session_end(s);
	return NULL;
}

static void on_sweep(struct timer *t)
{
	struct l4_udp *u = t->ctx;
	uint64_t now = loop_now_ms(u->worker->loop);

	while (!list_empty(&u->quiet)) {
		struct session *s = list_entry(u->quiet.next, struct session, link);

		if (now - s->heard_ms < SESSION_IDLE_MS)
			break;
		session_end(s);
	}
	if (!list_empty(&u->quiet))
		timer_start(u->worker->loop, t, SWEEP_MS);
}

/* ---- clients ---- */

/* Keeps of the packet info only the address: the interface is the routing table's choice. */
static void take_local(struct session *s, struct msghdr *m)
{
	struct cmsghdr *c = m->msg_flags & MSG_CTRUNC ? NULL : CMSG_FIRSTHDR(m);
	size_t len = 0;

	if (c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo *p = (struct in_pktinfo *)CMSG_DATA(c);

		p->ipi_ifindex = 0;
		p->ipi_spec_dst = p->ipi_addr;
		len = CMSG_SPACE(sizeof(*p));
	} else if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo *p = (struct in6_pktinfo *)CMSG_DATA(c);

		if (!IN6_IS_ADDR_LINKLOCAL(&p->ipi6_addr))
			p->ipi6_ifindex = 0;
		len = CMSG_SPACE(sizeof(*p));
	}
	s->control_len = len;
	if (len)
		memcpy(s->control, c, len);
}

static void pass_on(struct l4_udp *u, struct msghdr *m, size_t len)
{
	struct session *s = map_get(&u->sessions, (struct str){ m->msg_name, m->msg_namelen });

	if (!s)
		s = session_new(u, m);
	if (!s)
		return;
	take_local(s, m);
	heard(s);
	if (send(s->up.fd, datagram, len, 0) < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
		session_end(s);
	else if (!timer_active(&u->sweep))
		timer_start(u->worker->loop, &u->sweep, SWEEP_MS);
}

static void on_datagram(struct io *io, uint32_t events)
{
	struct l4_udp *u = io->ctx;

	(void)events;
	for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
		_Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES];
		struct sockaddr_storage peer = { 0 };
		struct iovec iov = { datagram, sizeof(datagram) };
		struct msghdr m = { .msg_name = &peer, .msg_namelen = sizeof(peer), .msg_iov = &iov, .msg_iovlen = 1,
				    .msg_control = control, .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(io->fd, &m, 0);

		if (n < 0)
			return; /* nothing there; or an ICMP error of an earlier answer, which is now taken */
		if (!(m.msg_flags & MSG_TRUNC))
			pass_on(u, &m, (size_t)n);
	}
}

struct l4_udp *l4_udp_new(struct worker *w, struct l4_port *p, int fd, struct err *e)
{
	struct l4_udp *u = xcalloc(1, sizeof(*u));
	socklen_t len = sizeof(int);
	int on = 1, family = AF_INET;

	u->worker = w;
	u->port = p;
	u->io = (struct io){ .fd = fd, .ready = on_datagram, .ctx = u };
	u->sweep = (struct timer){ .fire = on_sweep, .ctx = u };
	map_init(&u->sessions);
	list_init(&u->quiet);
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
	if (family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	if (io_watch(w->loop, &u->io, EPOLLIN, e) == 0)
		return u;
	map_done(&u->sessions, NULL);
	free(u);
	return NULL;
}

void l4_udp_free(struct l4_udp *u)
{
	if (!u)
		return;
	io_stop(&u->io);
	timer_stop(&u->sweep);
	while (!list_empty(&u->quiet))
		session_end(list_entry(u->quiet.next, struct session, link));
	map_done(&u->sessions, NULL);
	free(u);
}
