/* An upstream's bytes: what would be kept and given out of them parses again, and is about the question. */
#include "roles/dns/resolve/answer_cache.h"
#include "roles/dns/resolve/wire.h"

enum { AS_IT_IS, OUR_ID, OUR_QUESTION };

static const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_CNAME, DNS_SRV, DNS_MX, DNS_TXT, DNS_ANY, DNS_SOA };

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check(const struct dns_query *q, const uint8_t *bytes, size_t len)
{
	struct dns_message m;

	must(dns_message_parse((struct str){ (const char *)bytes, len }, &m));
	must(m.type == q->type && m.class == q->class && m.name.len == q->name.len);
	must(memcmp(m.name.wire, q->name.wire, q->name.len) == 0);
	must(m.flags & DNS_FLAG_QR);
	for (struct dns_record r = dns_records(&m); dns_record_next(&m, &r);)
		must(r.type != DNS_OPT && r.class == q->class);
}

/* The answer as it comes, or behind a header and a question that fit: so that more than those is looked into. */
static size_t dress(const struct upstream_query *sent, int how, const uint8_t *data, size_t size, uint8_t *out)
{
	size_t n;

	if (how != OUR_QUESTION || size < DNS_HEADER_BYTES) {
		memcpy(out, data, size);
		if (how == OUR_ID && size >= 2)
			dns_set_id(out, sent->id);
		return size;
	}
	memcpy(out, data, DNS_HEADER_BYTES);
	memcpy(out, sent->framed + 2, 2);
	out[2] = (uint8_t)((out[2] | 0x80) & 0x87);
	out[4] = 0;
	out[5] = 1;
	n = sent->len - (sent->edns ? DNS_OPT_BYTES : 0);
	memcpy(out + DNS_HEADER_BYTES, sent->framed + 2 + DNS_HEADER_BYTES, n - DNS_HEADER_BYTES);
	memcpy(out + n, data + DNS_HEADER_BYTES, size - DNS_HEADER_BYTES);
	return n + size - DNS_HEADER_BYTES;
}

static void keep(struct answer_cache *c, const struct dns_query *q, uint8_t *bytes, size_t len)
{
	static uint8_t out[DNS_MESSAGE_BYTES_MAX];
	struct answer_cache_change change;
	struct answer_found found;
	struct dns_message m;
	enum answer_kind kind;
	uint32_t ttl;

	must(dns_message_parse((struct str){ (char *)bytes, len }, &m));
	if (!answer_judge(&m, &kind, &ttl))
		return;
	answer_set_ttls(&m, bytes, ttl);
	answer_cache_put(c, q, &m, kind, ttl, 1000, &change);
	answer_cache_get(c, q, 2000, out, &found);
	if (found.state != ANSWER_NONE)
		check(q, out, found.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t in[DNS_MESSAGE_BYTES_MAX], out[DNS_MESSAGE_BYTES_MAX];
	static const uint8_t letters[UPSTREAM_CASE_BYTES] = { 0xa5, 0x5a, 0xff };
	static struct answer_cache *cache;
	struct dns_query q = { .class = DNS_CLASS_IN };
	struct dns_name from = { .len = 1 };
	struct upstream_query sent;
	struct dns_message m;

	if (size < 1 || size > 32768)
		return 0;
	if (!cache)
		cache = answer_cache_new(&(struct answer_cache_options){ .entries = { 1024, 1024 } });
	q.type = types[data[0] & 7];
	q.dnssec_ok = data[0] & 8;
	must(dns_name_from_text(STR("www.example.com"), &q.name));
	if (data[0] & 0x10)
		must(dns_name_from_text(STR("example.com"), &from));
	upstream_query_write(&sent, &q, 0x1234, data[0] & 0x20, letters);
	size_t n = dress(&sent, data[0] >> 6, data + 1, size - 1, in);
	enum upstream_reply r = upstream_reply_check(&sent, (struct str){ (char *)in, n }, &m);
	if (r != REPLY_OURS && r != REPLY_OTHER_CASE)
		return 0;
	upstream_reply_rcode(&m);
	size_t len = upstream_reply_clean(&q, &from, &m, out);
	if (len) {
		check(&q, out, len);
		keep(cache, &q, out, len);
	}
	return 0;
}
