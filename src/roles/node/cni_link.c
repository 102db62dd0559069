#include "roles/node/cni_link.h"

#include "base/fnv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define GATEWAY_IP 0xa9fe0101u /* 169.254.1.1: link-local, RFC 3927 */

const char *pod_link_name(const char *container_id, char out[IFNAMSIZ])
{
	snprintf(out, IFNAMSIZ, POD_LINK_PREFIX "%012llx",
		 (unsigned long long)(fnv1a_64_text(container_id) & 0xffffffffffffu));
	return out;
}

void pod_link_mac(struct in_addr ip, uint8_t mac[MAC_BYTES])
{
	mac[0] = 0x0a; /* locally administered, unicast */
	mac[1] = 0x58;
	memcpy(mac + 2, &ip, 4);
}

static int netns_open(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		err_errno(e, errno, "open network namespace '%s'", path);
	return fd;
}

static int netns_enter(int fd, struct err *e)
{
	return setns(fd, CLONE_NEWNET) == -1 ? err_errno(e, errno, "enter a network namespace") : 0;
}

static int wire_host(struct nl *nl, const struct cni_conf *c, const char *name, struct in_addr ip,
		     const uint8_t pod_mac[MAC_BYTES], struct err *e)
{
	struct nl_route route = { .dst = ip, .prefix_bits = 32, .src = c->node_ip, .link = name };

	if (nl_link_up(nl, name, e) < 0 || nl_neigh_replace(nl, name, ip, pod_mac, e) < 0)
		return -1;
	if (nl_route_replace(nl, &route, e) == 0)
		return 0;
	/* EINVAL: the node's address is not on this machine (yet); the kernel then chooses one. */
	route.src.s_addr = 0;
	return nl_route_replace(nl, &route, e);
}

static int wire_pod(struct nl *nl, const char *ifname, struct in_addr ip,
		    const uint8_t host_mac[MAC_BYTES], struct err *e)
{
	struct in_addr gateway = { htonl(GATEWAY_IP) };
	struct nl_route to_gateway = { .dst = gateway, .prefix_bits = 32, .link = ifname };
	struct nl_route dflt = { .gateway = gateway, .link = ifname };

	if (nl_link_up(nl, "lo", e) < 0 || nl_addr_add(nl, ifname, ip, 32, e) < 0 ||
	    nl_link_up(nl, ifname, e) < 0 || nl_route_replace(nl, &to_gateway, e) < 0 ||
	    nl_route_replace(nl, &dflt, e) < 0 ||
	    nl_neigh_replace(nl, ifname, gateway, host_mac, e) < 0)
		return -1;
	return 0;
}

static int pair_wire(const struct cni_conf *c, struct nl *host, const struct nl_veth *v,
		     struct in_addr ip, int home_fd, struct err *e)
{
	struct nl pod;

	if (nl_veth_add(host, v, e) < 0 || wire_host(host, c, v->name, ip, v->peer_mac, e) < 0 ||
	    netns_enter(v->peer_ns_fd, e) < 0)
		return -1;
	int rc = nl_init(&pod, e);
	if (rc == 0) {
		rc = wire_pod(&pod, v->peer_name, ip, v->mac, e);
		nl_done(&pod);
	}
	return netns_enter(home_fd, e) < 0 ? -1 : rc;
}

int pod_link_add(const struct cni_conf *c, const char *container_id, const char *netns,
		 const char *ifname, struct in_addr ip, struct err *e)
{
	cleanup(closep) int home_fd = netns_open("/proc/self/ns/net", e);
	cleanup(closep) int ns_fd = home_fd == -1 ? -1 : netns_open(netns, e);
	struct nl_veth v = { .peer_name = ifname, .peer_ns_fd = ns_fd, .mtu = c->mtu };
	char name[IFNAMSIZ];
	struct nl host;

	if (ns_fd == -1 || nl_init(&host, e) < 0)
		return -1;
	v.name = pod_link_name(container_id, name);
	pod_link_mac((struct in_addr){ htonl(GATEWAY_IP) }, v.mac);
	pod_link_mac(ip, v.peer_mac);
	int rc = nl_link_del(&host, name, e);
	if (rc == 0) {
		rc = pair_wire(c, &host, &v, ip, home_fd, e);
		struct err ignored;
		if (rc < 0 && nl_link_del(&host, name, &ignored) < 0)
			err_wrap(e, "%s", ignored.message);
	}
	nl_done(&host);
	return rc;
}

int pod_link_del(const char *container_id, struct err *e)
{
	char name[IFNAMSIZ];
	struct nl nl;

	if (nl_init(&nl, e) < 0)
		return -1;
	int rc = nl_link_del(&nl, pod_link_name(container_id, name), e);
	nl_done(&nl);
	return rc;
}

int pod_loopback_up(const char *netns, struct err *e)
{
	cleanup(closep) int home_fd = netns_open("/proc/self/ns/net", e);
	cleanup(closep) int ns_fd = home_fd == -1 ? -1 : netns_open(netns, e);
	struct nl nl;

	if (ns_fd == -1 || netns_enter(ns_fd, e) < 0)
		return -1;
	int rc = nl_init(&nl, e);
	if (rc == 0) {
		rc = nl_link_up(&nl, "lo", e);
		nl_done(&nl);
	}
	return netns_enter(home_fd, e) < 0 ? -1 : rc;
}
