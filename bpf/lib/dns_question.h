/* dns_question.h - is the packet a question to the DNS service, and which? Nothing is changed yet. */
#pragma once

#include "lib/dns_work.h"

/* ---- is it one? ---- */

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline __u32 sum_words(const void *data, int n)
{
	const __u16 *p = data;
	__u32 sum = 0;

	for (int i = 0; i < n; i++)
		sum += p[i];
	return sum;
}

/* Whole, IPv4 without options, UDP, to the DNS service. */
static __always_inline bool is_for_us(struct __sk_buff *skb)
{
	const struct headers *h = (void *)(long)skb->data;
	struct answer_target t = { .addr = { 0, 0, bpf_htonl(0xffff) } };

	if ((void *)&h->id > (void *)(long)skb->data_end)
		return false;
	if (h->eth.h_proto != bpf_htons(ETH_P_IP) || h->ip.protocol != IPPROTO_UDP || h->ip.version != 4 || h->ip.ihl != 5 ||
	    h->ip.frag_off & bpf_htons(IP_ANY_FRAGMENT) || skb->vlan_present || skb->gso_segs > 1)
		return false;
	t.addr[3] = h->ip.daddr;
	t.port = h->udp.dest;
	return bpf_map_lookup_elem(&answer_targets, &t) != NULL;
}

static __always_inline bool load(struct __sk_buff *skb, struct work *w)
{
	const struct headers *h = (void *)(long)skb->data;
	__u32 n = skb->len - HEADERS_BYTES;

	if ((void *)&h->id > (void *)(long)skb->data_end)
		return false;
	__builtin_memcpy(&w->head, h, HEADERS_BYTES);
	if (n < DNS_HEADER_BYTES + 1 + QUESTION_TAIL_BYTES || n > MESSAGE_BYTES_MAX ||
	    bpf_ntohs(w->head.udp.len) != sizeof(struct udphdr) + n ||
	    bpf_ntohs(w->head.ip.tot_len) != sizeof(struct iphdr) + sizeof(struct udphdr) + n ||
	    fold(sum_words(&w->head.ip, sizeof(struct iphdr) / 2)) != 0xffff)
		return false;
	w->q.message_len = n;
	return bpf_skb_load_bytes(skb, HEADERS_BYTES, w->message, n) == 0;
}

static __always_inline __u16 get_u16(const __u8 *p)
{
	return p[0] << 8 | p[1];
}

/* A query with one question and at most one record behind it. */
static __always_inline bool read_header(struct work *w)
{
	struct question *q = &w->q;
	const __u8 *m = w->message;

	q->flags = get_u16(m + 2);
	q->edns = m[11] == 1;
	return !(q->flags & ~(FLAG_RD | FLAG_AD | FLAG_CD)) && get_u16(m + 4) == 1 && !get_u16(m + 6) && !get_u16(m + 8) &&
	       m[10] == 0 && m[11] <= 1;
}

/* 1 if they are equal, without a branch: the verifier follows all of them through all labels. */
static __always_inline __u32 equal(__u8 a, __u8 b)
{
	return ((__u32)(a ^ b) - 1) >> 31;
}

/* Where the labels are; pointers are no labels. */
static __always_inline bool walk(struct work *w)
{
	const __u8 *name = w->message + DNS_HEADER_BYTES;
	__u32 at = 0, underscores = 0, turn = ++w->turn;

	for (int i = 0; i < LABELS_MAX; i++) {
		__u8 len = name[at];

		if (len == 0) {
			w->q.underscores = underscores;
			w->q.name_len = at + 1;
			w->q.n_labels = i;
			return DNS_HEADER_BYTES + at + 1 + QUESTION_TAIL_BYTES <= w->q.message_len;
		}
		if (len > LABEL_BYTES_MAX)
			return false;
		underscores |= equal(name[at + 1], '_') << (i & 31);
		w->starts[at] = turn;
		at += len + 1;
		if (at >= ANSWER_NAME_BYTES)
			return false;
	}
	return false;
}

static __always_inline bool starts_label(const struct work *w, __u32 at)
{
	return at < ANSWER_NAME_BYTES && w->starts[at] == w->turn;
}

/* Ours is the same but for the size. */
static __always_inline bool read_opt(const __u8 *p, struct question *q)
{
	__u16 size = get_u16(p + 3), flags = get_u16(p + 7);

	if (p[0] != 0 || get_u16(p + 1) != DNS_TYPE_OPT || p[5] != 0 || p[6] != 0 || flags & 0x7fff || get_u16(p + 9) != 0)
		return false;
	q->dnssec_ok = flags != 0;
	q->size = size < DNS_PLAIN_BYTES_MAX ? DNS_PLAIN_BYTES_MAX : size > DNS_EDNS_BYTES_MAX ? DNS_EDNS_BYTES_MAX : size;
	return true;
}

static __always_inline bool read_rest(struct work *w)
{
	struct question *q = &w->q;
	__u32 at = DNS_HEADER_BYTES + q->name_len;
	const __u8 *p;

	if (at > DNS_HEADER_BYTES + ANSWER_NAME_BYTES)
		return false;
	p = w->message + at;
	q->type = get_u16(p);
	q->size = DNS_PLAIN_BYTES_MAX;
	if (get_u16(p + 2) != DNS_CLASS_IN || q->type == 0 || q->type == DNS_TYPE_OPT ||
	    (q->type >= DNS_TYPE_META_FIRST && q->type <= DNS_TYPE_META_LAST))
		return false;
	at += QUESTION_TAIL_BYTES;
	if (!q->edns)
		return at == q->message_len;
	return at + OPT_BYTES == q->message_len && read_opt(p + QUESTION_TAIL_BYTES, q);
}

/* Global functions are verified by themselves, once. */
__noinline int read_question(struct work *w)
{
	return w && read_header(w) && walk(w) && read_rest(w);
}

/* ---- the name ---- */

#define EACH_BYTE(x) ((x) * 0x0101010101010101ull)

/* Eight characters at once. Labels' lengths are below 'A', so that they need no skipping. */
static __always_inline __u64 lower(__u64 x)
{
	__u64 seven = x & EACH_BYTE(0x7f);
	__u64 from_a = seven + EACH_BYTE(0x80ull - 'A'), beyond_z = seven + EACH_BYTE(0x7full - 'Z');

	return x | (~x & (from_a ^ beyond_z) & EACH_BYTE(0x80ull)) >> 2;
}

/* The first n bytes of a word in memory. */
static __always_inline __u64 head_of(__u64 word, __u32 n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return word & ((1ull << (n * 8 & 63)) - 1);
#else
	return n ? word & ~0ull << ((64 - n * 8) & 63) : 0;
#endif
}

static __always_inline void lower_name(struct work *w)
{
	const struct question *q = &w->q;
	const __u64 *from = (const __u64 *)(w->message + DNS_HEADER_BYTES);

	for (int i = 0; i < NAME_WORDS - 1; i++) {
		__u32 at = i * 8;

		if (at >= q->name_len) {
			w->name[i] = 0;
			return;
		}
		w->name[i] = lower(from[i]);
		if (at + 8 > q->name_len)
			w->name[i] = head_of(w->name[i], q->name_len - at);
	}
	w->name[NAME_WORDS - 1] = 0;
}

static __always_inline bool in_zone(struct work *w)
{
	struct question *q = &w->q;
	const struct answer_control *c = &answer_control;
	__u32 below = q->name_len - c->zone_len;

	if (q->name_len < c->zone_len || below > ANSWER_KEY_NAME_BYTES)
		return false;
	if (below && (q->n_labels <= c->zone_labels || !starts_label(w, below)))
		return false;
	for (int i = 0; i < ANSWER_ZONE_BYTES / 8; i++) {
		if (i * 8 >= c->zone_len)
			break;
		if (*(const __u64 *)((const __u8 *)w->name + below + i * 8) != *(const __u64 *)(c->zone + i * 8))
			return false;
	}
	q->below = below;
	return true;
}

static __always_inline void make_key(struct work *w, __u32 len, enum answer_scope scope)
{
	__u64 *key = (__u64 *)&w->key;

	for (int i = 0; i < KEY_WORDS; i++) {
		__u32 at = i * 8;

		key[i] = at + 8 <= len ? w->name[i] : at < len ? head_of(w->name[i], len - at) : 0;
	}
	w->key.scope = scope;
}
