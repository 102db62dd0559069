#include "roles/dns/plugin/rewrite_rule.h"

#include "codec/dns_text.h"

#include <strings.h>

static const char *const hows[] = { "exact", "prefix", "suffix", "substring", "regex" };

static void pattern_done(struct rewrite_pattern *p)
{
	regex_free(p->regex);
	free(p->from);
}

void rewrite_rule_done(struct rewrite_rule *r)
{
	for (size_t i = 0; i < r->n_answers; i++) {
		pattern_done(&r->answers[i].pattern);
		free(r->answers[i].to);
	}
	free(r->answers);
	pattern_done(&r->pattern);
	free(r->to);
}

/* ---- reading ---- */

struct words {
	const char *const *at;
	size_t n;
	struct err *e;
};

static const char *next(struct words *w)
{
	if (!w->n)
		return NULL;
	w->n--;
	return *w->at++;
}

static char *lower_copy(const char *text)
{
	char *s = xstrdup(text);

	for (char *c = s; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c |= 0x20;
	return s;
}

/* Lower case, with a dot at its end: CoreDNS does so for prefixes and parts of names as well. */
static char *normal(const char *text)
{
	char *s = lower_copy(text);
	size_t len = strlen(s);

	if (len && s[len - 1] == '.')
		return s;
	char *dotted = xasprintf("%s.", s);
	free(s);
	return dotted;
}

static bool how_of(const char *word, enum rewrite_how *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(hows); i++)
		if (strcasecmp(word, hows[i]) == 0) {
			*ret = (enum rewrite_how)i;
			return true;
		}
	return false;
}

/* `dotted`: FROM is a name, or a part of one that gets a dot all the same. */
static int read_from(struct rewrite_pattern *p, const char *from, bool dotted, struct err *e)
{
	p->from = p->how == REWRITE_REGEX ? xstrdup(from) : dotted ? normal(from) : lower_copy(from);
	if (p->how != REWRITE_REGEX)
		return 0;
	p->regex = name_regex_new(from, e);
	return p->regex ? 0 : -1;
}

/* Only a regular expression has groups, and no more than it has can be named. */
static int check_groups(const struct rewrite_pattern *p, const char *to, struct err *e)
{
	unsigned most = name_groups_most(to);

	if (p->how == REWRITE_REGEX && most > regex_groups(p->regex))
		return err_set(e, ERR_INVALID, "\"%s\" names group %u, and \"%.200s\" has %u", to, most, p->from, regex_groups(p->regex));
	return 0;
}

static struct rewrite_answer *add_answer(struct rewrite_rule *r)
{
	r->answers = xrealloc(r->answers, (r->n_answers + 1) * sizeof(*r->answers));
	r->answers[r->n_answers] = (struct rewrite_answer){ 0 };
	return &r->answers[r->n_answers++];
}

static int read_answer_rule(struct rewrite_rule *r, struct words *w, bool values)
{
	const char *from = next(w), *to = next(w);

	if (!to)
		return err_set(w->e, ERR_INVALID, "answer %s is followed by FROM and TO", values ? "value" : "name");
	if (r->n_answers == REWRITE_ANSWERS_MAX)
		return err_set(w->e, ERR_INVALID, "more than %d answer options", REWRITE_ANSWERS_MAX);
	struct rewrite_answer *a = add_answer(r);
	a->names = !values;
	a->values = values;
	a->pattern.how = REWRITE_REGEX;
	a->to = normal(to);
	return read_from(&a->pattern, from, false, w->e) || check_groups(&a->pattern, a->to, w->e) ? -1 : 0;
}

/* answer auto|name FROM TO|value FROM TO, and then again, with or without its first word. */
static int read_answers(struct rewrite_rule *r, struct words *w)
{
	bool names = false, first = true;

	for (const char *word; (word = next(w)); first = false) {
		bool answer = strcasecmp(word, "answer") == 0;
		if (first && !answer)
			return err_set(w->e, ERR_INVALID, "\"%s\" is too much: options begin with answer", word);
		if (answer)
			word = next(w);
		if (word && strcasecmp(word, "name") == 0 && w->n && strcasecmp(*w->at, "auto") == 0)
			word = next(w);
		if (word && strcasecmp(word, "auto") == 0) {
			r->automatic = true;
		} else if (word && (strcasecmp(word, "name") == 0 || strcasecmp(word, "value") == 0)) {
			names = names || (word[0] | 0x20) == 'n';
			if (read_answer_rule(r, w, (word[0] | 0x20) == 'v'))
				return -1;
		} else {
			return err_set(w->e, ERR_INVALID, "answer is followed by auto, name FROM TO, or value FROM TO");
		}
	}
	if (r->automatic && names)
		return err_set(w->e, ERR_INVALID, "answer auto and answer name exclude each other");
	return 0;
}

/* A suffix is mapped back for all names that end so, not only for the one that was asked. */
static void suffix_back(struct rewrite_rule *r)
{
	struct rewrite_answer *a = add_answer(r);

	a->names = a->values = true;
	a->pattern.how = REWRITE_SUFFIX;
	a->pattern.from = xstrdup(r->to);
	a->to = xstrdup(r->pattern.from);
	r->automatic = false;
	/* First in line, as it was there before the options. */
	struct rewrite_answer first = *a;
	memmove(r->answers + 1, r->answers, (r->n_answers - 1) * sizeof(*r->answers));
	r->answers[0] = first;
}

static int read_name(struct rewrite_rule *r, struct words *w)
{
	if (w->n < 2)
		return err_set(w->e, ERR_INVALID, "name is followed by [exact|prefix|suffix|substring|regex] FROM TO");
	if (w->n >= 3 && !how_of(next(w), &r->pattern.how))
		return err_set(w->e, ERR_INVALID, "\"%s\" is none of exact, prefix, suffix, substring, regex", w->at[-1]);
	const char *from = next(w), *to = next(w);
	if (read_from(&r->pattern, from, true, w->e))
		return -1;
	r->to = normal(to);
	if (check_groups(&r->pattern, r->to, w->e) || read_answers(r, w))
		return -1;
	if (r->pattern.how == REWRITE_EXACT)
		r->automatic = true;
	if (r->pattern.how == REWRITE_SUFFIX && r->automatic)
		suffix_back(r);
	return 0;
}

static int read_type(struct rewrite_rule *r, struct words *w)
{
	const char *from = next(w), *to = next(w);

	if (!to || w->n || !dns_type_from_text(str_of(from), &r->from_number) || !dns_type_from_text(str_of(to), &r->to_number))
		return err_set(w->e, ERR_INVALID, "type is followed by two record types");
	return 0;
}

/* [HOW] FROM, with `behind` more words after it. */
static int read_pattern(struct rewrite_rule *r, struct words *w, size_t behind, bool dotted)
{
	if (w->n == behind + 2 && !how_of(next(w), &r->pattern.how))
		return err_set(w->e, ERR_INVALID, "\"%s\" is none of exact, prefix, suffix, substring, regex", w->at[-1]);
	if (w->n != behind + 1)
		return err_set(w->e, ERR_INVALID, "is followed by [exact|prefix|suffix|substring|regex] FROM and %zu more", behind);
	return read_from(&r->pattern, next(w), dotted || r->pattern.how == REWRITE_EXACT, w->e);
}

#define TTL_MAX 2147483647u /* RFC 2181, 8 */

/* 30, 30-300, -300, 30- */
static int read_ttl(struct rewrite_rule *r, struct words *w)
{
	uint64_t least = 0, most = TTL_MAX;
	struct str max, min;

	if (read_pattern(r, w, 1, true))
		return -1;
	min = str_cut(str_of(next(w)), '-', &max);
	bool ok = min.len + max.len > 0 && (!min.len || str_to_u64(min, TTL_MAX, &least)) && (!max.len || str_to_u64(max, TTL_MAX, &most));
	if (!max.ptr)
		most = least;
	if (!ok || least > most)
		return err_set(w->e, ERR_INVALID, "a TTL is a number of seconds, or MIN-MAX, MIN-, -MAX");
	r->ttl_min = (uint32_t)least;
	r->ttl_max = (uint32_t)most;
	return 0;
}

static int read_cname(struct rewrite_rule *r, struct words *w)
{
	if (read_pattern(r, w, 1, false))
		return -1;
	const char *to = next(w);
	r->to = r->pattern.how == REWRITE_EXACT ? normal(to) : lower_copy(to);
	return check_groups(&r->pattern, r->to, w->e);
}

static int read_rcode(struct rewrite_rule *r, struct words *w)
{
	if (read_pattern(r, w, 2, true))
		return -1;
	const char *from = next(w), *to = next(w);
	if (!dns_rcode_from_text(str_of(from), &r->from_number) || !dns_rcode_from_text(str_of(to), &r->to_number) ||
	    r->from_number > DNS_FLAGS_RCODE || r->to_number > DNS_FLAGS_RCODE)
		return err_set(w->e, ERR_INVALID, "rcode FROM and TO are codes as SERVFAIL or 2, up to 15");
	return 0;
}

static const struct {
	const char *name;
	enum rewrite_field field;
	int (*read)(struct rewrite_rule *r, struct words *w);
} fields[] = {
	{ "name", REWRITE_NAME, read_name },	{ "type", REWRITE_TYPE, read_type },	{ "ttl", REWRITE_TTL, read_ttl },
	{ "cname", REWRITE_CNAME, read_cname }, { "rcode", REWRITE_RCODE, read_rcode },
};

int rewrite_rule_read(const char *const *words, size_t n, struct rewrite_rule *ret, struct err *e)
{
	struct words w = { words, n, e };
	const char *word = next(&w);

	*ret = (struct rewrite_rule){ 0 };
	if (word && (strcasecmp(word, "continue") == 0 || strcasecmp(word, "stop") == 0)) {
		ret->go_on = (word[0] | 0x20) == 'c';
		word = next(&w);
	}
	if (!word)
		return err_set(e, ERR_INVALID, "is followed by [continue|stop] name|type|ttl|cname|rcode …");
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (strcasecmp(word, fields[i].name) == 0) {
			ret->field = fields[i].field;
			return fields[i].read(ret, &w);
		}
	if (strcasecmp(word, "answer") == 0)
		return err_set(e, ERR_INVALID, "answer belongs behind a name rule");
	if (strcasecmp(word, "class") == 0)
		return err_set(e, ERR_INVALID, "class: only questions of class IN are answered here");
	if (strcasecmp(word, "edns0") == 0)
		return err_set(e, ERR_INVALID, "edns0: questions go upstream without a client's options, and none can be added");
	return err_set(e, ERR_INVALID, "\"%s\" is none of name, type, ttl, cname, rcode", word);
}

/* ---- using ---- */

static bool ends_with(const char *text, size_t len, const char *end, size_t end_len)
{
	return len >= end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

bool rewrite_fits(const struct rewrite_pattern *p, const char *name)
{
	size_t len = strlen(p->from);

	switch (p->how) {
	case REWRITE_EXACT:
		return strcmp(p->from, name) == 0;
	case REWRITE_PREFIX:
		return strncmp(p->from, name, len) == 0;
	case REWRITE_SUFFIX:
		return ends_with(name, strlen(name), p->from, len);
	case REWRITE_SUBSTRING:
		return strstr(name, p->from) != NULL;
	default:
		return name_regex_match(p->regex, str_of(name), NULL);
	}
}

static void replace_all(struct buf *out, const char *name, const char *from, const char *to)
{
	for (const char *at; *from && (at = strstr(name, from)); name = at + strlen(from)) {
		buf_put(out, name, (size_t)(at - name));
		buf_puts(out, to);
	}
	buf_puts(out, name);
}

bool rewrite_name(const struct rewrite_pattern *p, const char *to, const char *name, struct dns_name *ret)
{
	char text[2 * DNS_NAME_TEXT_BYTES];
	struct buf out = { .ptr = text, .cap = sizeof(text), .max = sizeof(text) - 1 };
	size_t len = strlen(p->from);
	struct name_groups m;

	if (p->how == REWRITE_REGEX ? !name_regex_match(p->regex, str_of(name), &m) : !rewrite_fits(p, name))
		return false;
	switch (p->how) {
	case REWRITE_EXACT:
		buf_puts(&out, to);
		break;
	case REWRITE_PREFIX:
		buf_puts(&out, to);
		buf_puts(&out, name + len);
		break;
	case REWRITE_SUFFIX:
		buf_put(&out, name, strlen(name) - len);
		buf_puts(&out, to);
		break;
	case REWRITE_SUBSTRING:
		replace_all(&out, name, p->from, to);
		break;
	default:
		name_groups_expand(&out, to, &m);
	}
	if (out.overflow || !dns_name_from_escaped(buf_str(&out), ret))
		return false;
	dns_name_lower(ret);
	return true;
}

bool rewrite_pattern_touches(const struct rewrite_pattern *p, const struct dns_name *zone)
{
	char text[DNS_NAME_TEXT_BYTES];
	struct dns_name name;
	size_t zone_len, len = p->from ? strlen(p->from) : 0;

	if (p->how == REWRITE_EXACT && p->from && dns_name_from_escaped(str_of(p->from), &name)) {
		dns_name_lower(&name);
		return dns_name_under(&name, zone);
	}
	if (p->how != REWRITE_SUFFIX)
		return true;
	zone_len = strlen(dns_name_text(zone, text));
	return ends_with(p->from, len, text, zone_len) || ends_with(text, zone_len, p->from, len);
}
