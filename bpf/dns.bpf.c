/* dns.bpf.c - answers questions about cluster names where a pod's packet enters the host: tcx or clsact ingress of the
 * host's side of its veth. The question becomes its answer in place and goes back to the pod.
 *
 * Whatever is not certain goes on as if the program were not there. An answer is, byte for byte, what the DNS role says.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>

#include "dns_maps.h"

char LICENSE[] SEC("license") = "GPL"; /* the kernel's word for programs that use its GPL-only helpers */

#define DNS_HEADER_BYTES 12
#define QUESTION_TAIL_BYTES 4 /* type and class */
#define OPT_BYTES 11
#define MESSAGE_BYTES_MAX (DNS_HEADER_BYTES + ANSWER_NAME_BYTES + QUESTION_TAIL_BYTES + OPT_BYTES)
#define NAME_WORDS (ANSWER_NAME_BYTES / 8 + 2) /* one of them stays zero behind the name */
#define KEY_WORDS (sizeof(struct answer_key) / 8)
#define LABELS_MAX 40 /* an ip6.arpa name has 34 */
#define LABEL_BYTES_MAX 63

#define DNS_TYPE_OPT 41
#define DNS_TYPE_META_FIRST 128 /* RFC 6895: types that are no data */
#define DNS_TYPE_META_LAST 255
#define DNS_CLASS_IN 1
#define DNS_PLAIN_BYTES_MAX 512	   /* what every client takes (RFC 1035) */
#define DNS_EDNS_BYTES_MAX 1232	   /* what no path fragments (DNS flag day 2020) */

#define FLAG_QR 0x8000
#define FLAG_AA 0x0400
#define FLAG_RD 0x0100
#define FLAG_RA 0x0080
#define FLAG_AD 0x0020
#define FLAG_CD 0x0010
#define RCODE_NXDOMAIN 3

#define IP_DONT_FRAGMENT 0x4000
#define IP_ANY_FRAGMENT 0x3fff /* offset, and more to come */
#define ANSWER_TTL 64

/* ---- what the role writes ---- */

#define MAP(name_, type_, key_, value_, max_, flags_) \
	struct {                                      \
		__uint(type, type_);                  \
		__type(key, key_);                    \
		__type(value, value_);                \
		__uint(max_entries, max_);            \
		__uint(map_flags, flags_);            \
	} name_ SEC(".maps")

struct medium {
	__u8 bytes[ANSWER_MEDIUM_BYTES];
};
struct large {
	__u8 bytes[ANSWER_LARGE_BYTES];
};
/* The role sets how many there may be: by the machine's memory. */
MAP(answer_names, BPF_MAP_TYPE_HASH, struct answer_key, struct answer_entry, ANSWER_NAMES_MIN, BPF_F_NO_PREALLOC);
MAP(answer_medium, BPF_MAP_TYPE_HASH, __u32, struct medium, ANSWER_NAMES_MIN, BPF_F_NO_PREALLOC);
MAP(answer_large, BPF_MAP_TYPE_HASH, __u32, struct large, ANSWER_NAMES_MIN, BPF_F_NO_PREALLOC);
MAP(answer_targets, BPF_MAP_TYPE_HASH, struct answer_target, __u8, ANSWER_TARGETS_MAX, BPF_F_NO_PREALLOC);
MAP(answer_counters, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, ANSWER_COUNTERS, 0);

struct answer_control answer_control;

/* ---- one question ---- */

struct headers {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	__be16 id, flags, counts[4];
} __attribute__((packed));
#define HEADERS_BYTES (sizeof(struct headers) - DNS_HEADER_BYTES) /* before the message */

struct opt {
	__u8 root;
	__be16 type, size;
	__u8 rcode, version;
	__be16 flags, len;
} __attribute__((packed));

struct question {
	__u32 message_len;
	__u32 name_len, n_labels;
	__u32 underscores; /* a bit for each label that starts with one, the first is bit 0 */
	__u32 below;	  /* how much of the name is before the zone's */
	__u16 type, flags;
	__u16 size;	  /* the asker takes no more */
	bool edns, dnssec_ok;
};

struct sections {
	__u32 len; /* in work.sections */
	__u8 answers, authority, additional, record;
	__u16 rcode;
};

/* What is too large for the stack; and what is kept here need not be followed through all branches by the verifier.
 * Programs at this hook do not interrupt each other on one CPU. */
struct work {
	struct headers head;
	__u8 pad[6]; /* the question's name is aligned */
	__u8 message[DNS_HEADER_BYTES + ANSWER_NAME_BYTES + QUESTION_TAIL_BYTES + OPT_BYTES + 8];
	__u64 name[NAME_WORDS]; /* lower case, zeros behind it */
	struct answer_key key;
	struct answer_entry entry;
	__u64 pad2; /* copies are of words, and may begin within one */
	__u8 sections[2 * ANSWER_LARGE_BYTES + OPT_BYTES];
	struct question q;
	struct sections s;
	__u64 fence;
	__u32 turn;			  /* counts questions */
	__u32 starts[ANSWER_NAME_BYTES + 1]; /* the turn in which a label started at this place of the name */
};
MAP(answer_work, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct work, 1, 0);

static __always_inline void count(enum answer_counter which)
{
	__u32 at = which;
	__u64 *n = bpf_map_lookup_elem(&answer_counters, &at);

	if (n)
		*n += 1;
}

/* Loads before it are done before those behind it. */
static __always_inline void fence(struct work *w)
{
	__sync_fetch_and_add(&w->fence, 1);
}

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

/* ---- what it is answered with ---- */

enum verdict { PASS, REPLY };

static __always_inline void copy_words(void *to, const void *from, int bytes)
{
	volatile __u64 *t = to;
	const volatile __u64 *f = from;

	for (int i = 0; i < bytes / 8; i++)
		t[i] = f[i];
}

/* The kernel may give an entry's memory to the next one while it is being read here: the copy counts if the same entry
 * still stands there afterwards. */
static __always_inline bool copy_entry(struct work *w, const struct answer_entry *e)
{
	const struct answer_entry *again;

	copy_words(&w->entry, e, sizeof(*e));
	fence(w);
	again = bpf_map_lookup_elem(&answer_names, &w->key);
	return again == e && again->id == w->entry.id;
}

#define COPY_SECTIONS(map_, bytes_)                                           \
	static __always_inline bool copy_##map_(struct work *w, __u32 id)     \
	{                                                                     \
		const void *from = bpf_map_lookup_elem(&answer_##map_, &id);  \
                                                                              \
		if (!from)                                                    \
			return false;                                         \
		copy_words(w->sections, from, bytes_);                        \
		fence(w);                                                     \
		return bpf_map_lookup_elem(&answer_##map_, &id) == from;      \
	}
COPY_SECTIONS(medium, ANSWER_MEDIUM_BYTES)
COPY_SECTIONS(large, ANSWER_LARGE_BYTES)

#define FOR_WORDS(i, n, max) for (__u32 i = 0; i < (max); i += 8) if (i >= (n)) break; else

/* Sets begin at words' borders; what is copied beyond this one does no harm. */
static __always_inline bool copy_inline(struct work *w, const struct answer_set *s)
{
	const __u8 *from = w->entry.bytes, *name = (const __u8 *)w->name;
	__u32 at = s->at, len = s->len, insert = s->insert_at, skip = s->insert_from, name_len = w->q.name_len - skip;

	if (at >= ANSWER_INLINE_BYTES || insert >= ANSWER_INLINE_BYTES)
		return false;
	FOR_WORDS(i, insert ? insert : len, ANSWER_INLINE_BYTES)
		*(__u64 *)(w->sections + i) = *(const __u64 *)(from + at + i);
	if (!insert)
		return len <= ANSWER_INLINE_BYTES;
	if (skip >= ANSWER_NAME_BYTES || name_len > ANSWER_NAME_BYTES || insert + name_len > len)
		return false;
	FOR_WORDS(i, name_len, ANSWER_NAME_BYTES + 1)
		*(__u64 *)(w->sections + insert + i) = *(const __u64 *)(name + skip + i);
	FOR_WORDS(i, len - insert - name_len, ANSWER_INLINE_BYTES)
		*(__u64 *)(w->sections + insert + name_len + i) = *(const __u64 *)(from + at + insert + i);
	return len <= ANSWER_INLINE_BYTES + name_len;
}

static __always_inline bool copy_set(struct work *w, const struct answer_set *s, __u32 id)
{
	switch (s->where) {
	case ANSWER_INLINE:
		return copy_inline(w, s);
	case ANSWER_MEDIUM:
		return copy_medium(w, id);
	case ANSWER_LARGE:
		return copy_large(w, id);
	}
	return false;
}

/* SOA, with pointers to where the zone's name is in this question. */
static __always_inline enum verdict deny(struct work *w, __u16 rcode)
{
	const struct answer_control *c = &answer_control;

	if (c->denial_len == 0 || c->denial_len > ANSWER_DENIAL_BYTES)
		return PASS;
	copy_words(w->sections, c->denial, ANSWER_DENIAL_BYTES);
	for (int i = 0; i < ANSWER_POINTERS_MAX; i++)
		if (i < c->n_pointers && c->pointers[i] < ANSWER_DENIAL_BYTES)
			w->sections[c->pointers[i]] = DNS_HEADER_BYTES + w->q.below;
	w->s = (struct sections){ .len = c->denial_len, .authority = 1, .rcode = rcode };
	return REPLY;
}

static __always_inline bool label_is(const __u8 *p, const char *text, int n)
{
	for (int i = 0; i < n; i++)
		if (p[i] != (__u8)text[i])
			return false;
	return true;
}

static __always_inline bool is_protocol(const __u8 *p)
{
	return label_is(p, "\3tcp", 4) || label_is(p, "\3udp", 4) || label_is(p, "\4sctp", 5);
}

/* "_http._tcp.web.default" is how it is written, and in the map; other spellings are user space's. */
static __always_inline bool may_be_port(const struct work *w, __u32 labels)
{
	const __u8 *name = (const __u8 *)w->name;
	__u32 underscores = w->q.underscores, second = name[0] + 1;

	if (underscores || labels != 4)
		return underscores && !(underscores == 3 && labels == 4);
	return second >= ANSWER_KEY_NAME_BYTES || is_protocol(name + second);
}

/* Not in the map, and yet user space might have an answer: pods, other spellings, the zone's own few names. */
static __always_inline bool may_be_known(const struct work *w)
{
	const struct question *q = &w->q;
	const __u8 *name = (const __u8 *)w->name;
	__u32 before = q->n_labels - answer_control.zone_labels - 1, last = q->below - 4;

	if (q->below == 0 || (before == 0 && label_is(name, "\13dns-version", 12)))
		return true;
	if (q->below < 4 || last >= ANSWER_KEY_NAME_BYTES || !starts_label(w, last))
		return false;
	if (label_is(name + last, "\3svc", 4))
		return before == 0 || may_be_port(w, before);
	return label_is(name + last, "\3pod", 4) || (before <= 1 && label_is(name + last, "\3dns", 4));
}

/* By itself for the verifier: otherwise all of this would be looked at for every set. */
__noinline int put_set(struct work *w, __u32 which)
{
	const struct answer_set *set;

	if (!w || which >= ANSWER_SETS_MAX)
		return PASS;
	set = &w->entry.sets[which];
	if (set->len > ANSWER_LARGE_BYTES || !copy_set(w, set, w->entry.id + which))
		return PASS;
	w->s = (struct sections){ .len = set->len, .answers = set->answers, .authority = set->authority,
				  .additional = set->additional, .record = set->record };
	return REPLY;
}

static __always_inline enum verdict answer_known(struct work *w)
{
	const struct answer_entry *e = &w->entry;

	if (e->user_space)
		return PASS;
	for (__u32 i = 0; i < ANSWER_SETS_MAX; i++)
		if (i < e->n_sets && e->sets[i].type == w->q.type)
			return put_set(w, i);
	return w->key.scope == ANSWER_BELOW_ZONE ? deny(w, 0) : PASS;
}

static __always_inline enum verdict answer(struct work *w)
{
	const struct question *q = &w->q;
	const struct answer_entry *e;
	bool ours = in_zone(w);

	if (!ours && (!answer_control.whole_names || q->name_len > ANSWER_KEY_NAME_BYTES))
		return PASS;
	make_key(w, ours ? q->below : q->name_len, ours ? ANSWER_BELOW_ZONE : ANSWER_WHOLE_NAME);
	e = bpf_map_lookup_elem(&answer_names, &w->key);
	if (e)
		return copy_entry(w, e) ? answer_known(w) : PASS;
	if (!ours || !answer_control.denies || may_be_known(w))
		return PASS;
	return deny(w, RCODE_NXDOMAIN);
}

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
