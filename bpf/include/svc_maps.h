/* svc_maps.h - what the data plane's BPF programs and the proxy role say to each other.
 *
 * Every struct here is a map key or value: its layout is kept in pinned maps that outlive the role,
 * so a change of any of them (or of a map's size) needs a new DP_LAYOUT.
 * Addresses and ports are in network order, times in seconds of CLOCK_MONOTONIC.
 */
#pragma once

#include <linux/types.h>

#define DP_LAYOUT 1
#define DP_POD_LINK_PREFIX "pto" /* the host side of every pod's veth is named so */

#define DP_FRONTENDS_MAX (1u << 17) /* 10,000 Services of several ports, four frontends each */
#define DP_BACKENDS_MAX (1u << 18)  /* slots, those of lists being replaced included */
#define DP_SERVICES_MAX (1u << 16)  /* service ports: a counter each */
#define DP_SOURCES_MAX (1u << 16)
#define DP_AFFINITY_MAX (1u << 16)
#define DP_FLOWS_MAX (1u << 16)	    /* unconnected UDP sockets × destinations */
#define DP_CONNTRACK_MAX (1u << 17) /* two entries a connection from outside */
#define DP_FRAGMENTS_MAX (1u << 12)
#define DP_NETNS_MAX (1u << 14)
#define DP_GONE_MAX (1u << 12)	    /* UDP backends that left in one go: with more, all sockets of later ones wait */
#define DP_NODE_ADDRS_MAX (1u << 12)

/* A frontend: an address (a ClusterIP, an external one, or 0 for a node port at every node address).
 * Port and protocol 0 name the address itself, so that its undefined ports can be refused. */
struct svc_key {
	__be32 addr;
	__be16 port;
	__u8 proto;
	__u8 pad;
};

enum svc_flags {
	SVC_EXTERNAL = 1, /* also served to packets from outside: node ports, LoadBalancer, external IPs */
	SVC_LOCAL = 2,	  /* traffic policy Local: silent, not refused, when this node has no endpoint */
	SVC_SOURCES = 4,  /* only sources found in the svc_sources map under `id` */
	SVC_ADDRESS = 8,  /* the entry of an address itself */
};

struct svc_value {
	__u32 id;    /* of the service port: affinity and the round-robin counter are kept by it */
	__u32 first; /* its backends are backends[first .. first + count - 1] */
	__u32 affinity_s; /* 0: none */
	__u16 count;
	__u8 flags;
	__u8 pad;
};

enum backend_flags { BACKEND_LOCAL = 1 /* a pod of this node: its replies pass here */ };

struct svc_backend {
	__be32 addr;
	__be16 port;
	__u16 flags;
};

struct svc_source { /* LPM: prefixlen counts the 32 bits of id too */
	__u32 prefixlen;
	__u32 id;
	__be32 addr;
};

struct affinity_key {
	__u64 client; /* a network namespace's cookie, or an IPv4 address in the low half */
	__u32 id;
	__u32 from_packet; /* 1: client is an address */
};

struct affinity_value {
	__be32 addr;
	__be16 port;
	__u16 slot; /* where in the service's list it was: a hint */
	__u32 used_s;
};

/* Which service address a connected socket asked for, and the backend that stands for it. */
struct sock_origin {
	__be32 addr;
	__be16 port;
	__u16 pad1;
	__be32 backend_addr;
	__be16 backend_port;
	__u16 pad2;
};

/* Unconnected UDP: (socket, service) → backend and (socket, backend) → service. */
enum flow_dir { FLOW_TO_BACKEND = 0, FLOW_TO_SERVICE = 1 };
struct sock_flow_key {
	__u64 cookie;
	__be32 addr;
	__be16 port;
	__u8 dir;
	__u8 pad;
};
struct sock_flow {
	__be32 addr;
	__be16 port;
	__u16 slot;
};

/* Packets: what a flow is rewritten to, keyed by the tuple as it arrives. */
struct tuple {
	__be32 saddr, daddr;
	__be16 sport, dport;
};
enum ct_dir { CT_REQUEST = 0, CT_REPLY = 1 };
enum ct_flags {
	CT_FIN = 1,
	CT_RST = 2,
	CT_DIRECT = 4, /* not translated; remembered so that no translated flow takes the same tuple */
};
struct ct_key {
	struct tuple t;
	__u8 proto;
	__u8 dir;
	__u16 pad;
};
struct ct_value {
	struct tuple to;
	__u32 used_s;
	__u16 slot;
	__u8 flags;
	__u8 pad;
};

struct fragment_key {
	__be32 saddr, daddr;
	__be16 id;
	__u8 proto;
	__u8 pad;
};

enum netns_kind { NETNS_HOST = 1, NETNS_POD = 2 };

struct dp_config { /* the single entry of dp_config */
	__be32 service_net, service_mask;
	__be32 pod_net, pod_mask;
	__be32 node_addr;	       /* source of what must return through this node */
	__u16 node_port_min, node_port_max; /* host order */
	__u16 snat_port_min, snat_port_max; /* host order; outside the ephemeral range */
};

/* Why something was refused or dropped: counters by index, with the sentence for metrics. */
#define DP_COUNTER_MAP(X)                                                                     \
	X(NO_ENDPOINTS,	    "no_endpoints",	"refused: the Service has no endpoints")	   \
	X(UNDEFINED_PORT,   "undefined_port",	"refused: the ClusterIP has no such port")	   \
	X(UNKNOWN_ADDRESS,  "unknown_address",	"refused: no Service has this ClusterIP")	   \
	X(NO_LOCAL,	    "no_local_endpoints", "dropped: policy Local and no endpoint here")   \
	X(SOURCE_DENIED,    "source_denied",	"dropped: not in loadBalancerSourceRanges")	   \
	X(PORTS_EXHAUSTED,  "ports_exhausted",	"dropped: no free source port")		   \
	X(CONNTRACK_FULL,   "conntrack_full",	"dropped: connection could not be recorded")	   \
	X(UNROUTABLE,	    "unroutable",	"passed on: no route to the backend or client")	   \
	X(REWRITE_FAILED,   "rewrite_failed",	"dropped: the packet could not be rewritten")

enum dp_counter {
#define X(name, label, doc) DP_##name,
	DP_COUNTER_MAP(X)
#undef X
	DP_COUNTERS
};

#define DP_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " is map layout")
DP_SIZE(svc_key, 8);
DP_SIZE(svc_value, 16);
DP_SIZE(svc_backend, 8);
DP_SIZE(svc_source, 12);
DP_SIZE(affinity_key, 16);
DP_SIZE(affinity_value, 12);
DP_SIZE(sock_origin, 16);
DP_SIZE(sock_flow_key, 16);
DP_SIZE(sock_flow, 8);
DP_SIZE(tuple, 12);
DP_SIZE(ct_key, 16);
DP_SIZE(ct_value, 20);
DP_SIZE(fragment_key, 12);
DP_SIZE(dp_config, 28);
