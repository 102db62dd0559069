/* template.c - answers made of the question, as the Corefile writes them. CoreDNS' plugin/template. */
#include "roles/dns/plugin/reply.h"
#include "roles/dns/plugin/template_text.h"
#include "roles/dns/plugin/zone_set.h"

#include "codec/dns_text.h"

#define TEMPLATE_TTL 3600	     /* of records that are written without one: miekg/dns' */
#define TEMPLATE_RECORD_BYTES_MAX (4 * DNS_TEXT_RDATA_BYTES_MAX) /* as text */

struct template_record {
	enum dns_section section;
	const char *text;
	struct template_text *template;
};
struct template_rule { /* one directive */
	struct zone_set zones, fall;
	uint16_t class, type;
	struct regex **match;
	const char **match_text;
	size_t n_match;
	struct template_record *records;
	size_t n_records;
	enum dns_rcode rcode;
};
struct template {
	struct template_rule *rules;
	size_t n;
};
struct template_metrics {
	struct metric *matches, *text_failures, *record_failures;
};

/* ---- settings ---- */

static void rule_done(struct template_rule *t)
{
	for (size_t i = 0; i < t->n_match; i++)
		regex_free(t->match[i]);
	for (size_t i = 0; i < t->n_records; i++)
		template_text_free(t->records[i].template);
	free(t->match);
	free(t->match_text);
	free(t->records);
	zone_set_done(&t->zones);
	zone_set_done(&t->fall);
}

static void template_free(void *settings)
{
	struct template *t = settings;

	for (size_t i = 0; t && i < t->n; i++)
		rule_done(&t->rules[i]);
	if (t)
		free(t->rules);
	free(t);
}

static int add_match(struct template_rule *t, const struct corefile_line *line, struct err *e)
{
	struct err why;

	for (size_t i = 1; i < line->n; i++) {
		struct regex *r = name_regex_new(line->words[i], &why);
		if (!r)
			return directive_error(e, line, "template", "%s", why.message);
		t->match = xrealloc(t->match, (t->n_match + 1) * sizeof(struct regex *));
		t->match_text = xrealloc(t->match_text, (t->n_match + 1) * sizeof(char *));
		t->match[t->n_match] = r;
		t->match_text[t->n_match++] = line->words[i];
	}
	return 0;
}

static int add_records(struct template_rule *t, const struct corefile_line *line, enum dns_section s, struct err *e)
{
	struct err why;

	for (size_t i = 1; i < line->n; i++) {
		t->records = xrealloc(t->records, (t->n_records + 1) * sizeof(*t->records));
		struct template_record *r = &t->records[t->n_records++];
		*r = (struct template_record){ .section = s, .text = line->words[i] };
		r->template = template_text_new(r->text, (const struct regex *const *)t->match, t->n_match, &why);
		if (!r->template)
			return directive_error(e, line, "template", "%s", why.message);
	}
	return 0;
}

static int read_line(struct template_rule *t, const struct corefile_line *line, struct err *e)
{
	const char *name = line->words[0];
	uint16_t rcode;
	uint64_t code;

	if (strcmp(name, "fallthrough") == 0)
		return zone_set_fallthrough(&t->fall, line, "template", e);
	if (strcmp(name, "upstream") == 0)
		return 0;
	if (line->n < 2)
		return directive_error(e, line, "template", "%s needs a value", name);
	if (strcmp(name, "rcode") == 0) {
		if (line->n != 2 || !dns_rcode_from_text(str_of(line->words[1]), &rcode) || rcode > DNS_FLAGS_RCODE)
			return directive_error(e, line, "template", "\"%s\" is no answer's code: NOERROR, NXDOMAIN, SERVFAIL, REFUSED … are",
					       line->words[1]);
		t->rcode = (enum dns_rcode)rcode;
		return 0;
	}
	if (strcmp(name, "ederror") == 0)
		return line->n > 3 || !directive_number(line->words[1], 0, UINT16_MAX, &code) ?
			       directive_error(e, line, "template", "ederror is a number and, perhaps, a text in quotes") :
			       0;
	if (strcmp(name, "match") == 0)
		return 0; /* read before, as records name their groups */
	return add_records(t, line, strcmp(name, "answer") == 0 ? DNS_ANSWER : strcmp(name, "authority") == 0 ? DNS_AUTHORITY : DNS_ADDITIONAL,
			   e);
}

static int template_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct template *all = *settings ? *settings : xcalloc(1, sizeof(*all));
	struct template_rule *t;

	*settings = all;
	all->rules = xrealloc(all->rules, (all->n + 1) * sizeof(*all->rules));
	t = &all->rules[all->n++];
	*t = (struct template_rule){ 0 };
	if (d->head.n < 3 || !dns_class_from_text(str_of(d->head.words[1]), &t->class) ||
	    !dns_type_from_text(str_of(d->head.words[2]), &t->type))
		return directive_error(e, &d->head, "template", "is followed by a class (IN, ANY), a record type (A, TXT, ANY …), and zones");
	if (zone_set_parse(&t->zones, d->head.words + 3, d->head.n - 3, &d->head, "template", scope, e))
		return -1;
	for (size_t i = 0; i < d->n_body; i++)
		if (strcmp(d->body[i].words[0], "match") == 0 && add_match(t, &d->body[i], e))
			return -1;
	for (size_t i = 0; i < d->n_body; i++)
		if (read_line(t, &d->body[i], e))
			return -1;
	return 0;
}

static int template_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	const struct template *all = i->settings;
	struct template_metrics *m = xcalloc(all->n, sizeof(*m));

	(void)e;
	i->started = m;
	for (size_t k = 0; k < all->n; k++) {
		char class[DNS_TEXT_TYPE_BYTES], type[DNS_TEXT_TYPE_BYTES];
		struct buf labels;
		buf_init(&labels, 256);
		buf_printf(&labels, ",class=\"%s\",type=\"%s\"", dns_class_text(all->rules[k].class, class),
			   dns_type_text(all->rules[k].type, type));
		m[k].matches = plugin_counter(s, i, "coredns_template_matches_total", "Counter of template regex matches.", labels.ptr);
		m[k].text_failures = plugin_counter(s, i, "coredns_template_template_failures_total",
						    "Counter of go template failures.", labels.ptr);
		m[k].record_failures = plugin_counter(s, i, "coredns_template_rr_failures_total",
						      "Counter of mis-templated RRs.", labels.ptr);
		buf_done(&labels);
	}
	return 0;
}

static void template_stop(struct plugin_instance *i, struct dns_shared *s)
{
	(void)s;
	free(i->started);
}

/* ---- answers ---- */

/* A CNAME's target is asked for, and what is said about it comes behind. */
static void on_target(void *ctx, struct request *child)
{
	struct request *r = ctx;
	struct dns_message own, theirs;
	struct dns_writer w;

	if (reply_message(r, &own) && reply_message(child, &theirs)) {
		reply_start(r, &w);
		reply_copy(&w, &own, true, false, false);
		reply_copy(&w, &theirs, true, false, false);
		reply_copy(&w, &own, false, true, true);
		reply_finish_as(r, &w, &own, FROM_TEMPLATE);
	}
	request_resume(r, PLUGIN_ANSWERED);
}

struct answering {
	struct request *r;
	const struct template_rule *t;
	const struct template_metrics *metrics;
	struct template_values values;
	struct dns_name target; /* of a CNAME; len 0: there is none */
};

static int put_record(struct answering *a, const struct template_record *from, struct dns_writer *w, struct err *e)
{
	char text[TEMPLATE_RECORD_BYTES_MAX];
	struct buf out = { .ptr = text, .cap = sizeof(text), .max = sizeof(text) - 1 };
	struct dns_text_record rr;
	size_t end;

	if (template_text_expand(from->template, &a->values, &out, e)) {
		plugin_count(a->metrics->text_failures, a->r->worker);
		return -1;
	}
	if (dns_text_parse(buf_str(&out), TEMPLATE_TTL, &rr, e)) {
		plugin_count(a->metrics->record_failures, a->r->worker);
		return -1;
	}
	dns_text_put(w, from->section, &rr);
	if (from->section == DNS_ANSWER && rr.type == DNS_CNAME &&
	    dns_name_read((struct str){ (const char *)rr.rdata, rr.rdata_len }, 0, &a->target, &end))
		dns_name_lower(&a->target);
	return 0;
}

static enum plugin_verdict answer(struct answering *a)
{
	struct request *r = a->r;
	struct dns_writer w;
	struct err e;

	plugin_count(a->metrics->matches, r->worker);
	reply_start(r, &w);
	for (size_t i = 0; i < a->t->n_records && a->t->rcode != DNS_SERVFAIL; i++)
		if (put_record(a, &a->t->records[i], &w, &e)) {
			request_note(r, "template: %s: %s", a->t->records[i].text, e.message);
			request_set_rcode(r, DNS_SERVFAIL, FROM_TEMPLATE);
			return PLUGIN_ANSWERED;
		}
	reply_finish(r, &w, a->t->rcode, a->t->rcode != DNS_SERVFAIL, FROM_TEMPLATE);
	bool chase = a->target.len && (r->query.type == DNS_A || r->query.type == DNS_AAAA);
	return chase && request_ask(r, &a->target, r->query.type, false, on_target, r) ? PLUGIN_LATER : PLUGIN_ANSWERED;
}

/* Which of its expressions; -1: none. */
static int find_match(const struct template_rule *t, struct str name, struct name_groups *ret)
{
	*ret = (struct name_groups){ .group[0] = name };
	if (!t->n_match)
		return 0;
	for (size_t i = 0; i < t->n_match; i++)
		if (name_regex_match(t->match[i], name, ret))
			return (int)i;
	return -1;
}

static bool concerns(const struct template_rule *t, const struct dns_query *q)
{
	return (t->class == DNS_ANY || t->class == q->class) && (t->type == DNS_ANY || q->type == DNS_ANY || t->type == q->type) &&
	       zone_set_match(&t->zones, &q->name);
}

static enum plugin_verdict answer_rule(struct request *r, const struct template_rule *t, const struct template_metrics *m, int which,
				       const struct name_groups *match, const char *name)
{
	char zone[DNS_NAME_TEXT_BYTES], remote[ADDR_TEXT_BYTES], class[DNS_TEXT_TYPE_BYTES], type[DNS_TEXT_TYPE_BYTES];
	struct answering a = { .r = r, .t = t, .metrics = m };

	a.values = (struct template_values){
		.name = name,
		.zone = dns_name_text(zone_set_match(&t->zones, &r->query.name), zone),
		.class = dns_class_text(r->query.class, class),
		.type = dns_type_text(r->query.type == DNS_ANY ? t->type : r->query.type, type),
		.remote = addr_ip_text(&r->client.addr, remote),
		.regex = t->n_match ? t->match_text[which] : ".*",
		.question_name = name,
		.id = r->query.id,
		.qtype = r->query.type,
		.qclass = r->query.class,
		.expression = t->n_match ? t->match[which] : NULL,
		.match = match,
	};
	return answer(&a);
}

static enum plugin_verdict template_ask(struct request *r, struct plugin_instance *i)
{
	const struct template *all = i->settings;
	const struct template_metrics *m = i->started;
	char name[DNS_NAME_TEXT_BYTES];
	struct name_groups match;

	dns_name_text(&r->query.name, name);
	for (size_t k = 0; k < all->n; k++) {
		const struct template_rule *t = &all->rules[k];
		if (!concerns(t, &r->query))
			continue;
		int which = find_match(t, str_of(name), &match);
		if (which >= 0)
			return answer_rule(r, t, &m[k], which, &match, name);
		if (!zone_set_match(&t->fall, &r->query.name)) {
			request_note(r, "template: no match fits, and nothing falls through");
			request_set_rcode(r, DNS_SERVFAIL, FROM_TEMPLATE);
			return PLUGIN_ANSWERED;
		}
	}
	return PLUGIN_NEXT;
}

static bool template_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	const struct template *all = i->settings;

	for (size_t k = 0; k < all->n; k++)
		if (zone_set_overlaps(&all->rules[k].zones, zone))
			return true;
	return false;
}

static const struct plugin_property properties[] = {
	{ "match", "REGEX…", "what the name (lower case, with its last dot) looks like; the first that fits counts, without one all do" },
	{ "answer", "RR…", "records as in a zone file, with {{ .Name }}, {{ .Zone }}, {{ .Class }}, {{ .Type }}, {{ .Remote }}, "
			   "{{ .Group.NAME }}, {{ index .Match 1 }}, {{ parseInt .Group.NAME 16 8 }}, {{ .Question.Name }}, {{ .Message.Id }}" },
	{ "additional", "RR…", "as answer" },
	{ "authority", "RR…", "as answer" },
	{ "rcode", "CODE", "NOERROR unless given" },
	{ "ederror", "CODE [TEXT]", "accepted; the extended error is not sent" },
	{ "fallthrough", "[ZONES…]", "what no match fits goes on; without it, it is SERVFAIL" },
	{ "upstream", "", "accepted; CNAMEs are followed anyway" },
	{ NULL },
};
const struct plugin plugin_template = {
	.name = "template",
	.args = "CLASS TYPE [ZONES…]",
	.doc = "answers with records made of the question. CoreDNS' var and expr are not there",
	.properties = properties,
	.more = true,
	.parse = template_parse,
	.free_settings = template_free,
	.start = template_start,
	.stop = template_stop,
	.ask = template_ask,
	.touches = template_touches,
};
