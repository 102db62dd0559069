#include "roles/node/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_BYTES 1024 /* the longest, a veth pair, takes under 300 */
#define ANSWER_BYTES 8192

struct request {
	struct nlmsghdr head;
	char body[REQUEST_BYTES];
};

static void request_begin(struct request *r, uint16_t type, uint16_t flags, const void *fixed,
			  size_t len)
{
	memset(r, 0, sizeof(*r));
	r->head.nlmsg_type = type;
	r->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	memcpy(r->body, fixed, len);
	r->head.nlmsg_len = NLMSG_LENGTH(NLMSG_ALIGN(len));
}

static struct rtattr *attr_put(struct request *r, uint16_t type, const void *data, size_t len)
{
	size_t at = NLMSG_ALIGN(r->head.nlmsg_len);
	struct rtattr *a = (struct rtattr *)((char *)r + at);

	assert(at + RTA_SPACE(len) <= sizeof(*r));
	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	r->head.nlmsg_len = (uint32_t)(at + RTA_SPACE(len));
	return a;
}

static void attr_put_u32(struct request *r, uint16_t type, uint32_t v)
{
	attr_put(r, type, &v, sizeof(v));
}

static void attr_put_ip(struct request *r, uint16_t type, struct in_addr ip)
{
	attr_put(r, type, &ip, sizeof(ip));
}

static void attr_end(struct request *r, struct rtattr *nest)
{
	nest->rta_len = (uint16_t)((char *)r + r->head.nlmsg_len - (char *)nest);
}

int nl_init(struct nl *nl, struct err *e)
{
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };

	*nl = (struct nl){ .fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) };
	if (nl->fd == -1)
		return err_errno(e, errno, "open a netlink socket");
	if (bind(nl->fd, (struct sockaddr *)&self, sizeof(self)) == -1) {
		err_errno(e, errno, "bind a netlink socket");
		nl_done(nl);
		return -1;
	}
	return 0;
}

void nl_done(struct nl *nl)
{
	if (nl->fd >= 0)
		close(nl->fd);
	nl->fd = -1;
}

/* Returns 0 or the kernel's errno. */
static int request_run(struct nl *nl, struct request *r)
{
	char answer[ANSWER_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));

	r->head.nlmsg_seq = ++nl->seq;
	if (send(nl->fd, r, r->head.nlmsg_len, 0) == -1)
		return errno;
	for (;;) {
		ssize_t n = recv(nl->fd, answer, sizeof(answer), 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errno;
		const struct nlmsghdr *h = (const struct nlmsghdr *)answer;
		if (!NLMSG_OK(h, (size_t)n) || h->nlmsg_seq != nl->seq ||
		    h->nlmsg_type != NLMSG_ERROR)
			continue;
		return -((const struct nlmsgerr *)NLMSG_DATA(h))->error;
	}
}

/* 0 when there is none. */
static unsigned link_index(const char *name, struct err *e)
{
	unsigned index = if_nametoindex(name);

	if (!index)
		err_errno(e, errno, "find interface '%s'", name);
	return index;
}

int nl_veth_add(struct nl *nl, const struct nl_veth *v, struct err *e)
{
	struct request r;
	struct ifinfomsg link = { 0 };

	request_begin(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof(link));
	attr_put(&r, IFLA_IFNAME, v->name, strlen(v->name) + 1);
	attr_put(&r, IFLA_ADDRESS, v->mac, MAC_BYTES);
	attr_put_u32(&r, IFLA_MTU, v->mtu);
	struct rtattr *info = attr_put(&r, IFLA_LINKINFO, NULL, 0);
	attr_put(&r, IFLA_INFO_KIND, "veth", 4);
	struct rtattr *data = attr_put(&r, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *peer = attr_put(&r, VETH_INFO_PEER, NULL, 0);
	/* The peer's attributes stand behind an ifinfomsg of its own. */
	r.head.nlmsg_len += (uint32_t)NLMSG_ALIGN(sizeof(link));
	attr_put(&r, IFLA_IFNAME, v->peer_name, strlen(v->peer_name) + 1);
	attr_put(&r, IFLA_ADDRESS, v->peer_mac, MAC_BYTES);
	attr_put_u32(&r, IFLA_MTU, v->mtu);
	attr_put_u32(&r, IFLA_NET_NS_FD, (uint32_t)v->peer_ns_fd);
	attr_end(&r, peer);
	attr_end(&r, data);
	attr_end(&r, info);
	int err = request_run(nl, &r);
	return err ? err_errno(e, err, "create veth pair '%s'", v->name) : 0;
}

int nl_link_del(struct nl *nl, const char *name, struct err *e)
{
	struct request r;
	struct ifinfomsg link = { .ifi_index = (int)if_nametoindex(name) };

	if (!link.ifi_index)
		return 0;
	request_begin(&r, RTM_DELLINK, 0, &link, sizeof(link));
	int err = request_run(nl, &r);
	return err && err != ENODEV ? err_errno(e, err, "delete interface '%s'", name) : 0;
}

int nl_link_up(struct nl *nl, const char *name, struct err *e)
{
	struct request r;
	struct ifinfomsg link = { .ifi_index = (int)link_index(name, e),
				  .ifi_flags = IFF_UP,
				  .ifi_change = IFF_UP };

	if (!link.ifi_index)
		return -1;
	request_begin(&r, RTM_NEWLINK, 0, &link, sizeof(link));
	int err = request_run(nl, &r);
	return err ? err_errno(e, err, "bring interface '%s' up", name) : 0;
}

int nl_addr_add(struct nl *nl, const char *link, struct in_addr ip, unsigned prefix_bits,
		struct err *e)
{
	struct request r;
	struct ifaddrmsg a = { .ifa_family = AF_INET,
			       .ifa_prefixlen = (uint8_t)prefix_bits,
			       .ifa_index = link_index(link, e) };

	if (!a.ifa_index)
		return -1;
	request_begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &a, sizeof(a));
	attr_put_ip(&r, IFA_LOCAL, ip);
	attr_put_ip(&r, IFA_ADDRESS, ip);
	int err = request_run(nl, &r);
	return err ? err_errno(e, err, "add address to '%s'", link) : 0;
}

int nl_route_replace(struct nl *nl, const struct nl_route *route, struct err *e)
{
	struct request r;
	unsigned index = link_index(route->link, e);
	struct rtmsg m = {
		.rtm_family = AF_INET,
		.rtm_dst_len = (uint8_t)route->prefix_bits,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_BOOT,
		.rtm_scope = route->gateway.s_addr ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
	};

	if (!index)
		return -1;
	request_begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof(m));
	if (route->prefix_bits)
		attr_put_ip(&r, RTA_DST, route->dst);
	if (route->gateway.s_addr)
		attr_put_ip(&r, RTA_GATEWAY, route->gateway);
	if (route->src.s_addr)
		attr_put_ip(&r, RTA_PREFSRC, route->src);
	attr_put_u32(&r, RTA_OIF, index);
	int err = request_run(nl, &r);
	return err ? err_errno(e, err, "add a route on '%s'", route->link) : 0;
}

int nl_neigh_replace(struct nl *nl, const char *link, struct in_addr ip,
		     const uint8_t mac[MAC_BYTES], struct err *e)
{
	struct request r;
	struct ndmsg n = { .ndm_family = AF_INET,
			   .ndm_state = NUD_PERMANENT,
			   .ndm_ifindex = (int)link_index(link, e) };

	if (!n.ndm_ifindex)
		return -1;
	request_begin(&r, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &n, sizeof(n));
	attr_put_ip(&r, NDA_DST, ip);
	attr_put(&r, NDA_LLADDR, mac, MAC_BYTES);
	int err = request_run(nl, &r);
	return err ? err_errno(e, err, "add a neighbour on '%s'", link) : 0;
}
