#include "roles/lb/announce.h"

#include "net/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <unistd.h>

struct arp_ipv4 { /* RFC 826, for Ethernet and IPv4 */
	struct arphdr head;
	uint8_t sender_mac[ETH_ALEN];
	uint8_t sender_ip[4];
	uint8_t target_mac[ETH_ALEN];
	uint8_t target_ip[4];
} __attribute__((packed));

int announce_init(struct announce *a, struct err *e)
{
	a->arp_fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return a->arp_fd == -1 ? err_errno(e, errno, "open a packet socket") : 0;
}

void announce_done(struct announce *a)
{
	if (a->arp_fd >= 0)
		close(a->arp_fd);
	a->arp_fd = -1;
}

static void arp_send(int fd, const struct sockaddr_ll *link, uint32_t ip)
{
	struct arp_ipv4 m = { .head = { .ar_hrd = htons(ARPHRD_ETHER), .ar_pro = htons(ETHERTYPE_IP),
					.ar_hln = ETH_ALEN, .ar_pln = 4, .ar_op = htons(ARPOP_REQUEST) } };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE_ARP),
				  .sll_ifindex = link->sll_ifindex, .sll_halen = ETH_ALEN };
	uint32_t net = htonl(ip);

	memset(to.sll_addr, 0xff, ETH_ALEN);
	memcpy(m.sender_mac, link->sll_addr, ETH_ALEN);
	memcpy(m.sender_ip, &net, sizeof(net));
	memcpy(m.target_ip, &net, sizeof(net));
	/* A hint only: whoever misses it asks when it needs the address. */
	(void)!sendto(fd, &m, sizeof(m), 0, (struct sockaddr *)&to, sizeof(to));
}

static bool has_ipv4(const struct ifaddrs *all, const char *name)
{
	for (const struct ifaddrs *i = all; i; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET && strcmp(i->ifa_name, name) == 0)
			return true;
	return false;
}

static void neighbours_tell(int fd, uint32_t ip)
{
	struct ifaddrs *all;

	if (getifaddrs(&all) == -1)
		return;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		const struct sockaddr_ll *link = (const void *)i->ifa_addr;

		if (link && link->sll_family == AF_PACKET && link->sll_hatype == ARPHRD_ETHER &&
		    (i->ifa_flags & IFF_UP) && has_ipv4(all, i->ifa_name))
			arp_send(fd, link, ip);
	}
	freeifaddrs(all);
}

static struct rtnl_addr address_of(uint32_t ip)
{
	return (struct rtnl_addr){ .index = if_nametoindex("lo"), .ip = htonl(ip), .prefix_len = 32,
				   .label = ANNOUNCE_LABEL, .host_scope = true };
}

int announce_add(struct announce *a, uint32_t ip, struct err *e)
{
	struct rtnl_addr addr = address_of(ip);

	if (rtnl_addr_add(&addr, e) < 0)
		return err_wrap(e, "add an address to lo");
	neighbours_tell(a->arp_fd, ip);
	return 0;
}

int announce_del(uint32_t ip, struct err *e)
{
	struct rtnl_addr addr = address_of(ip);

	return rtnl_addr_del(&addr, e) < 0 ? err_wrap(e, "remove an address from lo") : 0;
}

struct collect {
	uint32_t *ips;
	size_t n;
	uint32_t look_for;
	int found_at;
};

static bool is_marked(const struct rtnl_addr *a)
{
	return c_eq(a->label, ANNOUNCE_LABEL);
}

static void collect_marked(void *ctx, const struct rtnl_addr *a)
{
	struct collect *c = ctx;

	if (!is_marked(a))
		return;
	c->ips = xrealloc(c->ips, (c->n + 1) * sizeof(*c->ips));
	c->ips[c->n++] = ntohl(a->ip);
}

int announce_each(void (*fn)(void *ctx, uint32_t ip), void *ctx, struct err *e)
{
	struct collect c = { 0 };
	int rc = rtnl_addr_each(collect_marked, &c, e);

	for (size_t i = 0; rc == 0 && i < c.n; i++)
		fn(ctx, c.ips[i]);
	free(c.ips);
	return rc;
}

static void match_other(void *ctx, const struct rtnl_addr *a)
{
	struct collect *c = ctx;

	if (ntohl(a->ip) == c->look_for && !is_marked(a))
		c->found_at = a->index;
}

bool announce_in_use(uint32_t ip, char ret_name[16])
{
	struct collect c = { .look_for = ip };
	struct err ignored; /* then the address is simply not known to be in use */

	if (rtnl_addr_each(match_other, &c, &ignored) < 0 || !c.found_at)
		return false;
	if (!if_indextoname(c.found_at, ret_name))
		snprintf(ret_name, 16, "#%d", c.found_at);
	return true;
}
