/* Words, as Caddy's lexer finds them. */
#include "roles/dns/config/corefile_int.h"

struct lexer {
	struct arena *arena;
	struct str text;
	size_t at;
	unsigned line;
	const char *file;
};

void token_list_add(struct token_list *l, const struct token *t)
{
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->at = xrealloc(l->at, l->cap * sizeof(*l->at));
	}
	l->at[l->n++] = *t;
}

/* Of the white space that begins here, 0: none. Also Unicode's: what is pasted from a web page has it. */
static size_t space_bytes(const struct lexer *x)
{
	static const struct str wide[] = {
		STR("\xc2\x85"),     STR("\xc2\xa0"),	  STR("\xe1\x9a\x80"), STR("\xe2\x80\xa8"),
		STR("\xe2\x80\xa9"), STR("\xe2\x80\xaf"), STR("\xe2\x81\x9f"), STR("\xe3\x80\x80"),
	};
	struct str rest = { x->text.ptr + x->at, x->text.len - x->at };
	uint8_t c = (uint8_t)rest.ptr[0];

	if (c == ' ' || (c >= '\t' && c <= '\r'))
		return 1;
	if (c < 0x80)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(wide); i++)
		if (str_starts(rest, wide[i]))
			return wide[i].len;
	/* U+2000 to U+200A */
	return str_starts(rest, STR("\xe2\x80")) && rest.len > 2 && (uint8_t)rest.ptr[2] >= 0x80 && (uint8_t)rest.ptr[2] <= 0x8a ? 3 : 0;
}

static void skip_comment(struct lexer *x)
{
	while (x->at < x->text.len && x->text.ptr[x->at] != '\n')
		x->at++;
}

/* To the next word; false at the end. */
static bool skip_blanks(struct lexer *x)
{
	while (x->at < x->text.len) {
		size_t n = space_bytes(x);
		if (x->text.ptr[x->at] == '#') {
			skip_comment(x);
			continue;
		}
		if (!n)
			return true;
		x->line += x->text.ptr[x->at] == '\n';
		x->at += n;
	}
	return false;
}

static int no_memory(const struct lexer *x, struct err *e)
{
	return directive_error(e, &(struct corefile_line){ .file = x->file, .line = x->line }, NULL,
			       "more than %u bytes with all that is imported", COREFILE_MEMORY_BYTES_MAX);
}

/* Only a quote can be escaped; any other backslash stays. */
static int read_quoted(struct lexer *x, struct token *t, struct err *e)
{
	size_t start = ++x->at, n = 0;
	char *out;

	for (; x->at < x->text.len && x->text.ptr[x->at] != '"'; x->at++)
		x->at += x->text.ptr[x->at] == '\\' && x->at + 1 < x->text.len;
	if (x->at >= x->text.len)
		return directive_error(e, &(struct corefile_line){ .file = x->file, .line = t->line }, NULL, "a quote (\") that is not closed");
	out = arena_alloc(x->arena, x->at - start + 1);
	if (!out)
		return no_memory(x, e);
	for (size_t i = start; i < x->at; i++) {
		bool escape = x->text.ptr[i] == '\\';
		if (escape && x->text.ptr[i + 1] != '"')
			out[n++] = '\\';
		i += escape;
		x->line += x->text.ptr[i] == '\n';
		out[n++] = x->text.ptr[i];
	}
	x->at++;
	*t = (struct token){ .text = out, .file = x->file, .line = t->line, .end_line = x->line, .quoted = true };
	return 0;
}

/* A carriage return within a word is dropped, as Caddy does: it comes from files of Windows. */
static int read_plain(struct lexer *x, struct token *t, struct err *e)
{
	size_t start = x->at, n = 0;

	while (x->at < x->text.len && x->text.ptr[x->at] != '#' && (x->text.ptr[x->at] == '\r' || !space_bytes(x)))
		x->at++;
	char *out = arena_alloc(x->arena, x->at - start + 1);
	if (!out)
		return no_memory(x, e);
	for (size_t i = start; i < x->at; i++)
		if (x->text.ptr[i] != '\r')
			out[n++] = x->text.ptr[i];
	*t = (struct token){ .text = out, .file = x->file, .line = x->line, .end_line = x->line };
	return 0;
}

int corefile_lex(struct arena *a, struct str text, const char *file, struct token_list *out, struct err *e)
{
	struct lexer x = { .arena = a, .text = text, .line = 1, .file = file };

	if (text.len && memchr(text.ptr, '\0', text.len))
		return directive_error(e, &(struct corefile_line){ .file = file, .line = 1 }, NULL, "has zero bytes: it is no text");
	if (str_starts(text, STR("\xef\xbb\xbf")))
		x.at = 3;
	while (skip_blanks(&x)) {
		struct token t = { .line = x.line };
		if ((text.ptr[x.at] == '"' ? read_quoted(&x, &t, e) : read_plain(&x, &t, e)) < 0)
			return -1;
		if (out->n == COREFILE_WORDS_MAX)
			return directive_error(e, &(struct corefile_line){ .file = file, .line = t.line }, NULL, "more than %u words", COREFILE_WORDS_MAX);
		token_list_add(out, &t);
	}
	return 0;
}
