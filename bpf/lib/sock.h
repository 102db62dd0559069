/* sock.h - services at the socket: connect() and sendmsg() go to a backend, getpeername() and
 * recvmsg() show the service. No packet is ever touched.
 *
 * Only sockets of this node's own namespace and of its pods are translated: another namespace on the
 * machine may well use the same addresses for something else. The caller passes addresses in network order.
 */
#pragma once

#include "lib/service.h"

#include <linux/errno.h>
#include <linux/in.h>

struct dest {
	__be32 addr;
	__be16 port;
	__u8 proto;
};

/* What the kernel's hook returns: 1 goes on, 0 fails with the value set. */
enum { HOOK_FAIL = 0, HOOK_GO_ON = 1 };

static __always_inline __u32 sock_netns_kind(struct bpf_sock_addr *ctx)
{
	__u64 cookie = bpf_get_netns_cookie(ctx);
	__u32 *kind = bpf_map_lookup_elem(&netns_kinds, &cookie);

	return kind ? *kind : 0;
}

static __always_inline int sock_refuse(enum dp_counter why, int error)
{
	count(why);
	bpf_set_retval(-error);
	return HOOK_FAIL;
}

static __always_inline struct svc_value *sock_service(const struct dest *d, __u32 kind)
{
	/* 0.0.0.0 is this host, and would otherwise be the key of node ports. */
	struct svc_value *s = d->addr ? frontend_get(d->addr, d->port, d->proto) : NULL;

	if (s || !is_node_port(d->port))
		return s;
	/* A pod's loopback is its own. */
	if (kind == NETNS_HOST && (!d->addr || is_loopback(d->addr)))
		return frontend_get(0, d->port, d->proto);
	return is_node_addr(d->addr) ? frontend_get(0, d->port, d->proto) : NULL;
}

/* What looks like a ClusterIP must not leave a pod as a packet. For the node itself only addresses that are
 * ClusterIPs count: somebody's network may overlap with the range, and the machine has to go on working. */
static __always_inline int sock_no_service(const struct dest *d, __u32 kind, bool connecting)
{
	if (!is_service_range(d->addr))
		return HOOK_GO_ON;
	/* Resolvers connect UDP sockets only to learn their source address (RFC 6724 sorting). */
	if (connecting && d->proto == IPPROTO_UDP)
		return HOOK_GO_ON;
	if (frontend_get(d->addr, 0, 0))
		return sock_refuse(DP_UNDEFINED_PORT, ECONNREFUSED);
	if (kind == NETNS_HOST || is_node_addr(d->addr))
		return HOOK_GO_ON;
	return sock_refuse(DP_UNKNOWN_ADDRESS, EHOSTUNREACH);
}

static __always_inline struct svc_backend *sock_pick(struct bpf_sock_addr *ctx, const struct svc_value *s,
						     __u32 *ret_slot)
{
	struct affinity_key client = { .client = bpf_get_netns_cookie(ctx) };

	return backend_pick(s, &client, ret_slot);
}

/* connect(): *d becomes the backend. */
static __always_inline int sock_connect(struct bpf_sock_addr *ctx, struct dest *d)
{
	__u32 kind = sock_netns_kind(ctx), slot;
	struct sock_origin *origin;
	struct svc_backend *b;
	struct svc_value *s;

	if (!kind)
		return HOOK_GO_ON;
	s = sock_service(d, kind);
	if (!s)
		return sock_no_service(d, kind, true);
	b = sock_pick(ctx, s, &slot);
	if (!b)
		return sock_refuse(DP_NO_ENDPOINTS, ECONNREFUSED);
	/* Without memory for it only getpeername() tells the backend: not worth a failure. */
	origin = bpf_sk_storage_get(&sock_origins, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (origin)
		*origin = (struct sock_origin){ .addr = d->addr, .port = d->port,
						.backend_addr = b->addr, .backend_port = b->port };
	d->addr = b->addr;
	d->port = b->port;
	return HOOK_GO_ON;
}

/* sendmsg() on an unconnected socket: one socket keeps its backend of a service while it is there. */
static __always_inline int sock_send(struct bpf_sock_addr *ctx, struct dest *d)
{
	__u32 kind = sock_netns_kind(ctx), slot;
	struct sock_flow_key k = { .addr = d->addr, .port = d->port, .dir = FLOW_TO_BACKEND };
	struct sock_flow *known, to, from = { .addr = d->addr, .port = d->port };
	struct svc_backend *b;
	struct svc_value *s;

	if (!kind)
		return HOOK_GO_ON;
	s = sock_service(d, kind);
	if (!s)
		return sock_no_service(d, kind, false);
	k.cookie = bpf_get_socket_cookie(ctx);
	known = bpf_map_lookup_elem(&sock_flows, &k);
	if (known && !s->affinity_s && backend_slot(s, known->addr, known->port, known->slot) >= 0) {
		d->addr = known->addr;
		d->port = known->port;
		return HOOK_GO_ON;
	}
	b = sock_pick(ctx, s, &slot);
	if (!b)
		return sock_refuse(DP_NO_ENDPOINTS, ECONNREFUSED);
	to = (struct sock_flow){ .addr = b->addr, .port = b->port, .slot = slot };
	bpf_map_update_elem(&sock_flows, &k, &to, BPF_ANY);
	k.dir = FLOW_TO_SERVICE;
	k.addr = d->addr = to.addr;
	k.port = d->port = to.port;
	bpf_map_update_elem(&sock_flows, &k, &from, BPF_ANY);
	return HOOK_GO_ON;
}

/* getpeername(), and the source that recvmsg() reports: a backend becomes its service again. */
static __always_inline void sock_show_origin(struct bpf_sock_addr *ctx, struct dest *d, bool unconnected_too)
{
	struct sock_origin *o = bpf_sk_storage_get(&sock_origins, ctx->sk, 0, 0);
	struct sock_flow_key k = { .addr = d->addr, .port = d->port, .dir = FLOW_TO_SERVICE };
	struct sock_flow *f;

	if (o && o->backend_addr == d->addr && o->backend_port == d->port) {
		d->addr = o->addr;
		d->port = o->port;
		return;
	}
	if (!unconnected_too)
		return;
	k.cookie = bpf_get_socket_cookie(ctx);
	f = bpf_map_lookup_elem(&sock_flows, &k);
	if (f) {
		d->addr = f->addr;
		d->port = f->port;
	}
}
