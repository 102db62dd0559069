#include "net/rtnl.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_BYTES 32768	   /* the kernel fills dumps up to this (NLMSG_GOODSIZE doubled twice) */
#define RECEIVE_BYTES (4 << 20)	   /* a burst of some 4,000 interface events */
#define WATCH_GROUPS (RTMGRP_LINK | RTMGRP_IPV4_IFADDR)

enum watch_state { WATCH_LINKS, WATCH_ADDRS, WATCH_FOLLOW };

struct rtnl_watch {
	struct io io;
	const struct rtnl_ops *ops;
	void *ctx;
	enum watch_state state;
	uint32_t seq;
	bool again; /* messages were lost while a dump was under way */
	char buf[MESSAGE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
};

struct request {
	struct nlmsghdr h;
	char body[256]; /* the largest request: an address with label */
};

static int socket_open(uint32_t groups, struct err *e)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (groups ? SOCK_NONBLOCK : 0), NETLINK_ROUTE);
	struct sockaddr_nl self = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int size = RECEIVE_BYTES;

	if (fd == -1)
		return err_errno(e, errno, "open a netlink socket");
	/* Refused without CAP_NET_ADMIN; then the system's default has to do, and losses are recovered from. */
	if (groups && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == -1)
		(void)!setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, (struct sockaddr *)&self, sizeof(self)) == -1) {
		err_errno(e, errno, "bind a netlink socket");
		close(fd);
		return -1;
	}
	return fd;
}

static void *request_init(struct request *r, uint16_t type, uint16_t flags, size_t head_bytes)
{
	*r = (struct request){ 0 };
	r->h.nlmsg_len = NLMSG_LENGTH(head_bytes);
	r->h.nlmsg_type = type;
	r->h.nlmsg_flags = NLM_F_REQUEST | flags;
	return NLMSG_DATA(&r->h);
}

static void request_attr(struct request *r, uint16_t type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));

	assert(NLMSG_ALIGN(r->h.nlmsg_len) + RTA_SPACE(len) <= sizeof(*r));
	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

static int request_send(int fd, struct request *r, uint32_t seq, struct err *e)
{
	r->h.nlmsg_seq = seq;
	if (send(fd, r, r->h.nlmsg_len, 0) != (ssize_t)r->h.nlmsg_len)
		return err_errno(e, errno, "send to netlink");
	return 0;
}

static void attrs_read(const struct rtattr **at, size_t max, const struct rtattr *a, size_t len)
{
	for (size_t i = 0; i <= max; i++)
		at[i] = NULL;
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) <= max)
			at[a->rta_type & NLA_TYPE_MASK] = a;
}

static const char *kind_read(const struct rtattr *info)
{
	const struct rtattr *at[IFLA_INFO_KIND + 1];

	if (!info)
		return "";
	attrs_read(at, IFLA_INFO_KIND, RTA_DATA(info), RTA_PAYLOAD(info));
	return at[IFLA_INFO_KIND] ? RTA_DATA(at[IFLA_INFO_KIND]) : "";
}

static struct rtnl_link link_read(const struct nlmsghdr *h)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	const struct rtattr *at[IFLA_LINK_NETNSID + 1];

	attrs_read(at, IFLA_LINK_NETNSID, IFLA_RTA(m), IFLA_PAYLOAD(h));
	return (struct rtnl_link){
		.index = m->ifi_index,
		.type = m->ifi_type,
		.flags = m->ifi_flags,
		.name = at[IFLA_IFNAME] ? RTA_DATA(at[IFLA_IFNAME]) : "",
		.kind = kind_read(at[IFLA_LINKINFO]),
		.peer_nsid = at[IFLA_LINK_NETNSID] ? *(int32_t *)RTA_DATA(at[IFLA_LINK_NETNSID]) : -1,
	};
}

static struct rtnl_addr addr_read(const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = NLMSG_DATA(h);
	const struct rtattr *at[IFA_MAX + 1], *ip;
	struct rtnl_addr a = { .index = m->ifa_index, .prefix_len = m->ifa_prefixlen,
			       .host_scope = m->ifa_scope == RT_SCOPE_HOST };

	attrs_read(at, IFA_MAX, IFA_RTA(m), IFA_PAYLOAD(h));
	ip = at[IFA_LOCAL] ? at[IFA_LOCAL] : at[IFA_ADDRESS];
	if (ip && RTA_PAYLOAD(ip) == sizeof(a.ip))
		memcpy(&a.ip, RTA_DATA(ip), sizeof(a.ip));
	a.label = at[IFA_LABEL] ? RTA_DATA(at[IFA_LABEL]) : NULL;
	return a;
}

/* --- the watch --- */

static void dump_start(struct rtnl_watch *w)
{
	struct request r;
	struct ifinfomsg *m = request_init(&r, w->state == WATCH_LINKS ? RTM_GETLINK : RTM_GETADDR, NLM_F_DUMP,
					   sizeof(*m));
	struct err e;

	m->ifi_family = w->state == WATCH_LINKS ? AF_UNSPEC : AF_INET;
	if (request_send(w->io.fd, &r, ++w->seq, &e) < 0)
		w->again = true; /* a full socket: the next event tries again */
}

static void dump_ended(struct rtnl_watch *w)
{
	if (w->state == WATCH_LINKS) {
		w->state = WATCH_ADDRS;
		dump_start(w);
		return;
	}
	w->state = WATCH_FOLLOW;
	if (!w->again) {
		w->ops->synced(w->ctx);
		return;
	}
	w->again = false;
	w->state = WATCH_LINKS;
	dump_start(w);
}

static void message_tell(struct rtnl_watch *w, const struct nlmsghdr *h)
{
	struct rtnl_link link;
	struct rtnl_addr addr;

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		link = link_read(h);
		/* AF_BRIDGE tells of a port that left its bridge, not of a link that went. */
		if (((const struct ifinfomsg *)NLMSG_DATA(h))->ifi_family == AF_UNSPEC)
			w->ops->link(w->ctx, &link, h->nlmsg_type == RTM_DELLINK);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		addr = addr_read(h);
		if (((const struct ifaddrmsg *)NLMSG_DATA(h))->ifa_family == AF_INET)
			w->ops->addr(w->ctx, &addr, h->nlmsg_type == RTM_DELADDR);
		break;
	}
}

static void overrun(struct rtnl_watch *w)
{
	if (w->state != WATCH_FOLLOW) {
		w->again = true;
		return;
	}
	w->state = WATCH_LINKS;
	dump_start(w);
}

static void watch_ready(struct io *io, uint32_t events)
{
	struct rtnl_watch *w = io->ctx;
	ssize_t n = recv(io->fd, w->buf, sizeof(w->buf), 0);

	(void)events;
	if (n == -1 && errno == ENOBUFS)
		overrun(w);
	if (n <= 0)
		return;
	size_t len = n;
	for (const struct nlmsghdr *h = (void *)w->buf; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type != NLMSG_DONE && h->nlmsg_type != NLMSG_ERROR) {
			message_tell(w, h);
			continue;
		}
		if (h->nlmsg_seq == w->seq && w->state != WATCH_FOLLOW)
			dump_ended(w);
	}
}

struct rtnl_watch *rtnl_watch_new(struct loop *l, const struct rtnl_ops *ops, void *ctx, struct err *e)
{
	struct rtnl_watch *w = xcalloc(1, sizeof(*w));

	w->ops = ops;
	w->ctx = ctx;
	w->io = (struct io){ .fd = socket_open(WATCH_GROUPS, e), .ready = watch_ready, .ctx = w };
	if (w->io.fd == -1 || io_watch(l, &w->io, EPOLLIN, e) < 0) {
		rtnl_watch_free(w);
		return NULL;
	}
	dump_start(w);
	return w;
}

void rtnl_watch_free(struct rtnl_watch *w)
{
	if (!w)
		return;
	io_stop(&w->io);
	if (w->io.fd >= 0)
		close(w->io.fd);
	free(w);
}

/* --- single requests --- */

typedef void message_fn(void *ctx, const struct nlmsghdr *h);

/* Reads answers until the acknowledgement, the end of a dump or, for a plain question, its answer. */
static int answers_read(int fd, bool dump, message_fn *fn, void *ctx, struct err *e)
{
	char buf[MESSAGE_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_errno(e, n ? errno : EPIPE, "read from netlink");
		size_t len = n;
		for (const struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR) {
				int error = -((const struct nlmsgerr *)NLMSG_DATA(h))->error;
				return error ? err_errno(e, error, "netlink request") : 0;
			}
			if (fn)
				fn(ctx, h);
			if (!dump)
				return 0;
		}
	}
}

static int request_run(struct request *r, message_fn *fn, void *ctx, struct err *e)
{
	cleanup(closep) int fd = socket_open(0, e);

	if (fd == -1 || request_send(fd, r, 1, e) < 0)
		return -1;
	return answers_read(fd, r->h.nlmsg_flags & NLM_F_DUMP, fn, ctx, e);
}

static int addr_request(uint16_t type, uint16_t flags, int ignored_errno, const struct rtnl_addr *a, struct err *e)
{
	struct request r;
	struct ifaddrmsg *m = request_init(&r, type, NLM_F_ACK | flags, sizeof(*m));
	struct err mine;

	*m = (struct ifaddrmsg){ .ifa_family = AF_INET, .ifa_prefixlen = a->prefix_len, .ifa_index = a->index,
				 .ifa_scope = a->host_scope ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE };
	request_attr(&r, IFA_LOCAL, &a->ip, sizeof(a->ip));
	request_attr(&r, IFA_ADDRESS, &a->ip, sizeof(a->ip));
	if (a->label)
		request_attr(&r, IFA_LABEL, a->label, strlen(a->label) + 1);
	if (request_run(&r, NULL, NULL, &mine) == 0 || mine.sys_errno == ignored_errno)
		return 0;
	*e = mine;
	return -1;
}

int rtnl_addr_add(const struct rtnl_addr *a, struct err *e)
{
	return addr_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, EEXIST, a, e);
}

int rtnl_addr_del(const struct rtnl_addr *a, struct err *e)
{
	return addr_request(RTM_DELADDR, 0, EADDRNOTAVAIL, a, e);
}

struct tell {
	void (*addr)(void *ctx, const struct rtnl_addr *a);
	void (*link)(void *ctx, const struct rtnl_link *l);
	void *ctx;
};

static void tell_addr(void *ctx, const struct nlmsghdr *h)
{
	const struct tell *t = ctx;
	struct rtnl_addr a;

	if (h->nlmsg_type != RTM_NEWADDR)
		return;
	a = addr_read(h);
	t->addr(t->ctx, &a);
}

int rtnl_addr_each(void (*fn)(void *ctx, const struct rtnl_addr *a), void *ctx, struct err *e)
{
	struct tell t = { .addr = fn, .ctx = ctx };
	struct request r;
	struct ifaddrmsg *m = request_init(&r, RTM_GETADDR, NLM_F_DUMP, sizeof(*m));

	m->ifa_family = AF_INET;
	return request_run(&r, tell_addr, &t, e);
}

static void tell_link(void *ctx, const struct nlmsghdr *h)
{
	const struct tell *t = ctx;
	struct rtnl_link l;

	if (h->nlmsg_type != RTM_NEWLINK)
		return;
	l = link_read(h);
	t->link(t->ctx, &l);
}

int rtnl_link_get(int index, void (*fn)(void *ctx, const struct rtnl_link *l), void *ctx, struct err *e)
{
	struct tell t = { .link = fn, .ctx = ctx };
	struct request r;
	struct ifinfomsg *m = request_init(&r, RTM_GETLINK, 0, sizeof(*m));

	m->ifi_index = index;
	return request_run(&r, tell_link, &t, e);
}

static void tell_nsid(void *ctx, const struct nlmsghdr *h)
{
	const struct rtgenmsg *m = NLMSG_DATA(h);
	const struct rtattr *at[NETNSA_MAX + 1];

	attrs_read(at, NETNSA_MAX, (void *)((char *)m + NLMSG_ALIGN(sizeof(*m))), NLMSG_PAYLOAD(h, sizeof(*m)));
	if (at[NETNSA_NSID])
		memcpy(ctx, RTA_DATA(at[NETNSA_NSID]), sizeof(int32_t));
}

int rtnl_nsid_of(int netns_fd, int32_t *ret_nsid, struct err *e)
{
	struct request r;
	struct rtgenmsg *m = request_init(&r, RTM_GETNSID, 0, sizeof(*m));
	int32_t nsid = -1;

	m->rtgen_family = AF_UNSPEC;
	request_attr(&r, NETNSA_FD, &netns_fd, sizeof(netns_fd));
	if (request_run(&r, tell_nsid, &nsid, e) < 0)
		return -1;
	*ret_nsid = nsid;
	return 0;
}
