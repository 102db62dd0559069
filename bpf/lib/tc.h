/* tc.h - services for packets: what comes from outside the machine, and from pods whose sockets are
 * out of reach. Requests are sent to a backend, replies get the service's address back.
 *
 * Every function returns a TC verdict, or NOT_OURS when the packet is to be looked at further.
 */
#pragma once

#include "lib/conntrack.h"
#include "lib/service.h"

#define NOT_OURS (-100)

enum side { SIDE_HOST, SIDE_POD }; /* on which kind of interface the packet came in */

static __always_inline int drop(enum dp_counter why)
{
	count(why);
	return TC_ACT_SHOT;
}

/* Global, so that the verifier looks at it once and not at each call: loading is ten times as fast. */
__noinline int translate(struct __sk_buff *skb, struct packet *p, struct tuple *to)
{
	if (!p || !to)
		return TC_ACT_SHOT;
	if (packet_rewrite(skb, p, to) < 0)
		return drop(DP_REWRITE_FAILED);
	return packet_forward(skb, p);
}

static __always_inline struct svc_value *packet_service(const struct packet *p, enum side side)
{
	struct svc_value *s = frontend_get(p->t.daddr, p->t.dport, p->proto);

	if (!s && is_node_port(p->t.dport) && is_node_addr(p->t.daddr))
		s = frontend_get(0, p->t.dport, p->proto);
	/* ClusterIPs are for pods and this node only. */
	return s && (side == SIDE_POD || (s->flags & SVC_EXTERNAL)) ? s : NULL;
}

static __always_inline bool source_allowed(const struct svc_value *s, __be32 saddr)
{
	struct svc_source k = { .prefixlen = 64, .id = s->id, .addr = saddr };

	return !(s->flags & SVC_SOURCES) || bpf_map_lookup_elem(&svc_sources, &k) != NULL;
}

static __always_inline int no_backend(const struct svc_value *s)
{
	if (s->flags & SVC_LOCAL)
		return drop(DP_NO_LOCAL);
	count(DP_NO_ENDPOINTS);
	return TC_ACT_OK; /* nothing listens there: the host's own stack refuses */
}

/* The first packet of a connection to a service. */
static __always_inline int service_open(struct __sk_buff *skb, struct packet *p, const struct svc_value *s)
{
	struct affinity_key client = { .client = p->t.saddr, .from_packet = 1 };
	const struct dp_config *c = config_get();
	struct tuple to = p->t;
	struct svc_backend *b;
	bool returns_elsewhere;
	__u32 slot;

	if (!source_allowed(s, p->t.saddr))
		return drop(DP_SOURCE_DENIED);
	b = backend_pick(s, &client, &slot);
	if (!b || !c)
		return no_backend(s);
	to.daddr = b->addr;
	to.dport = b->port;
	/* A pod that reaches itself would answer itself directly; a backend elsewhere would answer the client. */
	returns_elsewhere = b->addr == p->t.saddr || !((b->flags & BACKEND_LOCAL) || is_node_addr(b->addr));
	if (returns_elsewhere)
		to.saddr = c->node_addr;
	if (ct_open(p, &to, returns_elsewhere, slot) < 0)
		return TC_ACT_SHOT;
	return translate(skb, p, &to);
}

/* A connection that is known keeps its backend. What may start anew (SYN, datagrams) only if it is still one. */
static __always_inline bool request_stays(const struct packet *p, const struct ct_value *v, const struct svc_value *s)
{
	if (p->proto == IPPROTO_TCP && !packet_opens(p))
		return true;
	if (!ct_live(v, p->proto))
		return false;
	if (v->to.daddr == p->t.daddr) /* straight to a pod, from another port */
		return true;
	return !s ? false : backend_slot(s, v->to.daddr, v->to.dport, v->slot) >= 0;
}

static __always_inline int request(struct __sk_buff *skb, struct packet *p, enum side side)
{
	struct ct_key k = ct_key_of(&p->t, p->proto, CT_REQUEST);
	struct ct_value *v = bpf_map_lookup_elem(&conntrack, &k);
	struct svc_value *s = NULL;
	struct tuple to;

	if (!v || p->proto != IPPROTO_TCP || packet_opens(p))
		s = packet_service(p, side);
	if (v && request_stays(p, v, s)) {
		ct_touch(v, p);
		to = v->to;
		if (p->tcp_flags & TCP_RST)
			ct_reset(p, &to);
		return translate(skb, p, &to);
	}
	if (!s)
		return NOT_OURS;
	if (p->proto == IPPROTO_TCP && !packet_opens(p))
		return side == SIDE_POD ? TC_ACT_SHOT : TC_ACT_OK; /* of no connection we know: the host resets it */
	return service_open(skb, p, s);
}

static __always_inline int reply(struct __sk_buff *skb, struct packet *p, bool leaving)
{
	struct ct_key k = ct_key_of(&p->t, p->proto, CT_REPLY);
	struct ct_value *v = bpf_map_lookup_elem(&conntrack, &k);
	struct tuple to;

	if (!v)
		return NOT_OURS;
	ct_touch(v, p);
	if (v->flags & CT_DIRECT)
		return TC_ACT_OK;
	to = v->to;
	if (!leaving)
		return translate(skb, p, &to);
	return packet_rewrite(skb, p, &to) < 0 ? drop(DP_REWRITE_FAILED) : TC_ACT_OK;
}

/* A connection straight to a pod: remembered, so that no translated one gets the same tuple; and if a
 * translated one has it already, this one gets another source port. */
static __always_inline int direct(struct __sk_buff *skb, struct packet *p)
{
	const struct dp_config *c = config_get();
	struct tuple back = tuple_reversed(&p->t), to = p->t;
	struct ct_key k = ct_key_of(&back, p->proto, CT_REPLY);
	struct ct_value *v, mark = { .to = back, .flags = CT_DIRECT, .used_s = now_s() };

	if (!c || !c->pod_mask || (p->t.daddr & c->pod_mask) != c->pod_net)
		return NOT_OURS;
	if (p->tcp_flags & TCP_RST)
		ct_reset(p, &p->t);
	if (!packet_opens(p))
		return NOT_OURS;
	v = bpf_map_lookup_elem(&conntrack, &k);
	if (!v || (v->flags & CT_DIRECT) || !ct_live(v, p->proto)) {
		bpf_map_update_elem(&conntrack, &k, &mark, BPF_ANY);
		return NOT_OURS;
	}
	if (ct_open(p, &to, false, 0) < 0)
		return TC_ACT_SHOT;
	return translate(skb, p, &to);
}

/* A ClusterIP nobody serves must not leave the machine. */
static __always_inline bool is_stray(const struct packet *p)
{
	return is_service_range(p->t.daddr) && !is_node_addr(p->t.daddr);
}

static __always_inline bool may_be_reply_to_node(const struct packet *p)
{
	const struct dp_config *c = config_get();
	__u16 port = bpf_ntohs(p->t.dport);

	return c && p->t.daddr == c->node_addr && port >= c->snat_port_min && port <= c->snat_port_max;
}
