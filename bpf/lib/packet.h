/* packet.h - one IPv4 packet at a tc hook: its tuple, rewriting it, sending it on its way.
 *
 * Checksums are changed by difference through the kernel's helpers, which know what a packet with
 * CHECKSUM_PARTIAL or one that stands for many (GSO) needs.
 */
#pragma once

#include "lib/maps.h"

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#define IP_OFFSET_MASK 0x1fff
#define IP_MORE_FRAGMENTS 0x2000
#define TCP_FLAGS_OFFSET 13
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ACK = 16 };

#ifndef AF_INET
#define AF_INET 2
#endif

struct packet {
	struct tuple t;
	__u32 l4; /* offset of the transport header; 0: a later fragment, which has none */
	__u16 len;
	__u8 proto, tcp_flags, ttl, tos;
};

static __always_inline bool packet_opens(const struct packet *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Later fragments have no ports: the first one leaves them here. */
static __always_inline int packet_ports(struct __sk_buff *skb, struct packet *p, const struct iphdr *ip)
{
	__u16 frag = bpf_ntohs(ip->frag_off);
	struct fragment_key k = { .saddr = ip->saddr, .daddr = ip->daddr, .id = ip->id, .proto = ip->protocol };
	__be32 ports, *known;

	if (frag & IP_OFFSET_MASK) {
		known = bpf_map_lookup_elem(&fragments, &k);
		if (!known)
			return -1;
		p->l4 = 0;
		__builtin_memcpy(&p->t.sport, known, sizeof(*known));
		return 0;
	}
	p->l4 = ETH_HLEN + ip->ihl * 4;
	if (bpf_skb_load_bytes(skb, p->l4, &ports, sizeof(ports)) < 0)
		return -1;
	__builtin_memcpy(&p->t.sport, &ports, sizeof(ports));
	if (frag & IP_MORE_FRAGMENTS)
		bpf_map_update_elem(&fragments, &k, &ports, BPF_ANY);
	return ip->protocol == IPPROTO_TCP ?
		       bpf_skb_load_bytes(skb, p->l4 + TCP_FLAGS_OFFSET, &p->tcp_flags, 1) : 0;
}

/* -1: nothing for us (no IPv4, no TCP or UDP, cut short). */
static __always_inline int packet_parse(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr ip;

	*p = (struct packet){ 0 };
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return -1;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) < 0 || ip.ihl < 5)
		return -1;
	if (ip.protocol != IPPROTO_TCP && ip.protocol != IPPROTO_UDP)
		return -1;
	p->t.saddr = ip.saddr;
	p->t.daddr = ip.daddr;
	p->proto = ip.protocol;
	p->ttl = ip.ttl;
	p->tos = ip.tos;
	p->len = bpf_ntohs(ip.tot_len);
	return packet_ports(skb, p, &ip);
}

static __always_inline int packet_rewrite_l4(struct __sk_buff *skb, struct packet *p, const struct tuple *to,
					     __s64 addrs_diff)
{
	bool udp = p->proto == IPPROTO_UDP;
	__u32 check = p->l4 + (udp ? offsetof(struct udphdr, check) : offsetof(struct tcphdr, check));
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0; /* no checksum stays no checksum */
	__be32 old, new;

	__builtin_memcpy(&old, &p->t.sport, 4);
	__builtin_memcpy(&new, &to->sport, 4);
	if (bpf_l4_csum_replace(skb, check, 0, addrs_diff, BPF_F_PSEUDO_HDR | flags) < 0)
		return -1;
	if (old == new)
		return 0;
	if (bpf_l4_csum_replace(skb, check, 0, bpf_csum_diff(&old, 4, &new, 4, 0), flags) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, p->l4, &new, 4, 0);
}

static __always_inline int packet_rewrite(struct __sk_buff *skb, struct packet *p, const struct tuple *to)
{
	__be32 old[2] = { p->t.saddr, p->t.daddr }, new[2] = { to->saddr, to->daddr };
	__s64 diff = bpf_csum_diff(old, sizeof(old), new, sizeof(new), 0);

	if (p->l4 && packet_rewrite_l4(skb, p, to, diff) < 0)
		return -1;
	if (bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), 0, diff, 0) < 0 ||
	    bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct iphdr, saddr), new, sizeof(new), 0) < 0)
		return -1;
	p->t = *to;
	return 0;
}

static __always_inline int packet_age(struct __sk_buff *skb, struct packet *p)
{
	__be16 old = bpf_htons(p->ttl << 8 | p->proto), new = bpf_htons((p->ttl - 1) << 8 | p->proto);
	__u8 ttl = p->ttl - 1;

	if (bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), old, new, 2) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct iphdr, ttl), &ttl, 1, 0);
}

/* Routes the rewritten packet and sends it out itself. Handing it to the stack would lose replies (their
 * source is now an address of this host: martian) and would let the host's own NAT see half a connection. */
static __always_inline int packet_forward(struct __sk_buff *skb, struct packet *p)
{
	struct bpf_fib_lookup fib = {
		.family = AF_INET, .l4_protocol = p->proto, .tos = p->tos,
		.sport = p->t.sport, .dport = p->t.dport, .tot_len = 0,
		.ipv4_src = p->t.saddr, .ipv4_dst = p->t.daddr, .ifindex = skb->ifindex,
	};
	struct bpf_redir_neigh next;
	struct ethhdr eth;
	long found = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);

	if (found == BPF_FIB_LKUP_RET_NOT_FWDED)
		return TC_ACT_OK; /* for this host itself */
	if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH) {
		count(DP_UNROUTABLE);
		return TC_ACT_OK; /* the stack answers with the right ICMP error */
	}
	if (p->ttl <= 1)
		return TC_ACT_OK;
	if (packet_age(skb, p) < 0) {
		count(DP_REWRITE_FAILED);
		return TC_ACT_SHOT;
	}
	if (found == BPF_FIB_LKUP_RET_NO_NEIGH) {
		next = (struct bpf_redir_neigh){ .nh_family = AF_INET, .ipv4_nh = fib.ipv4_dst };
		return bpf_redirect_neigh(fib.ifindex, &next, sizeof(next), 0);
	}
	__builtin_memcpy(eth.h_dest, fib.dmac, ETH_ALEN);
	__builtin_memcpy(eth.h_source, fib.smac, ETH_ALEN);
	eth.h_proto = bpf_htons(ETH_P_IP);
	if (bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0) < 0) {
		count(DP_REWRITE_FAILED);
		return TC_ACT_SHOT;
	}
	return bpf_redirect(fib.ifindex, 0);
}
