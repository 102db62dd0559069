/* dataplane.bpf.c - the programs of the Service data plane and where they are attached.
 *
 * Socket programs: the cgroup2 root. Packet programs: interfaces of the host that have addresses
 * (host_*), and the host side of pods' veths (pod_*).
 */
#include "lib/icmp.h"
#include "lib/sock.h"
#include "lib/tc.h"

char LICENSE[] SEC("license") = "GPL"; /* the kernel's word for programs that use its GPL-only helpers */

#define MAPPED_PREFIX bpf_htonl(0xffff) /* ::ffff:0:0/96, RFC 4291 2.5.5.2 */

static __always_inline struct dest dest_v4(const struct bpf_sock_addr *ctx)
{
	return (struct dest){ .addr = ctx->user_ip4, .port = ctx->user_port, .proto = ctx->protocol };
}

static __always_inline void dest_v4_store(struct bpf_sock_addr *ctx, const struct dest *d)
{
	ctx->user_ip4 = d->addr;
	ctx->user_port = d->port;
}

static __always_inline bool is_mapped(const struct bpf_sock_addr *ctx)
{
	return !ctx->user_ip6[0] && !ctx->user_ip6[1] && ctx->user_ip6[2] == MAPPED_PREFIX;
}

static __always_inline struct dest dest_v6(const struct bpf_sock_addr *ctx)
{
	return (struct dest){ .addr = ctx->user_ip6[3], .port = ctx->user_port, .proto = ctx->protocol };
}

static __always_inline void dest_v6_store(struct bpf_sock_addr *ctx, const struct dest *d)
{
	ctx->user_ip6[3] = d->addr;
	ctx->user_port = d->port;
}

SEC("cgroup/connect4")
int sock_connect4(struct bpf_sock_addr *ctx)
{
	struct dest d = dest_v4(ctx);
	int verdict = sock_connect(ctx, &d);

	dest_v4_store(ctx, &d);
	return verdict;
}

SEC("cgroup/sendmsg4")
int sock_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct dest d = dest_v4(ctx);
	int verdict = sock_send(ctx, &d);

	dest_v4_store(ctx, &d);
	return verdict;
}

SEC("cgroup/recvmsg4")
int sock_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct dest d = dest_v4(ctx);

	sock_show_origin(ctx, &d, true);
	dest_v4_store(ctx, &d);
	return HOOK_GO_ON;
}

SEC("cgroup/getpeername4")
int sock_getpeername4(struct bpf_sock_addr *ctx)
{
	struct dest d = dest_v4(ctx);

	sock_show_origin(ctx, &d, false);
	dest_v4_store(ctx, &d);
	return HOOK_GO_ON;
}

SEC("cgroup/connect6")
int sock_connect6(struct bpf_sock_addr *ctx)
{
	struct dest d;
	int verdict;

	if (!is_mapped(ctx))
		return HOOK_GO_ON;
	d = dest_v6(ctx);
	verdict = sock_connect(ctx, &d);
	dest_v6_store(ctx, &d);
	return verdict;
}

SEC("cgroup/sendmsg6")
int sock_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct dest d;
	int verdict;

	if (!is_mapped(ctx))
		return HOOK_GO_ON;
	d = dest_v6(ctx);
	verdict = sock_send(ctx, &d);
	dest_v6_store(ctx, &d);
	return verdict;
}

SEC("cgroup/recvmsg6")
int sock_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct dest d;

	if (!is_mapped(ctx))
		return HOOK_GO_ON;
	d = dest_v6(ctx);
	sock_show_origin(ctx, &d, true);
	dest_v6_store(ctx, &d);
	return HOOK_GO_ON;
}

SEC("cgroup/getpeername6")
int sock_getpeername6(struct bpf_sock_addr *ctx)
{
	struct dest d;

	if (!is_mapped(ctx))
		return HOOK_GO_ON;
	d = dest_v6(ctx);
	sock_show_origin(ctx, &d, false);
	dest_v6_store(ctx, &d);
	return HOOK_GO_ON;
}

SEC("tc")
int host_ingress(struct __sk_buff *skb)
{
	struct packet p;
	int verdict;

	if (packet_parse(skb, &p) < 0)
		return icmp_error(skb);
	verdict = request(skb, &p, SIDE_HOST);
	if (verdict == NOT_OURS && may_be_reply_to_node(&p))
		verdict = reply(skb, &p, false);
	if (verdict == NOT_OURS)
		verdict = direct(skb, &p);
	return verdict == NOT_OURS ? TC_ACT_UNSPEC : verdict;
}

SEC("tc")
int pod_ingress(struct __sk_buff *skb)
{
	struct packet p;
	int verdict;

	if (packet_parse(skb, &p) < 0)
		return icmp_error(skb);
	verdict = reply(skb, &p, false);
	if (verdict == NOT_OURS)
		verdict = request(skb, &p, SIDE_POD);
	if (verdict == NOT_OURS)
		verdict = direct(skb, &p);
	if (verdict == NOT_OURS && is_stray(&p))
		verdict = drop(DP_UNKNOWN_ADDRESS);
	return verdict == NOT_OURS ? TC_ACT_UNSPEC : verdict;
}

/* Replies of this host's own sockets, of backends in the host's network. What came in by an
 * interface is passing through, and was translated there. */
SEC("tc")
int node_egress(struct __sk_buff *skb)
{
	struct packet p;
	int verdict;

	if (skb->ingress_ifindex || packet_parse(skb, &p) < 0)
		return TC_ACT_UNSPEC;
	verdict = reply(skb, &p, true);
	return verdict == NOT_OURS ? TC_ACT_UNSPEC : verdict;
}
