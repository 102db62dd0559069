/* host_net.h - what the machine itself needs so that pods reach it, each other and the world.
 * Blocking. */
#pragma once

#include "base/err.h"

struct host_net {
	const char *pod_cidr, *cluster_cidr;
};
/* IP forwarding; nft table `portico`: pods leave the cluster under the machine's address. Repeating
 * it is harmless. */
int host_net_setup(const struct host_net *h, struct err *e) must_check;
int host_net_teardown(struct err *e) must_check;
/* MTU of the interface that the default route uses; 1500 when there is none. */
unsigned host_net_mtu(void);
