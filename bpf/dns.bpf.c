/* dns.bpf.c - answers questions about cluster names where a pod's packet enters the host: tcx or clsact ingress of the
 * host's side of its veth. The question becomes its answer in place and goes back to the pod.
 *
 * Whatever is not certain goes on as if the program were not there. An answer is, byte for byte, what the DNS role says.
 */
#include "lib/dns_lookup.h"

char LICENSE[] SEC("license") = "GPL"; /* the kernel's word for programs that use its GPL-only helpers */

/* ---- sending it ---- */

static __always_inline void put_opt(struct work *w)
{
	const struct question *q = &w->q;
	struct sections *s = &w->s;
	struct opt o = { .type = bpf_htons(DNS_TYPE_OPT), .size = bpf_htons(DNS_EDNS_BYTES_MAX),
			 .flags = q->dnssec_ok ? bpf_htons(0x8000) : 0 };

	if (!q->edns || s->len > ANSWER_LARGE_BYTES)
		return;
	__builtin_memcpy(w->sections + s->len, &o, sizeof(o));
	s->len += OPT_BYTES;
	s->additional++;
}

/* Back to where it came from. Returns the UDP checksum as it is while the rest is left to the device: only the addresses
 * and the length are in it. */
static __always_inline __u16 turn_round(struct work *w, __u32 message_len)
{
	const struct question *q = &w->q;
	const struct sections *s = &w->s;
	struct headers *h = &w->head;
	const __be16 *m = (const __be16 *)w->message;
	__u8 mac[ETH_ALEN];
	__be32 addr = h->ip.saddr;
	__be16 port = h->udp.source;

	__builtin_memcpy(mac, h->eth.h_source, ETH_ALEN);
	__builtin_memcpy(h->eth.h_source, h->eth.h_dest, ETH_ALEN);
	__builtin_memcpy(h->eth.h_dest, mac, ETH_ALEN);
	h->ip = (struct iphdr){ .version = 4, .ihl = 5, .ttl = ANSWER_TTL, .protocol = IPPROTO_UDP,
				.frag_off = bpf_htons(IP_DONT_FRAGMENT), .saddr = h->ip.daddr, .daddr = addr,
				.tot_len = bpf_htons(sizeof(struct iphdr) + sizeof(struct udphdr) + message_len) };
	h->ip.check = ~fold(sum_words(&h->ip, sizeof(struct iphdr) / 2));
	h->udp.source = h->udp.dest;
	h->udp.dest = port;
	h->udp.len = bpf_htons(sizeof(struct udphdr) + message_len);
	h->id = m[0];
	h->flags = bpf_htons(FLAG_QR | FLAG_AA | FLAG_RA | (q->flags & (FLAG_RD | FLAG_CD)) | s->rcode);
	h->counts[0] = bpf_htons(1);
	h->counts[1] = bpf_htons(s->answers);
	h->counts[2] = bpf_htons(s->authority);
	h->counts[3] = bpf_htons(s->additional);
	h->udp.check = fold(sum_words(&h->ip.saddr, 4) + bpf_htons(IPPROTO_UDP) + h->udp.len);
	return h->udp.check;
}

/* The answers from the one that is first this time, those before it behind them, then the rest. */
static __always_inline int store_rotated(struct __sk_buff *skb, struct work *w, __u32 at)
{
	const struct sections *s = &w->s;
	__u32 rotates = s->answers * s->record, first = bpf_get_prandom_u32() % s->answers * s->record, n = rotates - first;

	if (rotates > s->len || first == 0 || first >= ANSWER_LARGE_BYTES || n == 0 || n > ANSWER_LARGE_BYTES)
		return 0;
	if (bpf_skb_store_bytes(skb, at, w->sections + first, n, 0) < 0)
		return -1;
	return bpf_skb_store_bytes(skb, at + n, w->sections, first, 0);
}

static __always_inline int store_sections(struct __sk_buff *skb, struct work *w, __u32 at)
{
	const struct sections *s = &w->s;
	__u32 len = s->len;

	if (len == 0 || len > ANSWER_LARGE_BYTES + OPT_BYTES)
		return -1;
	if (bpf_skb_store_bytes(skb, at, w->sections, len, 0) < 0)
		return -1;
	return s->answers > 1 && s->record ? store_rotated(skb, w, at) : 0;
}

/* The packet is spoilt when this fails. */
static __always_inline int store(struct __sk_buff *skb, struct work *w)
{
	const struct question *q = &w->q;
	__u32 question_end = DNS_HEADER_BYTES + q->name_len + QUESTION_TAIL_BYTES;
	__u16 partial = turn_round(w, question_end + w->s.len);

	if (bpf_skb_store_bytes(skb, 0, &w->head, sizeof(w->head), 0) < 0 ||
	    store_sections(skb, w, HEADERS_BYTES + question_end) < 0)
		return -1;
	/* Left alone where the device is to complete it; elsewhere this difference makes it 0, which is none. */
	return bpf_l4_csum_replace(skb, offsetof(struct headers, udp.check), 0, partial, 0);
}

static __always_inline int send_back(struct __sk_buff *skb, struct work *w)
{
	const struct question *q = &w->q;
	__u32 len = DNS_HEADER_BYTES + q->name_len + QUESTION_TAIL_BYTES + w->s.len + (q->edns ? OPT_BYTES : 0);

	if (len > q->size || bpf_skb_change_tail(skb, HEADERS_BYTES + len, 0) < 0)
		return TC_ACT_UNSPEC;
	put_opt(w);
	if (store(skb, w) < 0)
		return TC_ACT_SHOT;
	if (skb->pkt_type != 0) /* PACKET_HOST: the bridge that it was meant for is not there on the pod's side */
		bpf_skb_change_type(skb, 0);
	return bpf_redirect_peer(skb->ifindex, 0);
}

/* A verdict that was found while the role changed the settings does not count. */
__noinline int look_up(struct work *w)
{
	const struct answer_control *c = &answer_control;
	__u32 seq = *(const volatile __u32 *)&c->seq;
	enum verdict v;

	if (!w || seq & 1)
		return PASS;
	fence(w);
	lower_name(w);
	v = answer(w);
	fence(w);
	return *(const volatile __u32 *)&c->seq == seq ? v : PASS;
}

SEC("tc")
int dns_answer(struct __sk_buff *skb)
{
	int verdict = TC_ACT_UNSPEC;
	__u32 zero = 0;
	struct work *w;

	if (!is_for_us(skb))
		return TC_ACT_UNSPEC;
	w = bpf_map_lookup_elem(&answer_work, &zero);
	if (!w)
		return TC_ACT_UNSPEC;
	w->q = (struct question){ 0 };
	w->s = (struct sections){ 0 };
	if (bpf_ktime_get_coarse_ns() < *(const volatile __u64 *)&answer_control.until_ns && load(skb, w) && read_question(w) &&
	    look_up(w) == REPLY)
		verdict = send_back(skb, w);
	count(verdict == TC_ACT_UNSPEC ? ANSWER_PASSED : w->s.rcode ? ANSWER_DENIED : ANSWER_ANSWERED);
	return verdict;
}
