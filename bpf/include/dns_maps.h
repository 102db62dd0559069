/* dns_maps.h - what the BPF program that answers cluster names and the DNS role say to each other.
 *
 * Nothing here is pinned: the layout lives as long as one process. Numbers in names' entries and in the control block are
 * in host order, addresses and ports in network order. Names are in wire form, lower case.
 */
#pragma once

#include <linux/types.h>

/* A key with its entry fills an allocation of 256 bytes (48 and 8 of it are the kernel's own), a sections' value of either
 * size one of 256 or 512. */
#define ANSWER_KEY_NAME_BYTES 79
#define ANSWER_INLINE_BYTES 72
#define ANSWER_MEDIUM_BYTES 192
#define ANSWER_LARGE_BYTES 440
#define ANSWER_SETS_MAX 3 /* A, AAAA, SRV; a name with more is user space's */

#define ANSWER_ZONE_BYTES 64 /* the longest cluster domain */
#define ANSWER_NAME_BYTES (ANSWER_KEY_NAME_BYTES + ANSWER_ZONE_BYTES) /* the longest name looked at */
#define ANSWER_DENIAL_BYTES 96 /* an SOA record: 54, for names of usual length */
#define ANSWER_POINTERS_MAX 4

#define ANSWER_TARGETS_MAX 1024 /* addresses of the DNS service: its endpoints in a large cluster */
#define ANSWER_NAMES_MIN (1u << 14)
#define ANSWER_NAMES_MAX (1u << 20)

enum answer_scope {
	ANSWER_BELOW_ZONE, /* the key is what stands before the zone's name, without the root */
	ANSWER_WHOLE_NAME, /* a name elsewhere: reverse zones */
};
struct answer_key {
	__u8 name[ANSWER_KEY_NAME_BYTES]; /* zeros behind it */
	__u8 scope;
} __attribute__((aligned(8)));

enum answer_where { ANSWER_INLINE, ANSWER_MEDIUM, ANSWER_LARGE, ANSWER_IN_USER_SPACE };
struct answer_set {
	__u16 type, len;
	__u8 where, at; /* `at`: in the entry's bytes */
	__u8 answers, authority, additional;
	__u8 record; /* all answers have this length and are rotated; 0: they are not */
	/* Inline only: at this place of the bytes the name itself is left out, from its byte insert_from to its end. 0: nowhere.
	 * An SRV record's target, which is most of it, is that nearly always. `len` is with it. */
	__u8 insert_at, insert_from;
};
struct answer_entry {
	__u32 id; /* no other entry ever has it; set i's bytes are found elsewhere under id + i */
	__u8 user_space;
	__u8 n_sets;
	__u16 pad;
	struct answer_set sets[ANSWER_SETS_MAX];
	__u32 pad2;
	__u8 bytes[ANSWER_INLINE_BYTES];
};

struct answer_target { /* IPv4 as ::ffff:a.b.c.d */
	__be32 addr[4];
	__be16 port;
	__u16 pad;
};

/* In memory that both sides see. `seq` is odd while the role changes the part behind it. */
struct answer_control {
	__u64 until_ns; /* of CLOCK_MONOTONIC: nothing is answered later; the role prolongs it while it lives */
	__u32 seq;
	__u8 zone_len, zone_labels;
	__u8 denies;	  /* every name below the zone is in the map, so that others do not exist */
	__u8 whole_names; /* there are some with that scope */
	__u8 zone[ANSWER_ZONE_BYTES] __attribute__((aligned(8)));
	/* The authority section of every denial, but for the places that hold the second byte of a pointer to the zone. */
	__u16 denial_len;
	__u8 n_pointers, pointers[ANSWER_POINTERS_MAX];
	__u8 denial[ANSWER_DENIAL_BYTES] __attribute__((aligned(8)));
};

enum answer_counter { ANSWER_ANSWERED, ANSWER_DENIED, ANSWER_PASSED, ANSWER_COUNTERS };

_Static_assert(sizeof(struct answer_key) == 80, "fills its allocation");
_Static_assert(sizeof(struct answer_entry) == 120, "fills its allocation");
_Static_assert(sizeof(struct answer_target) == 20, "is a key: no holes");
