/* maps.h - the data plane's maps. All are pinned by the role; see svc_maps.h for their contents. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>
#include <stddef.h>

#include "svc_maps.h"

#define MAP(name_, type_, key_, value_, max_, flags_) \
	struct {                                      \
		__uint(type, type_);                  \
		__type(key, key_);                    \
		__type(value, value_);                \
		__uint(max_entries, max_);            \
		__uint(map_flags, flags_);            \
	} name_ SEC(".maps")

MAP(dp_config, BPF_MAP_TYPE_ARRAY, __u32, struct dp_config, 1, 0);
MAP(dp_counters, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, DP_COUNTERS, 0);
MAP(svc_frontends, BPF_MAP_TYPE_HASH, struct svc_key, struct svc_value, DP_FRONTENDS_MAX, BPF_F_NO_PREALLOC);
MAP(svc_backends, BPF_MAP_TYPE_ARRAY, __u32, struct svc_backend, DP_BACKENDS_MAX, 0);
MAP(svc_turns, BPF_MAP_TYPE_ARRAY, __u32, __u32, DP_SERVICES_MAX, 0);
MAP(svc_sources, BPF_MAP_TYPE_LPM_TRIE, struct svc_source, __u8, DP_SOURCES_MAX, BPF_F_NO_PREALLOC);
MAP(svc_affinity, BPF_MAP_TYPE_LRU_HASH, struct affinity_key, struct affinity_value, DP_AFFINITY_MAX, 0);
MAP(node_addrs, BPF_MAP_TYPE_HASH, __be32, __u32, DP_NODE_ADDRS_MAX, BPF_F_NO_PREALLOC);
MAP(netns_kinds, BPF_MAP_TYPE_HASH, __u64, __u32, DP_NETNS_MAX, BPF_F_NO_PREALLOC);
MAP(sock_flows, BPF_MAP_TYPE_LRU_HASH, struct sock_flow_key, struct sock_flow, DP_FLOWS_MAX, 0);
MAP(conntrack, BPF_MAP_TYPE_LRU_HASH, struct ct_key, struct ct_value, DP_CONNTRACK_MAX, 0);
MAP(fragments, BPF_MAP_TYPE_LRU_HASH, struct fragment_key, __be32, DP_FRAGMENTS_MAX, 0);

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__type(key, int);
	__type(value, struct sock_origin);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} sock_origins SEC(".maps");

static __always_inline const struct dp_config *config_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&dp_config, &zero);
}

static __always_inline void count(enum dp_counter which)
{
	__u32 at = which;
	__u64 *n = bpf_map_lookup_elem(&dp_counters, &at);

	if (n)
		*n += 1;
}

static __always_inline __u32 now_s(void)
{
	return bpf_ktime_get_coarse_ns() / 1000000000ull;
}
