/* udpdestroy.bpf.c - ends UDP sockets that are connected to a backend which left its service.
 *
 * Such a socket would send to nobody for ever: nothing of it passes the socket programs again. Unconnected
 * sockets choose anew with each datagram and are left alone. Run as an iterator over the sockets of the
 * network namespace that reads it. Linux 6.5 and later.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "svc_maps.h"

char LICENSE[] SEC("license") = "GPL";

/* The kernel's own types, as far as they are read; the loader finds the real offsets. */
#define KERNEL __attribute__((preserve_access_index))
struct sock_common {
	__be32 skc_daddr;
	__be16 skc_dport;
} KERNEL;
struct sock {
	struct sock_common __sk_common;
} KERNEL;
struct inet_sock {
	struct sock sk;
} KERNEL;
struct udp_sock {
	struct inet_sock inet;
} KERNEL;
struct bpf_iter_meta;
struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
} KERNEL;

extern int bpf_sock_destroy(struct sock_common *sock) __ksym;

/* The proxy role's own map, so only sockets that asked for a service are looked at. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__type(key, int);
	__type(value, struct sock_origin);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} sock_origins SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct svc_backend);
	__type(value, __u8);
	__uint(max_entries, DP_GONE_MAX);
} gone_backends SEC(".maps");

SEC("iter/udp")
int destroy_udp(struct bpf_iter__udp *ctx)
{
	struct udp_sock *us = ctx->udp_sk;
	struct sock_origin *o;
	struct svc_backend key = { 0 };

	if (!us)
		return 0;
	o = bpf_sk_storage_get(&sock_origins, us, 0, 0);
	if (!o)
		return 0;
	key.addr = us->inet.sk.__sk_common.skc_daddr;
	key.port = us->inet.sk.__sk_common.skc_dport;
	/* It may have been connected to something else since. */
	if (o->backend_addr != key.addr || o->backend_port != key.port)
		return 0;
	if (bpf_map_lookup_elem(&gone_backends, &key))
		bpf_sock_destroy((struct sock_common *)us);
	return 0;
}
