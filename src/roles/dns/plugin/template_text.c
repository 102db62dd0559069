#include "roles/dns/plugin/template_text.h"

#include <stdio.h>

enum part_kind {
	PART_LITERAL,
	PART_NAME,
	PART_ZONE,
	PART_CLASS,
	PART_TYPE,
	PART_REMOTE,
	PART_REGEX,
	PART_QUESTION_NAME,
	PART_ID,
	PART_QTYPE,
	PART_QCLASS,
	PART_GROUP, /* by name */
	PART_MATCH, /* by number */
};
struct part {
	enum part_kind kind;
	char *text; /* the literal, the group's name */
	unsigned number;
	unsigned base, bits; /* of parseInt; 0: as it is */
};
struct template_text {
	struct part *parts;
	size_t n;
};

static const struct {
	const char *name;
	enum part_kind kind;
} fields[] = {
	{ ".Name", PART_NAME },
	{ ".Zone", PART_ZONE },
	{ ".Class", PART_CLASS },
	{ ".Type", PART_TYPE },
	{ ".Remote", PART_REMOTE },
	{ ".Regex", PART_REGEX },
	{ ".Question.Name", PART_QUESTION_NAME },
	{ ".Question.Qtype", PART_QTYPE },
	{ ".Question.Qclass", PART_QCLASS },
	{ ".Message.Id", PART_ID },
	{ ".Message.MsgHdr.Id", PART_ID },
};

/* ---- reading ---- */

#define WORDS_MAX 5

struct reading {
	struct template_text *t;
	const struct regex *const *groups;
	size_t n_groups;
	struct err *e;
};

static struct part *add(struct reading *in, enum part_kind kind)
{
	in->t->parts = xrealloc(in->t->parts, (in->t->n + 1) * sizeof(*in->t->parts));
	in->t->parts[in->t->n] = (struct part){ .kind = kind };
	return &in->t->parts[in->t->n++];
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void add_literal(struct reading *in, struct str text)
{
	if (text.len)
		add(in, PART_LITERAL)->text = str_dup(text);
}

static size_t split(struct str text, struct str words[WORDS_MAX])
{
	size_t n = 0, i = 0;

	for (; n < WORDS_MAX; n++) {
		while (i < text.len && is_blank(text.ptr[i]))
			i++;
		if (i == text.len)
			return n;
		size_t start = i;
		while (i < text.len && !is_blank(text.ptr[i]))
			i++;
		words[n] = (struct str){ text.ptr + start, i - start };
	}
	return n;
}

static bool group_known(const struct reading *in, const char *name)
{
	for (size_t i = 0; i < in->n_groups; i++)
		if (regex_group(in->groups[i], name) >= 0)
			return true;
	return false;
}

/* index .Group "0" is index .Match 0. */
static int add_group(struct reading *in, struct str name)
{
	uint64_t number;

	if (str_to_u64(name, REGEX_GROUPS_MAX - 1, &number)) {
		add(in, PART_MATCH)->number = (unsigned)number;
		return 0;
	}
	struct part *p = add(in, PART_GROUP);
	p->text = str_dup(name);
	if (!group_known(in, p->text))
		return err_set(in->e, ERR_INVALID, "no match has a group named \"%s\"", p->text);
	return 0;
}

static int add_match(struct reading *in, struct str word)
{
	uint64_t number;
	size_t most = 0;

	for (size_t i = 0; i < in->n_groups; i++)
		most = MAX(most, (size_t)regex_groups(in->groups[i]));
	if (!str_to_u64(word, most, &number))
		return err_set(in->e, ERR_INVALID, "index .Match is followed by a group's number, 0 to %zu", most);
	add(in, PART_MATCH)->number = (unsigned)number;
	return 0;
}

static int add_field(struct reading *in, struct str word)
{
	static const struct str group = STR(".Group.");

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (str_eq_c(word, fields[i].name)) {
			add(in, fields[i].kind);
			return 0;
		}
	if (str_starts(word, group) && word.len > group.len)
		return add_group(in, (struct str){ word.ptr + group.len, word.len - group.len });
	return err_set(in->e, ERR_INVALID, "{{ " STR_FMT " }} is not known: .Name .Zone .Class .Type .Remote .Group.NAME .Question.Name "
		       ".Message.Id, index .Match N and parseInt are", STR_ARG(word));
}

static bool unquote(struct str *word)
{
	if (word->len < 3 || word->ptr[0] != '"' || word->ptr[word->len - 1] != '"')
		return false;
	*word = (struct str){ word->ptr + 1, word->len - 2 };
	return true;
}

/* parseInt FIELD BASE BITS */
static int add_number(struct reading *in, const struct str words[4])
{
	uint64_t base, bits;

	if (!str_to_u64(words[2], 36, &base) || base < 2 || !str_to_u64(words[3], 64, &bits))
		return err_set(in->e, ERR_INVALID, "parseInt is followed by a value, a base (2 to 36) and a number of bits (0 to 64)");
	if (add_field(in, words[1]))
		return -1;
	in->t->parts[in->t->n - 1].base = (unsigned)base;
	in->t->parts[in->t->n - 1].bits = bits ? (unsigned)bits : 64;
	return 0;
}

static int add_action(struct reading *in, struct str text)
{
	struct str words[WORDS_MAX];
	size_t n = split(text, words);

	if (n == 1)
		return add_field(in, words[0]);
	if (n == 3 && str_eq_c(words[0], "index") && str_eq_c(words[1], ".Match"))
		return add_match(in, words[2]);
	if (n == 3 && str_eq_c(words[0], "index") && str_eq_c(words[1], ".Group") && unquote(&words[2]))
		return add_group(in, words[2]);
	if (n == 4 && str_eq_c(words[0], "parseInt"))
		return add_number(in, words);
	return err_set(in->e, ERR_INVALID, "{{" STR_FMT "}} is not one of {{ .FIELD }}, {{ index .Match N }}, {{ index .Group \"NAME\" }}, "
		       "{{ parseInt .FIELD BASE BITS }}", STR_ARG(text));
}

static struct str trim_end(struct str s)
{
	while (s.len && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

static struct str trim_start(struct str s)
{
	while (s.len && is_blank(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	return s;
}

static int read_all(struct reading *in, struct str rest)
{
	for (;;) {
		const char *open = rest.len ? memmem(rest.ptr, rest.len, "{{", 2) : NULL;
		if (!open) {
			add_literal(in, rest);
			return 0;
		}
		struct str before = { rest.ptr, (size_t)(open - rest.ptr) }, inner = { open + 2, rest.len - before.len - 2 };
		const char *close = memmem(inner.ptr, inner.len, "}}", 2);
		if (!close)
			return err_set(in->e, ERR_INVALID, "a {{ is not followed by }}");
		rest = (struct str){ close + 2, (size_t)(inner.ptr + inner.len - close - 2) };
		inner.len = (size_t)(close - inner.ptr);
		if (inner.len > 1 && inner.ptr[0] == '-' && is_blank(inner.ptr[1])) {
			before = trim_end(before);
			inner = (struct str){ inner.ptr + 1, inner.len - 1 };
		}
		if (inner.len > 1 && inner.ptr[inner.len - 1] == '-' && is_blank(inner.ptr[inner.len - 2])) {
			rest = trim_start(rest);
			inner.len--;
		}
		add_literal(in, before);
		if (add_action(in, inner))
			return -1;
	}
}

struct template_text *template_text_new(const char *text, const struct regex *const *groups, size_t n, struct err *e)
{
	struct reading in = { xcalloc(1, sizeof(*in.t)), groups, n, e };

	if (read_all(&in, str_of(text)) == 0)
		return in.t;
	template_text_free(in.t);
	return NULL;
}

void template_text_free(struct template_text *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->parts[i].text);
	free(t->parts);
	free(t);
}

/* ---- writing ---- */

static struct str group_value(const struct part *p, const struct template_values *v)
{
	int n = (int)p->number;

	if (p->kind == PART_GROUP)
		n = v->expression ? regex_group(v->expression, p->text) : -1;
	return n >= 0 && n < REGEX_GROUPS_MAX ? v->match->group[n] : STR_NONE;
}

static struct str part_value(const struct part *p, const struct template_values *v, char number[24])
{
	switch (p->kind) {
	case PART_LITERAL:
		return str_of(p->text);
	case PART_NAME:
		return str_of(v->name);
	case PART_ZONE:
		return str_of(v->zone);
	case PART_CLASS:
		return str_of(v->class);
	case PART_TYPE:
		return str_of(v->type);
	case PART_REMOTE:
		return str_of(v->remote);
	case PART_REGEX:
		return str_of(v->regex);
	case PART_QUESTION_NAME:
		return str_of(v->question_name);
	case PART_GROUP:
	case PART_MATCH:
		return group_value(p, v);
	default:
		snprintf(number, 24, "%u", p->kind == PART_ID ? v->id : p->kind == PART_QTYPE ? v->qtype : v->qclass);
		return str_of(number);
	}
}

/* As strconv.ParseUint: digits of that base and nothing else. */
static bool parse_uint(struct str s, unsigned base, unsigned bits, uint64_t *ret)
{
	uint64_t max = bits == 64 ? UINT64_MAX : (1ull << bits) - 1, v = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		unsigned d = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? (unsigned)((c | 0x20) - 'a' + 10) : 99;
		if (d >= base || __builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v) || v > max)
			return false;
	}
	*ret = v;
	return s.len != 0;
}

int template_text_expand(const struct template_text *t, const struct template_values *v, struct buf *out, struct err *e)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct part *p = &t->parts[i];
		char number[24];
		struct str value = part_value(p, v, number);
		uint64_t n;
		if (!p->base) {
			buf_put_str(out, value);
			continue;
		}
		if (!parse_uint(value, p->base, p->bits, &n))
			return err_set(e, ERR_INVALID, "parseInt: \"" STR_FMT "\" is not a number of base %u with %u bits", STR_ARG(value),
				       p->base, p->bits);
		buf_put_u64(out, n);
	}
	return out->overflow ? err_set(e, ERR_TOO_LARGE, "longer than %zu bytes", out->max) : 0;
}
