/* local - names of this machine itself, which must not leave it: localhost and the reverse zones of 0, 127 and 255. */
#include "roles/dns/plugin/plugin.h"
#include "roles/dns/plugin/reply.h"

#define TTL 604800 /* CoreDNS': a week */

struct local {
	bool prefix; /* localhost.ANY.NAME too, as CoreDNS does by default */
};

static const struct zone {
	const char *text;
	bool has_address;
} zones[] = { { "localhost", true }, { "0.in-addr.arpa", false }, { "127.in-addr.arpa", false }, { "255.in-addr.arpa", false } };

static struct dns_name name_of(const char *text)
{
	struct dns_name n = { 0 };

	(void)!dns_name_from_text(str_of(text), &n);
	return n;
}

static int local_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct local *l = *settings = xmalloc(sizeof(*l));

	(void)scope;
	l->prefix = true;
	if (d->head.n > 1)
		return directive_error(e, &d->head, "local", "takes nothing, not '%s'", d->head.words[1]);
	for (size_t i = 0; i < d->n_body; i++) {
		const struct corefile_line *p = &d->body[i];
		if (p->n != 2 || (strcmp(p->words[1], "on") != 0 && strcmp(p->words[1], "off") != 0))
			return directive_error(e, p, "local", "localhost_prefix is on or off");
		l->prefix = strcmp(p->words[1], "on") == 0;
	}
	return 0;
}

/* ---- answers ---- */

static void put_soa(struct dns_writer *w, enum dns_section s, uint16_t owner_at)
{
	static const uint8_t numbers[20] = { [3] = 1, [16] = TTL >> 24, TTL >> 16 & 255, TTL >> 8 & 255, TTL & 255 };
	struct dns_name server = name_of("localhost"), mailbox = name_of("root.localhost");
	struct dns_rdata rd = { .fixed = server.wire, .fixed_len = server.len, .name = mailbox.wire, .name_len = mailbox.len, .more = numbers,
				.more_len = sizeof(numbers) };

	dns_put(w, s, owner_at, DNS_SOA, TTL, &rd);
}

/* A or AAAA of the machine; true: `type` is one of them. */
static bool put_address(struct dns_writer *w, uint16_t type)
{
	static const uint8_t v4[4] = { 127, 0, 0, 1 }, v6[16] = { [15] = 1 };

	if (type == DNS_A)
		reply_put(w, DNS_ANSWER, DNS_A, TTL, v4, sizeof(v4));
	if (type == DNS_AAAA)
		reply_put(w, DNS_ANSWER, DNS_AAAA, TTL, v6, sizeof(v6));
	return type == DNS_A || type == DNS_AAAA;
}

static void put_name(struct dns_writer *w, uint16_t type)
{
	struct dns_name n = name_of("localhost");

	reply_put(w, DNS_ANSWER, type, TTL, n.wire, n.len);
}

static enum plugin_verdict finish(struct request *r, struct dns_writer *w, enum dns_rcode rcode)
{
	reply_finish(r, w, rcode, false, FROM_PLUGIN);
	return PLUGIN_ANSWERED;
}

/* A name that has nothing but the machine's addresses. */
static enum plugin_verdict answer_machine(struct request *r)
{
	struct dns_writer w;

	request_note(r, "local: a name of this machine");
	reply_start(r, &w);
	if (!put_address(&w, r->query.type))
		put_soa(&w, DNS_AUTHORITY, DNS_QUESTION_AT);
	return finish(r, &w, DNS_NOERROR);
}

static enum plugin_verdict answer_apex(struct request *r, bool has_address)
{
	struct dns_writer w;

	reply_start(r, &w);
	if (r->query.type == DNS_SOA)
		put_soa(&w, DNS_ANSWER, DNS_QUESTION_AT);
	else if (r->query.type == DNS_NS)
		put_name(&w, DNS_NS);
	else if (!has_address || !put_address(&w, r->query.type))
		put_soa(&w, DNS_AUTHORITY, DNS_QUESTION_AT);
	return finish(r, &w, DNS_NOERROR);
}

static enum plugin_verdict answer_below(struct request *r, const struct dns_name *zone)
{
	struct dns_name loopback = name_of("1.0.0.127.in-addr.arpa");
	const struct dns_name *name = &r->query.name;
	bool known = name->len == loopback.len && memcmp(name->wire, loopback.wire, name->len) == 0;
	struct dns_writer w;

	reply_start(r, &w);
	if (known && r->query.type == DNS_PTR)
		put_name(&w, DNS_PTR);
	else
		put_soa(&w, DNS_AUTHORITY, (uint16_t)(DNS_QUESTION_AT + name->len - zone->len));
	return finish(r, &w, known ? DNS_NOERROR : DNS_NXDOMAIN);
}

static bool begins_with_localhost(const struct dns_name *n)
{
	return n->labels > 1 && n->wire[0] == 9 && memcmp(n->wire + 1, "localhost", 9) == 0;
}

static enum plugin_verdict local_ask(struct request *r, struct plugin_instance *i)
{
	const struct local *l = i->settings;
	const struct dns_name *name = &r->query.name;

	if (l->prefix && begins_with_localhost(name))
		return answer_machine(r);
	for (size_t z = 0; z < ARRAY_LEN(zones); z++) {
		struct dns_name zone = name_of(zones[z].text);
		if (!dns_name_under(name, &zone))
			continue;
		if (name->len == zone.len)
			return answer_apex(r, zones[z].has_address);
		return zones[z].has_address ? answer_machine(r) : answer_below(r, &zone);
	}
	return PLUGIN_NEXT;
}

static bool local_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	const struct local *l = i->settings;

	if (l->prefix)
		return true;
	for (size_t z = 0; z < ARRAY_LEN(zones); z++) {
		struct dns_name own = name_of(zones[z].text);
		if (dns_name_under(zone, &own) || dns_name_under(&own, zone))
			return true;
	}
	return false;
}

static const struct plugin_property properties[] = {
	{ "localhost_prefix", "on|off", "whether localhost.ANY.NAME is this machine as well; on by default, as in CoreDNS, which keeps cluster names off the fast path" },
	{ NULL },
};
const struct plugin plugin_local = {
	.name = "local",
	.args = "",
	.doc = "answers localhost, names below it, and the reverse zones of 0/8, 127/8 and 255/8, so that no such question leaves the machine",
	.properties = properties,
	.once = true,
	.parse = local_parse,
	.free_settings = free,
	.ask = local_ask,
	.touches = local_touches,
};
