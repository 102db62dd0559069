/* Values of settings: from text, to text, their memory. */
#include "roles/ingress/config/field.h"

#include "roles/ingress/config/settings.h"
#include "roles/ingress/filter/cidr.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/route/pattern.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#define TEXT_BYTES_MAX (64u << 10) /* snippets; annotations of an object end at 256 KiB */
#define LIST_MAX 1024
#define CODES_MAX 64		   /* statuses from 300 to 599 that anybody intercepts */
#define SIZE_MAX_BYTES (1ull << 50)

/* ---- what is expected ---- */

static void expect_words(const struct field *f, char *out, size_t size)
{
	size_t n = 0;

	for (const struct field_word *w = f->words; w->word && n < size; w++)
		n += (size_t)snprintf(out + n, size - n, "%s%s", n == 0 ? "" : w[1].word ? ", " : f->type == FIELD_WORDS ? " and " : " or ",
				      w->word);
}

const char *field_expects(const struct field *f, char out[FIELD_EXPECTS_BYTES])
{
	static const char *const fixed[] = {
		[FIELD_NONE] = "anything", [FIELD_BOOL] = "\"true\" or \"false\"", [FIELD_TRISTATE] = "\"true\" or \"false\"",
		[FIELD_SIZE] = "a size such as 512, 8k or 1m", [FIELD_SECONDS] = "seconds, or a time such as 90s or 1m30s",
		[FIELD_CIDRS] = "addresses and CIDRs, separated by commas", [FIELD_VARIABLES] = "a text, in which $variables are replaced",
		[FIELD_PATTERN] = "a regular expression (PCRE)", [FIELD_PERCENT] = "a share from 0 to 1",
	};
	size_t size = FIELD_EXPECTS_BYTES;

	switch (f->type) {
	case FIELD_INT:
		if (f->max >= INT32_MAX)
			snprintf(out, size, "a number from %" PRId64, f->min);
		else
			snprintf(out, size, "a number from %" PRId64 " to %" PRId64, f->min, f->max);
		break;
	case FIELD_CODES:
		snprintf(out, size, "%s from %" PRId64 " to %" PRId64 ", separated by commas", f->max <= 599 ? "HTTP statuses" : "numbers", f->min,
			 f->max);
		break;
	case FIELD_WORD:
	case FIELD_WORDS:
		expect_words(f, out, size);
		break;
	case FIELD_LIST:
		snprintf(out, size, "a list, separated by commas: each %s", f->form->expects);
		break;
	case FIELD_TEXT:
	case FIELD_VARIABLES:
	case FIELD_PATTERN:
		if (f->form && (f->type == FIELD_TEXT || f->form != &form_any))
			snprintf(out, size, "%s", f->form->expects);
		else
			snprintf(out, size, "%s", f->type == FIELD_TEXT ? "a text" : fixed[f->type]);
		break;
	default:
		snprintf(out, size, "%s", fixed[f->type]);
	}
	return out;
}

static int unexpected(const struct field *f, struct str value, struct err *e)
{
	char expects[FIELD_EXPECTS_BYTES];

	return err_set(e, ERR_INVALID, "\"" STR_FMT "\" is not valid: expected %s", (int)MIN(value.len, (size_t)120), value.ptr,
		       field_expects(f, expects));
}

/* ---- parsers: each leaves *at alone when it fails ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* YAML's block texts end with a line end. */
static struct str trim(struct str s)
{
	while (s.len && is_blank(s.ptr[0]))
		s = (struct str){ s.ptr + 1, s.len - 1 };
	while (s.len && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

static int parse_bool(struct str v, bool *ret)
{
	static const char *const words[] = { "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq_c(v, words[i])) {
			*ret = i < ARRAY_LEN(words) / 2;
			return 0;
		}
	return -1;
}

static int parse_int(const struct field *f, struct str v, int64_t *ret)
{
	uint64_t n;
	bool minus = v.len && v.ptr[0] == '-', sign = minus || (v.len && v.ptr[0] == '+');

	if (!str_to_u64((struct str){ v.ptr + sign, v.len - sign }, INT64_MAX, &n))
		return -1;
	*ret = minus ? -(int64_t)n : (int64_t)n;
	return *ret < f->min || *ret > f->max ? -1 : 0;
}

static int parse_size(struct str v, uint64_t *ret)
{
	static const char units[] = "bkmg";
	uint64_t n;
	const char *unit = v.len ? strchr(units, v.ptr[v.len - 1] | 0x20) : NULL;
	unsigned shift = unit && *unit ? (unsigned)(unit - units) * 10 : 0;

	if (unit && *unit)
		v.len--;
	if (!str_to_u64(v, SIZE_MAX_BYTES >> shift, &n))
		return -1;
	*ret = n << shift;
	return 0;
}

/* nginx's times: numbers with units, a bare one is seconds. Less than a second counts as one. */
static int parse_seconds(struct str v, int64_t *ret)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { "", 1000 } };
	uint64_t total = 0;

	if (v.len == 0)
		return -1;
	while (v.len) {
		size_t digits = 0, u = 0;
		uint64_t n;

		while (digits < v.len && v.ptr[digits] >= '0' && v.ptr[digits] <= '9')
			digits++;
		if (!str_to_u64((struct str){ v.ptr, digits }, INT32_MAX, &n))
			return -1;
		v = (struct str){ v.ptr + digits, v.len - digits };
		while (u + 1 < ARRAY_LEN(units) && !str_starts(v, str_of(units[u].unit)))
			u++;
		if (u + 1 == ARRAY_LEN(units) && v.len)
			return -1;
		v = (struct str){ v.ptr + strlen(units[u].unit), v.len - strlen(units[u].unit) };
		total += n * units[u].ms;
	}
	if (total / 1000 >= INT32_MAX)
		return -1;
	*ret = (int64_t)((total + 999) / 1000);
	return 0;
}

static int parse_share(struct str v, unsigned *ret)
{
	char text[16], *end;

	if (v.len == 0 || v.len >= sizeof(text))
		return -1;
	memcpy(text, v.ptr, v.len);
	text[v.len] = '\0';
	double d = strtod(text, &end);
	if (*end || !(d >= 0 && d <= 1) || strpbrk(text, "xXnN"))
		return -1;
	*ret = (unsigned)(d * 10000 + 0.5);
	return 0;
}

static const struct field_word *find_word(const struct field *f, struct str v)
{
	for (const struct field_word *w = f->words; w->word; w++)
		if (str_ieq(v, str_of(w->word)))
			return w;
	return NULL;
}

/* The next element of a list; elements may be empty. */
static struct str next_element(const struct field *f, struct str *rest)
{
	size_t n = 0;
	bool blanks = f->form != &form_any;

	while (n < rest->len && rest->ptr[n] != ',' && !(blanks && is_blank(rest->ptr[n])))
		n++;
	struct str element = trim((struct str){ rest->ptr, n });
	n += n < rest->len;
	*rest = (struct str){ rest->ptr + n, rest->len - n };
	return element;
}

static int parse_words(const struct field *f, struct str v, unsigned *ret)
{
	unsigned bits = 0;

	while (v.len) {
		struct str element = next_element(f, &v);
		const struct field_word *w = element.len ? find_word(f, element) : NULL;
		if (element.len && !w)
			return -1;
		bits |= w ? (unsigned)w->value : 0;
	}
	*ret = bits;
	return 0;
}

static void str_list_free(struct str_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->at[i]);
	free(l->at);
	*l = (struct str_list){ 0 };
}

static bool has_control(struct str v)
{
	for (size_t i = 0; i < v.len; i++)
		if ((unsigned char)v.ptr[i] < 0x20 || v.ptr[i] == 0x7f)
			return true;
	return false;
}

static bool fits(const struct field *f, struct str v)
{
	return (f->flags & FIELD_MULTILINE || !has_control(v)) && (!f->form || f->form->ok(v));
}

/* The first element that is passed over; the value was taken. */
static struct str unfit_element(const struct field *f, struct str v)
{
	while (v.len) {
		struct str element = next_element(f, &v);
		if (element.len && !fits(f, element))
			return element;
	}
	return STR_NONE;
}

static int parse_list(const struct field *f, struct str v, struct str_list *at)
{
	struct str_list l = { 0 };

	while (v.len) {
		struct str element = next_element(f, &v);
		if (element.len == 0)
			continue;
		if (l.n == LIST_MAX || !fits(f, element)) {
			if (f->flags & FIELD_EACH)
				continue;
			str_list_free(&l);
			return -1;
		}
		l.at = xrealloc(l.at, (l.n + 1) * sizeof(*l.at));
		l.at[l.n++] = str_dup(element);
	}
	str_list_free(at);
	*at = l;
	return 0;
}

static int parse_codes(const struct field *f, struct str v, unsigned **at, size_t *n_at)
{
	unsigned codes[CODES_MAX];
	size_t n = 0;
	int64_t code;

	while (v.len) {
		struct str element = next_element(f, &v);
		if (element.len == 0)
			continue;
		if (n == CODES_MAX || parse_int(f, element, &code) < 0)
			return -1;
		codes[n++] = (unsigned)code;
	}
	free(*at);
	*at = n ? xmalloc(n * sizeof(*codes)) : NULL;
	if (n)
		memcpy(*at, codes, n * sizeof(*codes));
	*n_at = n;
	return 0;
}

/* These two have more to say than what is expected. */
static int parse_variables(const struct field *f, struct str v, struct variable_text **at, struct err *e)
{
	cleanup(freep) char *text = str_dup(v);

	if (!fits(f, v))
		return unexpected(f, v, e);
	struct variable_text *t = variable_text_new(text, e);
	if (!t)
		return err_wrap(e, "\"%.120s\" is not valid", text);
	variable_text_free(*at);
	*at = t;
	return 0;
}

static int parse_pattern(const struct field *f, struct str v, struct regex **at, struct err *e)
{
	cleanup(freep) char *text = str_dup(v);

	if (!fits(f, v))
		return unexpected(f, v, e);
	struct regex *p = pattern_new(text, false, false, e);
	if (!p)
		return err_wrap(e, "\"%.120s\" is no regular expression", text);
	regex_free(*at);
	*at = p;
	return 0;
}

static int parse_cidrs(struct str v, struct cidr_list *at, struct err *e)
{
	struct cidr_list l = { 0 };

	if (cidr_list_parse(v, &l, e) < 0)
		return -1;
	if (v.len && !l.n) /* taken for an empty list, it would let everybody in */
		return err_set(e, ERR_INVALID, "\"" STR_FMT "\" holds no address", STR_ARG(v));
	cidr_list_done(at);
	*at = l;
	return 0;
}

static int parse_number(const struct field *f, struct str v, void *at)
{
	int64_t n;

	if ((f->type == FIELD_INT ? parse_int(f, v, &n) : parse_seconds(v, &n)) < 0)
		return -1;
	*(int *)at = (int)n;
	return 0;
}

static int parse_word(const struct field *f, struct str v, void *at)
{
	const struct field_word *w = find_word(f, v);

	if (!w)
		return -1;
	if (f->size == sizeof(bool))
		*(bool *)at = w->value;
	else
		*(int *)at = w->value;
	return 0;
}

static int parse_tristate(struct str v, int *at)
{
	bool b;

	if (parse_bool(v, &b) < 0)
		return -1;
	*at = b;
	return 0;
}

static int parse_text(const struct field *f, struct str v, char **at)
{
	if (v.len > TEXT_BYTES_MAX || !fits(f, v))
		return -1;
	free(*at);
	*at = str_dup(v);
	return 0;
}

static int parse_plain(const struct field *f, struct str v, char *home)
{
	void *at = home + f->offset;

	switch (f->type) {
	case FIELD_BOOL:
		return parse_bool(v, at);
	case FIELD_TRISTATE:
		return parse_tristate(v, at);
	case FIELD_INT:
	case FIELD_SECONDS:
		return parse_number(f, v, at);
	case FIELD_PERCENT:
		return parse_share(v, at);
	case FIELD_SIZE:
		return parse_size(v, at);
	case FIELD_TEXT:
		return parse_text(f, v, at);
	case FIELD_LIST:
		return parse_list(f, v, at);
	case FIELD_CODES:
		return parse_codes(f, v, at, (size_t *)(home + f->offset2));
	case FIELD_WORD:
		return parse_word(f, v, at);
	case FIELD_WORDS:
		return parse_words(f, v, at);
	default:
		return 0;
	}
}

int field_parse(const struct field *f, const char *text, void *home, struct err *e)
{
	struct str v = trim(str_of(text));
	char *at = (char *)home + f->offset;

	switch (f->type) {
	case FIELD_VARIABLES:
		return parse_variables(f, v, (struct variable_text **)at, e);
	case FIELD_PATTERN:
		return parse_pattern(f, v, (struct regex **)at, e);
	case FIELD_CIDRS:
		return parse_cidrs(v, (struct cidr_list *)at, e);
	default:
		if (parse_plain(f, v, home) < 0)
			return unexpected(f, v, e);
		v = f->flags & FIELD_EACH ? unfit_element(f, v) : STR_NONE;
		return v.ptr ? -unexpected(f, v, e) : 0;
	}
}

/* ---- memory ---- */

void field_clear(const struct field *f, void *home)
{
	char *at = (char *)home + f->offset;

	switch (f->type) {
	case FIELD_TEXT:
		free(*(char **)at);
		*(char **)at = NULL;
		break;
	case FIELD_LIST:
		str_list_free((struct str_list *)at);
		break;
	case FIELD_CIDRS:
		cidr_list_done((struct cidr_list *)at);
		*(struct cidr_list *)at = (struct cidr_list){ 0 };
		break;
	case FIELD_CODES:
		free(*(unsigned **)at);
		*(unsigned **)at = NULL;
		*(size_t *)((char *)home + f->offset2) = 0;
		break;
	case FIELD_VARIABLES:
		variable_text_free(*(struct variable_text **)at);
		*(struct variable_text **)at = NULL;
		break;
	case FIELD_PATTERN:
		regex_free(*(struct regex **)at);
		*(struct regex **)at = NULL;
		break;
	default:
		break;
	}
}

static void *copy_bytes(const void *from, size_t n)
{
	return n ? memcpy(xmalloc(n), from, n) : NULL;
}

static void own_list(struct str_list *l)
{
	l->at = copy_bytes(l->at, l->n * sizeof(*l->at));
	for (size_t i = 0; i < l->n; i++)
		l->at[i] = xstrdup(l->at[i]);
}

/* What was parsed once is parsed again: it cannot fail. */
static void own_variables(struct variable_text **at)
{
	struct err e;

	*at = *at ? variable_text_new(variable_text_source(*at), &e) : NULL;
}

void field_own(const struct field *f, void *to)
{
	char *at = (char *)to + f->offset;
	struct cidr_list *cidrs = (struct cidr_list *)at;

	switch (f->type) {
	case FIELD_TEXT:
		*(char **)at = xstrdup(*(char **)at);
		break;
	case FIELD_LIST:
		own_list((struct str_list *)at);
		break;
	case FIELD_CIDRS:
		cidrs->at = copy_bytes(cidrs->at, cidrs->n * sizeof(*cidrs->at));
		break;
	case FIELD_CODES:
		*(unsigned **)at = copy_bytes(*(unsigned **)at, *(size_t *)((char *)to + f->offset2) * sizeof(unsigned));
		break;
	case FIELD_VARIABLES:
		own_variables((struct variable_text **)at);
		break;
	case FIELD_PATTERN: /* no default is one: nothing to copy */
		*(struct regex **)at = NULL;
		break;
	default:
		break;
	}
}

/* ---- names ---- */

const struct field *field_find(const struct field *table, struct str name)
{
	for (const struct field *f = table; f->name; f++)
		if (str_eq_c(name, f->name) || (f->alias && str_eq_c(name, f->alias)))
			return f;
	return NULL;
}

#define NAME_BYTES_MAX 64

/* Levenshtein's distance, with one row of the matrix. */
static size_t distance(struct str a, struct str b)
{
	size_t row[NAME_BYTES_MAX + 1];

	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t above = row[j];
			size_t change = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
			row[j] = MIN(change, MIN(above, row[j - 1]) + 1);
			diagonal = above;
		}
	}
	return row[b.len];
}

const char *field_nearest(const struct field *table, struct str name)
{
	const char *best = NULL;
	size_t least = 1 + name.len / 4; /* more changes than that, and it is another word */

	if (name.len > NAME_BYTES_MAX)
		return NULL;
	for (const struct field *f = table; f->name; f++) {
		size_t d = distance(name, str_of(f->name));
		if (d <= least) {
			best = f->name;
			least = d - 1;
		}
		if (d == 0)
			break;
	}
	return best;
}
