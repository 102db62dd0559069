/* cni_link.h - a pod's wire: a veth pair, one /32 route on the host, a default route in the pod.
 *
 * There is no bridge and no subnet on the link: the pod's gateway is 169.254.1.1, which no
 * interface has; a permanent neighbour entry on either side makes ARP unnecessary.
 */
#pragma once

#include "roles/node/cni_conf.h"
#include "roles/node/netlink.h"

/* Host side: "pto" and 12 hexadecimal digits; the proxy role knows pods by it. */
#define POD_LINK_PREFIX "pto"

/* A fixed function of the container id, so that DEL needs no record. */
const char *pod_link_name(const char *container_id, char out[IFNAMSIZ]);
void pod_link_mac(struct in_addr ip, uint8_t mac[MAC_BYTES]);
/* Both leave the calling thread in the host's namespace. add starts from scratch when a half-built
 * pair is there. */
int pod_link_add(const struct cni_conf *c, const char *container_id, const char *netns,
		 const char *ifname, struct in_addr ip, struct err *e) must_check;
int pod_link_del(const char *container_id, struct err *e) must_check;
/* lo up: also what the runtime's "loopback" network asks for. */
int pod_loopback_up(const char *netns, struct err *e) must_check;
