/* From what a name stands for to the message that says so. */
#include "roles/dns/zone/zone_int.h"

#include <arpa/inet.h>

#define VERSION_TTL 28800 /* CoreDNS' own */
#define SCHEMA_VERSION "1.1.0"

/* ---- the SOA ---- */

static const uint8_t soa_ns[] = "\2ns\3dns", soa_hostmaster[] = "\12hostmaster";

/* ns.dns.<zone> and hostmaster.<zone>, both by pointers to the zone's name in the question. */
void soa_init(struct zone *z)
{
	const uint32_t numbers[5] = { 0, htonl(7200), htonl(1800), htonl(86400), htonl(z->options.ttl) };
	uint32_t ttl = htonl(MIN(z->options.ttl, (uint32_t)SOA_TTL_MAX));
	uint8_t *p = z->soa;

	p = mempcpy(p, "\xc0\0\0\6\0\1", 6);
	p = mempcpy(p, &ttl, 4);
	p = mempcpy(p, "\0\52", 2);
	p = mempcpy(p, soa_ns, sizeof(soa_ns) - 1) + 2;
	p = mempcpy(p, soa_hostmaster, sizeof(soa_hostmaster) - 1) + 2;
	memcpy(p, numbers, sizeof(numbers));
}

static void put_soa(struct reply *r, enum dns_section section)
{
	static const uint8_t pointers[] = { 0, 12 + sizeof(soa_ns) - 1, 12 + sizeof(soa_ns) + 1 + sizeof(soa_hostmaster) - 1 };
	uint32_t serial = htonl(__atomic_load_n(&r->z->serial, __ATOMIC_RELAXED));
	uint8_t *p = r->w.ptr + r->w.len;

	memcpy(p, r->z->soa, SOA_BYTES);
	for (size_t i = 0; i < ARRAY_LEN(pointers); i++) {
		p[pointers[i]] = (uint8_t)(0xc0 | r->zone_at >> 8);
		p[pointers[i] + 1] = (uint8_t)r->zone_at;
	}
	memcpy(p + SOA_SERIAL_AT, &serial, sizeof(serial));
	r->w.len += SOA_BYTES;
	r->w.counts[section]++;
}

size_t zone_reply_finish(struct reply *r, enum dns_rcode rcode)
{
	if (!r->put)
		put_soa(r, DNS_AUTHORITY);
	return dns_answer_finish(&r->w, rcode, true);
}

/* ---- addresses ---- */

/* Records of one size that lie one behind the other, from the r->pick'th on. */
static void put_run(struct reply *r, uint16_t owner_at, const uint8_t *records, size_t n, size_t size)
{
	size_t room = (r->w.max - r->w.len) / size, k = MIN(n, room), first = n > 1 ? r->pick % n : 0, front = MIN(k, n - first);
	uint8_t *to = r->w.ptr + r->w.len;

	memcpy(to, records + first * size, front * size);
	memcpy(to + front * size, records, (k - front) * size);
	for (size_t i = 0; owner_at != DNS_QUESTION_AT && i < k; i++) {
		to[i * size] = (uint8_t)(0xc0 | owner_at >> 8);
		to[i * size + 1] = (uint8_t)owner_at;
	}
	r->w.len += k * size;
	r->w.counts[DNS_ANSWER] = (uint16_t)(r->w.counts[DNS_ANSWER] + k);
	r->w.truncated |= k < n;
	r->put += n;
}

static void put_service_addresses(struct reply *r, uint16_t owner_at, const struct service *s)
{
	if (r->type == DNS_A)
		put_run(r, owner_at, service_a(s), s->n_a, A_RECORD_BYTES);
	else if (r->type == DNS_AAAA)
		put_run(r, owner_at, service_aaaa(s), s->n_aaaa, AAAA_RECORD_BYTES);
}

static void put_ip(struct reply *r, uint16_t owner_at, const uint8_t *ip, size_t len)
{
	if (r->type != (len == 4 ? DNS_A : DNS_AAAA))
		return;
	r->put++;
	if (!r->w.truncated)
		dns_put(&r->w, DNS_ANSWER, owner_at, r->type, r->z->options.ttl, &(struct dns_rdata){ ip, len });
}

#define SAME_ADDRESS_MAX 16 /* of one service, looked through for what was said: two or three while slices are rewritten */

/* The same address may be in several slices, in one of them with the port that is asked for. */
static bool said_before(const struct service *s, const struct found *f, size_t i)
{
	size_t at = member_at(s, &f->members, i), len = endpoint_ip_len(s, at);

	for (size_t looked = 0; looked < SAME_ADDRESS_MAX && i-- > 0; looked++) {
		size_t before = member_at(s, &f->members, i);
		if (endpoint_ip_len(s, before) != len || memcmp(endpoint_ip(s, before), endpoint_ip(s, at), len) != 0)
			return false;
		if (set_count(s, endpoint_set(s, before), &f->port))
			return true;
	}
	return false;
}

static void put_member_addresses(struct reply *r, uint16_t owner_at, const struct found *f)
{
	const struct service *s = f->service;
	size_t n = members_count(&f->members);

	for (size_t k = 0; k < n; k++) {
		size_t i = (r->pick + k) % n, at = member_at(s, &f->members, i);
		if (set_count(s, endpoint_set(s, at), &f->port) && !said_before(s, f, i))
			put_ip(r, owner_at, endpoint_ip(s, at), endpoint_ip_len(s, at));
	}
}

/* ---- names with a meaning of their own ---- */

static void put_version(struct reply *r)
{
	static const char text[] = "\5" SCHEMA_VERSION;

	if (r->type != DNS_TXT)
		return;
	r->put++;
	dns_put(&r->w, DNS_ANSWER, DNS_QUESTION_AT, DNS_TXT, VERSION_TTL, &(struct dns_rdata){ text, sizeof(text) - 1 });
}

static void put_name_servers(struct reply *r)
{
	const struct service *s = zone_own_service(r->z);
	const struct dns_rdata name = { .name = soa_ns, .name_len = sizeof(soa_ns) - 1, .tail_at = r->zone_at };

	if (!s)
		return;
	r->put++;
	uint16_t at = dns_put(&r->w, DNS_ANSWER, DNS_QUESTION_AT, DNS_NS, r->z->options.ttl, &name);
	struct ip ip;
	for (size_t i = 0; at && i < (size_t)s->n_a + s->n_aaaa && service_each_ip(s, &i, &ip);)
		dns_put(&r->w, DNS_ADDITIONAL, at, ip.len == 4 ? DNS_A : DNS_AAAA, r->z->options.ttl,
			&(struct dns_rdata){ ip.bytes, ip.len });
}

static void put_apex(struct reply *r)
{
	if (r->type == DNS_NS)
		put_name_servers(r);
	if (r->type != DNS_SOA)
		return;
	r->put++;
	put_soa(r, DNS_ANSWER);
}

void zone_reply_put(struct reply *r, uint16_t owner_at, const struct found *f)
{
	const struct service *own;
	struct found all = *f;

	switch (f->kind) {
	case FOUND_SERVICE:
		put_service_addresses(r, owner_at, f->service);
		break;
	case FOUND_PORT:
		all.members = members_all(f->service);
		if (f->service->kind == KIND_CLUSTER_IP)
			put_service_addresses(r, owner_at, f->service);
		else
			put_member_addresses(r, owner_at, &all);
		break;
	case FOUND_ENDPOINT:
		put_member_addresses(r, owner_at, f);
		break;
	case FOUND_ADDRESS:
		put_ip(r, owner_at, f->ip.bytes, f->ip.len);
		break;
	case FOUND_NAMESERVER:
		own = zone_own_service(r->z);
		if (own)
			put_service_addresses(r, owner_at, own);
		break;
	case FOUND_VERSION:
		put_version(r);
		break;
	case FOUND_APEX:
		put_apex(r);
		break;
	case FOUND_EXTERNAL:
	case FOUND_NOTHING:
	case FOUND_EMPTY:
		break;
	}
	if (r->type == DNS_SRV && (f->kind == FOUND_SERVICE || f->kind == FOUND_PORT || f->kind == FOUND_ENDPOINT))
		zone_reply_srv(r, f);
}

/* ---- PTR ---- */

static void put_ptr(struct reply *r, const struct service *s, const uint8_t *host)
{
	uint8_t name[DNS_NAME_BYTES_MAX];
	size_t n = service_name(r->z, s, host, name);

	if (!n)
		return;
	r->put++;
	dns_put(&r->w, DNS_ANSWER, DNS_QUESTION_AT, DNS_PTR, r->z->options.ttl, &(struct dns_rdata){ .name = name, .name_len = n });
}

/* The services that have an address: NULL at the end. */
static const struct service *next_owner(const struct zone *z, struct table_search *search, uint64_t hash, const struct ip *ip)
{
	size_t first;

	for (uint64_t p; table_next(search, &p);) {
		const struct service *s = zone_service_of_hash(z, payload_of(hash, p));
		if (s && service_visible(s) &&
		    (service_has_cluster_ip(s, ip->bytes, ip->len) || service_find_ip(s, ip->bytes, ip->len, &first)))
			return s;
	}
	return NULL;
}

static void put_endpoint_names(struct reply *r, const struct service *s, const struct ip *ip)
{
	uint8_t space[DNS_LABEL_BYTES_MAX + 1], before[DNS_LABEL_BYTES_MAX + 1] = { 0 };
	size_t first, n = service_find_ip(s, ip->bytes, ip->len, &first);

	for (size_t i = first; i < first + n; i++) {
		const uint8_t *host = endpoint_host(s, i, space);
		if (label_cmp(host, before) != 0)
			put_ptr(r, s, host);
		memcpy(before, host, 1 + (size_t)host[0]);
	}
}

/* A ClusterIP has one name; an endpoint one in every service that has it. False: nobody has the address. */
static bool put_ptrs(struct reply *r, const struct ip *ip)
{
	uint64_t hash = table_hash(ip->bytes, ip->len);
	struct table_search search = table_search(&r->z->reverse, hash);
	bool any = false;

	for (const struct service *s; (s = next_owner(r->z, &search, hash, ip));) {
		any = true;
		if (!service_has_cluster_ip(s, ip->bytes, ip->len))
			continue;
		if (r->type == DNS_PTR)
			put_ptr(r, s, NULL);
		return true;
	}
	search = table_search(&r->z->reverse, hash);
	for (const struct service *s; r->type == DNS_PTR && (s = next_owner(r->z, &search, hash, ip));)
		put_endpoint_names(r, s, ip);
	return any;
}

static const struct dns_name *reverse_zone(const struct zone *z, const struct dns_name *name)
{
	const struct dns_name *best = NULL;

	for (size_t i = 0; i < z->options.n_reverse; i++)
		if (dns_name_under(name, &z->options.reverse[i]) && (!best || best->len < z->options.reverse[i].len))
			best = &z->options.reverse[i];
	return best;
}

/* ---- questions ---- */

static bool falls_through(const struct zone *z, const struct dns_name *name)
{
	for (size_t i = 0; i < z->options.n_fallthrough; i++)
		if (dns_name_under(name, &z->options.fallthrough[i]))
			return true;
	return false;
}

static enum zone_verdict denied(struct reply *r, struct zone_answer *ret)
{
	if (falls_through(r->z, &r->q->name))
		return ZONE_NOT_OURS;
	ret->rcode = DNS_NXDOMAIN;
	ret->len = zone_reply_finish(r, DNS_NXDOMAIN);
	return ZONE_ANSWERED;
}

static enum zone_verdict answered(struct reply *r, struct zone_answer *ret)
{
	ret->rcode = DNS_NOERROR;
	ret->len = zone_reply_finish(r, DNS_NOERROR);
	return ZONE_ANSWERED;
}

/* Questions that get no look-up: true. */
static bool answer_error(const struct zone *z, const struct dns_query *q, uint8_t *out, size_t max, struct zone_answer *ret)
{
	if (q->class != DNS_CLASS_IN || q->type == DNS_AXFR || q->type == DNS_IXFR)
		ret->rcode = DNS_REFUSED;
	else if (!zone_synced(z))
		ret->rcode = DNS_SERVFAIL;
	else
		return false;
	ret->len = dns_answer_error(out, max, q, ret->rcode);
	return true;
}

static struct reply reply_start(const struct zone *z, const struct dns_query *q, uint8_t *out, size_t max, size_t before_zone,
				uint32_t pick)
{
	struct reply r;

	r.z = z;
	r.q = q;
	r.zone_at = (uint16_t)(DNS_QUESTION_AT + before_zone);
	r.type = q->type;
	r.pick = pick;
	r.put = 0;
	dns_answer_start(&r.w, out, max, q);
	return r;
}

static enum zone_verdict answer_reverse(const struct zone *z, const struct dns_query *q, uint8_t *out, size_t max, uint32_t pick,
					struct zone_answer *ret)
{
	const struct dns_name *zone = reverse_zone(z, &q->name);
	struct ip ip;

	if (!zone)
		return ZONE_NOT_OURS;
	if (answer_error(z, q, out, max, ret))
		return ZONE_ANSWERED;
	struct reply r = reply_start(z, q, out, max, (size_t)q->name.len - zone->len, pick);
	if (q->name.len == zone->len) {
		put_apex(&r);
		return answered(&r, ret);
	}
	ip.len = (uint8_t)dns_reverse_ip(&q->name, ip.bytes);
	return ip.len && put_ptrs(&r, &ip) ? answered(&r, ret) : denied(&r, ret);
}

static enum zone_verdict answer(const struct zone *z, const struct dns_query *q, uint8_t *out, size_t max,
				const struct dns_message *chased, uint32_t pick, struct zone_answer *ret)
{
	struct prefix p;
	struct found f;

	if (!prefix_of(&q->name, &z->options.domain, &p))
		return answer_reverse(z, q, out, max, pick, ret);
	if (answer_error(z, q, out, max, ret))
		return ZONE_ANSWERED;
	struct reply r = reply_start(z, q, out, max, p.bytes, pick);
	zone_find(z, &q->name, &p, &f);
	if (f.kind == FOUND_NOTHING)
		return denied(&r, ret);
	if (f.kind == FOUND_EXTERNAL)
		return zone_reply_external(&r, &f, chased, ret);
	zone_reply_put(&r, DNS_QUESTION_AT, &f);
	return answered(&r, ret);
}

enum zone_verdict zone_answer(const struct zone *z, const struct dns_query *q, uint8_t *out, size_t max, uint32_t pick,
			      struct zone_answer *ret)
{
	return answer(z, q, out, max, NULL, pick, ret);
}

enum zone_verdict zone_answer_chased(const struct zone *z, const struct dns_query *q, uint8_t *out, size_t max,
				     const struct dns_message *chased, uint32_t pick, struct zone_answer *ret)
{
	return answer(z, q, out, max, chased, pick, ret);
}
