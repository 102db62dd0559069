#include "roles/dns/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* a resolver's A and AAAA come back to back: one call takes both, and many more */
#define BATCH 32
#define BATCHES_PER_TURN 4	/* then the rest of the loop has its turn */
#define QUESTION_BYTES_MAX 1500 /* what is longer is no question */
#define CONTROL_BYTES 64	/* one in_pktinfo or in6_pktinfo */

/* Where a question came from, and which of our addresses it came to: the answer leaves there. */
struct route {
	struct sockaddr_storage peer;
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES];
	socklen_t peer_len;
	size_t control_len;
};

struct dns_udp {
	struct loop *loop;
	struct io io;
	struct dns_server *server;
	size_t kept; /* handles that are out */
	bool freed;
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec in_iov[BATCH], out_iov[BATCH];
	struct route routes[BATCH];
	uint8_t questions[BATCH][QUESTION_BYTES_MAX], answers[BATCH][DNS_UDP_BYTES_MAX];
};

struct kept {
	struct dns_udp *udp;
	struct route route;
};

struct asking {
	struct dns_udp *udp;
	const struct route *route;
};

static void *keep(void *ctx)
{
	struct asking *a = ctx;
	struct kept *k = xmalloc(sizeof(*k));

	k->udp = a->udp;
	k->route = *a->route;
	a->udp->kept++;
	return k;
}

static void message_to(struct msghdr *m, struct route *r, struct iovec *iov)
{
	*m = (struct msghdr){
		.msg_name = &r->peer,
		.msg_namelen = r->peer_len,
		.msg_iov = iov,
		.msg_iovlen = 1,
		.msg_control = r->control_len ? r->control : NULL,
		.msg_controllen = r->control_len,
	};
}

static void answer_kept(void *handle, struct str bytes)
{
	struct kept *k = handle;
	struct dns_udp *u = k->udp;
	struct iovec iov = { (void *)bytes.ptr, bytes.len };
	struct msghdr m;

	message_to(&m, &k->route, &iov);
	/* A full socket loses the answer, as the network may: the asker asks again. */
	if (!u->freed && bytes.len && sendmsg(u->io.fd, &m, MSG_DONTWAIT) == -1 && errno == EINTR)
		sendmsg(u->io.fd, &m, MSG_DONTWAIT);
	free(k);
	if (--u->kept == 0 && u->freed)
		free(u);
}

static void prepare(struct dns_udp *u)
{
	for (int i = 0; i < BATCH; i++) {
		struct route *r = &u->routes[i];
		u->in_iov[i] = (struct iovec){ u->questions[i], QUESTION_BYTES_MAX };
		u->in[i].msg_hdr = (struct msghdr){
			.msg_name = &r->peer,
			.msg_namelen = sizeof(r->peer),
			.msg_iov = &u->in_iov[i],
			.msg_iovlen = 1,
			.msg_control = r->control,
			.msg_controllen = CONTROL_BYTES,
		};
	}
}

/* Keeps of the packet info only the address: the interface is the routing table's choice. */
static void take_route(struct route *r, struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	r->peer_len = m->msg_namelen;
	r->control_len = 0;
	if (!c || m->msg_flags & MSG_CTRUNC)
		return;
	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo *p = (struct in_pktinfo *)CMSG_DATA(c);
		p->ipi_ifindex = 0;
		p->ipi_spec_dst = p->ipi_addr;
		r->control_len = CMSG_SPACE(sizeof(*p));
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		r->control_len = CMSG_SPACE(sizeof(struct in6_pktinfo));
	}
}

static int answer_batch(struct dns_udp *u, int n)
{
	int n_out = 0;

	for (int i = 0; i < n; i++) {
		struct asking asking = { u, &u->routes[i] };
		const struct dns_asker asker = { &asking, keep, answer_kept };
		struct str question = { (char *)u->questions[i], u->in[i].msg_len };

		if (u->in[i].msg_hdr.msg_flags & MSG_TRUNC)
			continue;
		take_route(&u->routes[i], &u->in[i].msg_hdr);
		ssize_t len = old_dns_server_ask(u->server, question, false, u->answers[n_out],
					     DNS_UDP_BYTES_MAX, &asker);
		if (len <= 0)
			continue;
		u->out_iov[n_out] = (struct iovec){ u->answers[n_out], (size_t)len };
		message_to(&u->out[n_out].msg_hdr, &u->routes[i], &u->out_iov[n_out]);
		n_out++;
	}
	return n_out;
}

static void send_batch(struct dns_udp *u, int n)
{
	for (int sent = 0; sent < n;) {
		int r = sendmmsg(u->io.fd, u->out + sent, (unsigned)(n - sent), MSG_DONTWAIT);
		if (r == -1 && errno == EINTR)
			continue;
		sent += r > 0 ? r : 1; /* one that cannot be sent does not hold up the others */
	}
}

static void on_ready(struct io *io, uint32_t events)
{
	struct dns_udp *u = io->ctx;

	(void)events;
	for (int i = 0; i < BATCHES_PER_TURN; i++) {
		prepare(u);
		int n = recvmmsg(io->fd, u->in, BATCH, MSG_DONTWAIT, NULL);
		if (n <= 0)
			return; /* nothing there; or an ICMP error of an earlier answer, which is
				   now taken */
		send_batch(u, answer_batch(u, n));
		if (n < BATCH)
			return;
	}
}

struct dns_udp *old_dns_udp_new(struct loop *l, int fd, struct dns_server *s, struct err *e)
{
	struct dns_udp *u = xcalloc(1, sizeof(*u));
	int on = 1;

	u->loop = l;
	u->server = s;
	u->io = (struct io){ .fd = fd, .ready = on_ready, .ctx = u };
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	/* Whichever the socket's family is; the other fails, and that is all right. */
	setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	if (io_watch(l, &u->io, EPOLLIN, e) < 0) {
		free(u);
		return NULL;
	}
	return u;
}

void old_dns_udp_free(struct dns_udp *u)
{
	if (!u)
		return;
	io_stop(&u->io);
	close(u->io.fd);
	u->freed = true;
	if (u->kept == 0)
		free(u);
}
