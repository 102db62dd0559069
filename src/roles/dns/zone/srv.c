/* SRV: the ports of a service, at its name or at its endpoints'. RFC 2782; weights are CoreDNS'. */
#include "roles/dns/zone/zone_int.h"

#define WEIGHT_TOTAL 100
#define PORTS_SEEN_MAX 64 /* of one endpoint's name, for saying each number once */

size_t service_name(const struct zone *z, const struct service *s, const uint8_t *host, uint8_t out[DNS_NAME_BYTES_MAX])
{
	const struct dns_name *domain = &z->options.domain;
	size_t host_len = host ? 1 + (size_t)host[0] : 0, name_len = 1 + (size_t)s->name[0], ns_len = 1 + (size_t)s->space->label[0];
	size_t len = host_len + name_len + ns_len + 4 + domain->len;
	uint8_t *p = out;

	if (len > DNS_NAME_BYTES_MAX)
		return 0;
	if (host)
		p = mempcpy(p, host, host_len);
	p = mempcpy(p, s->name, name_len);
	p = mempcpy(p, s->space->label, ns_len);
	p = mempcpy(p, "\3svc", 4);
	memcpy(p, domain->wire, domain->len);
	return len;
}

/* The target is written out: RFC 2782 allows no compression. Returns where it starts, or 0. */
static uint16_t put_srv(struct reply *r, size_t total, uint16_t port, const uint8_t *target, size_t len)
{
	uint16_t weight = (uint16_t)MAX(WEIGHT_TOTAL / total, (size_t)1);
	const uint8_t fixed[6] = { 0, 0, (uint8_t)(weight >> 8), (uint8_t)weight, (uint8_t)(port >> 8), (uint8_t)port };
	const struct dns_rdata rd = { fixed, sizeof(fixed), target, len };

	r->put++;
	if (r->w.truncated)
		return 0;
	uint16_t at = dns_put(&r->w, DNS_ANSWER, DNS_QUESTION_AT, DNS_SRV, r->z->options.ttl, &rd);
	return at ? (uint16_t)(at + sizeof(fixed)) : 0;
}

static void put_additional(struct reply *r, uint16_t owner_at, const uint8_t *ip, size_t len)
{
	dns_put(&r->w, DNS_ADDITIONAL, owner_at, len == 4 ? DNS_A : DNS_AAAA, r->z->options.ttl, &(struct dns_rdata){ ip, len });
}

struct numbers {
	uint16_t at[PORTS_SEEN_MAX];
	size_t n;
};

static bool first_seen(struct numbers *seen, uint16_t number)
{
	for (size_t i = 0; i < seen->n; i++)
		if (seen->at[i] == number)
			return false;
	if (seen->n < PORTS_SEEN_MAX)
		seen->at[seen->n++] = number;
	return true;
}

/* ---- a service with ClusterIPs ---- */

static void put_service_srv(struct reply *r, const struct found *f)
{
	const struct service *s = f->service;
	const struct port_set *set = &service_sets(s)[0];
	const uint8_t *p = port_first(s, set);
	size_t ips = (size_t)s->n_a + s->n_aaaa, total = set_count(s, set, &f->port) * ips;
	uint8_t target[DNS_NAME_BYTES_MAX];
	size_t len = service_name(r->z, s, NULL, target);
	struct numbers seen = { .n = 0 };
	struct port_entry e;
	uint16_t target_at = 0;
	struct ip ip;

	for (size_t i = 0; total && len && i < set->n; i++) {
		p = port_read(p, &e);
		if (port_passes(&f->port, &e) && first_seen(&seen, e.number))
			target_at = put_srv(r, total, e.number, target, len);
	}
	for (size_t at = 0; target_at && at < ips && service_each_ip(s, &at, &ip);)
		put_additional(r, target_at, ip.bytes, ip.len);
}

/* ---- endpoints ---- */

/* Endpoints of one name; it is one target, with all their ports and addresses. */
struct group {
	const struct service *s;
	struct members left; /* not looked at yet: n_plain first, then n_named */
	struct members own;
};

static bool next_plain(struct group *g)
{
	const struct service *s = g->s;
	struct members *m = &g->left;

	for (; m->n_plain && endpoint_host_at(s, m->plain_at); m->n_plain--)
		m->plain_at++; /* comes with its hostname */
	if (!m->n_plain)
		return false;
	const uint8_t *ip = endpoint_ip(s, m->plain_at);
	size_t len = endpoint_ip_len(s, m->plain_at);
	g->own = (struct members){ .plain_at = m->plain_at };
	while (m->n_plain && !endpoint_host_at(s, m->plain_at) && endpoint_ip_len(s, m->plain_at) == len &&
	       memcmp(endpoint_ip(s, m->plain_at), ip, len) == 0) {
		m->plain_at++;
		m->n_plain--;
		g->own.n_plain++;
	}
	return true;
}

static const uint8_t *named_label(const struct service *s, size_t i)
{
	return (const uint8_t *)s + endpoint_host_at(s, service_named(s)[i]);
}

static bool next_group(struct group *g)
{
	struct members *m = &g->left;

	if (next_plain(g))
		return true;
	if (!m->n_named)
		return false;
	const uint8_t *label = named_label(g->s, m->named_at);
	g->own = (struct members){ .named_at = m->named_at };
	while (m->n_named && label_cmp(named_label(g->s, m->named_at), label) == 0) {
		m->named_at++;
		m->n_named--;
		g->own.n_named++;
	}
	return true;
}

/* `total` 0: only counts. Returns how many records the group has. */
static size_t put_group(struct reply *r, const struct found *f, const struct group *g, size_t total)
{
	const struct service *s = g->s;
	uint8_t space[DNS_LABEL_BYTES_MAX + 1], target[DNS_NAME_BYTES_MAX];
	size_t len = service_name(r->z, s, endpoint_host(s, member_at(s, &g->own, 0), space), target), n = 0;
	const struct port_set *before = NULL;
	struct numbers seen = { .n = 0 };

	for (size_t i = 0; len && !r->w.truncated && i < members_count(&g->own); i++) {
		const struct port_set *set = endpoint_set(s, member_at(s, &g->own, i));
		const uint8_t *p = port_first(s, set);
		struct port_entry e;
		for (size_t k = 0; set != before && k < set->n; k++) {
			p = port_read(p, &e);
			if (!e.number || !port_passes(&f->port, &e) || !first_seen(&seen, e.number))
				continue;
			n++;
			if (total)
				put_srv(r, total, e.number, target, len);
		}
		before = set;
	}
	return n;
}

static void put_group_addresses(struct reply *r, const struct found *f, const struct group *g, uint16_t target_at)
{
	const struct service *s = g->s;
	const uint8_t *before = NULL;

	for (size_t i = 0; i < members_count(&g->own); i++) {
		size_t at = member_at(s, &g->own, i), len = endpoint_ip_len(s, at);
		const uint8_t *ip = endpoint_ip(s, at);
		if (!set_count(s, endpoint_set(s, at), &f->port) || (before && memcmp(before, ip, len) == 0))
			continue;
		before = i + 1 < members_count(&g->own) && endpoint_ip_len(s, member_at(s, &g->own, i + 1)) == len ? ip : NULL;
		put_additional(r, target_at, ip, len);
	}
}

static size_t count_members(const struct service *s, const struct found *f)
{
	const struct port_set *sets = service_sets(s);
	size_t total = 0;

	if (f->kind == FOUND_ENDPOINT) {
		for (size_t i = 0; i < members_count(&f->members); i++)
			total += set_count(s, endpoint_set(s, member_at(s, &f->members, i)), &f->port);
		return total;
	}
	for (size_t i = 1; i < s->n_sets; i++)
		total += sets[i].endpoints * set_count(s, &sets[i], &f->port);
	return total;
}

/* The records of the answer are of one shape: the next one's target. */
static uint16_t next_target(const struct reply *r, size_t *at)
{
	const uint8_t *p = r->w.ptr + *at;
	uint16_t target = (uint16_t)(*at + RECORD_RDATA_AT + 6);

	*at += RECORD_RDATA_AT + (size_t)(p[10] << 8 | p[11]);
	return target;
}

static void put_endpoint_srv(struct reply *r, const struct found *f)
{
	const struct service *s = f->service;
	struct members all = { 0, s->n_named, 0, (uint16_t)service_endpoints(s) };
	const struct members *m = f->kind == FOUND_ENDPOINT ? &f->members : &all;
	size_t total = count_members(s, f), at = r->w.len;

	for (struct group g = { s, *m, { 0 } }; total && !r->w.truncated && next_group(&g);)
		put_group(r, f, &g, total);
	for (struct group g = { s, *m, { 0 } }; total && !r->w.truncated && next_group(&g);) {
		size_t n = put_group(r, f, &g, 0);
		uint16_t target_at = 0;
		for (size_t i = 0; i < n; i++)
			target_at = next_target(r, &at);
		if (n)
			put_group_addresses(r, f, &g, target_at);
	}
}

void zone_reply_srv(struct reply *r, const struct found *f)
{
	if (f->kind == FOUND_ENDPOINT || f->service->kind == KIND_HEADLESS)
		put_endpoint_srv(r, f);
	else
		put_service_srv(r, f);
}
