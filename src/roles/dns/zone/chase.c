/* ExternalNames: a CNAME, and what it leads to: in this zone at once, elsewhere when somebody has asked. */
#include "roles/dns/zone/zone_int.h"

#define CHAIN_MAX 11 /* ExternalNames that lead to each other: CoreDNS' maxCnameChainLength, and the first */

static void target_of(const struct service *s, struct dns_name *ret)
{
	const uint8_t *name = service_external(s);

	ret->len = ret->labels = 0;
	while (name[ret->len]) {
		ret->len = (uint8_t)(ret->len + 1 + name[ret->len]);
		ret->labels++;
	}
	memcpy(ret->wire, name, ++ret->len);
}

/* The chain of CNAMEs from `f` on: each next is again an ExternalName of ours. Returns its length, 0 for a loop; what it
 * ends in goes to *target, and *f if that is in this zone. */
static size_t follow(const struct zone *z, struct found *f, const struct service *chain[CHAIN_MAX], struct dns_name *target,
		     bool *ret_inside)
{
	struct prefix p;

	for (size_t len = 0; len < CHAIN_MAX;) {
		for (size_t i = 0; i < len; i++)
			if (chain[i] == f->service)
				return 0;
		chain[len++] = f->service;
		target_of(f->service, target);
		*ret_inside = prefix_of(target, &z->options.domain, &p);
		if (!*ret_inside)
			return len;
		zone_find(z, target, &p, f);
		if (f->kind != FOUND_EXTERNAL)
			return len;
	}
	return 0;
}

static uint16_t put_cnames(struct reply *r, const struct service *const *chain, size_t n)
{
	uint16_t owner_at = DNS_QUESTION_AT;
	struct dns_name to;

	for (size_t i = 0; i < n && owner_at; i++) {
		target_of(chain[i], &to);
		r->put++;
		owner_at = dns_put(&r->w, DNS_ANSWER, owner_at, DNS_CNAME, r->z->options.ttl,
				   &(struct dns_rdata){ .name = to.wire, .name_len = to.len });
	}
	return owner_at;
}

/* A target in our zone that has no such record gives a plain denial, without the CNAME: CoreDNS does so. */
static void put_inside(struct reply *r, const struct service *const *chain, size_t n, const struct found *last)
{
	struct dns_writer before = r->w;
	uint16_t owner_at = put_cnames(r, chain, n);

	if (!owner_at)
		return; /* cut short: over TCP there is more */
	r->put = 0;
	if (r->type == DNS_A || r->type == DNS_AAAA)
		zone_reply_put(r, owner_at, last);
	if (!r->put)
		r->w = before;
}

static void put_chased(struct reply *r, const struct service *const *chain, size_t n, const struct dns_message *chased)
{
	put_cnames(r, chain, n);
	r->w.truncated |= (chased->flags & DNS_FLAG_TC) != 0;
	for (struct dns_record rec = dns_records(chased); dns_record_next(chased, &rec);)
		if (rec.section == DNS_ANSWER && !r->w.truncated)
			dns_put_copy(&r->w, DNS_ANSWER, chased, &rec);
}

enum zone_verdict zone_reply_external(struct reply *r, const struct found *f, const struct dns_message *chased, struct zone_answer *ret)
{
	const struct service *chain[CHAIN_MAX];
	struct found last = *f;
	bool inside = true;
	size_t n = r->type == DNS_CNAME ? 1 : follow(r->z, &last, chain, &ret->target, &inside);

	if (n && !inside && !chased && r->type != DNS_ANY)
		return ZONE_CHASE;
	if (r->type == DNS_CNAME)
		put_cnames(r, &f->service, 1);
	else if (n && r->type != DNS_ANY && inside)
		put_inside(r, chain, n, &last);
	else if (n && r->type != DNS_ANY)
		put_chased(r, chain, n, chased);
	ret->rcode = DNS_NOERROR;
	ret->len = zone_reply_finish(r, DNS_NOERROR);
	return ZONE_ANSWERED;
}
