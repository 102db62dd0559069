#include "codec/dns_int.h"

/* Names inside rdata, which may be compressed: `fixed` bytes, then `names` of them (RFC 1035, 3.3;
 * 3597, 4). */
static const struct rdata_shape {
	uint16_t type;
	uint8_t fixed, names, behind; /* behind: bytes after the names */
} shapes[] = {
	{ DNS_NS, 0, 1, 0 },  { DNS_CNAME, 0, 1, 0 }, { DNS_PTR, 0, 1, 0 },  { DNS_MX, 2, 1, 0 },
	{ DNS_SRV, 6, 1, 0 }, { DNS_DNAME, 0, 1, 0 }, { DNS_SOA, 0, 2, 20 },
};

static const struct rdata_shape *shape_of(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		if (shapes[i].type == type)
			return &shapes[i];
	return NULL;
}

static bool rdata_valid(struct str msg, uint16_t type, size_t at, size_t len)
{
	const struct rdata_shape *s = shape_of(type);
	size_t end = at + len;
	struct dns_name n;

	if (type == DNS_A || type == DNS_AAAA)
		return len == (type == DNS_A ? 4 : 16);
	if (!s)
		return true;
	at += s->fixed;
	for (int i = 0; i < s->names; i++)
		if (at >= end || !dns_name_read(msg, at, &n, &at))
			return false;
	return at + s->behind == end;
}

static bool record_read(struct str msg, size_t at, struct dns_record *r)
{
	const uint8_t *p = (const uint8_t *)msg.ptr;
	struct dns_name owner;

	r->at = at;
	if (!dns_name_read(msg, at, &owner, &at) || at + RR_FIXED_BYTES > msg.len)
		return false;
	r->type = get_u16(p + at);
	r->class = get_u16(p + at + 2);
	r->ttl = get_u32(p + at + 4);
	r->ttl_at = at + 4;
	r->rdata_len = get_u16(p + at + 8);
	r->rdata_at = at + RR_FIXED_BYTES;
	r->end = r->rdata_at + r->rdata_len;
	return r->end <= msg.len;
}

bool dns_message_parse(struct str bytes, struct dns_message *ret)
{
	const uint8_t *p = (const uint8_t *)bytes.ptr;
	size_t at;

	if (bytes.len < DNS_HEADER_BYTES)
		return false;
	ret->bytes = bytes;
	ret->id = get_u16(p);
	ret->flags = get_u16(p + 2);
	for (int i = 0; i < 4; i++)
		ret->counts[i] = get_u16(p + 4 + 2 * i);
	if (ret->counts[0] != 1 || !dns_name_read(bytes, DNS_HEADER_BYTES, &ret->name, &at) ||
	    at + 4 > bytes.len)
		return false;
	dns_name_lower(&ret->name);
	ret->type = get_u16(p + at);
	ret->class = get_u16(p + at + 2);
	ret->records_at = at += 4;
	for (unsigned i = 0; i < (unsigned)ret->counts[1] + ret->counts[2] + ret->counts[3]; i++) {
		struct dns_record r;
		if (!record_read(bytes, at, &r) ||
		    !rdata_valid(bytes, r.type, r.rdata_at, r.rdata_len))
			return false;
		at = r.end;
	}
	return at == bytes.len;
}

struct dns_record dns_records(const struct dns_message *m)
{
	return (struct dns_record){
		.end = m->records_at,
		.left_ = { 0, m->counts[1], m->counts[2], m->counts[3] },
	};
}

bool dns_record_next(const struct dns_message *m, struct dns_record *r)
{
	for (int s = DNS_ANSWER; s <= DNS_ADDITIONAL; s++) {
		if (r->left_[s] == 0)
			continue;
		r->left_[s]--;
		r->section = (enum dns_section)s;
		return record_read(m->bytes, r->end, r);
	}
	return false;
}

/* The last four bytes of a SOA's rdata. */
static uint32_t soa_minimum(const struct dns_message *m, const struct dns_record *r)
{
	return get_u32((const uint8_t *)m->bytes.ptr + r->end - 4);
}

uint32_t dns_message_ttl(const struct dns_message *m)
{
	unsigned rcode = m->flags & DNS_FLAGS_RCODE;
	uint32_t least = UINT32_MAX, denial = 0;
	bool has_answer = false;

	if ((rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN) || m->flags & DNS_FLAG_TC)
		return 0;
	for (struct dns_record r = dns_records(m); dns_record_next(m, &r);) {
		if (r.type == DNS_OPT)
			continue;
		least = MIN(least, r.ttl);
		if (r.section == DNS_ANSWER && (r.type == m->type || m->type == DNS_ANY))
			has_answer = true;
		if (r.section == DNS_AUTHORITY && r.type == DNS_SOA)
			denial = MIN(r.ttl, soa_minimum(m, &r));
	}
	if (!has_answer || rcode == DNS_NXDOMAIN)
		return MIN(denial, least);
	return least == UINT32_MAX ? 0 : least;
}

uint16_t dns_put_copy(struct dns_writer *w, enum dns_section s, const struct dns_message *m,
		      const struct dns_record *r)
{
	const struct rdata_shape *shape = shape_of(r->type);
	const char *raw = m->bytes.ptr + r->rdata_at;
	uint8_t names[2 * DNS_NAME_BYTES_MAX];
	struct dns_rdata rd = { .fixed = raw, .fixed_len = r->rdata_len };
	struct dns_name n;
	size_t at;

	if (!dns_name_read(m->bytes, r->at, &n, &at))
		return 0;
	if (shape) {
		rd = (struct dns_rdata){ .fixed = raw, .fixed_len = shape->fixed, .name = names };
		at = r->rdata_at + shape->fixed;
		for (int i = 0; i < shape->names; i++) {
			struct dns_name part;
			if (!dns_name_read(m->bytes, at, &part, &at))
				return 0;
			memcpy(names + rd.name_len, part.wire, part.len);
			rd.name_len += part.len;
		}
		rd.more = m->bytes.ptr + at;
		rd.more_len = shape->behind;
	}
	return dns_put_named(w, s, &n, r->type, r->ttl, &rd);
}
