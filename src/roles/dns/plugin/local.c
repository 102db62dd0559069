/* local.c - localhost and the reverse zones that nobody else may be asked about (RFC 6303, RFC 6761). CoreDNS' plugin/local. */
#include "roles/dns/plugin/reply.h"

#define LOCAL_TTL 604800 /* RFC 6303, 3 */

/* The first is localhost; the last is whose one name is. */
static const char *const zones[] = { "localhost", "0.in-addr.arpa", "127.in-addr.arpa", "255.in-addr.arpa" };
static const uint8_t localhost[] = "\11localhost"; /* with the root */

static int local_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	(void)scope;
	(void)settings;
	return d->head.n > 1 ? directive_error(e, &d->head, "local", "takes no arguments") : 0;
}

static int local_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	(void)e;
	i->started = s->metrics ? dns_metric(s->metrics, "coredns_local_localhost_requests_total", METRIC_COUNTER,
					     "Counter of localhost.<domain> requests.", "") :
				  NULL;
	return 0;
}

static void put_soa(struct dns_writer *w, enum dns_section s, const struct dns_name *owner)
{
	static const uint8_t data[] = "\11localhost\0\4root\11localhost\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\011\072\200";
	struct dns_rdata rd = { .fixed = data, .fixed_len = sizeof(data) - 1 };

	dns_put_named(w, s, owner, DNS_SOA, LOCAL_TTL, &rd);
}

/* False: no data. */
static bool put_localhost(struct dns_writer *w, uint16_t type)
{
	static const uint8_t v4[4] = { 127, 0, 0, 1 }, v6[16] = { [15] = 1 };

	if (type == DNS_A)
		reply_put(w, DNS_ANSWER, DNS_A, LOCAL_TTL, v4, sizeof(v4));
	else if (type == DNS_AAAA)
		reply_put(w, DNS_ANSWER, DNS_AAAA, LOCAL_TTL, v6, sizeof(v6));
	return type == DNS_A || type == DNS_AAAA;
}

static bool put_apex(struct dns_writer *w, const struct dns_name *zone, bool is_localhost, uint16_t type)
{
	if (type == DNS_SOA)
		put_soa(w, DNS_ANSWER, zone);
	else if (type == DNS_NS)
		reply_put(w, DNS_ANSWER, DNS_NS, LOCAL_TTL, localhost, sizeof(localhost));
	else
		return is_localhost && put_localhost(w, type);
	return true;
}

static enum plugin_verdict answer(struct request *r, const struct dns_name *zone, bool is_localhost)
{
	const struct dns_name *name = &r->query.name;
	struct dns_name loopback;
	enum dns_rcode rcode = DNS_NOERROR;
	struct dns_writer w;
	bool put = false;

	reply_start(r, &w);
	if (!dns_name_from_text(STR("1.0.0.127.in-addr.arpa"), &loopback))
		return PLUGIN_NEXT;
	if (name->len == zone->len)
		put = put_apex(&w, zone, is_localhost, r->query.type);
	else if (name->len != loopback.len || memcmp(name->wire, loopback.wire, name->len) != 0)
		rcode = DNS_NXDOMAIN;
	else if ((put = r->query.type == DNS_PTR))
		reply_put(&w, DNS_ANSWER, DNS_PTR, LOCAL_TTL, localhost, sizeof(localhost));
	if (!put)
		put_soa(&w, DNS_AUTHORITY, zone);
	reply_finish(r, &w, rcode, false, FROM_PLUGIN);
	return PLUGIN_ANSWERED;
}

/* localhost.example.org, as search lists make it. */
static enum plugin_verdict answer_localhost(struct request *r, const struct plugin_instance *i)
{
	struct dns_writer w;

	plugin_count(i->started, r->worker);
	reply_start(r, &w);
	if (!put_localhost(&w, r->query.type))
		put_soa(&w, DNS_AUTHORITY, &r->query.name);
	reply_finish(r, &w, DNS_NOERROR, false, FROM_PLUGIN);
	return PLUGIN_ANSWERED;
}

static enum plugin_verdict local_ask(struct request *r, struct plugin_instance *i)
{
	const struct dns_name *name = &r->query.name;

	if (name->labels > 1 && memcmp(name->wire, localhost, sizeof(localhost) - 1) == 0)
		return answer_localhost(r, i);
	for (size_t k = 0; k < ARRAY_LEN(zones); k++) {
		struct dns_name zone;
		if (dns_name_from_text(str_of(zones[k]), &zone) && dns_name_under(name, &zone))
			return answer(r, &zone, k == 0);
	}
	return PLUGIN_NEXT;
}

const struct plugin plugin_local = {
	.name = "local",
	.doc = "answers localhost, localhost.DOMAIN and the reverse zones of RFC 6303, so that nobody else is asked about them",
	.once = true,
	.parse = local_parse,
	.start = local_start,
	.ask = local_ask,
};
