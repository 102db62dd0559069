/* Directives of a snippet, to statements. */
#include "roles/ingress/config/snippet_int.h"

#include "roles/ingress/config/field.h"
#include "roles/ingress/filter/cidr.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/route/pattern.h"

#include <stdio.h>
#include <strings.h>

struct parser {
	struct snippet *s;
	struct snippet_reader r;
	unsigned parent, depth;
};
typedef int directive_fn(struct parser *p, struct snippet_words *w, struct err *e);

/* ---- pieces ---- */

static struct statement *add(struct parser *p, enum statement_kind kind, unsigned line, struct err *e)
{
	struct snippet *s = p->s;

	if (s->n == SNIPPET_STATEMENTS_MAX) {
		err_set(e, ERR_INVALID, "more than %d statements", SNIPPET_STATEMENTS_MAX);
		return NULL;
	}
	struct statement *st = &s->at[s->n++];
	*st = (struct statement){ .kind = kind, .line = line, .parent = p->parent };
	return st;
}

static struct variable_text *text_of(struct parser *p, const char *text, struct err *e)
{
	return variable_text_new_local(text, (const char *const *)p->s->sets, p->s->n_sets, e);
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	return false;
}

static int set_name(struct statement *st, const char *name, bool star, struct err *e)
{
	size_t len = strlen(name);
	size_t plain = len - (star && len && name[len - 1] == '*');

	if (!form_header_name.ok((struct str){ name, plain }))
		return err_set(e, ERR_INVALID, "\"%.100s\" is no name of a header", name);
	st->name = xstrdup(name);
	st->name_str = (struct str){ st->name, len };
	return 0;
}

static int set_value(struct parser *p, struct statement *st, const char *value, struct err *e)
{
	if (has_control(value))
		return err_set(e, ERR_INVALID, "a header's value may not have control characters");
	st->value = text_of(p, value, e);
	return st->value ? 0 : -1;
}

/* "Name: value"; without a value the header is removed. */
static int set_pair(struct parser *p, struct statement *st, const char *pair, struct err *e)
{
	struct str value;
	cleanup(freep) char *name = str_dup(str_trim(str_cut(str_of(pair), ':', &value)));
	cleanup(freep) char *text = str_dup(str_trim(value));

	if (set_name(st, name, false, e) < 0)
		return -1;
	return *text ? set_value(p, st, text, e) : 0;
}

static int need(const struct snippet_words *w, size_t min, size_t max, struct err *e)
{
	if (w->n - 1 < min || w->n - 1 > max)
		return err_set(e, ERR_INVALID, "invalid number of arguments in \"%s\" directive", w->word[0]);
	return 0;
}

/* ---- headers ---- */

static int parse_add_header(struct parser *p, struct snippet_words *w, struct err *e)
{
	if (need(w, 2, 3, e) < 0)
		return -1;
	if (w->n == 4 && strcmp(w->word[3], "always") != 0)
		return err_set(e, ERR_INVALID, "invalid parameter \"%.100s\"", w->word[3]);
	struct statement *st = add(p, ST_ADD_HEADER, w->line, e);
	if (!st || set_name(st, w->word[1], false, e) < 0)
		return -1;
	st->always = w->n == 4;
	p->s->answers = true;
	return set_value(p, st, w->word[2], e);
}

static int parse_codes(const char *text, int **ret, size_t *ret_n, struct err *e)
{
	struct str rest = str_of(text);
	int *codes = NULL;
	size_t n = 0;

	while (rest.len) {
		uint64_t code;
		struct str word = str_cut(rest, ' ', &rest);
		if (word.len == 0)
			continue;
		if (!str_to_u64(word, 599, &code) || code < 100) {
			free(codes);
			return err_set(e, ERR_INVALID, "\"" STR_FMT "\" is no HTTP status", STR_ARG(word));
		}
		codes = xrealloc(codes, (n + 1) * sizeof(*codes));
		codes[n++] = (int)code;
	}
	free(*ret);
	*ret = codes;
	*ret_n = n;
	return 0;
}

/* Headers of answers or of requests: "[-s CODES] PAIR...". */
static int parse_more(struct parser *p, struct snippet_words *w, enum statement_kind kind, struct err *e)
{
	int *codes = NULL;
	size_t n_codes = 0;
	int rc = need(w, 1, SNIPPET_WORDS_MAX, e);

	for (size_t i = 1; i < w->n && rc == 0; i++) {
		if (w->word[i][0] == '-') {
			if (kind == ST_PROXY_HEADER || strcmp(w->word[i], "-s") != 0 || i + 1 == w->n)
				rc = err_set(e, ERR_INVALID, "option \"%.20s\" is not supported", w->word[i]);
			else
				rc = parse_codes(w->word[++i], &codes, &n_codes, e);
			continue;
		}
		struct statement *st = add(p, kind, w->line, e);
		rc = !st ? -1 : kind == ST_CLEAR_HEADER ? set_name(st, w->word[i], true, e) : set_pair(p, st, w->word[i], e);
		if (st && n_codes) {
			st->codes = memcpy(xmalloc(n_codes * sizeof(*codes)), codes, n_codes * sizeof(*codes));
			st->n_codes = n_codes;
		}
	}
	free(codes);
	*(kind == ST_PROXY_HEADER ? &p->s->requests : &p->s->answers) = true;
	return rc;
}

static int parse_more_set(struct parser *p, struct snippet_words *w, struct err *e)
{
	return parse_more(p, w, ST_SET_HEADER, e);
}

static int parse_more_clear(struct parser *p, struct snippet_words *w, struct err *e)
{
	return parse_more(p, w, ST_CLEAR_HEADER, e);
}

static int parse_more_input(struct parser *p, struct snippet_words *w, struct err *e)
{
	return parse_more(p, w, ST_PROXY_HEADER, e);
}

static int parse_proxy_set(struct parser *p, struct snippet_words *w, struct err *e)
{
	if (need(w, 2, 2, e) < 0)
		return -1;
	struct statement *st = add(p, ST_PROXY_HEADER, w->line, e);
	if (!st || set_name(st, w->word[1], false, e) < 0)
		return -1;
	p->s->requests = true;
	return *w->word[2] ? set_value(p, st, w->word[2], e) : 0;
}

static int parse_proxy_hide(struct parser *p, struct snippet_words *w, struct err *e)
{
	if (need(w, 1, 1, e) < 0)
		return -1;
	struct statement *st = add(p, ST_HIDE_HEADER, w->line, e);
	p->s->answers = true;
	return st ? set_name(st, w->word[1], false, e) : -1;
}

/* ---- what runs before an upstream is asked ---- */

static int parse_set(struct parser *p, struct snippet_words *w, struct err *e)
{
	const char *name = w->n > 1 ? w->word[1] + (w->word[1][0] == '$') : "";
	struct snippet *s = p->s;
	size_t i = 0;

	if (need(w, 2, 2, e) < 0)
		return -1;
	if (w->word[1][0] != '$' || !form_header_name.ok(str_of(name)) || strchr(name, '-'))
		return err_set(e, ERR_INVALID, "\"%.100s\" is no name of a variable", w->word[1]);
	if (variable_known(str_of(name)))
		return err_set(e, ERR_INVALID, "the duplicate \"%.100s\" variable: it is not to be set", name);
	struct variable_text *value = text_of(p, w->word[2], e); /* not yet with the name itself */
	while (i < s->n_sets && strcasecmp(s->sets[i], name) != 0)
		i++;
	if (value && i == SNIPPET_SETS_MAX) {
		variable_text_free(value);
		return err_set(e, ERR_INVALID, "more than %d variables are set", SNIPPET_SETS_MAX);
	}
	struct statement *st = value ? add(p, ST_SET, w->line, e) : NULL;
	if (!st) {
		variable_text_free(value);
		return -1;
	}
	if (i == s->n_sets)
		s->sets[s->n_sets++] = xstrdup(name);
	st->index = i;
	st->value = value;
	s->runs = true;
	return 0;
}

static bool is_url(const char *text)
{
	return strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0 || strncmp(text, "$scheme", 7) == 0;
}

static int parse_return(struct parser *p, struct snippet_words *w, struct err *e)
{
	uint64_t code = 302;
	const char *text = w->n > 2 ? w->word[2] : NULL;

	if (need(w, 1, 2, e) < 0)
		return -1;
	if (w->n == 2 && is_url(w->word[1]))
		text = w->word[1];
	else if (!str_to_u64(str_of(w->word[1]), 999, &code) || code < 200 || code > 599)
		return err_set(e, ERR_INVALID, "invalid return code \"%.100s\"", w->word[1]);
	struct statement *st = add(p, ST_RETURN, w->line, e);
	if (!st)
		return -1;
	st->status = (int)code;
	if (code == 444) { /* nginx closes the connection; a client tells no difference but the answer */
		st->status = 403;
		st->differs = "return 444 closes the connection in nginx; here it answers 403";
	}
	p->s->runs = true;
	st->value = text ? text_of(p, text, e) : NULL;
	return text && !st->value ? -1 : 0;
}

static int parse_rewrite(struct parser *p, struct snippet_words *w, struct err *e)
{
	static const struct {
		const char *word;
		enum rewrite_flag flag;
		const char *differs;
	} flags[] = { { "last", REWRITE_BREAK, "rewrite ... last chooses a location anew in nginx; here it stays in its own" },
		      { "break", REWRITE_BREAK, NULL }, { "redirect", REWRITE_REDIRECT, NULL }, { "permanent", REWRITE_PERMANENT, NULL } };
	size_t i = 0;

	if (need(w, 2, 3, e) < 0)
		return -1;
	while (w->n == 4 && i < ARRAY_LEN(flags) && strcmp(flags[i].word, w->word[3]) != 0)
		i++;
	if (i == ARRAY_LEN(flags))
		return err_set(e, ERR_INVALID, "invalid parameter \"%.100s\"", w->word[3]);
	struct statement *st = add(p, ST_REWRITE, w->line, e);
	if (!st)
		return -1;
	size_t len = strlen(w->word[2]);
	st->drop_args = len && w->word[2][len - 1] == '?';
	if (st->drop_args)
		w->word[2][len - 1] = '\0';
	st->flag = w->n == 4 ? flags[i].flag : is_url(w->word[2]) ? REWRITE_REDIRECT : REWRITE_NEXT;
	st->differs = w->n == 4 ? flags[i].differs : NULL;
	if (is_url(w->word[2]) && st->flag == REWRITE_BREAK)
		st->flag = REWRITE_REDIRECT;
	p->s->runs = p->s->requests = true;
	st->pattern = pattern_new(w->word[1], false, false, e);
	st->value = st->pattern ? text_of(p, w->word[2], e) : NULL;
	return st->value ? 0 : -1;
}

static int parse_break(struct parser *p, struct snippet_words *w, struct err *e)
{
	if (need(w, 0, 0, e) < 0)
		return -1;
	p->s->runs = true;
	return add(p, ST_BREAK, w->line, e) ? 0 : -1;
}

static int parse_access(struct parser *p, struct snippet_words *w, struct err *e)
{
	if (need(w, 1, 1, e) < 0)
		return -1;
	if (p->parent)
		return err_set(e, ERR_INVALID, "\"%s\" directive is not allowed here", w->word[0]);
	struct statement *st = add(p, ST_ACCESS, w->line, e);
	if (!st)
		return -1;
	st->allow = strcmp(w->word[0], "allow") == 0;
	st->all = strcmp(w->word[1], "all") == 0;
	p->s->runs = true;
	return st->all ? 0 : cidr_parse(str_of(w->word[1]), &st->cidr, e);
}

/* ---- if ---- */

/* Takes the parentheses away, which stand at the first and the last word or alone. */
static int strip_parentheses(struct snippet_words *w, struct err *e)
{
	char *first = w->n > 1 ? w->word[1] : NULL, *last = w->n > 1 ? w->word[w->n - 1] : NULL;
	size_t len = last ? strlen(last) : 0;

	if (!first || first[0] != '(' || len == 0 || last[len - 1] != ')')
		return err_set(e, ERR_INVALID, "invalid condition of \"if\": expected ( ... )");
	last[len - 1] = '\0';
	memmove(first, first + 1, strlen(first));
	if (w->n > 2 && !*w->word[w->n - 1])
		free(w->word[--w->n]);
	if (w->n > 1 && !*w->word[1]) {
		free(w->word[1]);
		memmove(&w->word[1], &w->word[2], (w->n - 2) * sizeof(*w->word));
		w->n--;
	}
	return 0;
}

static int parse_condition(struct parser *p, struct statement *st, struct snippet_words *w, struct err *e)
{
	static const struct {
		const char *word;
		enum condition condition;
		bool negate, caseless;
	} operators[] = { { "=", IF_EQUAL, false, false }, { "!=", IF_EQUAL, true, false }, { "~", IF_MATCH, false, false },
			  { "~*", IF_MATCH, false, true }, { "!~", IF_MATCH, true, false }, { "!~*", IF_MATCH, true, true } };
	size_t i = 0;

	if (w->n < 2 || w->word[1][0] != '$' || (w->n != 2 && w->n != 4))
		return err_set(e, ERR_INVALID, "invalid condition of \"if\": expected a variable, or a variable, an operator and a value");
	st->subject = text_of(p, w->word[1], e);
	if (!st->subject)
		return -1;
	if (w->n == 2)
		return 0;
	while (i < ARRAY_LEN(operators) && strcmp(operators[i].word, w->word[2]) != 0)
		i++;
	if (i == ARRAY_LEN(operators))
		return err_set(e, ERR_INVALID, "unexpected \"%.20s\" in condition", w->word[2]);
	st->condition = operators[i].condition;
	st->negate = operators[i].negate;
	if (st->condition == IF_MATCH) {
		st->pattern = pattern_new(w->word[3], operators[i].caseless, false, e);
		return st->pattern ? 0 : -1;
	}
	st->value = text_of(p, w->word[3], e);
	return st->value ? 0 : -1;
}

static int parse_block(struct parser *p, bool inner, struct err *e);

static int parse_if(struct parser *p, struct snippet_words *w, struct err *e)
{
	unsigned parent = p->parent;

	if (p->depth == SNIPPET_DEPTH_MAX)
		return err_set(e, ERR_INVALID, "more than %d ifs in one another", SNIPPET_DEPTH_MAX);
	size_t at = p->s->n;
	struct statement *st = add(p, ST_IF, w->line, e);
	if (!st || strip_parentheses(w, e) < 0 || parse_condition(p, st, w, e) < 0)
		return -1;
	st->number = p->parent = ++p->s->n_ifs;
	p->depth++;
	int rc = parse_block(p, true, e);
	p->depth--;
	p->parent = parent;
	p->s->at[at].next = p->s->n;
	p->s->runs = true;
	return rc;
}

/* ---- the text ---- */

static const struct {
	const char *name;
	directive_fn *parse;
	bool block;
} directives[] = {
	{ "add_header", parse_add_header, false },
	{ "more_set_headers", parse_more_set, false },
	{ "more_clear_headers", parse_more_clear, false },
	{ "more_set_input_headers", parse_more_input, false },
	{ "more_clear_input_headers", parse_more_input, false },
	{ "proxy_set_header", parse_proxy_set, false },
	{ "proxy_hide_header", parse_proxy_hide, false },
	{ "set", parse_set, false },
	{ "return", parse_return, false },
	{ "rewrite", parse_rewrite, false },
	{ "break", parse_break, false },
	{ "allow", parse_access, false },
	{ "deny", parse_access, false },
	{ "if", parse_if, true },
};

static int parse_directive(struct parser *p, struct snippet_words *w, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(directives); i++) {
		if (strcmp(directives[i].name, w->word[0]) != 0)
			continue;
		if (w->end != (directives[i].block ? END_OPEN : END_SEMICOLON))
			return err_set(e, ERR_INVALID, "directive \"%s\" %s", w->word[0],
				       directives[i].block ? "has no opening \"{\"" : "is not terminated by \";\"");
		return directives[i].parse(p, w, e);
	}
	return err_set(e, ERR_INVALID, "directive \"%.100s\" is not supported", w->word[0]);
}

static int parse_block(struct parser *p, bool inner, struct err *e)
{
	for (;;) {
		struct snippet_words w;
		int rc = snippet_read(&p->r, &w, e);
		bool over = rc == 0 && w.n == 0 && (w.end == END_TEXT || w.end == END_CLOSE);

		if (rc == 0 && over && (w.end == END_CLOSE) != inner)
			rc = err_set(e, ERR_INVALID, "line %u: %s", w.line, inner ? "a block is not closed by \"}\"" : "unexpected \"}\"");
		else if (rc == 0 && !over && w.n == 0 && w.end == END_OPEN)
			rc = err_set(e, ERR_INVALID, "line %u: unexpected \"{\"", w.line);
		else if (rc == 0 && w.n) {
			rc = parse_directive(p, &w, e);
			if (rc < 0 && strncmp(e->message, "line ", 5) != 0)
				err_wrap(e, "line %u", w.line);
		}
		snippet_words_done(&w);
		if (rc < 0 || over)
			return rc;
	}
}

struct snippet *snippet_new(const char *text, struct err *e)
{
	size_t len = strlen(text);
	struct parser p = { .r = { .at = text, .end = text + len, .line = 1 } };

	if (len > SNIPPET_BYTES_MAX) {
		err_set(e, ERR_INVALID, "longer than %u bytes", SNIPPET_BYTES_MAX);
		return NULL;
	}
	p.s = xcalloc(1, sizeof(*p.s));
	p.s->at = xcalloc(SNIPPET_STATEMENTS_MAX, sizeof(*p.s->at));
	if (parse_block(&p, false, e) < 0) {
		snippet_free(p.s);
		return NULL;
	}
	p.s->at = xrealloc(p.s->at, MAX(p.s->n, (size_t)1) * sizeof(*p.s->at));
	return p.s;
}

void snippet_free(struct snippet *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++) {
		struct statement *st = &s->at[i];
		free(st->name);
		free(st->codes);
		variable_text_free(st->value);
		variable_text_free(st->subject);
		regex_free(st->pattern);
	}
	for (size_t i = 0; i < s->n_sets; i++)
		free(s->sets[i]);
	free(s->at);
	free(s);
}

void snippet_each_difference(const struct snippet *s, void (*fn)(void *ctx, unsigned line, const char *what), void *ctx)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i].differs)
			fn(ctx, s->at[i].line, s->at[i].differs);
}
