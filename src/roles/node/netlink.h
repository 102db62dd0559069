/* netlink.h - the few rtnetlink requests that wiring a pod takes. rtnetlink(7), IPv4 only.
 *
 * Blocking: the kernel answers at once. Each call waits for its acknowledgement.
 */
#pragma once

#include "base/err.h"

#include <net/if.h>
#include <netinet/in.h>

#define MAC_BYTES 6

struct nl {
	int fd;
	uint32_t seq;
};
int nl_init(struct nl *nl,
	    struct err *e) must_check; /* of the calling thread's network namespace */
void nl_done(struct nl *nl);

struct nl_veth {
	const char *name, *peer_name;
	uint8_t mac[MAC_BYTES], peer_mac[MAC_BYTES];
	int peer_ns_fd;
	uint32_t mtu;
};
int nl_veth_add(struct nl *nl, const struct nl_veth *v, struct err *e) must_check;
int nl_link_del(struct nl *nl, const char *name,
		struct err *e) must_check; /* a missing one is success */
int nl_link_up(struct nl *nl, const char *name, struct err *e) must_check;
int nl_addr_add(struct nl *nl, const char *link, struct in_addr ip, unsigned prefix_bits,
		struct err *e) must_check;
struct nl_route {
	struct in_addr dst, gateway, src; /* gateway, src: 0 = none */
	unsigned prefix_bits;
	const char *link;
};
int nl_route_replace(struct nl *nl, const struct nl_route *r, struct err *e) must_check;
int nl_neigh_replace(struct nl *nl, const char *link, struct in_addr ip,
		     const uint8_t mac[MAC_BYTES], struct err *e) must_check;
