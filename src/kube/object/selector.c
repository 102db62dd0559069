#include "kube/object/selector.h"

#include "base/limits.h"

#include <stdio.h>

#define REQUIREMENTS_MAX                                                                           \
	1024 /* kubectl sends a handful; more is an attack on every list that follows */

enum op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_NOT_EXISTS, OP_GREATER, OP_LESS, OP_EQUAL, OP_NOT_EQUAL };
struct requirement {
	char *key;
	enum op op;
	char **values; /* sorted */
	size_t n_values;
};
struct selector {
	struct requirement *at;
	size_t n;
};

static void requirement_done(struct requirement *r)
{
	free(r->key);
	for (size_t i = 0; i < r->n_values; i++)
		free(r->values[i]);
	free(r->values);
}

void selector_free(struct selector *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		requirement_done(&s->at[i]);
	free(s->at);
	free(s);
}

static void selector_freep(struct selector **s)
{
	selector_free(*s);
}

static struct requirement *add(struct selector *s, struct str key, enum op op)
{
	if ((s->n & (s->n - 1)) == 0)
		s->at = xrealloc(s->at, MAX(s->n * 2, 1) * sizeof(*s->at));
	s->at[s->n] = (struct requirement){ .key = str_dup(key), .op = op };
	return &s->at[s->n++];
}

static void add_value(struct requirement *r, struct str value)
{
	if ((r->n_values & (r->n_values - 1)) == 0)
		r->values = xrealloc(r->values, MAX(r->n_values * 2, 1) * sizeof(*r->values));
	r->values[r->n_values++] = str_dup(value);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The k8s.io/apimachinery lexer: words, and these signs. */
enum token {
	T_END,
	T_WORD,
	T_COMMA,
	T_OPEN,
	T_CLOSE,
	T_EQUALS,
	T_DOUBLE_EQUALS,
	T_NOT_EQUALS,
	T_NOT,
	T_GREATER,
	T_LESS,
	T_BAD
};
struct lexer {
	struct str rest;
	enum token token;
	struct str text;
};

static bool is_special(char c)
{
	return c && strchr("=!(),><", c);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void next(struct lexer *l)
{
	static const struct {
		const char *text;
		enum token token;
	} signs[] = {
		{ "==", T_DOUBLE_EQUALS }, { "!=", T_NOT_EQUALS },
		{ "=", T_EQUALS },	   { "!", T_NOT },
		{ "(", T_OPEN },	   { ")", T_CLOSE },
		{ ",", T_COMMA },	   { ">", T_GREATER },
		{ "<", T_LESS },
	};

	while (l->rest.len && is_space(*l->rest.ptr))
		l->rest = (struct str){ l->rest.ptr + 1, l->rest.len - 1 };
	l->text = (struct str){ l->rest.ptr, 0 };
	l->token = l->rest.len ? T_WORD : T_END;
	for (size_t i = 0; l->rest.len && i < ARRAY_LEN(signs); i++)
		if (str_starts(l->rest, str_of(signs[i].text))) {
			l->token = signs[i].token;
			l->text.len = strlen(signs[i].text);
			break;
		}
	while (l->token == T_WORD && l->text.len < l->rest.len &&
	       !is_special(l->rest.ptr[l->text.len]) && !is_space(l->rest.ptr[l->text.len]))
		l->text.len++;
	l->rest = (struct str){ l->rest.ptr + l->text.len, l->rest.len - l->text.len };
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Alphanumeric at both ends, [-_.] between, 1 to 63 bytes. */
static bool is_name(struct str s)
{
	if (!s.len || s.len > 63 || !is_alnum(s.ptr[0]) || !is_alnum(s.ptr[s.len - 1]))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!is_alnum(s.ptr[i]) && !memchr("-_.", s.ptr[i], 3))
			return false;
	return true;
}

static bool is_dns_subdomain(struct str s)
{
	bool inside = false; /* of a label, behind an alphanumeric byte */

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			inside = true;
		else if (c == '.' && inside)
			inside = false;
		else if (c != '-' || !(inside || (i && s.ptr[i - 1] == '-')) ||
			 (i + 1 < s.len && s.ptr[i + 1] == '.'))
			return false;
	}
	return inside && s.len <= 253 && is_alnum(s.ptr[s.len - 1]);
}

static bool is_key(struct str s)
{
	struct str name, prefix = str_cut(s, '/', &name);

	return name.ptr ? is_dns_subdomain(prefix) && is_name(name) : is_name(s);
}

static const char key_rule[] =
	"name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
	"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
	"'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
static const char value_rule[] =
	"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
	"and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation "
	"is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

static int key_check(struct str key, struct err *e)
{
	if (is_key(key))
		return 0;
	return err_set(e, ERR_BAD_REQUEST, "key: Invalid value: \"" STR_FMT "\": %s", STR_ARG(key),
		       key_rule);
}

static int value_check(struct str key, size_t at, struct str value, struct err *e)
{
	if (!value.len || is_name(value))
		return 0;
	return err_set(e, ERR_BAD_REQUEST,
		       "values[%zu][" STR_FMT "]: Invalid value: \"" STR_FMT "\": %s", at,
		       STR_ARG(key), STR_ARG(value), value_rule);
}

static int expected(const struct lexer *l, const char *what, struct err *e)
{
	return err_set(e, ERR_BAD_REQUEST, "found '" STR_FMT "', expected: %s", STR_ARG(l->text),
		       what);
}

/* "in" and "notin" are words that may also be values, as upstream's parser has it. */
static int parse_values_list(struct lexer *l, struct requirement *r, struct err *e)
{
	if (l->token != T_OPEN)
		return expected(l, "'('", e);
	for (next(l);;) {
		struct str value = { l->text.ptr, 0 };

		if (l->token == T_WORD) {
			value = l->text;
			next(l);
		} else if (l->token != T_COMMA && l->token != T_CLOSE) {
			return expected(l, "',', ')' or identifier", e);
		}
		if (r->n_values >= REQUIREMENTS_MAX)
			return err_set(e, ERR_BAD_REQUEST, "more than %d values in a selector",
				       REQUIREMENTS_MAX);
		if (value_check(str_of(r->key), r->n_values, value, e) < 0)
			return -1;
		add_value(r, value);
		if (l->token == T_CLOSE)
			break;
		if (l->token != T_COMMA)
			return expected(l, "',' or ')'", e);
		next(l);
	}
	next(l);
	qsort(r->values, r->n_values, sizeof(*r->values), by_text);
	return 0;
}

/* What may stand behind = or !=: a word or nothing. */
static int parse_exact_value(struct lexer *l, struct requirement *r, struct err *e)
{
	struct str value = { l->text.ptr, 0 };

	if (l->token == T_WORD) {
		value = l->text;
		next(l);
	} else if (l->token != T_END && l->token != T_COMMA) {
		return expected(l, "identifier", e);
	}
	if (value_check(str_of(r->key), 0, value, e) < 0)
		return -1;
	add_value(r, value);
	return 0;
}

static int parse_number_value(struct lexer *l, struct requirement *r, struct err *e)
{
	uint64_t n;

	if (l->token != T_WORD)
		return expected(l, "identifier", e);
	if (!str_to_u64(l->text, INT64_MAX, &n))
		return err_set(e, ERR_BAD_REQUEST,
			       "values[0][%s]: Invalid value: \"" STR_FMT
			       "\": for 'Gt', 'Lt' operators, the value must be an integer",
			       r->key, STR_ARG(l->text));
	add_value(r, l->text);
	next(l);
	return 0;
}

static int parse_requirement(struct selector *s, struct lexer *l, struct err *e)
{
	bool negated = l->token == T_NOT;
	struct str key;

	if (negated)
		next(l);
	if (l->token != T_WORD)
		return expected(l, "!, identifier, or 'end of string'", e);
	key = l->text;
	if (key_check(key, e) < 0)
		return -1;
	next(l);
	if (negated || l->token == T_END || l->token == T_COMMA) {
		add(s, key, negated ? OP_NOT_EXISTS : OP_EXISTS);
		return 0;
	}
	enum token t = l->token;
	struct str op = l->text;
	bool in = t == T_WORD && str_eq_c(op, "in"), not_in = t == T_WORD && str_eq_c(op, "notin");
	if (in || not_in) {
		next(l);
		return parse_values_list(l, add(s, key, in ? OP_IN : OP_NOT_IN), e);
	}
	if (t == T_GREATER || t == T_LESS) {
		next(l);
		return parse_number_value(l, add(s, key, t == T_GREATER ? OP_GREATER : OP_LESS), e);
	}
	if (t != T_EQUALS && t != T_DOUBLE_EQUALS && t != T_NOT_EQUALS)
		return expected(l, "in, notin, =, ==, !=, gt, lt", e);
	next(l);
	return parse_exact_value(l, add(s, key, t == T_NOT_EQUALS ? OP_NOT_EQUAL : OP_EQUAL), e);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct requirement *)a)->key, ((const struct requirement *)b)->key);
}

struct selector *selector_parse(struct str text, struct err *e)
{
	cleanup(selector_freep) struct selector *s = xcalloc(1, sizeof(*s));
	struct lexer l = { .rest = text };

	next(&l);
	while (l.token != T_END) {
		if (s->n >= REQUIREMENTS_MAX)
			err_set(e, ERR_BAD_REQUEST, "more than %d requirements in a selector",
				REQUIREMENTS_MAX);
		if (s->n >= REQUIREMENTS_MAX || parse_requirement(s, &l, e) < 0)
			goto failed;
		if (l.token == T_END)
			break;
		if (l.token != T_COMMA) {
			expected(&l, "',' or 'end of string'", e);
			goto failed;
		}
		next(&l);
		if (l.token != T_WORD && l.token != T_NOT) {
			err_set(e, ERR_BAD_REQUEST,
				"found '" STR_FMT "', expected: identifier after ','",
				STR_ARG(l.text));
			goto failed;
		}
	}
	if (s->n)
		qsort(s->at, s->n, sizeof(*s->at), by_key);
	return TAKE_PTR(s);
failed:
	err_wrap(e, "unable to parse requirement");
	return NULL;
}

struct selector *selector_of_map(const json_t *map)
{
	struct selector *s = xcalloc(1, sizeof(*s));
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)map, key, value)
		add_value(add(s, str_of(key), OP_EQUAL),
			  str_of(json_is_string(value) ? json_string_value(value) : ""));
	if (s->n)
		qsort(s->at, s->n, sizeof(*s->at), by_key);
	return s;
}

static int add_expression(struct selector *s, const json_t *expression, struct err *e)
{
	static const char *const names[] = { [OP_IN] = "In",
					     [OP_NOT_IN] = "NotIn",
					     [OP_EXISTS] = "Exists",
					     [OP_NOT_EXISTS] = "DoesNotExist" };
	const char *key = jx_str_or(expression, "key", ""),
		   *op = jx_str_or(expression, "operator", "");
	const json_t *values = json_object_get(expression, "values");
	size_t at;
	json_t *value;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!c_eq(op, names[i]))
			continue;
		bool wants_values = i == OP_IN || i == OP_NOT_IN;
		if (wants_values && !json_array_size(values))
			return err_set(
				e, ERR_BAD_REQUEST,
				"values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty");
		if (!wants_values && json_array_size(values))
			return err_set(e, ERR_BAD_REQUEST,
				       "values: Invalid value: %zu values: "
				       "values set must be empty for exists and does not exist",
				       json_array_size(values));
		struct requirement *r = add(s, str_of(key), (enum op)i);
		json_array_foreach((json_t *)values, at, value)
			add_value(r, str_of(json_is_string(value) ? json_string_value(value) : ""));
		if (r->n_values)
			qsort(r->values, r->n_values, sizeof(*r->values), by_text);
		return key_check(str_of(key), e);
	}
	return err_set(e, ERR_BAD_REQUEST, "\"%s\" is not a valid label selector operator", op);
}

struct selector *selector_of_label_selector(const json_t *ls, struct err *e)
{
	cleanup(selector_freep) struct selector *s =
		selector_of_map(json_object_get(ls, "matchLabels"));
	size_t at;
	json_t *expression;

	json_array_foreach(json_object_get(ls, "matchExpressions"), at,
			   expression) if (add_expression(s, expression, e) < 0) return NULL;
	if (s->n)
		qsort(s->at, s->n, sizeof(*s->at), by_key);
	return TAKE_PTR(s);
}

static bool has_value(const struct requirement *r, const char *value)
{
	return r->n_values && bsearch(&value, r->values, r->n_values, sizeof(*r->values), by_text);
}

static bool compare(const struct requirement *r, const char *text)
{
	uint64_t label, limit;

	if (!str_to_u64(str_of(text), INT64_MAX, &label) ||
	    !str_to_u64(str_of(r->values[0]), INT64_MAX, &limit))
		return false;
	return r->op == OP_GREATER ? label > limit : label < limit;
}

static bool requirement_matches(const struct requirement *r, const json_t *labels)
{
	const char *value = json_string_value(json_object_get(labels, r->key));

	switch (r->op) {
	case OP_IN:
	case OP_EQUAL:
		return value && has_value(r, value);
	case OP_NOT_IN:
	case OP_NOT_EQUAL:
		return !value || !has_value(r, value);
	case OP_EXISTS:
		return value;
	case OP_NOT_EXISTS:
		return !value;
	case OP_GREATER:
	case OP_LESS:
		return value && compare(r, value);
	}
	return false;
}

bool selector_matches(const struct selector *s, const json_t *labels)
{
	for (size_t i = 0; i < s->n; i++)
		if (!requirement_matches(&s->at[i], labels))
			return false;
	return true;
}

char *selector_text(const struct selector *s)
{
	static const char *const forms[] = {
		[OP_IN] = "%s in (",	 [OP_NOT_IN] = "%s notin (", [OP_EXISTS] = "%s",
		[OP_NOT_EXISTS] = "!%s", [OP_GREATER] = "%s>",	     [OP_LESS] = "%s<",
		[OP_EQUAL] = "%s=",	 [OP_NOT_EQUAL] = "%s!="
	};
	struct buf b;

	buf_init(&b, LIMIT_OBJECT_BYTES);
	for (size_t i = 0; i < s->n; i++) {
		const struct requirement *r = &s->at[i];
		bool list = r->op == OP_IN || r->op == OP_NOT_IN;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		if (i)
			buf_putc(&b, ',');
		buf_printf(&b, forms[r->op], r->key);
#pragma GCC diagnostic pop
		for (size_t k = 0; k < r->n_values; k++)
			buf_printf(&b, "%s%s", k ? "," : "", r->values[k]);
		if (list)
			buf_putc(&b, ')');
	}
	buf_puts(&b, "");
	return buf_take(&b);
}
