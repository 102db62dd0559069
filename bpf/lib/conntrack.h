/* conntrack.h - connections that are translated packet by packet, in an LRU map of our own.
 *
 * A connection has two entries: CT_REQUEST keyed by the tuple its client sends, CT_REPLY by the tuple
 * its backend sends. Two connections never share a reply tuple: a second one gets another source port.
 */
#pragma once

#include "lib/packet.h"

#define CT_TCP_IDLE_S 86400 /* nf_conntrack forgets after five days; the map's size decides long before */
#define CT_UDP_IDLE_S 180   /* nf_conntrack_udp_timeout_stream before 5.9: the patient one */
#define CT_PORT_TRIES 16

static __always_inline struct ct_key ct_key_of(const struct tuple *t, __u8 proto, __u8 dir)
{
	return (struct ct_key){ .t = *t, .proto = proto, .dir = dir };
}

static __always_inline bool ct_live(const struct ct_value *v, __u8 proto)
{
	__u32 idle = now_s() - v->used_s;

	if (v->flags & (CT_FIN | CT_RST))
		return false;
	return idle < (proto == IPPROTO_TCP ? CT_TCP_IDLE_S : CT_UDP_IDLE_S);
}

/* Bits only ever get set while an entry lives: a lost race repeats with the next packet. */
static __always_inline void ct_touch(struct ct_value *v, const struct packet *p)
{
	__u8 flags = v->flags;
	__u32 now = now_s();

	if (p->tcp_flags & TCP_FIN)
		flags |= CT_FIN;
	if (p->tcp_flags & TCP_RST)
		flags |= CT_RST;
	if (flags != v->flags)
		v->flags = flags;
	if (now != v->used_s)
		v->used_s = now;
}

static __always_inline struct tuple tuple_reversed(const struct tuple *t)
{
	return (struct tuple){ .saddr = t->daddr, .daddr = t->saddr, .sport = t->dport, .dport = t->sport };
}

/* The client has reset the connection: no reply will ever end it, so its reply tuple is given up here.
 * `to` is how its packets arrive at the backend. */
static __always_inline void ct_reset(const struct packet *p, const struct tuple *to)
{
	struct tuple back = tuple_reversed(to);
	struct ct_key k = ct_key_of(&back, p->proto, CT_REPLY);
	struct ct_value *v = bpf_map_lookup_elem(&conntrack, &k);

	if (v)
		v->flags |= CT_RST;
}

static __always_inline bool tuple_eq(const struct tuple *a, const struct tuple *b)
{
	return a->saddr == b->saddr && a->daddr == b->daddr && a->sport == b->sport && a->dport == b->dport;
}

/* Claims the reply tuple that belongs to requests which leave as `to`; false when a live connection has it. */
static __always_inline bool ct_claim_reply(const struct packet *p, const struct tuple *to)
{
	struct tuple reply = tuple_reversed(to);
	struct ct_key k = ct_key_of(&reply, p->proto, CT_REPLY);
	struct ct_value mine = { .to = tuple_reversed(&p->t), .used_s = now_s() };
	struct ct_value *theirs = bpf_map_lookup_elem(&conntrack, &k);

	if (!theirs)
		return bpf_map_update_elem(&conntrack, &k, &mine, BPF_NOEXIST) == 0;
	if (ct_live(theirs, p->proto) && ((theirs->flags & CT_DIRECT) || !tuple_eq(&theirs->to, &mine.to)))
		return false;
	return bpf_map_update_elem(&conntrack, &k, &mine, BPF_ANY) == 0;
}

static __always_inline __be16 port_in(__u16 min, __u16 max)
{
	__u32 span = max > min ? (__u32)(max - min) + 1 : 1;

	return bpf_htons(min + bpf_get_prandom_u32() % span);
}

struct claim {
	const struct packet *p;
	struct tuple *to;
	bool other_source, done;
};

static long claim_try(__u32 i, struct claim *cl)
{
	const struct dp_config *c = config_get();

	if (c && (i > 0 || cl->other_source))
		cl->to->sport = port_in(c->snat_port_min, c->snat_port_max);
	cl->done = ct_claim_reply(cl->p, cl->to);
	return cl->done;
}

/* Records the connection that p opens. `to` says where it goes; its source port is changed if that is needed
 * to tell it from others, or if `other_source` says that its source address is not the client's. */
__noinline int ct_open(struct packet *p, struct tuple *to, bool other_source, __u32 slot)
{
	struct claim cl = { .p = p, .to = to, .other_source = other_source };
	struct ct_value v = { .used_s = now_s(), .slot = slot };
	struct ct_key k;

	if (!p || !to)
		return -1;
	k = ct_key_of(&p->t, p->proto, CT_REQUEST);
	bpf_loop(CT_PORT_TRIES, claim_try, &cl, 0);
	if (!cl.done) {
		count(DP_PORTS_EXHAUSTED);
		return -1;
	}
	v.to = *to;
	if (bpf_map_update_elem(&conntrack, &k, &v, BPF_ANY) < 0) {
		count(DP_CONNTRACK_FULL);
		return -1;
	}
	return 0;
}
