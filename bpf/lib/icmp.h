/* icmp.h - errors about packets of translated connections: path MTU, unreachable ports, expired TTL.
 *
 * An error quotes the head of the packet it is about, as that packet was where the error arose. Both the
 * quotation and the error's own addresses have to say what the receiver knows (RFC 5508 section 4).
 */
#pragma once

#include "lib/conntrack.h"

/* RFC 792; linux/icmp.h pulls in user-space headers that are not there for this target. */
#define ICMP_HEADER_BYTES 8
#define ICMP_CHECKSUM_OFFSET 2
enum { ICMP_UNREACHABLE = 3, ICMP_TIME_EXCEEDED = 11, ICMP_PARAMETER_PROBLEM = 12 };

struct quote {
	struct packet outer; /* l4: the ICMP header */
	struct tuple t;	     /* as quoted */
	__u32 ip, l4;	     /* offsets of the quoted headers */
	__u8 proto;
};

static __always_inline bool icmp_is_error(__u8 type)
{
	return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

/* -1: no ICMP error about TCP or UDP. */
static __always_inline int quote_parse(struct __sk_buff *skb, struct quote *q)
{
	struct iphdr ip;
	__be32 ports;
	__u8 type;

	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) < 0)
		return -1;
	if (ip.protocol != IPPROTO_ICMP || ip.ihl < 5 || (bpf_ntohs(ip.frag_off) & IP_OFFSET_MASK))
		return -1;
	q->outer = (struct packet){ .t = { .saddr = ip.saddr, .daddr = ip.daddr }, .l4 = ETH_HLEN + ip.ihl * 4,
				    .proto = ip.protocol, .ttl = ip.ttl, .tos = ip.tos };
	if (bpf_skb_load_bytes(skb, q->outer.l4, &type, 1) < 0 || !icmp_is_error(type))
		return -1;
	q->ip = q->outer.l4 + ICMP_HEADER_BYTES;
	if (bpf_skb_load_bytes(skb, q->ip, &ip, sizeof(ip)) < 0 || ip.ihl < 5 ||
	    (bpf_ntohs(ip.frag_off) & IP_OFFSET_MASK))
		return -1;
	if (ip.protocol != IPPROTO_TCP && ip.protocol != IPPROTO_UDP)
		return -1;
	q->l4 = q->ip + ip.ihl * 4;
	q->proto = ip.protocol;
	if (bpf_skb_load_bytes(skb, q->l4, &ports, sizeof(ports)) < 0)
		return -1;
	q->t.saddr = ip.saddr;
	q->t.daddr = ip.daddr;
	__builtin_memcpy(&q->t.sport, &ports, sizeof(ports));
	return 0;
}

/* The quoted header's checksum makes up for its addresses; only the ports change the ICMP checksum. */
static __always_inline int quote_rewrite(struct __sk_buff *skb, const struct quote *q, const struct tuple *to)
{
	__be32 old[2] = { q->t.saddr, q->t.daddr }, new[2] = { to->saddr, to->daddr }, old_ports, new_ports;
	__s64 diff = bpf_csum_diff(old, sizeof(old), new, sizeof(new), 0);

	__builtin_memcpy(&old_ports, &q->t.sport, 4);
	__builtin_memcpy(&new_ports, &to->sport, 4);
	if (bpf_l3_csum_replace(skb, q->ip + offsetof(struct iphdr, check), 0, diff, 0) < 0 ||
	    bpf_skb_store_bytes(skb, q->ip + offsetof(struct iphdr, saddr), new, sizeof(new), 0) < 0 ||
	    bpf_skb_store_bytes(skb, q->l4, &new_ports, sizeof(new_ports), 0) < 0)
		return -1;
	diff = bpf_csum_diff(&old_ports, 4, &new_ports, 4, 0);
	return bpf_l4_csum_replace(skb, q->outer.l4 + ICMP_CHECKSUM_OFFSET, 0, diff, 0);
}

static __always_inline int outer_rewrite(struct __sk_buff *skb, struct quote *q, __be32 saddr, __be32 daddr)
{
	__be32 old[2] = { q->outer.t.saddr, q->outer.t.daddr }, new[2] = { saddr, daddr };
	__s64 diff = bpf_csum_diff(old, sizeof(old), new, sizeof(new), 0);

	q->outer.t.saddr = saddr;
	q->outer.t.daddr = daddr;
	if (bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), 0, diff, 0) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct iphdr, saddr), new, sizeof(new), 0);
}

/* TC_ACT_UNSPEC when the packet is no error about one of our connections. */
__noinline int icmp_error(struct __sk_buff *skb)
{
	struct quote q = { 0 };
	struct ct_key k;
	struct ct_value *v;
	struct tuple back, to;
	__be32 saddr, daddr;

	if (quote_parse(skb, &q) < 0)
		return TC_ACT_UNSPEC;
	back = tuple_reversed(&q.t);
	/* About a reply: from the network, for the pod. */
	k = ct_key_of(&back, q.proto, CT_REQUEST);
	v = bpf_map_lookup_elem(&conntrack, &k);
	saddr = q.outer.t.saddr;
	if (v) {
		to = tuple_reversed(&v->to);
		daddr = v->to.daddr;
	} else {
		/* About a request: from the pod, for the client. */
		k.dir = CT_REPLY;
		v = bpf_map_lookup_elem(&conntrack, &k);
		if (!v || (v->flags & CT_DIRECT))
			return TC_ACT_UNSPEC;
		to = tuple_reversed(&v->to);
		daddr = v->to.daddr;
		if (saddr == q.t.daddr)
			saddr = v->to.saddr;
	}
	if (quote_rewrite(skb, &q, &to) < 0 || outer_rewrite(skb, &q, saddr, daddr) < 0) {
		count(DP_REWRITE_FAILED);
		return TC_ACT_SHOT;
	}
	return packet_forward(skb, &q.outer);
}
