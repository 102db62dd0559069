/* nodelocal.bpf.c - sockets that ask the cluster's DNS address reach this node's instance instead.
 *
 * Attached to a cgroup2. The destination changes before a packet exists, so neither conntrack nor NAT is involved;
 * getpeername() and the source of recvmsg() show what was asked for, since resolvers (musl, dig) compare it.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "nodelocal_shared.h"

char LICENSE[] SEC("license") = "GPL"; /* the kernel's word for programs that use its GPL-only helpers */

#define MAPPED_PREFIX bpf_htonl(0xffff) /* ::ffff:0:0/96, RFC 4291 2.5.5.2 */
#define DNS_PORT bpf_htons(53)
#define GO_ON 1

/* Kernels before 6.1 do not say which process runs to these programs. */
const volatile bool knows_process = true;
/* The Service's port is 53; its endpoints', which matter behind another proxy only, may be any. Otherwise whoever took the
 * role over could call other connections to it. */
const volatile bool any_port = false;
struct nodelocal_shared shared;

struct asked {
	__be32 addr;
	__be16 port;
};
/* The destination a socket asked for last. A socket that asks two such addresses at once learns of one; resolvers ask
 * one after the other, or accept any of theirs (RFC 5452 9.1 asks them to compare with what they sent to). */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__type(key, int);
	__type(value, struct asked);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} nodelocal_asked SEC(".maps");

struct dest {
	__be32 addr;
	__be16 port;
};

static __always_inline bool alive(void)
{
	__u64 now = bpf_ktime_get_ns();

	return shared.serving && (now < shared.beat_ns || now - shared.beat_ns < shared.beat_max_ns);
}

/* The instance itself may ask the central ones. */
static __always_inline bool is_self(struct bpf_sock_addr *ctx)
{
	if (!knows_process)
		return false;
	__u32 process = bpf_get_current_pid_tgid() >> 32;

	if (shared.self_cookie && bpf_get_socket_cookie(ctx) == shared.self_cookie) {
		shared.self = process;
		shared.self_cookie = 0;
	}
	return process == shared.self;
}

static __always_inline const struct nodelocal_target *target_of(const struct dest *d)
{
	struct nodelocal_targets *t = &shared.targets[shared.which & 1];

	for (__u32 i = 0; i < NODELOCAL_TARGETS_MAX && i < t->n; i++)
		if (t->at[i].addr == d->addr && t->at[i].port == d->port)
			return &t->at[i];
	return NULL;
}

/* connect(), sendmsg(): *d may become the local instance. */
static __always_inline void translate(struct bpf_sock_addr *ctx, struct dest *d)
{
	const struct nodelocal_target *t;
	struct asked *asked;

	if (ctx->protocol != IPPROTO_UDP && ctx->protocol != IPPROTO_TCP)
		return;
	if (is_self(ctx) || !alive() || (!any_port && d->port != DNS_PORT))
		return;
	if (d->addr == shared.local && d->port == DNS_PORT) { /* asked for by its own name: that is its name now */
		asked = bpf_sk_storage_get(&nodelocal_asked, ctx->sk, 0, 0);
		if (asked)
			*asked = (struct asked){ d->addr, d->port };
		return;
	}
	t = target_of(d);
	if (!t)
		return;
	/* Without a place to note it the answer would come from a stranger: then rather as without us. */
	asked = bpf_sk_storage_get(&nodelocal_asked, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!asked)
		return;
	*asked = (struct asked){ t->shown_addr, t->shown_port };
	d->addr = shared.local;
	d->port = DNS_PORT;
}

/* recvmsg(), getpeername(): what was translated looks as it was asked for; also when the instance has stopped since. */
static __always_inline void restore(struct bpf_sock_addr *ctx, struct dest *d)
{
	struct asked *asked;

	if (d->port != DNS_PORT || d->addr != shared.local)
		return;
	asked = bpf_sk_storage_get(&nodelocal_asked, ctx->sk, 0, 0);
	if (!asked)
		return;
	d->addr = asked->addr;
	d->port = asked->port;
}

static __always_inline bool is_mapped(const struct bpf_sock_addr *ctx)
{
	return !ctx->user_ip6[0] && !ctx->user_ip6[1] && ctx->user_ip6[2] == MAPPED_PREFIX;
}

/* The compiler may not merge accesses to the context's fields: each program reads and writes them here, once. */
#define PROGRAM_V4(name, act)                                                  \
	int name(struct bpf_sock_addr *ctx)                                    \
	{                                                                      \
		struct dest d = { .addr = ctx->user_ip4, .port = ctx->user_port }; \
                                                                               \
		act(ctx, &d);                                                  \
		ctx->user_ip4 = d.addr;                                        \
		ctx->user_port = d.port;                                       \
		return GO_ON;                                                  \
	}
#define PROGRAM_V6(name, act)                                                  \
	int name(struct bpf_sock_addr *ctx)                                    \
	{                                                                      \
		struct dest d;                                                 \
                                                                               \
		if (!is_mapped(ctx))                                           \
			return GO_ON;                                          \
		d = (struct dest){ .addr = ctx->user_ip6[3], .port = ctx->user_port }; \
		act(ctx, &d);                                                  \
		ctx->user_ip6[3] = d.addr;                                     \
		ctx->user_port = d.port;                                       \
		return GO_ON;                                                  \
	}

SEC("cgroup/connect4") PROGRAM_V4(nodelocal_connect4, translate)
SEC("cgroup/connect6") PROGRAM_V6(nodelocal_connect6, translate)
SEC("cgroup/sendmsg4") PROGRAM_V4(nodelocal_sendmsg4, translate)
SEC("cgroup/sendmsg6") PROGRAM_V6(nodelocal_sendmsg6, translate)
SEC("cgroup/recvmsg4") PROGRAM_V4(nodelocal_recvmsg4, restore)
SEC("cgroup/recvmsg6") PROGRAM_V6(nodelocal_recvmsg6, restore)
SEC("cgroup/getpeername4") PROGRAM_V4(nodelocal_getpeername4, restore)
SEC("cgroup/getpeername6") PROGRAM_V6(nodelocal_getpeername6, restore)
