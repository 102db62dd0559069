/* service.h - from an address that was asked for to a service, and from a service to a backend. */
#pragma once

#include "lib/maps.h"

#define SCAN_MAX 4096 /* more backends than this: a moved one counts as gone */

static __always_inline struct svc_value *frontend_get(__be32 addr, __be16 port, __u8 proto)
{
	struct svc_key k = { .addr = addr, .port = port, .proto = proto };

	return bpf_map_lookup_elem(&svc_frontends, &k);
}

static __always_inline bool is_node_port(__be16 port)
{
	const struct dp_config *c = config_get();
	__u16 p = bpf_ntohs(port);

	return c && p >= c->node_port_min && p <= c->node_port_max;
}

static __always_inline bool is_node_addr(__be32 addr)
{
	return bpf_map_lookup_elem(&node_addrs, &addr) != NULL;
}

static __always_inline bool is_service_range(__be32 addr)
{
	const struct dp_config *c = config_get();

	return c && c->service_mask && (addr & c->service_mask) == c->service_net;
}

static __always_inline bool is_loopback(__be32 addr)
{
	return (addr & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
}

static __always_inline struct svc_backend *backend_at(const struct svc_value *s, __u32 slot)
{
	__u32 at = s->first + slot;

	return bpf_map_lookup_elem(&svc_backends, &at);
}

struct scan {
	const struct svc_value *svc;
	__be32 addr;
	__be16 port;
	__s32 slot;
};

static long scan_step(__u32 i, struct scan *sc)
{
	struct svc_backend *b = backend_at(sc->svc, i);

	if (!b || b->addr != sc->addr || b->port != sc->port)
		return 0;
	sc->slot = i;
	return 1;
}

/* The slot of a backend that is still the service's, or -1. `hint` is right unless the list changed. */
static __always_inline __s32 backend_slot(const struct svc_value *s, __be32 addr, __be16 port, __u32 hint)
{
	struct scan sc = { .svc = s, .addr = addr, .port = port, .slot = -1 };
	struct svc_backend *b;
	__u32 n = s->count;

	if (hint < n) {
		b = backend_at(s, hint);
		if (b && b->addr == addr && b->port == port)
			return hint;
	}
	bpf_loop(n < SCAN_MAX ? n : SCAN_MAX, scan_step, &sc, 0);
	return sc.slot;
}

/* Each round of `count` picks visits every backend once; rounds start at scattered places, so that a
 * client which connects in a fixed rhythm does not always meet the same backend. */
static __always_inline __u32 next_slot(const struct svc_value *s)
{
	__u32 id = s->id, n = s->count, turn, *counter;

	if (n <= 1)
		return 0;
	counter = bpf_map_lookup_elem(&svc_turns, &id);
	turn = counter ? __sync_fetch_and_add(counter, 1) : bpf_get_prandom_u32();
	return (turn % n + (turn / n * 0x9e3779b1u >> 16)) % n;
}

/* Chooses by affinity, else in turn. NULL when there is no endpoint. */
static __always_inline struct svc_backend *backend_pick(const struct svc_value *s, struct affinity_key *client,
							__u32 *ret_slot)
{
	struct affinity_value *old = NULL, kept;
	struct svc_backend *b;
	__u32 slot, now;
	__s32 at;

	if (!s->count)
		return NULL;
	if (!s->affinity_s) {
		*ret_slot = next_slot(s);
		return backend_at(s, *ret_slot);
	}
	now = now_s();
	client->id = s->id;
	old = bpf_map_lookup_elem(&svc_affinity, client);
	at = old && now - old->used_s < s->affinity_s ? backend_slot(s, old->addr, old->port, old->slot) : -1;
	slot = at >= 0 ? (__u32)at : next_slot(s);
	b = backend_at(s, slot);
	if (!b)
		return NULL;
	kept = (struct affinity_value){ .addr = b->addr, .port = b->port, .slot = slot, .used_s = now };
	bpf_map_update_elem(&svc_affinity, client, &kept, BPF_ANY);
	*ret_slot = slot;
	return b;
}
