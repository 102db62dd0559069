#include "codec/dns_int.h"

#include "codec/dns_edns.h"

#include <stdio.h>

#define POINTER_MAX 0x3fff /* further into a message no compression reaches */
#define DNSSEC_OK 0x8000   /* in the flags of OPT's TTL */

/* ---- names ---- */

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

bool dns_name_from_text(struct str text, struct dns_name *ret)
{
	size_t at = 0, labels = 0;
	struct str rest = text;

	if (text.len && text.ptr[text.len - 1] == '.')
		rest.len--;
	if (!rest.len)
		rest.ptr = NULL; /* the root */
	while (rest.ptr) {
		struct str label = str_cut(rest, '.', &rest);
		if (!label.len || label.len > DNS_LABEL_BYTES_MAX ||
		    at + 1 + label.len + 1 > DNS_NAME_BYTES_MAX)
			return false;
		ret->wire[at++] = (uint8_t)label.len;
		for (size_t i = 0; i < label.len; i++)
			ret->wire[at++] = lower((uint8_t)label.ptr[i]);
		labels++;
	}
	ret->wire[at++] = 0;
	ret->len = (uint8_t)at;
	ret->labels = (uint8_t)labels;
	return true;
}

/* Pointers must lead backwards, each further than the one before, so that a loop cannot be. */
bool dns_name_read(struct str msg, size_t at, struct dns_name *ret, size_t *ret_end)
{
	const uint8_t *p = (const uint8_t *)msg.ptr;
	size_t n = 0, limit = at, end = 0;
	uint8_t labels = 0;

	for (;;) {
		if (at >= msg.len)
			return false;
		uint8_t len = p[at];
		if (len >= 0xc0) {
			if (at + 1 >= msg.len)
				return false;
			size_t to = (size_t)(len & 0x3f) << 8 | p[at + 1];
			if (to >= limit)
				return false;
			end = end ? end : at + 2;
			at = limit = to;
			continue;
		}
		if (len > DNS_LABEL_BYTES_MAX || at + 1 + len > msg.len ||
		    n + 1 + len > DNS_NAME_BYTES_MAX)
			return false;
		memcpy(ret->wire + n, p + at, 1 + (size_t)len);
		n += 1 + (size_t)len;
		at += 1 + (size_t)len;
		if (len == 0)
			break;
		labels++;
	}
	ret->len = (uint8_t)n;
	ret->labels = labels;
	*ret_end = end ? end : at;
	return true;
}

void dns_name_lower(struct dns_name *n)
{
	/* Lengths are below 'A', so that they need no skipping. */
	for (size_t i = 0; i < n->len; i++)
		n->wire[i] = lower(n->wire[i]);
}

bool dns_name_under(const struct dns_name *n, const struct dns_name *zone)
{
	if (n->len < zone->len || n->labels < zone->labels)
		return false;
	size_t at = 0;
	for (int i = n->labels - zone->labels; i > 0; i--)
		at += 1 + (size_t)n->wire[at];
	return n->len - at == zone->len && memcmp(n->wire + at, zone->wire, zone->len) == 0;
}

const char *dns_name_text(const struct dns_name *n, char out[DNS_NAME_TEXT_BYTES])
{
	size_t o = 0;

	for (size_t at = 0; n->wire[at]; at += 1 + (size_t)n->wire[at]) {
		for (size_t i = 1; i <= n->wire[at]; i++) {
			uint8_t c = n->wire[at + i];
			if (c > ' ' && c < 0x7f && !strchr(".\\;\"@()$", c))
				out[o++] = (char)c;
			else
				o += (size_t)sprintf(out + o, "\\%03u", c);
		}
		out[o++] = '.';
	}
	if (o == 0)
		out[o++] = '.';
	out[o] = '\0';
	return out;
}

static int octet_of(const uint8_t *label)
{
	int v = 0;

	if (label[0] == 0 || label[0] > 3 || (label[0] > 1 && label[1] == '0'))
		return -1;
	for (int i = 1; i <= label[0]; i++) {
		if (label[i] < '0' || label[i] > '9')
			return -1;
		v = v * 10 + label[i] - '0';
	}
	return v <= 255 ? v : -1;
}

static int nibble_of(const uint8_t *label)
{
	if (label[0] != 1)
		return -1;
	if (label[1] >= '0' && label[1] <= '9')
		return label[1] - '0';
	return label[1] >= 'a' && label[1] <= 'f' ? label[1] - 'a' + 10 : -1;
}

size_t dns_reverse_ip(const struct dns_name *n, uint8_t ret_ip[16])
{
	static const char v4[] = "\7in-addr\4arpa", v6[] = "\3ip6\4arpa"; /* with the root */
	size_t at = 0;

	if (n->labels == 6 && n->len > sizeof(v4) &&
	    !memcmp(n->wire + n->len - sizeof(v4), v4, sizeof(v4))) {
		for (int i = 3; i >= 0; i--, at += 1 + (size_t)n->wire[at]) {
			int v = octet_of(n->wire + at);
			if (v < 0)
				return 0;
			ret_ip[i] = (uint8_t)v;
		}
		return 4;
	}
	if (n->labels != 34 || n->len != 64 + sizeof(v6) ||
	    memcmp(n->wire + 64, v6, sizeof(v6)) != 0)
		return 0;
	for (int i = 15; i >= 0; i--, at += 4) {
		int low = nibble_of(n->wire + at), high = nibble_of(n->wire + at + 2);
		if (low < 0 || high < 0)
			return 0;
		ret_ip[i] = (uint8_t)(high << 4 | low);
	}
	return 16;
}

/* ---- queries ---- */

/* The question's name: never compressed, and lower-cased on the way. */
static size_t read_question_name(const uint8_t *p, size_t len, struct dns_name *ret)
{
	size_t at = DNS_HEADER_BYTES, n = 0;

	for (ret->labels = 0;; ret->labels++) {
		if (at >= len)
			return 0;
		size_t label = p[at];
		if (label > DNS_LABEL_BYTES_MAX || at + 1 + label > len ||
		    n + 1 + label > DNS_NAME_BYTES_MAX)
			return 0;
		for (size_t i = 0; i <= label; i++)
			ret->wire[n++] = lower(p[at++]);
		if (label == 0)
			break;
	}
	ret->len = (uint8_t)n;
	return at;
}

static int take_opt(struct dns_query *q, const uint8_t *rr)
{
	uint32_t ttl = get_u32(rr + 4);

	if (q->edns)
		return DNS_FORMERR; /* RFC 6891, 6.1.1: there may be one */
	q->edns = true;
	q->dnssec_ok = ttl & DNSSEC_OK;
	q->udp_offered = get_u16(rr + 2);
	q->udp_bytes = MIN(MAX(q->udp_offered, DNS_UDP_BYTES_MIN), DNS_UDP_BYTES_MAX);
	q->options = (struct str){ (const char *)rr + RR_FIXED_BYTES, get_u16(rr + 8) };
	if (!dns_edns_valid(q->options))
		return DNS_FORMERR;
	return ttl >> 16 & 0xff ? DNS_BADVERS : 0;
}

/* What follows the question in a query: nothing that we use but OPT. */
static int read_extras(struct dns_query *q, struct str msg, size_t at, unsigned n_before,
		       unsigned n_additional)
{
	const uint8_t *p = (const uint8_t *)msg.ptr;
	int result = 0;

	for (unsigned i = 0; i < n_before + n_additional; i++) {
		struct dns_name owner;
		if (!dns_name_read(msg, at, &owner, &at) || at + RR_FIXED_BYTES > msg.len)
			return DNS_FORMERR;
		const uint8_t *rr = p + at;
		at += RR_FIXED_BYTES + (size_t)get_u16(rr + 8);
		if (at > msg.len)
			return DNS_FORMERR;
		if (get_u16(rr) != DNS_OPT || i < n_before)
			continue;
		int r = owner.labels ? DNS_FORMERR : take_opt(q, rr);
		if (r == DNS_FORMERR)
			return r;
		result = r;
	}
	return at == msg.len ? result : DNS_FORMERR;
}

int dns_query_parse(struct str msg, struct dns_query *ret)
{
	const uint8_t *p = (const uint8_t *)msg.ptr;

	if (msg.len < DNS_HEADER_BYTES || get_u16(p + 2) & DNS_FLAG_QR)
		return -1;
	ret->id = get_u16(p);
	ret->flags = get_u16(p + 2);
	ret->question = ret->options = ret->reply_options = STR_NONE;
	ret->edns = ret->dnssec_ok = ret->cookie = false;
	ret->udp_bytes = DNS_UDP_BYTES_MIN;
	ret->udp_offered = 0;
	if (ret->flags & DNS_FLAGS_OPCODE)
		return DNS_NOTIMP;
	if (get_u16(p + 4) != 1)
		return DNS_FORMERR;
	size_t at = read_question_name(p, msg.len, &ret->name);
	if (at == 0 || at + 4 > msg.len)
		return DNS_FORMERR;
	ret->type = get_u16(p + at);
	ret->class = get_u16(p + at + 2);
	at += 4;
	ret->question = (struct str){ msg.ptr + DNS_HEADER_BYTES, at - DNS_HEADER_BYTES };
	unsigned before = get_u16(p + 6) + get_u16(p + 8), additional = get_u16(p + 10);
	if (before + additional == 0)
		return at == msg.len ? 0 : DNS_FORMERR;
	return read_extras(ret, msg, at, before, additional);
}

/* ---- answers ---- */

void dns_answer_start(struct dns_writer *w, uint8_t *out, size_t max, const struct dns_query *q)
{
	*w = (struct dns_writer){ .ptr = out, .max = max, .query = q, .len = DNS_HEADER_BYTES };
	if (q->edns)
		w->max -= DNS_OPT_BYTES + q->reply_options.len;
	if (!q->question.len)
		return;
	memcpy(out + w->len, q->question.ptr, q->question.len);
	w->len += q->question.len;
	w->counts[0] = 1;
}

static uint16_t put_record(struct dns_writer *w, enum dns_section s, size_t start, uint16_t type,
			   uint32_t ttl, const struct dns_rdata *rd)
{
	size_t rdlen = rd->fixed_len + rd->name_len + (rd->tail_at ? 2 : 0) + rd->more_len;
	uint8_t *p = w->ptr + w->len;

	if (w->len + RR_FIXED_BYTES + rdlen > w->max) {
		w->len = start;
		w->truncated = w->truncated || s != DNS_ADDITIONAL;
		return 0;
	}
	set_u16(p, type);
	set_u16(p + 2, DNS_CLASS_IN);
	set_u32(p + 4, ttl);
	set_u16(p + 8, (uint16_t)rdlen);
	p += RR_FIXED_BYTES;
	uint16_t at = (uint16_t)(p - w->ptr);
	if (rd->fixed_len)
		p = mempcpy(p, rd->fixed, rd->fixed_len);
	if (rd->name_len)
		p = mempcpy(p, rd->name, rd->name_len);
	if (rd->tail_at) {
		set_u16(p, 0xc000 | rd->tail_at);
		p += 2;
	}
	if (rd->more_len)
		p = mempcpy(p, rd->more, rd->more_len);
	w->len = (size_t)(p - w->ptr);
	w->counts[s]++;
	return at;
}

uint16_t dns_put(struct dns_writer *w, enum dns_section s, uint16_t owner_at, uint16_t type,
		 uint32_t ttl, const struct dns_rdata *rd)
{
	size_t start = w->len;

	if (w->len + 2 > w->max || owner_at > POINTER_MAX) {
		w->truncated = w->truncated || s != DNS_ADDITIONAL;
		return 0;
	}
	set_u16(w->ptr + w->len, 0xc000 | owner_at);
	w->len += 2;
	return put_record(w, s, start, type, ttl, rd);
}

uint16_t dns_put_named(struct dns_writer *w, enum dns_section s, const struct dns_name *owner,
		       uint16_t type, uint32_t ttl, const struct dns_rdata *rd)
{
	size_t start = w->len;

	if (w->len + owner->len > w->max) {
		w->truncated = w->truncated || s != DNS_ADDITIONAL;
		return 0;
	}
	memcpy(w->ptr + w->len, owner->wire, owner->len);
	w->len += owner->len;
	return put_record(w, s, start, type, ttl, rd);
}

static void put_opt(struct dns_writer *w, unsigned rcode)
{
	struct str options = w->query->reply_options;
	uint8_t *p = w->ptr + w->len;

	p[0] = 0;
	set_u16(p + 1, DNS_OPT);
	set_u16(p + 3, DNS_UDP_BYTES_MAX);
	set_u32(p + 5, (uint32_t)(rcode >> 4) << 24 | (w->query->dnssec_ok ? DNSSEC_OK : 0));
	set_u16(p + 9, (unsigned)options.len);
	if (options.len)
		memcpy(p + DNS_OPT_BYTES, options.ptr, options.len);
	w->len += DNS_OPT_BYTES + options.len;
	w->counts[DNS_ADDITIONAL]++;
}

size_t dns_answer_finish(struct dns_writer *w, enum dns_rcode rcode, bool authoritative)
{
	const struct dns_query *q = w->query;
	uint16_t flags = DNS_FLAG_QR | DNS_FLAG_RA |
			 (q->flags & (DNS_FLAGS_OPCODE | DNS_FLAG_RD | DNS_FLAG_CD)) |
			 (rcode & DNS_FLAGS_RCODE);

	if (q->edns)
		put_opt(w, rcode);
	set_u16(w->ptr, q->id);
	set_u16(w->ptr + 2,
		flags | (authoritative ? DNS_FLAG_AA : 0) | (w->truncated ? DNS_FLAG_TC : 0));
	for (int i = 0; i < 4; i++)
		set_u16(w->ptr + 4 + 2 * i, w->counts[i]);
	return w->len;
}

size_t dns_answer_error(uint8_t *out, size_t max, const struct dns_query *q, enum dns_rcode rcode)
{
	struct dns_writer w;

	dns_answer_start(&w, out, max, q);
	return dns_answer_finish(&w, rcode, false);
}

size_t dns_query_write(uint8_t *out, uint16_t id, const struct dns_query *q)
{
	struct dns_query ours = *q;
	struct dns_writer w;

	ours.reply_options = STR_NONE;
	dns_answer_start(&w, out, DNS_UDP_BYTES_MIN, &ours);
	if (q->edns)
		put_opt(&w, 0);
	set_u16(out, id);
	set_u16(out + 2, DNS_FLAG_RD | (q->flags & (DNS_FLAG_CD | DNS_FLAG_AD)));
	for (int i = 0; i < 4; i++)
		set_u16(out + 4 + 2 * i, w.counts[i]);
	return w.len;
}

void dns_set_id(uint8_t *msg, uint16_t id)
{
	set_u16(msg, id);
}

void dns_add_flags(uint8_t *msg, uint16_t flags)
{
	set_u16(msg + 2, get_u16(msg + 2) | flags);
}
