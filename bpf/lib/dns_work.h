/* dns_work.h - what the DNS program keeps in maps, and what it knows of one question on its way. */
#pragma once

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
