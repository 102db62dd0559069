/* nodelocal_shared.h - what the DNS role tells its socket programs, through memory they share.
 *
 * The role has no privilege left for bpf(2) when it changes this; a mapping needs none. Addresses and ports are in
 * network order. Nothing here outlives the role.
 */
#pragma once

#include <linux/types.h>

/* Addresses of the DNS Service, and of its endpoints where they matter: a cluster has a handful. Every connect() on the
 * machine compares with all of them. */
#define NODELOCAL_TARGETS_MAX 16

struct nodelocal_target {
	__be32 addr;
	__be16 port;
	__u16 pad;
	/* What the program that asked is told as the source of answers: the target itself, or, where another proxy may
	 * have translated before, the Service. */
	__be32 shown_addr;
	__be16 shown_port;
	__u16 pad2;
};
struct nodelocal_targets {
	__u32 n;
	struct nodelocal_target at[NODELOCAL_TARGETS_MAX];
};
struct nodelocal_shared {
	__be32 local;	      /* where the local instance answers, at port 53 */
	__u32 serving;	      /* 0: nothing is translated */
	__u64 beat_ns;	      /* CLOCK_MONOTONIC when the role was last seen alive */
	__u64 beat_max_ns;    /* older than this: as if it did not serve */
	__u32 which;	      /* of targets; the other one is being written */
	__u32 self;	      /* the role's process, as the kernel numbers it; 0: not known */
	__u64 self_cookie;    /* the process that connects the socket of this number is the role's; 0: it is known */
	struct nodelocal_targets targets[2];
};
