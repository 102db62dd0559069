/* Texts with variables: parsed into parts, written part by part. */
#include "roles/ingress/http/variable_int.h"

#include <stdio.h>
#include <strings.h>

struct variable_text {
	char *source;
	struct variable_part *parts;
	size_t n_parts;
	bool constant;
};

/* ---- escaping ---- */

static const char hex_upper[] = "0123456789ABCDEF";

/* The end of the run of bytes of `s` from `at` on that may stand as they are. */
static size_t plain_run(struct str s, size_t at, bool (*plain)(unsigned char c))
{
	while (at < s.len && plain((unsigned char)s.ptr[at]))
		at++;
	return at;
}

static bool plain_in_log(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Nearly all of a log is plain: sixteen bytes at once. */
static size_t plain_run_in_log(struct str s, size_t at)
{
	typedef uint8_t v16 __attribute__((vector_size(16), aligned(1), may_alias));
	typedef uint64_t v2 __attribute__((vector_size(16)));

	for (; s.len - at >= 16; at += 16) {
		v16 v = *(const v16 *)(s.ptr + at);
		v2 bad = (v2)((v < 0x20) | (v >= 0x7f) | (v == '"') | (v == '\\'));

		if (bad[0] | bad[1])
			break;
	}
	return plain_run(s, at, plain_in_log);
}

static void put_log(struct buf *out, struct str v)
{
	for (size_t i = 0; i < v.len;) {
		size_t end = plain_run_in_log(v, i);
		buf_put(out, v.ptr + i, end - i);
		for (i = end; i < v.len && !plain_in_log((unsigned char)v.ptr[i]); i++) {
			unsigned char c = (unsigned char)v.ptr[i];
			buf_put(out, (char[]){ '\\', 'x', hex_upper[c >> 4], hex_upper[c & 15] }, 4);
		}
	}
}

/* RFC 3986's unreserved characters: what nginx's set_escape_uri leaves. */
static bool plain_in_uri(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

static void put_uri(struct buf *out, struct str v)
{
	for (size_t i = 0; i < v.len;) {
		size_t end = plain_run(v, i, plain_in_uri);
		buf_put(out, v.ptr + i, end - i);
		for (i = end; i < v.len && !plain_in_uri((unsigned char)v.ptr[i]); i++) {
			unsigned char c = (unsigned char)v.ptr[i];
			buf_put(out, (char[]){ '%', hex_upper[c >> 4], hex_upper[c & 15] }, 3);
		}
	}
}

static bool plain_in_json(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\' && c < 0x80;
}

/* The length of the UTF-8 sequence at v.ptr[at] (RFC 3629); 0: it is none. */
static size_t utf8_len(struct str v, size_t at)
{
	unsigned char c = (unsigned char)v.ptr[at];
	size_t n = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
	unsigned char second = n && at + 1 < v.len ? (unsigned char)v.ptr[at + 1] : 0;

	if (n == 0 || at + n > v.len || (c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) ||
	    (c == 0xf0 && second < 0x90) || (c == 0xf4 && second > 0x8f))
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)v.ptr[at + i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* Bytes that are no UTF-8 become the code points of Latin-1, so that a line of the log is always JSON. */
static void put_json(struct buf *out, struct str v)
{
	for (size_t i = 0; i < v.len;) {
		size_t end = plain_run(v, i, plain_in_json);
		buf_put(out, v.ptr + i, end - i);
		i = end;
		if (i == v.len)
			break;
		unsigned char c = (unsigned char)v.ptr[i];
		size_t n = c >= 0x80 ? utf8_len(v, i) : 0;
		if (n)
			buf_put(out, v.ptr + i, n);
		else if (c == '"' || c == '\\')
			buf_put(out, (char[]){ '\\', (char)c }, 2);
		else
			buf_printf(out, "\\u00%02x", c);
		i += n ? n : 1;
	}
}

void variable_put(struct variable_sink *o, struct str value)
{
	if (value.len == 0)
		return;
	o->any = true;
	switch (o->how) {
	case ESCAPE_NONE:
	case ESCAPE_SIZED:
		buf_put_str(o->out, value);
		return;
	case ESCAPE_LOG:
		put_log(o->out, value);
		return;
	case ESCAPE_JSON:
		put_json(o->out, value);
		return;
	case ESCAPE_URI:
		put_uri(o->out, value);
		return;
	}
}

void variable_printf(struct variable_sink *o, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		variable_put(o, (struct str){ text, MIN((size_t)n, sizeof(text) - 1) });
}

/* ---- names ---- */

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* nginx's names of variables do not know case. */
static const struct variable_row *find_row(struct str name)
{
	const struct variable_row *family = NULL;

	for (const struct variable_row *r = variable_rows; r->name; r++) {
		size_t len = strlen(r->name);
		if (!r->family && str_ieq(name, str_of(r->name)))
			return r;
		if (r->family && name.len > len && strncasecmp(name.ptr, r->name, len) == 0)
			family = r;
	}
	return family;
}

bool variable_known(struct str name)
{
	return find_row(name) || (name.len == 1 && name.ptr[0] >= '1' && name.ptr[0] <= '9');
}

static void get_set(struct variable_sink *o, struct exchange *x, const struct variable_part *p)
{
	(void)x;
	if (o->locals && o->locals->set)
		variable_put(o, o->locals->set[p->arg]);
}

/* $1..$9: of the regular expression that matched last, at first the location's. */
static void get_group(struct variable_sink *o, struct exchange *x, const struct variable_part *p)
{
	struct pattern_match m;

	if (o->locals && o->locals->groups)
		variable_put(o, o->locals->groups->group[p->arg]);
	else if (x->loc && x->loc->regex && pattern_match(x->loc->regex, x->req.uri, &m))
		variable_put(o, m.group[p->arg]);
}

/* ---- parsing ---- */

struct parser {
	struct str rest;
	const char *const *names; /* of the snippet */
	size_t n_names;
	struct variable_text *t;
};

static struct variable_part *add_part(struct variable_text *t)
{
	struct variable_part *p = &t->parts[t->n_parts++];

	*p = (struct variable_part){ 0 };
	return p;
}

static void add_literal(struct variable_text *t, struct str s)
{
	if (s.len)
		add_part(t)->text = (struct str){ str_dup(s), s.len };
}

/* "X_Custom" of "$http_X_Custom" is the header "x-custom". */
static struct str family_name(const struct variable_row *r, struct str name)
{
	size_t len = strlen(r->name);
	char *own = xstrndup(name.ptr + len, name.len - len);
	bool header = strstr(r->name, "http_") != NULL;

	for (char *c = own; header && *c; c++)
		*c = *c == '_' ? '-' : (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
	return (struct str){ own, name.len - len };
}

static int add_variable(struct parser *ps, struct str name, struct err *e)
{
	for (size_t i = 0; i < ps->n_names; i++)
		if (str_ieq(name, str_of(ps->names[i]))) {
			*add_part(ps->t) = (struct variable_part){ .get = get_set, .arg = i };
			return 0;
		}
	if (name.len == 1 && name.ptr[0] >= '1' && name.ptr[0] <= '9') {
		*add_part(ps->t) = (struct variable_part){ .get = get_group, .arg = (size_t)(name.ptr[0] - '0') };
		return 0;
	}
	const struct variable_row *r = find_row(name);
	if (!r)
		return err_set(e, ERR_INVALID, "unknown variable \"$" STR_FMT "\"", STR_ARG(name));
	*add_part(ps->t) = (struct variable_part){ .get = r->get, .arg = r->arg,
						   .text = r->family ? family_name(r, name) : STR_NONE };
	return 0;
}

/* ps->rest is behind the '$': takes "name" or "{name}". */
static int take_name(struct parser *ps, struct str *ret_name, struct err *e)
{
	struct str s = ps->rest;
	bool braces = s.len && s.ptr[0] == '{';
	size_t at = braces, end = at;

	while (end < s.len && name_char(s.ptr[end]))
		end++;
	*ret_name = (struct str){ s.ptr + at, end - at };
	if (end == at)
		return err_set(e, ERR_INVALID, "'$' without a name of a variable (in nginx, $literal_dollar is a plain one)");
	if (braces && (end == s.len || s.ptr[end] != '}'))
		return err_set(e, ERR_INVALID, "\"${" STR_FMT "\" has no closing brace", STR_ARG(*ret_name));
	/* "$12" is $1 followed by a 2 */
	if (!braces && ret_name->ptr[0] >= '1' && ret_name->ptr[0] <= '9')
		ret_name->len = 1;
	at = braces ? end + 1 : ret_name->len;
	ps->rest = (struct str){ s.ptr + at, s.len - at };
	return 0;
}

static int parse(struct parser *ps, struct err *e)
{
	while (ps->rest.len) {
		const char *dollar = memchr(ps->rest.ptr, '$', ps->rest.len);
		size_t len = dollar ? (size_t)(dollar - ps->rest.ptr) : ps->rest.len;
		struct str name;

		/* Room for one literal and one variable. */
		if (ps->t->n_parts + 2 > VARIABLE_PARTS_MAX)
			return err_set(e, ERR_INVALID, "more than %d variables", VARIABLE_PARTS_MAX / 2);
		add_literal(ps->t, (struct str){ ps->rest.ptr, len });
		ps->rest = (struct str){ ps->rest.ptr + len, ps->rest.len - len };
		if (!dollar)
			return 0;
		ps->rest = (struct str){ ps->rest.ptr + 1, ps->rest.len - 1 };
		ps->t->constant = false;
		if (take_name(ps, &name, e) < 0 || add_variable(ps, name, e) < 0)
			return -1;
	}
	return 0;
}

struct variable_text *variable_text_new_local(const char *text, const char *const *names, size_t n_names, struct err *e)
{
	struct variable_text *t;
	struct parser ps = { .rest = str_of(text), .names = names, .n_names = n_names };

	if (ps.rest.len > VARIABLE_TEXT_BYTES_MAX) {
		err_set(e, ERR_INVALID, "longer than %d bytes", VARIABLE_TEXT_BYTES_MAX);
		return NULL;
	}
	t = xcalloc(1, sizeof(*t));
	t->source = xstrdup(text);
	t->constant = true;
	t->parts = xcalloc(VARIABLE_PARTS_MAX, sizeof(*t->parts));
	ps.t = t;
	if (parse(&ps, e) < 0) {
		variable_text_free(t);
		return NULL;
	}
	t->parts = xrealloc(t->parts, MAX(t->n_parts, (size_t)1) * sizeof(*t->parts));
	return t;
}

struct variable_text *variable_text_new(const char *text, struct err *e)
{
	return variable_text_new_local(text, NULL, 0, e);
}

struct variable_text *variable_text_literal(const char *text)
{
	struct variable_text *t = xcalloc(1, sizeof(*t));

	t->source = xstrdup(text);
	t->constant = true;
	t->parts = xcalloc(1, sizeof(*t->parts));
	t->parts[t->n_parts++].text = (struct str){ xstrdup(text), strlen(text) };
	return t;
}

void variable_text_free(struct variable_text *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_parts; i++)
		free((char *)t->parts[i].text.ptr);
	free(t->parts);
	free(t->source);
	free(t);
}

const char *variable_text_source(const struct variable_text *t)
{
	return t->source;
}

bool variable_text_constant(const struct variable_text *t)
{
	return t->constant;
}

/* ---- writing ---- */

int variable_text_write_local(const struct variable_text *t, struct exchange *x, const struct variable_locals *locals,
			      enum variable_escape how, struct buf *out)
{
	struct variable_sink o = { .out = out, .how = how, .locals = locals };
	bool before = out->overflow;

	out->overflow = false;
	for (size_t i = 0; i < t->n_parts; i++) {
		const struct variable_part *p = &t->parts[i];
		if (!p->get) {
			buf_put_str(out, p->text);
			continue;
		}
		size_t from = out->len;
		o.any = false;
		p->get(&o, x, p);
		if (!o.any && how == ESCAPE_LOG)
			buf_putc(out, '-');
		if (how == ESCAPE_SIZED)
			buf_put(out, &(uint64_t){ out->len - from }, sizeof(uint64_t));
	}
	int rc = out->overflow ? -1 : 0;
	out->overflow |= before;
	return rc;
}

int variable_text_write(const struct variable_text *t, struct exchange *x, enum variable_escape how, struct buf *out)
{
	return variable_text_write_local(t, x, NULL, how, out);
}

#define STACK_BYTES 2048 /* most values */

/* A decoded path may have line ends: they would make one header two. */
static struct str keep(struct exchange *x, const struct buf *b)
{
	char *copy = arena_strndup(&x->arena, b->ptr, b->len);
	size_t n = 0;

	if (!copy)
		return STR_NONE;
	for (size_t i = 0; i < b->len; i++)
		if (((unsigned char)copy[i] >= 0x20 && copy[i] != 0x7f) || copy[i] == '\t')
			copy[n++] = copy[i];
	copy[n] = '\0';
	return (struct str){ copy, n };
}

struct str variable_text_value_local(const struct variable_text *t, struct exchange *x, const struct variable_locals *locals)
{
	char stack[STACK_BYTES];
	struct buf b = { .ptr = stack, .cap = sizeof(stack), .max = sizeof(stack) - 1 };
	struct str value = STR_NONE;

	if (t->constant)
		return str_of(t->source);
	if (variable_text_write_local(t, x, locals, ESCAPE_NONE, &b) == 0)
		return keep(x, &b);
	buf_init(&b, EXCHANGE_ARENA_BYTES);
	if (variable_text_write_local(t, x, locals, ESCAPE_NONE, &b) == 0)
		value = keep(x, &b);
	buf_done(&b);
	return value;
}

struct str variable_text_value(const struct variable_text *t, struct exchange *x)
{
	return variable_text_value_local(t, x, NULL);
}
