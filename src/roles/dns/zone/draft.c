/* From what the objects say to the bytes in the table. */
#include "roles/dns/zone/service.h"

#include <arpa/inet.h>

#define DRAFT_BYTES_MAX (64u << 20) /* ENDPOINTS_MAX with hostnames is a few MB */

static void *take(struct draft *d, size_t n, size_t size)
{
	void *p = arena_alloc(&d->arena, MAX(n * size, (size_t)1));

	if (!p)
		abort(); /* counts are limited: a bug in a limit */
	return p;
}

/* ---- taking over what was ---- */

static struct draft_ports ports_of(const struct service *s, const struct port_set *set)
{
	const uint8_t *first = port_first(s, set), *p = first;
	struct port_entry e;

	for (size_t i = 0; i < set->n; i++)
		p = port_read(p, &e);
	return (struct draft_ports){ (uint8_t *)first, (size_t)(p - first), set->n };
}

static void take_over_service(struct draft *d, const struct service *s)
{
	size_t at = 0;

	d->hash = s->hash;
	d->space = s->space;
	d->name = s->name;
	d->present = s->present;
	d->kind = s->kind;
	d->ports = ports_of(s, &service_sets(s)[0]);
	if (s->kind == KIND_EXTERNAL) {
		const uint8_t *name = service_external(s);
		for (d->external.labels = 0; name[d->external.len]; d->external.labels++)
			d->external.len = (uint8_t)(d->external.len + 1 + name[d->external.len]);
		memcpy(d->external.wire, name, ++d->external.len);
	}
	if (s->kind == KIND_CLUSTER_IP)
		while (d->n_ips < (size_t)s->n_a + s->n_aaaa && service_each_ip(s, &at, &d->ips[d->n_ips]))
			d->n_ips++;
}

static void take_over_slices(struct draft *d, const struct service *s, uint64_t without)
{
	uint16_t *number = take(d, s->n_slices, sizeof(*number));

	for (size_t i = 0; i < s->n_slices; i++) {
		if (service_slices(s)[i] == without) {
			number[i] = UINT16_MAX;
			continue;
		}
		number[i] = (uint16_t)d->n_slices;
		d->slices[d->n_slices].id = service_slices(s)[i];
		d->slices[d->n_slices++].ports = ports_of(s, &service_sets(s)[service_set_of(s)[i]]);
	}
	for (size_t i = 0; i < service_endpoints(s); i++) {
		struct draft_endpoint *e = &d->endpoints[d->n_endpoints];
		uint32_t host_at = endpoint_host_at(s, i);
		if (number[endpoint_slice(s, i)] == UINT16_MAX)
			continue;
		d->n_endpoints++;
		e->slice = number[endpoint_slice(s, i)];
		e->host = host_at ? (const uint8_t *)s + host_at : NULL;
		e->ip.len = endpoint_ip_len(s, i);
		memcpy(e->ip.bytes, endpoint_ip(s, i), e->ip.len);
	}
}

void draft_init(struct draft *d, const struct service *old, uint64_t without_slice, size_t more)
{
	memset(d, 0, offsetof(struct draft, external));
	d->external.len = d->external.labels = 0;
	d->ports = (struct draft_ports){ 0 };
	d->n_endpoints = d->n_slices = 0;
	arena_init(&d->arena, DRAFT_BYTES_MAX);
	d->endpoints = take(d, (old ? service_endpoints(old) : 0) + more, sizeof(*d->endpoints));
	d->slices = take(d, (old ? old->n_slices : 0) + 1u, sizeof(*d->slices));
	if (!old)
		return;
	take_over_service(d, old);
	take_over_slices(d, old, without_slice);
}

uint16_t draft_add_slice(struct draft *d, uint64_t id, const struct draft_ports *ports)
{
	size_t at = 0;

	while (at < d->n_slices && d->slices[at].id < id)
		at++;
	for (size_t i = d->n_slices++; i > at; i--)
		d->slices[i] = d->slices[i - 1];
	for (size_t i = 0; i < d->n_endpoints; i++)
		d->endpoints[i].slice = (uint16_t)(d->endpoints[i].slice + (d->endpoints[i].slice >= at));
	d->slices[at].id = id;
	d->slices[at].ports = *ports;
	return (uint16_t)at;
}

void draft_done(struct draft *d)
{
	arena_done(&d->arena);
}

/* ---- building ---- */

static int by_ip(const void *a, const void *b)
{
	const struct draft_endpoint *x = a, *y = b;
	int r = x->ip.len - y->ip.len;

	r = r ? r : memcmp(x->ip.bytes, y->ip.bytes, x->ip.len);
	if (r == 0 && x->host && y->host)
		r = label_cmp(x->host, y->host);
	r = r ? r : !x->host - !y->host;
	return r ? r : x->slice - y->slice;
}

static bool same_ip(const struct draft_endpoint *a, const struct draft_endpoint *b)
{
	return a->ip.len == b->ip.len && memcmp(a->ip.bytes, b->ip.bytes, a->ip.len) == 0;
}

/* What goes where, before it is written. */
struct plan {
	struct draft *d;
	struct draft_ports *sets; /* each once; [0] the Service's */
	uint16_t *set_of;
	size_t n_sets, n_a, n_aaaa, n4, n_named, text_bytes;
};

static bool ports_equal(const struct draft_ports *a, const struct draft_ports *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0);
}

static void plan_sets(struct plan *p)
{
	struct draft *d = p->d;

	p->sets = take(d, d->n_slices + 1, sizeof(*p->sets));
	p->set_of = take(d, d->n_slices, sizeof(*p->set_of));
	p->sets[0] = d->ports;
	p->n_sets = 1;
	for (size_t i = 0; i < d->n_slices; i++) {
		const struct draft_ports *own = &d->slices[i].ports;
		size_t k = 1;
		while (k < p->n_sets && !ports_equal(&p->sets[k], own))
			k++;
		if (k == p->n_sets)
			p->sets[p->n_sets++] = *own;
		p->set_of[i] = (uint16_t)k;
	}
	for (size_t k = 0; k < p->n_sets; k++)
		p->text_bytes += p->sets[k].len;
}

static void plan_endpoints(struct plan *p)
{
	struct draft *d = p->d;

	qsort(d->endpoints, d->n_endpoints, sizeof(*d->endpoints), by_ip);
	for (size_t i = 0; i < d->n_endpoints; i++) {
		const struct draft_endpoint *e = &d->endpoints[i];
		bool first = i == 0 || !same_ip(e, e - 1);
		p->n4 += e->ip.len == 4;
		p->n_named += e->host != NULL;
		p->text_bytes += e->host ? 1 + (size_t)e->host[0] : 0;
		if (d->kind != KIND_HEADLESS || !first)
			continue;
		p->n_a += e->ip.len == 4;
		p->n_aaaa += e->ip.len == 16;
	}
	for (size_t i = 0; d->kind == KIND_CLUSTER_IP && i < d->n_ips; i++) {
		p->n_a += d->ips[i].len == 4;
		p->n_aaaa += d->ips[i].len == 16;
	}
}

static uint8_t *put_record(uint8_t *p, const struct ip *ip, uint32_t ttl)
{
	uint16_t type = ip->len == 4 ? DNS_A : DNS_AAAA;
	const uint8_t head[RECORD_RDATA_AT] = { 0xc0,	      DNS_QUESTION_AT, 0, (uint8_t)type, 0, DNS_CLASS_IN, (uint8_t)(ttl >> 24),
						(uint8_t)(ttl >> 16), (uint8_t)(ttl >> 8), (uint8_t)ttl,   0, ip->len };

	return mempcpy(mempcpy(p, head, sizeof(head)), ip->bytes, ip->len);
}

static uint8_t *put_records(const struct draft *d, uint8_t *p, uint8_t family, uint32_t ttl)
{
	for (size_t i = 0; d->kind == KIND_CLUSTER_IP && i < d->n_ips; i++)
		if (d->ips[i].len == family)
			p = put_record(p, &d->ips[i], ttl);
	for (size_t i = 0; d->kind == KIND_HEADLESS && i < d->n_endpoints; i++)
		if (d->endpoints[i].ip.len == family && (i == 0 || !same_ip(&d->endpoints[i], &d->endpoints[i - 1])))
			p = put_record(p, &d->endpoints[i].ip, ttl);
	return p;
}

/* Hostnames and ports. An endpoint's host_at is written with it. */
static void put_endpoints(struct service *s, const struct draft *d, uint8_t **text)
{
	struct endpoint4 *four = (struct endpoint4 *)service_four(s);
	struct endpoint6 *six = (struct endpoint6 *)service_six(s);
	uint32_t *named = (uint32_t *)service_named(s);
	size_t n_named = 0;

	for (size_t i = 0; i < d->n_endpoints; i++) {
		const struct draft_endpoint *e = &d->endpoints[i];
		uint32_t at = 0;
		if (e->host) {
			at = (uint32_t)(*text - (uint8_t *)s);
			*text = mempcpy(*text, e->host, 1 + (size_t)e->host[0]);
			named[n_named++] = (uint32_t)i;
		}
		if (i < s->n4) {
			four[i].host_at = at;
			four[i].slice = e->slice;
			memcpy(four[i].ip, e->ip.bytes, 4);
		} else {
			six[i - s->n4].host_at = at;
			six[i - s->n4].slice = e->slice;
			memcpy(six[i - s->n4].ip, e->ip.bytes, 16);
		}
	}
}

static int by_host(const void *a, const void *b, void *ctx)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	const uint8_t *s = ctx;
	int r = label_cmp(s + endpoint_host_at(ctx, x), s + endpoint_host_at(ctx, y));

	return r ? r : (x > y) - (x < y);
}

static void put_sets(struct service *s, const struct plan *p, uint8_t **text)
{
	struct port_set *sets = (struct port_set *)service_sets(s);
	uint16_t *set_of = (uint16_t *)service_set_of(s);

	for (size_t i = 0; i < p->n_sets; i++) {
		sets[i] = (struct port_set){ .at = (uint32_t)(*text - (uint8_t *)s), .n = p->sets[i].n };
		if (p->sets[i].len)
			*text = mempcpy(*text, p->sets[i].bytes, p->sets[i].len);
	}
	for (size_t i = 0; i < s->n_slices; i++)
		set_of[i] = p->set_of[i];
	for (size_t i = 0; i < service_endpoints(s); i++)
		sets[set_of[endpoint_slice(s, i)]].endpoints++;
}

static size_t tail_bytes(const struct service *s)
{
	return (size_t)((const uint8_t *)(service_set_of(s) + s->n_slices) - (const uint8_t *)s) - s->tail_at;
}

struct service *draft_build(struct draft *d, uint32_t ttl)
{
	struct plan p = { .d = d };

	if (!d->present && d->n_slices == 0)
		return NULL;
	plan_sets(&p);
	plan_endpoints(&p);
	size_t head = sizeof(struct service) + 1 + d->name[0] + p.n_a * A_RECORD_BYTES + p.n_aaaa * AAAA_RECORD_BYTES +
		      (d->kind == KIND_EXTERNAL ? MAX(d->external.len, (uint8_t)1) : 0u) + p.text_bytes;
	struct service counts = {
		.hash = d->hash,
		.space = d->space,
		.tail_at = (uint32_t)((head + 7) & ~(size_t)7),
		.n_slices = (uint16_t)d->n_slices,
		.n4 = (uint16_t)p.n4,
		.n6 = (uint16_t)(d->n_endpoints - p.n4),
		.n_named = (uint16_t)p.n_named,
		.n_sets = (uint16_t)p.n_sets,
		.n_a = (uint16_t)p.n_a,
		.n_aaaa = (uint16_t)p.n_aaaa,
		.kind = (uint8_t)d->kind,
		.present = d->present,
	};
	counts.bytes = (uint32_t)(counts.tail_at + tail_bytes(&counts));
	struct service *s = xcalloc(1, counts.bytes);
	*s = counts;
	uint8_t *text = mempcpy(s->name, d->name, 1 + (size_t)d->name[0]);
	text = put_records(d, text, 4, ttl);
	text = put_records(d, text, 16, ttl);
	if (d->kind == KIND_EXTERNAL)
		text = mempcpy(text, d->external.wire, d->external.len) + (d->external.len == 0);
	for (size_t i = 0; i < d->n_slices; i++)
		((uint64_t *)service_slices(s))[i] = d->slices[i].id;
	put_endpoints(s, d, &text);
	qsort_r((uint32_t *)service_named(s), s->n_named, sizeof(uint32_t), by_host, s);
	put_sets(s, &p, &text);
	return s;
}
