/* rewrite.c - questions that are asked otherwise than they came, and answers that are made to fit them. CoreDNS' plugin/rewrite. */
#include "roles/dns/plugin/reply.h"
#include "roles/dns/plugin/rewrite_rule.h"

#define REWRITE_WORDS_MAX 128 /* of one rule: names and `answer` options */
#define NAPTR 35

struct rewrite {
	struct rewrite_rule *rules;
	size_t n;
};

/* What must be known on the way back. */
struct applied {
	const struct rewrite_rule *rule;
	struct dns_name before, after; /* of the question's name: for `answer auto` */
};
struct rewritten {
	struct dns_name name;
	uint16_t type;
	size_t n;
	struct applied rules[];
};

/* ---- settings ---- */

static void rewrite_free(void *settings)
{
	struct rewrite *rw = settings;

	for (size_t i = 0; rw && i < rw->n; i++)
		rewrite_rule_done(&rw->rules[i]);
	if (rw)
		free(rw->rules);
	free(rw);
}

static int rewrite_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct rewrite *rw = *settings ? *settings : xcalloc(1, sizeof(*rw));
	const char *words[REWRITE_WORDS_MAX];
	size_t n = 0;
	struct err why;

	(void)scope;
	*settings = rw;
	for (size_t i = 1; i < d->head.n && n < REWRITE_WORDS_MAX; i++)
		words[n++] = d->head.words[i];
	for (size_t i = 0; i < d->n_body; i++)
		for (size_t k = 0; k < d->body[i].n && n < REWRITE_WORDS_MAX; k++)
			words[n++] = d->body[i].words[k];
	if (n == REWRITE_WORDS_MAX)
		return directive_error(e, &d->head, "rewrite", "a rule has less than %d words", REWRITE_WORDS_MAX);
	rw->rules = xrealloc(rw->rules, (rw->n + 1) * sizeof(*rw->rules));
	if (rewrite_rule_read(words, n, &rw->rules[rw->n++], &why))
		return directive_error(e, d->n_body ? &d->body[0] : &d->head, "rewrite", "%s", why.message);
	return 0;
}

/* ---- questions ---- */

static struct rewritten *remember(struct request *r, const struct rewrite *rw)
{
	struct rewritten *done = r->scratch[r->at];

	if (done)
		return done;
	done = xcalloc(1, sizeof(*done) + rw->n * sizeof(done->rules[0]));
	done->name = r->query.name;
	done->type = r->query.type;
	r->scratch[r->at] = done;
	request_on_end(r, r->at, free);
	return done;
}

static void apply(struct request *r, const struct rewrite *rw, const struct rewrite_rule *rule, const struct dns_name *name, uint16_t type)
{
	struct rewritten *done = remember(r, rw);
	struct applied *a = &done->rules[done->n++];

	a->rule = rule;
	a->before = r->query.name;
	a->after = *name;
	request_change(r, name, type);
}

/* True: the rule is one of those that end the list. False in *ret_ok: what it made is no name. */
static bool apply_rule(struct request *r, const struct rewrite *rw, const struct rewrite_rule *rule, bool *ret_ok)
{
	char text[DNS_NAME_TEXT_BYTES];
	struct dns_name name = r->query.name;
	uint16_t type = r->query.type;

	*ret_ok = true;
	dns_name_text(&r->query.name, text);
	if (rule->field == REWRITE_TYPE) {
		if (type != rule->from_number)
			return false;
		type = rule->to_number;
	} else if (rule->field != REWRITE_CNAME && !rewrite_fits(&rule->pattern, text)) {
		return false;
	}
	if (rule->field == REWRITE_NAME)
		*ret_ok = rewrite_name(&rule->pattern, rule->to, text, &name);
	if (*ret_ok)
		apply(r, rw, rule, &name, type);
	return !rule->go_on;
}

static enum plugin_verdict rewrite_ask(struct request *r, struct plugin_instance *i)
{
	const struct rewrite *rw = i->settings;
	bool ok = true, ends = false;
	char text[DNS_NAME_TEXT_BYTES];

	for (size_t k = 0; k < rw->n && ok && !ends; k++)
		ends = apply_rule(r, rw, &rw->rules[k], &ok);
	const struct rewritten *done = r->scratch[r->at];
	if (ok) {
		if (done)
			request_note(r, "rewrite: asks for %s", dns_name_text(&r->query.name, text));
		return PLUGIN_NEXT;
	}
	if (done)
		request_change(r, &done->name, done->type);
	request_note(r, "rewrite: what the rule made is no name");
	request_set_rcode(r, DNS_SERVFAIL, FROM_PLUGIN);
	return PLUGIN_ANSWERED;
}

/* ---- answers ---- */

/* A record's data in three parts, its name uncompressed. name.len 0: it has none that would be mapped. */
struct data_parts {
	const uint8_t *before, *behind;
	size_t before_len, behind_len;
	struct dns_name name;
};

static size_t naptr_before(const uint8_t *p, size_t len)
{
	size_t at = 4;

	for (int i = 0; i < 3 && at < len; i++)
		at += 1 + (size_t)p[at];
	return at;
}

/* `room` takes the record with its names uncompressed. */
static bool data_split(const struct dns_message *m, const struct dns_record *rr, uint8_t *room, size_t size, struct data_parts *ret)
{
	static const struct {
		uint16_t type, before;
	} shapes[] = { { DNS_SRV, 6 }, { DNS_MX, 2 }, { DNS_CNAME, 0 }, { DNS_NS, 0 }, { DNS_DNAME, 0 }, { DNS_SOA, 0 }, { DNS_PTR, 0 },
		       { NAPTR, 0 } };
	struct dns_query none = { 0 };
	struct dns_writer w;
	size_t i = 0, end;

	*ret = (struct data_parts){ .before = (const uint8_t *)m->bytes.ptr + rr->rdata_at, .before_len = rr->rdata_len };
	while (i < ARRAY_LEN(shapes) && shapes[i].type != rr->type)
		i++;
	if (i == ARRAY_LEN(shapes))
		return true;
	dns_answer_start(&w, room, size, &none);
	size_t at = dns_put_copy(&w, DNS_ANSWER, m, rr);
	if (!at)
		return false;
	size_t before = rr->type == NAPTR ? naptr_before(room + at, w.len - at) : shapes[i].before;
	ret->before = room + at;
	ret->before_len = before;
	if (!dns_name_read((struct str){ (const char *)room, w.len }, at + before, &ret->name, &end))
		return false;
	ret->behind = room + end;
	ret->behind_len = w.len - end;
	return true;
}

/* The name itself, and what is below it. */
static bool map_back(const struct applied *a, struct dns_name *name)
{
	struct dns_name back = a->before;
	size_t more;

	if (!dns_name_under(name, &a->after))
		return false;
	more = name->len - a->after.len;
	if (more + back.len > DNS_NAME_BYTES_MAX)
		return false;
	memmove(back.wire + more, a->before.wire, a->before.len);
	memcpy(back.wire, name->wire, more);
	back.len = (uint8_t)(more + a->before.len);
	back.labels = (uint8_t)(name->labels - a->after.labels + a->before.labels);
	*name = back;
	return true;
}

static void map_name(const struct applied *a, bool value, struct dns_name *name)
{
	char text[DNS_NAME_TEXT_BYTES];
	struct dns_name lower = *name, mapped;

	dns_name_lower(&lower);
	for (size_t i = a->rule->n_answers; i > 0; i--) {
		const struct rewrite_answer *rule = &a->rule->answers[i - 1];
		if (!(value ? rule->values : rule->names))
			continue;
		if (rewrite_name(&rule->pattern, rule->to, dns_name_text(&lower, text), &mapped))
			*name = lower = mapped;
	}
	if (a->rule->automatic && map_back(a, &lower))
		*name = lower;
}

static void put_mapped(struct dns_writer *w, const struct request *r, const struct rewritten *done, const struct dns_message *m,
		       const struct dns_record *rr)
{
	uint8_t room[2048]; /* two names and a SOA's numbers, or a NAPTR: its strings have 255 bytes each */
	struct dns_name owner;
	struct data_parts parts;
	uint32_t ttl = rr->ttl;
	size_t end;

	if (!dns_name_read(m->bytes, rr->at, &owner, &end) || !data_split(m, rr, room, sizeof(room), &parts))
		return;
	for (size_t i = done->n; i > 0; i--) {
		const struct applied *a = &done->rules[i - 1];
		if (a->rule->field == REWRITE_TTL)
			ttl = MIN(MAX(ttl, a->rule->ttl_min), a->rule->ttl_max);
		if (a->rule->field != REWRITE_NAME)
			continue;
		map_name(a, false, &owner);
		if (parts.name.len)
			map_name(a, true, &parts.name);
	}
	struct dns_rdata rd = { .fixed = parts.before, .fixed_len = parts.before_len, .name = parts.name.wire, .name_len = parts.name.len,
				.more = parts.behind, .more_len = parts.behind_len };
	struct dns_name lower = owner;
	dns_name_lower(&lower);
	if (lower.len == r->query.name.len && memcmp(lower.wire, r->query.name.wire, lower.len) == 0)
		dns_put(w, rr->section, DNS_QUESTION_AT, rr->type, ttl, &rd);
	else
		dns_put_named(w, rr->section, &owner, rr->type, ttl, &rd);
}

static void map_rcode(const struct rewritten *done, struct dns_message *m)
{
	for (size_t i = done->n; i > 0; i--) {
		const struct rewrite_rule *rule = done->rules[i - 1].rule;
		if (rule->field == REWRITE_RCODE && (m->flags & DNS_FLAGS_RCODE) == rule->from_number)
			m->flags = (uint16_t)((m->flags & ~DNS_FLAGS_RCODE) | rule->to_number);
	}
}

/* ---- cname: another target, and what is said about it ---- */

/* The first CNAME that a rule has another target for. */
static bool find_cname(const struct rewritten *done, const struct dns_message *m, size_t *ret_at, struct dns_name *ret_target)
{
	for (struct dns_record rr = dns_records(m); dns_record_next(m, &rr) && rr.section == DNS_ANSWER;) {
		char text[DNS_NAME_TEXT_BYTES];
		struct dns_name target;
		size_t end;
		if (rr.type != DNS_CNAME || !dns_name_read(m->bytes, rr.rdata_at, &target, &end))
			continue;
		dns_name_lower(&target);
		dns_name_text(&target, text);
		for (size_t i = 0; i < done->n; i++) {
			const struct rewrite_rule *rule = done->rules[i].rule;
			if (rule->field != REWRITE_CNAME || !rewrite_name(&rule->pattern, rule->to, text, ret_target))
				continue;
			*ret_at = rr.at;
			return ret_target->len != target.len || memcmp(ret_target->wire, target.wire, target.len) != 0;
		}
	}
	return false;
}

/* The CNAMEs up to that one, its new target, and what the child was told about that. */
static void on_target(void *ctx, struct request *child)
{
	struct request *r = ctx;
	const struct rewritten *done = r->scratch[r->at];
	struct dns_message own, theirs;
	struct dns_name target;
	struct dns_writer w;
	size_t at;

	if (!reply_message(child, &theirs) || !reply_message(r, &own) || !find_cname(done, &own, &at, &target)) {
		request_resume(r, PLUGIN_NEXT);
		return;
	}
	reply_start(r, &w);
	for (struct dns_record rr = dns_records(&own); dns_record_next(&own, &rr) && rr.section == DNS_ANSWER && rr.at <= at;) {
		struct dns_rdata rd = { .name = target.wire, .name_len = target.len };
		struct dns_name owner;
		size_t end;
		if (rr.at < at && rr.type == DNS_CNAME)
			dns_put_copy(&w, DNS_ANSWER, &own, &rr);
		else if (rr.at == at && dns_name_read(own.bytes, rr.at, &owner, &end))
			dns_put_named(&w, DNS_ANSWER, &owner, DNS_CNAME, rr.ttl, &rd);
	}
	reply_copy(&w, &theirs, true, false, false);
	reply_copy(&w, &own, false, true, true);
	reply_finish_as(r, &w, &own, r->source);
	request_resume(r, PLUGIN_NEXT);
}

static enum plugin_verdict rewrite_answer(struct request *r, struct plugin_instance *i)
{
	const struct rewritten *done = r->scratch[r->at];
	struct dns_message m;
	struct dns_name target;
	struct dns_writer w;
	size_t at;

	(void)i;
	if (!done)
		return PLUGIN_NEXT;
	request_change(r, &done->name, done->type);
	if (!reply_message(r, &m)) {
		request_set_rcode(r, DNS_SERVFAIL, FROM_PLUGIN);
		return PLUGIN_NEXT;
	}
	map_rcode(done, &m);
	reply_start(r, &w);
	for (struct dns_record rr = dns_records(&m); dns_record_next(&m, &rr);)
		if (rr.type != DNS_OPT)
			put_mapped(&w, r, done, &m, &rr);
	reply_finish_as(r, &w, &m, r->source);
	if (reply_message(r, &m) && find_cname(done, &m, &at, &target) && request_ask(r, &target, r->query.type, false, on_target, r))
		return PLUGIN_LATER;
	return PLUGIN_NEXT;
}

static bool rewrite_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	const struct rewrite *rw = i->settings;

	for (size_t k = 0; k < rw->n; k++) {
		const struct rewrite_rule *rule = &rw->rules[k];
		if (rule->field == REWRITE_TYPE || rule->field == REWRITE_CNAME || rewrite_pattern_touches(&rule->pattern, zone))
			return true;
	}
	return false;
}

static const struct plugin_property properties[] = {
	{ "name", "[exact|prefix|suffix|substring|regex] FROM TO", "the rule, in the braces of rewrite [continue|stop] { … }" },
	{ "answer", "auto|name FROM TO|value FROM TO", "what becomes of names in the answer: what was mapped is mapped back; owners, or "
						       "names in data, that a regular expression fits" },
	{ "type", "FROM TO", "the type that is asked for" },
	{ "ttl", "[exact|prefix|suffix|substring|regex] NAME SECONDS|MIN-MAX", "of the answer's records" },
	{ "cname", "[exact|prefix|suffix|substring|regex] FROM TO", "the target of a CNAME, with what is said about the new one" },
	{ "rcode", "[exact|prefix|suffix|substring|regex] NAME FROM TO", "the answer's code" },
	{ "class", "FROM TO", "refused: only class IN is answered" },
	{ "edns0", "…", "refused: options are not sent upstream" },
	{ NULL },
};
const struct plugin plugin_rewrite = {
	.name = "rewrite",
	.args = "[continue|stop] name|type|ttl|cname|rcode …",
	.doc = "asks for another name or type than was asked, and makes the answer fit again; one rule each, in the order they stand, "
	       "until one fits that is not marked continue",
	.properties = properties,
	.more = true,
	.parse = rewrite_parse,
	.free_settings = rewrite_free,
	.ask = rewrite_ask,
	.answer = rewrite_answer,
	.touches = rewrite_touches,
};
