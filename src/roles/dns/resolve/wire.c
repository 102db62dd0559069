#include "roles/dns/resolve/wire.h"

#define CHAIN_MAX 12	  /* CNAMEs one after the other: resolvers stop at 8 to 16 */
#define ADDITIONAL_MAX 64 /* more glue than any delegation needs; also how many answers it may belong to */

enum { TYPE_DS = 43, TYPE_RRSIG = 46, TYPE_NSEC = 47, TYPE_NSEC3 = 50 };

static uint16_t be16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] << 8 | b[1]);
}

static void put_be16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* ---- out ---- */

static void change_case(uint8_t *name, size_t len, const uint8_t *letters)
{
	for (size_t i = 0; i < len; i++)
		if (name[i] >= 'a' && name[i] <= 'z' && letters[i / 8] >> (i % 8) & 1)
			name[i] ^= 0x20;
}

void upstream_query_write(struct upstream_query *out, const struct dns_query *q, uint16_t id, bool edns,
			  const uint8_t letters[UPSTREAM_CASE_BYTES])
{
	uint8_t question[DNS_NAME_BYTES_MAX + 4];
	struct dns_query ours = *q;

	memcpy(question, q->name.wire, q->name.len);
	if (letters)
		change_case(question, q->name.len, letters);
	put_be16(question + q->name.len, q->type);
	put_be16(question + q->name.len + 2, q->class);
	ours.question = (struct str){ (char *)question, q->name.len + 4u };
	ours.edns = edns;
	/* Always asked for: the answer is kept for others, who may want to know (RFC 6840, 5.7). */
	ours.flags |= DNS_FLAG_AD;
	out->id = id;
	out->edns = edns;
	out->cased = letters;
	out->len = dns_query_write(out->framed + 2, id, &ours);
	put_be16(out->framed, (unsigned)out->len);
}

/* ---- in: is it ours? ---- */

static bool is_bare_refusal(const struct upstream_query *sent, struct str b)
{
	if (b.len != DNS_HEADER_BYTES || be16(b.ptr) != sent->id || !(be16(b.ptr + 2) & DNS_FLAG_QR) || be16(b.ptr + 4))
		return false;
	unsigned rcode = be16(b.ptr + 2) & DNS_FLAGS_RCODE;
	return rcode == DNS_FORMERR || rcode == DNS_NOTIMP;
}

enum upstream_reply upstream_reply_check(const struct upstream_query *sent, struct str bytes, struct dns_message *ret)
{
	struct str query = { (const char *)sent->framed + 2, sent->len };
	struct dns_message ours;

	if (is_bare_refusal(sent, bytes))
		return REPLY_BARE;
	if (!dns_message_parse(bytes, ret) || !dns_message_parse(query, &ours))
		return REPLY_FOREIGN;
	size_t question = ours.records_at - DNS_HEADER_BYTES;
	if (ret->id != sent->id || !(ret->flags & DNS_FLAG_QR) || ret->flags & DNS_FLAGS_OPCODE ||
	    ret->records_at != ours.records_at || ret->type != ours.type || ret->class != ours.class ||
	    ret->name.len != ours.name.len || memcmp(ret->name.wire, ours.name.wire, ours.name.len) != 0)
		return REPLY_FOREIGN;
	if (memcmp(bytes.ptr + DNS_HEADER_BYTES, query.ptr + DNS_HEADER_BYTES, question) != 0)
		return REPLY_OTHER_CASE;
	return REPLY_OURS;
}

unsigned upstream_reply_rcode(const struct dns_message *m)
{
	unsigned rcode = m->flags & DNS_FLAGS_RCODE;

	for (struct dns_record r = dns_records(m); dns_record_next(m, &r);)
		if (r.type == DNS_OPT && r.section == DNS_ADDITIONAL)
			rcode |= r.ttl >> 24 << 4;
	return rcode;
}

/* ---- in: what of it is believed? ---- */

struct reading {
	const struct dns_query *q;
	const struct dns_name *from;
	const struct dns_message *m;
	struct dns_name chain[CHAIN_MAX]; /* the question's name, and what it is an alias of */
	size_t n;
};

static bool name_eq(const struct dns_name *a, const struct dns_name *b)
{
	return a->len == b->len && memcmp(a->wire, b->wire, a->len) == 0;
}

/* Names of a checked message can be read. */
static struct dns_name name_at(const struct dns_message *m, size_t at)
{
	struct dns_name n = { 0 };
	size_t end;

	if (dns_name_read(m->bytes, at, &n, &end))
		dns_name_lower(&n);
	return n;
}

static bool in_chain(const struct reading *rd, const struct dns_name *n)
{
	for (size_t i = 0; i < rd->n; i++)
		if (name_eq(&rd->chain[i], n))
			return true;
	return false;
}

static bool above_chain(const struct reading *rd, const struct dns_name *n)
{
	for (size_t i = 0; i < rd->n; i++)
		if (dns_name_under(&rd->chain[i], n))
			return true;
	return false;
}

/* One walk; true: the chain got longer, and a CNAME that came before its time may follow. */
static bool chain_extend(struct reading *rd, bool *ret_loop)
{
	bool longer = false;

	for (struct dns_record r = dns_records(rd->m); dns_record_next(rd->m, &r) && r.section == DNS_ANSWER;) {
		if (r.type != DNS_CNAME || r.class != rd->q->class)
			continue;
		struct dns_name owner = name_at(rd->m, r.at);
		if (!name_eq(&owner, &rd->chain[rd->n - 1]))
			continue;
		struct dns_name target = name_at(rd->m, r.rdata_at);
		*ret_loop = rd->n == CHAIN_MAX || in_chain(rd, &target);
		if (*ret_loop)
			return false;
		rd->chain[rd->n++] = target;
		longer = true;
	}
	return longer;
}

static bool answer_counts(const struct reading *rd, const struct dns_record *r)
{
	struct dns_name owner = name_at(rd->m, r->at);

	if (in_chain(rd, &owner))
		return r->type == rd->q->type || rd->q->type == DNS_ANY || r->type == DNS_CNAME || r->type == TYPE_RRSIG ||
		       r->type == DNS_DNAME;
	return (r->type == DNS_DNAME || r->type == TYPE_RRSIG) && above_chain(rd, &owner);
}

static bool authority_counts(const struct reading *rd, const struct dns_record *r)
{
	struct dns_name owner = name_at(rd->m, r->at);

	if (!dns_name_under(&owner, rd->from))
		return false;
	if (r->type == TYPE_NSEC || r->type == TYPE_NSEC3 || r->type == TYPE_RRSIG)
		return rd->q->dnssec_ok;
	return (r->type == DNS_SOA || r->type == DNS_NS || r->type == TYPE_DS) && above_chain(rd, &owner);
}

/* Where in its rdata a record names a host whose address may come along. */
static int target_offset(uint16_t type)
{
	switch (type) {
	case DNS_NS:
		return 0;
	case DNS_MX:
		return 2;
	case DNS_SRV:
		return 6;
	default:
		return -1;
	}
}

static bool additional_counts(const struct reading *rd, const struct dns_record *r)
{
	struct dns_name owner = name_at(rd->m, r->at);
	int looked_at = 0;

	if ((r->type != DNS_A && r->type != DNS_AAAA && (r->type != TYPE_RRSIG || !rd->q->dnssec_ok)) ||
	    !dns_name_under(&owner, rd->from))
		return false;
	for (struct dns_record o = dns_records(rd->m);
	     dns_record_next(rd->m, &o) && o.section != DNS_ADDITIONAL && looked_at < ADDITIONAL_MAX; looked_at++) {
		int at = target_offset(o.type);
		if (at < 0 || !(o.section == DNS_ANSWER ? answer_counts(rd, &o) : authority_counts(rd, &o)))
			continue;
		struct dns_name target = name_at(rd->m, o.rdata_at + (size_t)at);
		if (name_eq(&target, &owner))
			return true;
	}
	return false;
}

static bool record_counts(const struct reading *rd, const struct dns_record *r, unsigned *n_additional)
{
	if (r->class != rd->q->class || r->type == DNS_OPT)
		return false;
	switch (r->section) {
	case DNS_ANSWER:
		return answer_counts(rd, r);
	case DNS_AUTHORITY:
		return authority_counts(rd, r);
	default:
		return (*n_additional)++ < ADDITIONAL_MAX && additional_counts(rd, r);
	}
}

struct census {
	unsigned answers, dropped;
	bool opt_last; /* nothing is dropped but an OPT at the end: the bytes can stay as they are */
	size_t len;    /* up to there */
	unsigned n_opt;
};

static struct census count_records(const struct reading *rd)
{
	struct census c = { .opt_last = true, .len = rd->m->bytes.len };
	unsigned n_additional = 0;

	for (struct dns_record r = dns_records(rd->m); dns_record_next(rd->m, &r);) {
		bool is_opt = r.type == DNS_OPT && r.section == DNS_ADDITIONAL;
		if (c.n_opt)
			c.opt_last = false;
		if (is_opt) {
			c.n_opt++;
			c.len = r.at;
		} else if (record_counts(rd, &r, &n_additional)) {
			c.answers += r.section == DNS_ANSWER;
		} else {
			c.dropped++;
		}
	}
	return c;
}

static uint16_t flags_of(const struct reading *rd)
{
	return (uint16_t)(DNS_FLAG_QR | DNS_FLAG_RA | (rd->q->flags & (DNS_FLAG_RD | DNS_FLAG_CD)) |
			  (rd->m->flags & (DNS_FLAG_AD | DNS_FLAGS_RCODE)));
}

/* ---- compression pointers: only to where a name, or the end of one, was written before ---- */

struct name_map {
	struct str msg;
	uint8_t starts[DNS_MESSAGE_BYTES_MAX / 8 + 1]; /* a bit for each byte at which a label begins */
};

static bool name_written(struct name_map *nm, size_t at, size_t *ret_end)
{
	const uint8_t *p = (const uint8_t *)nm->msg.ptr;

	for (; at < nm->msg.len; at += 1 + (size_t)p[at]) {
		if (p[at] >= 0xc0) {
			size_t to = at + 1 < nm->msg.len ? (size_t)(p[at] & 0x3f) << 8 | p[at + 1] : 0;
			*ret_end = at + 2;
			return nm->starts[to / 8] >> to % 8 & 1;
		}
		nm->starts[at / 8] |= (uint8_t)(1u << at % 8);
		if (p[at] == 0) {
			*ret_end = at + 1;
			return true;
		}
	}
	return false;
}

/* Where names begin in rdata, and how many: RFC 1035's types, SRV and DNAME (others do not compress: RFC 3597, 4). */
static unsigned rdata_names(uint16_t type, size_t *ret_offset)
{
	*ret_offset = type == DNS_MX ? 2 : type == DNS_SRV ? 6 : 0;
	switch (type) {
	case DNS_SOA:
		return 2;
	case DNS_NS:
	case DNS_CNAME:
	case DNS_PTR:
	case DNS_DNAME:
	case DNS_MX:
	case DNS_SRV:
		return 1;
	default:
		return 0;
	}
}

/* Otherwise a name might be made of numbers that are still to change: TTLs. */
static bool names_are_sound(const struct dns_message *m)
{
	struct name_map nm = { .msg = m->bytes };
	size_t end;

	if (!name_written(&nm, DNS_HEADER_BYTES, &end))
		return false;
	for (struct dns_record r = dns_records(m); dns_record_next(m, &r);) {
		size_t offset, at;
		unsigned n = rdata_names(r.type, &offset);
		if (!name_written(&nm, r.at, &end))
			return false;
		for (at = r.rdata_at + offset; n; n--)
			if (!name_written(&nm, at, &at))
				return false;
	}
	return true;
}

/* The question has the same length as ours, so that every pointer still leads where it did. */
static size_t copy_bytes(const struct reading *rd, const struct census *c, uint8_t *out)
{
	memcpy(out, rd->m->bytes.ptr, c->len);
	memcpy(out + DNS_HEADER_BYTES, rd->q->name.wire, rd->q->name.len);
	put_be16(out + 10, rd->m->counts[DNS_ADDITIONAL] - c->n_opt);
	return c->len;
}

static size_t copy_records(const struct reading *rd, uint8_t *out)
{
	uint8_t question[DNS_NAME_BYTES_MAX + 4];
	struct dns_query q = *rd->q;
	struct dns_writer w;
	unsigned n_additional = 0;

	memcpy(question, q.name.wire, q.name.len);
	put_be16(question + q.name.len, q.type);
	put_be16(question + q.name.len + 2, q.class);
	q.question = (struct str){ (char *)question, q.name.len + 4u };
	q.edns = false;
	dns_answer_start(&w, out, DNS_MESSAGE_BYTES_MAX, &q);
	for (struct dns_record r = dns_records(rd->m); dns_record_next(rd->m, &r);)
		if (record_counts(rd, &r, &n_additional))
			dns_put_copy(&w, r.section, rd->m, &r);
	if (w.truncated)
		return 0; /* names written out made it too long for any transport */
	return dns_answer_finish(&w, (enum dns_rcode)(rd->m->flags & DNS_FLAGS_RCODE), false);
}

size_t upstream_reply_clean(const struct dns_query *q, const struct dns_name *from, const struct dns_message *m,
			    uint8_t out[DNS_MESSAGE_BYTES_MAX])
{
	struct reading rd = { .q = q, .from = from, .m = m, .n = 1 };
	bool loop = false;
	size_t len;

	rd.chain[0] = q->name;
	while (chain_extend(&rd, &loop))
		;
	if (loop)
		return 0;
	struct census c = count_records(&rd);
	if (m->counts[DNS_ANSWER] && !c.answers)
		return 0;
	bool as_it_is = !c.dropped && c.opt_last && names_are_sound(m);
	len = as_it_is ? copy_bytes(&rd, &c, out) : copy_records(&rd, out);
	if (len)
		put_be16(out + 2, flags_of(&rd));
	return len;
}
