/* acl.c - who may ask what. CoreDNS' plugin/acl: the first policy that fits decides; without one a question passes. */
#include "roles/dns/plugin/net_set.h"
#include "roles/dns/plugin/reply.h"
#include "roles/dns/plugin/zone_set.h"

#include "codec/dns_text.h"

enum acl_action { ACL_ALLOW, ACL_BLOCK, ACL_FILTER, ACL_DROP, ACL_ACTIONS };
static const struct {
	const char *name, *metric, *help;
} actions[ACL_ACTIONS] = {
	[ACL_ALLOW] = { "allow", "coredns_acl_allowed_requests_total", "Counter of DNS requests being allowed." },
	[ACL_BLOCK] = { "block", "coredns_acl_blocked_requests_total", "Counter of DNS requests being blocked." },
	[ACL_FILTER] = { "filter", "coredns_acl_filtered_requests_total", "Counter of DNS requests being filtered." },
	[ACL_DROP] = { "drop", "coredns_acl_dropped_requests_total", "Counter of DNS requests being dropped." },
};

struct acl_policy {
	enum acl_action action;
	uint16_t *types;
	size_t n_types; /* 0: all */
	struct net_set nets;
	bool any_net;
};
struct acl_rule { /* one directive */
	struct zone_set zones;
	struct acl_policy *policies;
	size_t n_policies;
};
struct acl {
	struct acl_rule *rules;
	size_t n_rules;
};
struct acl_metrics {
	struct metric *of[ACL_ACTIONS];
};

/* ---- settings ---- */

static void acl_free(void *settings)
{
	struct acl *a = settings;

	for (size_t i = 0; a && i < a->n_rules; i++) {
		struct acl_rule *rule = &a->rules[i];
		for (size_t k = 0; k < rule->n_policies; k++) {
			net_set_done(&rule->policies[k].nets);
			free(rule->policies[k].types);
		}
		free(rule->policies);
		zone_set_done(&rule->zones);
	}
	if (a)
		free(a->rules);
	free(a);
}

static int add_type(struct acl_policy *p, const char *word, const struct corefile_line *line, struct err *e)
{
	uint16_t type;

	if (strcmp(word, "*") == 0)
		return 0;
	if (!dns_type_from_text(str_of(word), &type))
		return directive_error(e, line, "acl", "\"%s\" is no record type", word);
	p->types = xrealloc(p->types, (p->n_types + 1) * sizeof(*p->types));
	p->types[p->n_types++] = type;
	return 0;
}

static int add_net(struct acl_policy *p, const char *word, const struct corefile_line *line, struct err *e)
{
	if (!net_set_add(&p->nets, word))
		return directive_error(e, line, "acl", "\"%s\" is not a source: 10.0.0.0/8, fd00::/8, 192.0.2.1 and * are", word);
	return 0;
}

/* ACTION [type QTYPE…] [net SOURCE…], in either order. */
static int read_policy(struct acl_policy *p, const struct corefile_line *line, struct err *e)
{
	enum { NOTHING, TYPE, NET } in = NOTHING;
	size_t given = 0, n_nets = 0;

	for (p->action = 0; p->action < ACL_ACTIONS && strcmp(line->words[0], actions[p->action].name) != 0;)
		p->action++;
	for (size_t i = 1; i < line->n; i++) {
		const char *word = line->words[i];
		if (strcmp(word, "type") == 0 || strcmp(word, "net") == 0) {
			if (in != NOTHING && !given)
				break;
			in = word[0] == 't' ? TYPE : NET;
			given = 0;
			continue;
		}
		if (in == NOTHING)
			return directive_error(e, line, "acl", "\"%s\" comes after neither type nor net", word);
		given++;
		n_nets += in == NET;
		if (in == TYPE ? add_type(p, word, line, e) : add_net(p, word, line, e))
			return -1;
	}
	p->any_net = n_nets == 0;
	if (in != NOTHING && !given)
		return directive_error(e, line, "acl", "%s needs at least one value", in == TYPE ? "type" : "net");
	return 0;
}

static int acl_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct acl *a = *settings ? *settings : xcalloc(1, sizeof(*a));
	struct acl_rule *rule;

	*settings = a;
	a->rules = xrealloc(a->rules, (a->n_rules + 1) * sizeof(*a->rules));
	rule = &a->rules[a->n_rules++];
	*rule = (struct acl_rule){ .policies = xcalloc(d->n_body + 1, sizeof(*rule->policies)) };
	if (zone_set_parse(&rule->zones, d->head.words + 1, d->head.n - 1, &d->head, "acl", scope, e))
		return -1;
	for (size_t i = 0; i < d->n_body; i++) {
		rule->n_policies = i + 1;
		if (read_policy(&rule->policies[i], &d->body[i], e))
			return -1;
	}
	return 0;
}

static int acl_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	struct acl_metrics *m = xcalloc(1, sizeof(*m));

	(void)e;
	for (int k = 0; k < ACL_ACTIONS; k++)
		m->of[k] = plugin_counter(s, i, actions[k].metric, actions[k].help, "");
	i->started = m;
	return 0;
}

static void acl_stop(struct plugin_instance *i, struct dns_shared *s)
{
	(void)s;
	free(i->started);
}

/* ---- questions ---- */

static bool fits(const struct acl_policy *p, uint16_t type, const uint8_t ip[16])
{
	bool type_fits = p->n_types == 0;

	for (size_t i = 0; i < p->n_types && !type_fits; i++)
		type_fits = p->types[i] == type;
	return type_fits && (p->any_net || net_set_has(&p->nets, ip));
}

static enum acl_action decide(const struct acl *a, const struct request *r)
{
	uint8_t ip[16];

	net_ip(&r->client.addr, ip);
	for (size_t i = 0; i < a->n_rules; i++) {
		const struct acl_rule *rule = &a->rules[i];
		if (!zone_set_match(&rule->zones, &r->query.name))
			continue;
		for (size_t k = 0; k < rule->n_policies; k++)
			if (fits(&rule->policies[k], r->query.type, ip))
				return rule->policies[k].action;
	}
	return ACL_ALLOW;
}

static enum plugin_verdict acl_ask(struct request *r, struct plugin_instance *i)
{
	enum acl_action action = decide(i->settings, r);
	const struct acl_metrics *m = i->started;

	if (m)
		plugin_count(m->of[action], r->worker);
	if (action != ACL_ALLOW)
		request_note(r, "acl: %s", actions[action].name);
	switch (action) {
	case ACL_BLOCK:
		request_set_rcode(r, DNS_REFUSED, FROM_PLUGIN);
		return PLUGIN_ANSWERED;
	case ACL_FILTER:
		request_set_rcode(r, DNS_NOERROR, FROM_PLUGIN);
		return PLUGIN_ANSWERED;
	case ACL_DROP:
		return PLUGIN_DROP;
	default:
		return PLUGIN_NEXT;
	}
}

static bool acl_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	const struct acl *a = i->settings;

	for (size_t k = 0; k < a->n_rules; k++)
		if (a->rules[k].n_policies && zone_set_overlaps(&a->rules[k].zones, zone))
			return true;
	return false;
}

static const struct plugin_property properties[] = {
	{ "allow", "[type QTYPE…] [net SOURCE…]", "such questions pass" },
	{ "block", "[type QTYPE…] [net SOURCE…]", "REFUSED" },
	{ "filter", "[type QTYPE…] [net SOURCE…]", "answered without records" },
	{ "drop", "[type QTYPE…] [net SOURCE…]", "not answered" },
	{ NULL },
};
const struct plugin plugin_acl = {
	.name = "acl",
	.args = "[ZONES…]",
	.doc = "who may ask what: the first line that fits a question decides, and what fits none passes. Without type or net a "
	       "line is about all types, or all sources",
	.properties = properties,
	.more = true,
	.parse = acl_parse,
	.free_settings = acl_free,
	.start = acl_start,
	.stop = acl_stop,
	.ask = acl_ask,
	.touches = acl_touches,
};
