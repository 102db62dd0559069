#include "roles/dns/serve/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* a resolver's A and AAAA come back to back: one call takes both, and many more */
#define BATCH 64
#define BATCHES_PER_TURN 4	/* then the rest of the loop has its turn */
#define QUESTION_BYTES_MAX 1500 /* what is longer is no question */
#define CONTROL_BYTES 64	/* one in_pktinfo or in6_pktinfo */
#define KEPT_MAX 10000		/* questions of one socket that wait for an upstream */

/* Where a question came from, and which of our addresses it came to: the answer leaves there. */
struct route {
	struct dns_client client;
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES];
	size_t control_len;
};

/* One for all sockets of a worker: it is used within a call only. */
struct udp_batch {
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec in_iov[BATCH], out_iov[BATCH];
	struct route routes[BATCH];
	uint8_t questions[BATCH][QUESTION_BYTES_MAX], answers[BATCH][DNS_UDP_BYTES_MAX];
};

struct dns_udp {
	struct dns_worker *worker;
	struct dns_entrance entrance;
	struct io io;
	size_t kept;  /* handles that are out */
	bool freed;
	bool any;     /* bound to no particular address: which one was asked must be looked up */
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
	struct kept *k;

	if (a->udp->kept >= KEPT_MAX)
		return NULL;
	k = xmalloc(sizeof(*k));
	k->udp = a->udp;
	k->route = *a->route;
	a->udp->kept++;
	return k;
}

static void message_to(struct msghdr *m, struct route *r, struct iovec *iov)
{
	*m = (struct msghdr){
		.msg_name = &r->client.addr.ss,
		.msg_namelen = r->client.addr.len,
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
	struct iovec iov = { (void *)(uintptr_t)bytes.ptr, bytes.len };
	struct msghdr m;

	message_to(&m, &k->route, &iov);
	/* A full socket loses the answer, as the network may: the asker asks again. */
	if (!u->freed && bytes.len && sendmsg(u->io.fd, &m, MSG_DONTWAIT) == -1 && errno == EINTR)
		sendmsg(u->io.fd, &m, MSG_DONTWAIT);
	free(k);
	if (--u->kept == 0 && u->freed)
		free(u);
}

static struct udp_batch *batch_of(struct dns_worker *w)
{
	if (!w->udp_batch)
		w->udp_batch = xcalloc(1, sizeof(*w->udp_batch));
	return w->udp_batch;
}

void dns_udp_worker_done(struct dns_worker *w)
{
	free(w->udp_batch);
	w->udp_batch = NULL;
}

static void prepare(struct udp_batch *b, bool any, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct route *r = &b->routes[i];
		b->in_iov[i] = (struct iovec){ b->questions[i], QUESTION_BYTES_MAX };
		b->in[i].msg_hdr = (struct msghdr){
			.msg_name = &r->client.addr.ss,
			.msg_namelen = sizeof(r->client.addr.ss),
			.msg_iov = &b->in_iov[i],
			.msg_iovlen = 1,
			.msg_control = any ? r->control : NULL,
			.msg_controllen = any ? CONTROL_BYTES : 0,
		};
	}
}

/* Keeps of the packet info only the address: the interface is the routing table's choice. */
static void take_control(struct route *r, struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

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

static void take_route(struct route *r, struct msghdr *m, bool any)
{
	r->client.addr.len = m->msg_namelen;
	r->client.proto = DNS_UDP;
	r->control_len = 0;
	if (any)
		take_control(r, m);
}

static int answer_batch(struct dns_udp *u, struct udp_batch *b, int n)
{
	int n_out = 0;

	for (int i = 0; i < n; i++) {
		struct route *r = &b->routes[i];
		struct asking asking = { u, r };
		const struct dns_asker asker = { &asking, keep, answer_kept };
		struct str question = { (char *)b->questions[i], b->in[i].msg_len };

		if (b->in[i].msg_hdr.msg_flags & MSG_TRUNC)
			continue;
		take_route(r, &b->in[i].msg_hdr, u->any);
		ssize_t len = dns_server_ask(u->worker, &u->entrance, &r->client, question, b->answers[n_out],
					     DNS_UDP_BYTES_MAX, &asker);
		if (len <= 0)
			continue;
		b->out_iov[n_out] = (struct iovec){ b->answers[n_out], (size_t)len };
		message_to(&b->out[n_out].msg_hdr, r, &b->out_iov[n_out]);
		n_out++;
	}
	return n_out;
}

static void send_batch(struct dns_udp *u, struct udp_batch *b, int n)
{
	for (int sent = 0; sent < n;) {
		int r = sendmmsg(u->io.fd, b->out + sent, (unsigned)(n - sent), MSG_DONTWAIT);
		if (r == -1 && errno == EINTR)
			continue;
		sent += r > 0 ? r : 1; /* one that cannot be sent does not hold up the others */
	}
}

static void on_ready(struct io *io, uint32_t events)
{
	struct dns_udp *u = io->ctx;
	struct udp_batch *b = batch_of(u->worker);
	size_t used = BATCH;

	(void)events;
	for (int i = 0; i < BATCHES_PER_TURN && !u->freed; i++) {
		prepare(b, u->any, used);
		int n = recvmmsg(io->fd, b->in, BATCH, MSG_DONTWAIT, NULL);
		if (n <= 0)
			return; /* nothing there; or an ICMP error of an earlier answer, which is now taken */
		send_batch(u, b, answer_batch(u, b, n));
		if (n < BATCH)
			return;
		used = (size_t)n;
	}
}

static bool is_any(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&ss;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&ss;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == -1)
		return true;
	return ss.ss_family == AF_INET ? v4->sin_addr.s_addr == htonl(INADDR_ANY) : IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

struct dns_udp *dns_udp_new(struct dns_worker *w, int fd, const struct dns_entrance *en, struct err *e)
{
	struct dns_udp *u = xcalloc(1, sizeof(*u));
	int on = 1;

	u->worker = w;
	u->entrance = *en;
	u->any = is_any(fd);
	u->io = (struct io){ .fd = fd, .ready = on_ready, .ctx = u };
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (u->any) {
		/* Whichever the socket's family is; the other fails, and that is all right. */
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	}
	if (io_watch(w->loop, &u->io, EPOLLIN, e) < 0) {
		free(u);
		return NULL;
	}
	return u;
}

void dns_udp_stop(struct dns_udp *u)
{
	io_stop(&u->io);
}

bool dns_udp_finish(struct dns_udp *u)
{
	if (u->kept == 0 && u->io.events)
		on_ready(&u->io, EPOLLIN);
	return u->kept == 0;
}

void dns_udp_free(struct dns_udp *u)
{
	if (!u)
		return;
	io_stop(&u->io);
	close(u->io.fd);
	u->freed = true;
	if (u->kept == 0)
		free(u);
}
