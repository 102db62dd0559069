#include "roles/dns/zone_int.h"

#include <arpa/inet.h>

/* ExternalNames that lead to each other; CoreDNS' maxCnameChainLength */
#define CHAIN_MAX 10
#define VERSION_TTL 28800 /* CoreDNS' own */
#define SCHEMA_VERSION "1.1.0"
#define SRV_WEIGHT_TOTAL 100

/* One answer in the making. */
struct reply {
	const struct zone *z;
	const struct dns_query *q;
	struct dns_writer w;
	uint16_t zone_at; /* the zone's name inside the question */
	uint16_t type;
	uint32_t pick;
	size_t put; /* records in the answer section, or that would be there with more room */
};

static void put_ip(struct reply *r, enum dns_section s, uint16_t owner_at, const struct zone_ip *ip)
{
	const struct dns_rdata rd = { ip->bytes, ip->len };

	dns_put(&r->w, s, owner_at, ip->len == 4 ? DNS_A : DNS_AAAA, r->z->ttl, &rd);
}

static bool wanted(const struct reply *r, const struct zone_ip *ip)
{
	return r->type == (ip->len == 4 ? DNS_A : DNS_AAAA);
}

static bool slice_has(const struct zone_slice *s, const struct zone_port *p)
{
	for (size_t i = 0; i < s->n_ports; i++)
		if (zone_port_is(&s->ports[i], p))
			return true;
	return false;
}

/* ---- A and AAAA ---- */

static void put_refs(struct reply *r, uint16_t owner_at, const struct zone_node *n)
{
	const struct zone_service *s = n->service;
	size_t first = n->kind == NODE_ENDPOINT ? n->first : 0;
	size_t count = n->kind == NODE_ENDPOINT ? n->n : s->n_refs;

	for (size_t i = 0; i < count; i++) {
		const struct zone_ref *ref = &s->refs[first + (r->pick + i) % count];
		if (!wanted(r, &ref->endpoint->ip) || (ref->repeated && n->kind != NODE_ENDPOINT) ||
		    (n->port && !slice_has(ref->slice, n->port)))
			continue;
		r->put++;
		if (r->w.truncated)
			return;
		put_ip(r, DNS_ANSWER, owner_at, &ref->endpoint->ip);
	}
}

static void put_addresses(struct reply *r, uint16_t owner_at, const struct zone_node *n)
{
	const struct zone_service *s = n->service;

	if (n->kind == NODE_ENDPOINT || s->kind == KIND_HEADLESS) {
		put_refs(r, owner_at, n);
		return;
	}
	for (size_t i = 0; i < s->n_ips; i++) {
		if (!wanted(r, &s->ips[i]))
			continue;
		r->put++;
		put_ip(r, DNS_ANSWER, owner_at, &s->ips[i]);
	}
}

/* ---- SRV ---- */

static uint16_t weight_of(size_t n)
{
	return (uint16_t)MAX(SRV_WEIGHT_TOTAL / n, (size_t)1);
}

/* The target is written out: RFC 2782 allows no compression. Returns where it starts. */
static uint16_t put_srv(struct reply *r, size_t n_total, uint16_t port, const uint8_t *host,
			const struct zone_service *s)
{
	uint16_t weight = weight_of(n_total);
	const uint8_t fixed[6] = {
		0, 0, (uint8_t)(weight >> 8), (uint8_t)weight, (uint8_t)(port >> 8), (uint8_t)port
	};
	uint8_t target[2 * DNS_NAME_BYTES_MAX], *p = target;

	if (host)
		p = mempcpy(p, host, 1 + (size_t)host[0]);
	p = mempcpy(p, s->owner, s->owner_len);
	p = mempcpy(p, r->z->svc.wire, r->z->svc.len);
	size_t len = (size_t)(p - target);
	if (len > DNS_NAME_BYTES_MAX)
		return 0;
	const struct dns_rdata rd = { fixed, sizeof(fixed), target, len };
	r->put++;
	uint16_t at = dns_put(&r->w, DNS_ANSWER, DNS_QUESTION_AT, DNS_SRV, r->z->ttl, &rd);
	return at ? at + (uint16_t)sizeof(fixed) : 0;
}

static bool port_matches(const struct zone_node *n, const struct zone_port *p)
{
	return !n->port || zone_port_is(n->port, p);
}

static void put_service_srv(struct reply *r, const struct zone_node *n)
{
	const struct zone_service *s = n->service;
	size_t total = 0;
	uint16_t target = 0;

	for (size_t i = 0; i < s->n_ports; i++)
		total += port_matches(n, &s->ports[i]) ? s->n_ips : 0;
	for (size_t i = 0; total && i < s->n_ports; i++)
		if (port_matches(n, &s->ports[i]))
			target = put_srv(r, total, s->ports[i].number, NULL, s);
	for (size_t i = 0; target && i < s->n_ips; i++)
		put_ip(r, DNS_ADDITIONAL, target, &s->ips[i]);
}

/* A host with two addresses is one target: the record comes once, both addresses behind it. */
static bool said_before(const struct zone_ref *refs, size_t i, const struct zone_port *p)
{
	const uint8_t *host = refs[i].endpoint->host;

	for (; i-- > 0 && zone_label_cmp(refs[i].endpoint->host, host) == 0;)
		if (slice_has(refs[i].slice, p))
			return true;
	return false;
}

static size_t count_srv(const struct zone_node *n, const struct zone_ref *refs, size_t n_refs)
{
	size_t total = 0;

	for (size_t i = 0; i < n_refs; i++)
		for (size_t p = 0; p < refs[i].slice->n_ports; p++)
			total += port_matches(n, &refs[i].slice->ports[p]);
	return total;
}

/* whose addresses are added: more would not fit beside the records themselves */
#define TARGETS_MAX 64

static void put_endpoint_srv(struct reply *r, const struct zone_node *n)
{
	const struct zone_service *s = n->service;
	const struct zone_ref *refs = s->refs + (n->kind == NODE_ENDPOINT ? n->first : 0);
	size_t n_refs = n->kind == NODE_ENDPOINT ? n->n : s->n_refs,
	       total = count_srv(n, refs, n_refs);
	uint16_t targets[TARGETS_MAX], last = 0;

	for (size_t i = 0; i < n_refs && !r->w.truncated; i++) {
		const struct zone_slice *slice = refs[i].slice;
		if (i == 0 ||
		    zone_label_cmp(refs[i].endpoint->host, refs[i - 1].endpoint->host) != 0)
			last = 0;
		for (size_t p = 0; p < slice->n_ports; p++) {
			if (!port_matches(n, &slice->ports[p]) ||
			    said_before(refs, i, &slice->ports[p]))
				continue;
			last = put_srv(r, total, slice->ports[p].number, refs[i].endpoint->host, s);
		}
		if (i < TARGETS_MAX)
			targets[i] = last;
	}
	for (size_t i = 0; i < n_refs && i < TARGETS_MAX && !r->w.truncated; i++)
		if (targets[i])
			put_ip(r, DNS_ADDITIONAL, targets[i], &refs[i].endpoint->ip);
}

/* ---- finding ---- */

/* `key` is what stands in front of "svc.<zone>". */
static const struct zone_node *find(const struct zone *z, const uint8_t *key, size_t len,
				    unsigned labels)
{
	uint8_t plain[DNS_NAME_BYTES_MAX];

	if (labels ==
	    4) { /* _http._tcp.web.default; CoreDNS takes it without underscores as well */
		size_t at = 0, n = 0;
		for (int i = 0; i < 2; i++) {
			size_t skip = key[at] > 1 && key[at + 1] == '_' ? 1 : 0, l = key[at] - skip;
			plain[n++] = (uint8_t)l;
			memcpy(plain + n, key + at + 1 + skip, l);
			n += l;
			at += 1 + (size_t)key[at];
		}
		memcpy(plain + n, key + at, len - at);
		key = plain;
		len = n + len - at;
	}
	return map_get(&z->names, (struct str){ (const char *)key, len });
}

static const struct zone_node *find_name(const struct zone *z, const struct dns_name *name)
{
	if (!dns_name_under(name, &z->svc) || name->labels == z->svc.labels)
		return NULL;
	return find(z, name->wire, (size_t)name->len - z->svc.len,
		    (unsigned)name->labels - z->svc.labels);
}

/* ---- ends ---- */

/* ns.dns.<zone> and hostmaster.<zone>, both by pointers to the zone in the question. */
static void put_soa(struct reply *r, enum dns_section s)
{
	static const uint8_t ns[] = "\2ns\3dns", hostmaster[] = "\12hostmaster";
	const uint32_t numbers[5] = { htonl(r->z->serial), htonl(7200), htonl(1800), htonl(86400),
				      htonl(r->z->ttl) };
	const uint8_t pointer[2] = { (uint8_t)(0xc0 | r->zone_at >> 8), (uint8_t)r->zone_at };
	uint8_t rdata[64], *p = rdata;

	p = mempcpy(p, ns, sizeof(ns) - 1);
	p = mempcpy(p, pointer, 2);
	p = mempcpy(p, hostmaster, sizeof(hostmaster) - 1);
	p = mempcpy(p, pointer, 2);
	p = mempcpy(p, numbers, sizeof(numbers));
	dns_put(&r->w, s, r->zone_at, DNS_SOA, r->z->ttl,
		&(struct dns_rdata){ rdata, (size_t)(p - rdata) });
}

static size_t finish_denial(struct reply *r, enum dns_rcode rcode)
{
	put_soa(r, DNS_AUTHORITY);
	return dns_answer_finish(&r->w, rcode, true);
}

static size_t finish(struct reply *r)
{
	return r->put ? dns_answer_finish(&r->w, DNS_NOERROR, true) : finish_denial(r, DNS_NOERROR);
}

/* ---- ExternalName ---- */

/* The chain of CNAMEs from `n`: each next is again an ExternalName of ours. Returns its length; 0:
 * it is a loop. */
static size_t follow(const struct zone *z, const struct zone_node *n,
		     const struct zone_node *chain[CHAIN_MAX], const struct zone_node **ret_last)
{
	size_t len = 0;

	while (n && n->service && n->service->kind == KIND_EXTERNAL) {
		for (size_t i = 0; i < len; i++)
			if (chain[i] == n)
				return 0;
		if (len == CHAIN_MAX)
			return 0;
		chain[len++] = n;
		n = find_name(z, n->service->external);
	}
	*ret_last = n;
	return len;
}

static uint16_t put_cnames(struct reply *r, const struct zone_node *const *chain, size_t n)
{
	uint16_t owner_at = DNS_QUESTION_AT;

	for (size_t i = 0; i < n && owner_at; i++) {
		const struct dns_name *to = chain[i]->service->external;
		const struct dns_rdata rd = { .name = to->wire, .name_len = to->len };
		r->put++;
		owner_at = dns_put(&r->w, DNS_ANSWER, owner_at, DNS_CNAME, r->z->ttl, &rd);
	}
	return owner_at;
}

static size_t answer_chased(struct reply *r, const struct zone_node *const *chain, size_t n,
			    const struct dns_message *chased)
{
	put_cnames(r, chain, n);
	for (struct dns_record rec = dns_records(chased); dns_record_next(chased, &rec);)
		if (rec.section == DNS_ANSWER && !r->w.truncated)
			dns_put_copy(&r->w, DNS_ANSWER, chased, &rec);
	return dns_answer_finish(&r->w, DNS_NOERROR, true);
}

/* A target in our zone that has no such record gives a plain denial, without the CNAME: CoreDNS
 * does so. */
static size_t answer_internal(struct reply *r, const struct zone_node *const *chain, size_t n,
			      const struct zone_node *last)
{
	struct dns_writer before = r->w;
	uint16_t owner_at = put_cnames(r, chain, n);

	r->put = 0;
	if (last && last->kind != NODE_NAMESPACE && owner_at)
		put_addresses(r, owner_at, last);
	if (r->put)
		return finish(r);
	r->w = before;
	return finish_denial(r, DNS_NOERROR);
}

static enum zone_verdict answer_external(struct reply *r, const struct zone_node *n,
					 const struct dns_message *chased, struct zone_answer *ret)
{
	const struct zone_node *chain[CHAIN_MAX], *last = NULL;
	size_t len = follow(r->z, n, chain, &last);

	if (r->type == DNS_CNAME) {
		put_cnames(r, &n, 1);
		ret->len = finish(r);
		return ZONE_ANSWERED;
	}
	if (len == 0 || r->type == DNS_ANY) {
		ret->len = finish_denial(r, DNS_NOERROR);
		return ZONE_ANSWERED;
	}
	const struct dns_name *target = chain[len - 1]->service->external;
	if (dns_name_under(target, &r->z->name)) {
		ret->len = answer_internal(r, chain, len, last);
		return ZONE_ANSWERED;
	}
	if (!chased) {
		ret->target = *target;
		return ZONE_CHASE;
	}
	ret->len = answer_chased(r, chain, len, chased);
	return ZONE_ANSWERED;
}

/* ---- questions ---- */

static enum zone_verdict answer_node(struct reply *r, const struct zone_node *n,
				     const struct dns_message *chased, struct zone_answer *ret)
{
	const struct zone_service *s = n->service;

	if (s && s->kind == KIND_EXTERNAL)
		return answer_external(r, n, chased, ret);
	if (s && r->type == DNS_SRV && (s->kind == KIND_HEADLESS || n->kind == NODE_ENDPOINT))
		put_endpoint_srv(r, n);
	else if (s && r->type == DNS_SRV)
		put_service_srv(r, n);
	else if (s && (r->type == DNS_A || r->type == DNS_AAAA))
		put_addresses(r, DNS_QUESTION_AT, n);
	ret->len = finish(r);
	return ZONE_ANSWERED;
}

/* 10-244-0-5 or 2001-db8--1, as the label says it. */
static bool pod_ip(const uint8_t *label, struct zone_ip *ret)
{
	char text[DNS_LABEL_BYTES_MAX + 1];
	unsigned dashes = 0;
	size_t n = label[0];

	memcpy(text, label + 1, n);
	text[n] = '\0';
	if (strlen(text) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		dashes += text[i] == '-';
	char separator = dashes == 3 && !strstr(text, "--") ? '.' : ':';
	for (size_t i = 0; i < n; i++)
		if (text[i] == '-')
			text[i] = separator;
	return old_zone_ip_parse(text, ret);
}

static size_t answer_pod(struct reply *r, const uint8_t *key, unsigned labels)
{
	const uint8_t *ns = labels == 2 ? key + 1 + key[0] : key;
	struct zone_ip ip;

	if (labels == 0)
		return finish(r);
	if (labels > 2 ||
	    !map_get(&r->z->names, (struct str){ (const char *)ns, 1 + (size_t)ns[0] }))
		return finish_denial(r, DNS_NXDOMAIN);
	if (labels == 2 && !pod_ip(key, &ip))
		return finish_denial(r, DNS_NXDOMAIN);
	if (labels == 2 && wanted(r, &ip)) {
		r->put++;
		put_ip(r, DNS_ANSWER, DNS_QUESTION_AT, &ip);
	}
	return finish(r);
}

/* The server's own address is that of the Service which everyone asks. */
static const struct zone_node *own_service(const struct zone *z)
{
	static const uint8_t key[] = "\10kube-dns\13kube-system";

	return map_get(&z->names, (struct str){ (const char *)key, sizeof(key) - 1 });
}

static size_t answer_own_name(struct reply *r)
{
	const struct zone_node *n = own_service(r->z);

	if (n && (r->type == DNS_A || r->type == DNS_AAAA) && n->service->kind == KIND_CLUSTER_IP)
		put_addresses(r, DNS_QUESTION_AT, n);
	return finish(r);
}

static size_t answer_apex(struct reply *r)
{
	static const uint8_t ns[] = "\2ns\3dns";
	const struct zone_node *n = own_service(r->z);

	if (r->type == DNS_SOA) {
		r->put++;
		put_soa(r, DNS_ANSWER);
	}
	if (r->type == DNS_NS && n && n->service->n_ips) {
		const struct dns_rdata rd = { .name = ns,
					      .name_len = sizeof(ns) - 1,
					      .tail_at = r->zone_at };
		uint16_t at = dns_put(&r->w, DNS_ANSWER, DNS_QUESTION_AT, DNS_NS, r->z->ttl, &rd);
		r->put++;
		for (size_t i = 0; at && i < n->service->n_ips; i++)
			put_ip(r, DNS_ADDITIONAL, at, &n->service->ips[i]);
	}
	return finish(r);
}

static size_t answer_version(struct reply *r)
{
	static const char text[] = "\5" SCHEMA_VERSION;
	const struct dns_rdata rd = { text, sizeof(text) - 1 };

	if (r->type == DNS_TXT) {
		r->put++;
		dns_put(&r->w, DNS_ANSWER, DNS_QUESTION_AT, DNS_TXT, VERSION_TTL, &rd);
	}
	return finish(r);
}

static bool label_is(const uint8_t *label, const char *text)
{
	return strlen(text) == label[0] && memcmp(label + 1, text, label[0]) == 0;
}

/* A name below the zone: `labels` of them, `last` the one before the zone. */
static enum zone_verdict answer_below(struct reply *r, unsigned labels, const uint8_t *last,
				      const struct dns_message *chased, struct zone_answer *ret)
{
	const uint8_t *key = r->q->name.wire;

	if (label_is(last, "svc") && labels > 1) {
		const struct zone_node *n = find(r->z, key, (size_t)(last - key), labels - 1);
		if (n)
			return answer_node(r, n, chased, ret);
		ret->len = finish_denial(r, DNS_NXDOMAIN);
	} else if (label_is(last, "svc")) {
		ret->len = finish(r);
	} else if (label_is(last, "pod")) {
		ret->len = answer_pod(r, key, labels - 1);
	} else if (label_is(last, "dns-version") && labels == 1) {
		ret->len = answer_version(r);
	} else if (label_is(last, "dns") && (labels == 1 || (labels == 2 && label_is(key, "ns")))) {
		ret->len = labels == 2 ? answer_own_name(r) : finish(r);
	} else {
		ret->len = finish_denial(r, DNS_NXDOMAIN);
	}
	return ZONE_ANSWERED;
}

/* ---- PTR ---- */

static void put_ptr(struct reply *r, const struct zone_reverse *rev)
{
	uint8_t name[2 * DNS_NAME_BYTES_MAX], *p = name;
	const struct zone_service *s = rev->service;

	if (rev->ref)
		p = mempcpy(p, rev->ref->endpoint->host, 1 + (size_t)rev->ref->endpoint->host[0]);
	p = mempcpy(p, s->owner, s->owner_len);
	p = mempcpy(p, r->z->svc.wire, r->z->svc.len);
	const struct dns_rdata rd = { .name = name, .name_len = (size_t)(p - name) };
	if (rd.name_len > DNS_NAME_BYTES_MAX)
		return;
	r->put++;
	dns_put(&r->w, DNS_ANSWER, DNS_QUESTION_AT, DNS_PTR, r->z->ttl, &rd);
}

/* A ClusterIP has one name; an endpoint one in every service that has it. */
static void put_ptrs(struct reply *r, const struct list *all)
{
	list_for(l, tmp, (struct list *)all) {
		const struct zone_reverse *rev = list_entry(l, struct zone_reverse, link);
		if (rev->ref)
			continue;
		put_ptr(r, rev);
		return;
	}
	list_for(l, tmp, (struct list *)all)
		put_ptr(r, list_entry(l, struct zone_reverse, link));
}

/* Addresses that are not ours are an upstream's business: never a denial from here. */
static enum zone_verdict answer_reverse(struct reply *r, struct zone_answer *ret)
{
	uint8_t ip[16];
	size_t n = r->type == DNS_PTR ? dns_reverse_ip(&r->q->name, ip) : 0;

	if (!n)
		return ZONE_NOT_OURS;
	const struct list *all = map_get(&r->z->reverse, (struct str){ (const char *)ip, n });
	if (r->z->synced && !all)
		return ZONE_NOT_OURS;
	if (r->z->synced)
		put_ptrs(r, all);
	ret->len =
		dns_answer_finish(&r->w, r->z->synced ? DNS_NOERROR : DNS_SERVFAIL, r->z->synced);
	return ZONE_ANSWERED;
}

enum zone_verdict old_zone_answer(const struct zone *z, const struct dns_query *q, uint8_t *out,
			      size_t max, const struct dns_message *chased, uint32_t pick,
			      struct zone_answer *ret)
{
	struct reply r = { .z = z, .q = q, .type = q->type, .pick = pick };
	enum dns_rcode refused =
		q->class != DNS_CLASS_IN || q->type == DNS_AXFR || q->type == DNS_IXFR ? DNS_REFUSED
		: !z->synced ? DNS_SERVFAIL
			     : DNS_NOERROR;

	dns_answer_start(&r.w, out, max, q);
	if (!dns_name_under(&q->name, &z->name)) {
		if (refused != DNS_REFUSED)
			return answer_reverse(&r, ret);
		ret->len = dns_answer_finish(&r.w, DNS_REFUSED, false);
		return ZONE_ANSWERED;
	}
	if (refused) {
		ret->len = dns_answer_finish(&r.w, refused, false);
		return ZONE_ANSWERED;
	}
	size_t below = (size_t)q->name.len - z->name.len;
	unsigned labels = (unsigned)q->name.labels - z->name.labels;
	r.zone_at = (uint16_t)(DNS_QUESTION_AT + below);
	if (labels == 0) {
		ret->len = answer_apex(&r);
		return ZONE_ANSWERED;
	}
	const uint8_t *last = q->name.wire;
	for (unsigned i = 1; i < labels; i++)
		last += 1 + (size_t)*last;
	return answer_below(&r, labels, last, chased, ret);
}
