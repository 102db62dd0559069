/* dns64.c - IPv6 addresses for names that only have IPv4 ones, for networks with NAT64 (RFC 6147, 6052). CoreDNS' plugin/dns64. */
#include "roles/dns/plugin/net_set.h"
#include "roles/dns/plugin/reply.h"

#include <stdio.h>

#define WELL_KNOWN_PREFIX "64:ff9b::/96"
#define TTL_WITHOUT_SOA 600 /* RFC 6147, 5.1.7 */

struct dns64 {
	struct net prefix;
	bool translate_all, allow_ipv4;
};

/* ---- settings ---- */

static int set_prefix(struct dns64 *d, const char *word, const struct corefile_line *at, struct err *e)
{
	if (!strchr(word, ':') || !strchr(word, '/') || !net_parse(word, &d->prefix) || d->prefix.bits < 32 || d->prefix.bits > 96 ||
	    d->prefix.bits % 8 || (d->prefix.bits > 64 && d->prefix.bits != 96) || d->prefix.ip[8])
		return directive_error(e, at, "dns64", "\"%s\" is not a prefix of 32, 40, 48, 56, 64 or 96 bits, as 64:ff9b::/96 is", word);
	return 0;
}

static int dns64_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct dns64 *own = xcalloc(1, sizeof(*own));

	(void)scope;
	*settings = own;
	if (d->head.n > 2)
		return directive_error(e, &d->head, "dns64", "is followed by one prefix at the most");
	if (set_prefix(own, d->head.n == 2 ? d->head.words[1] : WELL_KNOWN_PREFIX, &d->head, e))
		return -1;
	for (size_t i = 0; i < d->n_body; i++) {
		const struct corefile_line *line = &d->body[i];
		bool prefix = strcmp(line->words[0], "prefix") == 0;
		if (line->n != (prefix ? 2 : 1))
			return directive_error(e, line, "dns64", prefix ? "prefix is followed by one prefix" : "takes no value");
		if (prefix && set_prefix(own, line->words[1], line, e))
			return -1;
		own->translate_all = own->translate_all || strcmp(line->words[0], "translate_all") == 0;
		own->allow_ipv4 = own->allow_ipv4 || strcmp(line->words[0], "allow_ipv4") == 0;
	}
	return 0;
}

static int dns64_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	struct buf labels;

	(void)e;
	if (!s->metrics)
		return 0;
	buf_init(&labels, 1024);
	metric_label(&labels, "server", i->block->server);
	i->started = dns_metric(s->metrics, "coredns_dns64_requests_translated_total", METRIC_COUNTER,
				"Counter of DNS requests translated by dns64.", labels.ptr);
	buf_done(&labels);
	return 0;
}

/* ---- addresses: RFC 6052, 2.2 - the ninth byte is zero and left out ---- */

static void embed(const struct net *prefix, const uint8_t ip4[4], uint8_t ret_ip[16])
{
	size_t at = prefix->bits / 8;

	memcpy(ret_ip, prefix->ip, 16);
	for (int i = 0; i < 4; i++, at++) {
		at += at == 8;
		ret_ip[at] = ip4[i];
	}
}

static bool extract(const struct net *prefix, const uint8_t ip[16], uint8_t ret_ip4[4])
{
	uint8_t whole[16];
	size_t at = prefix->bits / 8;

	for (int i = 0; i < 4; i++, at++) {
		at += at == 8;
		ret_ip4[i] = ip[at];
	}
	embed(prefix, ret_ip4, whole);
	return memcmp(whole, ip, 16) == 0;
}

/* ---- PTR: the IPv4 address' name is the name (5.3.1) ---- */

static bool reverse_name(const struct dns64 *d, const struct dns_name *asked, struct dns_name *ret)
{
	uint8_t ip[16], ip4[4];
	char text[40];

	if (dns_reverse_ip(asked, ip) != 16 || !extract(&d->prefix, ip, ip4))
		return false;
	snprintf(text, sizeof(text), "%u.%u.%u.%u.in-addr.arpa", ip4[3], ip4[2], ip4[1], ip4[0]);
	return dns_name_from_text(str_of(text), ret);
}

static void on_ptr(void *ctx, struct request *child)
{
	struct request *r = ctx;
	struct dns_message m;
	struct dns_writer w;

	if (!reply_message(child, &m)) {
		request_set_rcode(r, DNS_SERVFAIL, FROM_PLUGIN);
		request_resume(r, PLUGIN_ANSWERED);
		return;
	}
	struct dns_record first = dns_records(&m);
	struct dns_rdata rd = { .name = m.name.wire, .name_len = m.name.len };
	uint32_t ttl = dns_record_next(&m, &first) ? first.ttl : 0;
	reply_start(r, &w);
	dns_put(&w, DNS_ANSWER, DNS_QUESTION_AT, DNS_CNAME, ttl, &rd);
	reply_copy(&w, &m, true, true, true);
	reply_finish_as(r, &w, &m, FROM_PLUGIN);
	request_resume(r, PLUGIN_ANSWERED);
}

static enum plugin_verdict dns64_ask(struct request *r, struct plugin_instance *i)
{
	struct dns_name name;

	if (r->query.type != DNS_PTR || !reverse_name(i->settings, &r->query.name, &name))
		return PLUGIN_NEXT;
	request_note(r, "dns64: an address of the prefix");
	return request_ask(r, &name, DNS_PTR, false, on_ptr, r) ? PLUGIN_LATER : PLUGIN_NEXT;
}

/* ---- AAAA ---- */

static bool concerns(const struct dns64 *d, const struct request *r)
{
	uint8_t ip[16];

	if (r->query.type != DNS_AAAA)
		return false;
	/* 5.5: who checks signatures himself is left alone. */
	if (r->query.dnssec_ok && r->query.flags & DNS_FLAG_CD)
		return false;
	net_ip(&r->client.addr, ip);
	return d->allow_ipv4 || !net_ip_is_4(ip);
}

/* A denial of the name is one of its IPv4 addresses as well; other errors may be the AAAA question's alone (5.1.2). */
static bool wants_translation(const struct dns64 *d, const struct dns_message *m)
{
	if ((m->flags & DNS_FLAGS_RCODE) == DNS_NXDOMAIN)
		return false;
	for (struct dns_record rr = dns_records(m); !d->translate_all && dns_record_next(m, &rr);)
		if (rr.section == DNS_ANSWER && rr.type == DNS_AAAA && !net_ip_is_4((const uint8_t *)m->bytes.ptr + rr.rdata_at))
			return false; /* ::ffff:0:0/96 does not count: 5.1.4 */
	return true;
}

static uint32_t most_ttl(const struct request *r)
{
	struct dns_message m;

	if (!reply_message(r, &m))
		return TTL_WITHOUT_SOA;
	for (struct dns_record rr = dns_records(&m); dns_record_next(&m, &rr);)
		if (rr.section == DNS_AUTHORITY && rr.type == DNS_SOA)
			return rr.ttl;
	return TTL_WITHOUT_SOA;
}

static void put_translated(struct dns_writer *w, const struct dns64 *d, const struct dns_message *m, const struct dns_record *rr, uint32_t ttl)
{
	uint8_t ip[16];
	struct dns_rdata rd = { .fixed = ip, .fixed_len = sizeof(ip) };
	struct dns_name owner;
	size_t end;

	if (!dns_name_read(m->bytes, rr->at, &owner, &end))
		return;
	embed(&d->prefix, (const uint8_t *)m->bytes.ptr + rr->rdata_at, ip);
	if (dns_name_under(&owner, &m->name) && owner.len == m->name.len)
		dns_put(w, DNS_ANSWER, DNS_QUESTION_AT, DNS_AAAA, MIN(rr->ttl, ttl), &rd);
	else
		dns_put_named(w, DNS_ANSWER, &owner, DNS_AAAA, MIN(rr->ttl, ttl), &rd);
}

static void on_addresses(void *ctx, struct request *child)
{
	struct request *r = ctx;
	const struct plugin_instance *i = &r->block->plugins[r->at];
	uint32_t ttl = most_ttl(r);
	struct dns_message m;
	struct dns_writer w;
	unsigned n = 0;

	/* Without addresses the first answer stands. */
	if (reply_message(child, &m))
		for (struct dns_record rr = dns_records(&m); dns_record_next(&m, &rr);)
			n += rr.section == DNS_ANSWER && rr.type == DNS_A;
	if (!n) {
		request_resume(r, PLUGIN_NEXT);
		return;
	}
	plugin_count(i->started, r->worker);
	request_note(r, "dns64: %u addresses translated", n);
	reply_start(r, &w);
	for (struct dns_record rr = dns_records(&m); dns_record_next(&m, &rr) && rr.section == DNS_ANSWER;)
		if (rr.type == DNS_A)
			put_translated(&w, i->settings, &m, &rr, ttl);
		else
			dns_put_copy(&w, DNS_ANSWER, &m, &rr);
	reply_copy(&w, &m, false, true, true);
	m.flags &= (uint16_t)~DNS_FLAG_AD; /* nobody signed these: 5.5 */
	reply_finish_as(r, &w, &m, child->source);
	request_resume(r, PLUGIN_NEXT);
}

static enum plugin_verdict dns64_answer(struct request *r, struct plugin_instance *i)
{
	struct dns_message m;

	if (!concerns(i->settings, r) || !reply_message(r, &m) || !wants_translation(i->settings, &m))
		return PLUGIN_NEXT;
	struct dns_name name = r->query.name;
	return request_ask(r, &name, DNS_A, true, on_addresses, r) ? PLUGIN_LATER : PLUGIN_NEXT;
}

static const struct plugin_property properties[] = {
	{ "prefix", "PREFIX", "in place of " WELL_KNOWN_PREFIX },
	{ "translate_all", "", "names that have IPv6 addresses are translated as well" },
	{ "allow_ipv4", "", "also for those who ask over IPv4" },
	{ NULL },
};
const struct plugin plugin_dns64 = {
	.name = "dns64",
	.args = "[PREFIX]",
	.doc = "names without IPv6 addresses get some made of their IPv4 ones, for those who ask over IPv6; the prefix' reverse names lead to the "
	       "IPv4 addresses'",
	.properties = properties,
	.once = true,
	.parse = dns64_parse,
	.free_settings = free,
	.start = dns64_start,
	.ask = dns64_ask,
	.answer = dns64_answer,
};
