/* Words of a snippet, as nginx's ngx_conf_read_token cuts them. */
#include "roles/ingress/config/snippet_int.h"

#include "base/buf.h"

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void step(struct snippet_reader *r)
{
	r->line += *r->at == '\n';
	r->at++;
}

/* Blanks and comments. */
static void skip(struct snippet_reader *r)
{
	while (r->at < r->end && (blank(*r->at) || *r->at == '#')) {
		if (*r->at == '#')
			while (r->at < r->end && *r->at != '\n')
				r->at++;
		else
			step(r);
	}
}

/* \" \' \\ \t \r \n; any other backslash stays, for regular expressions. */
static void put_escaped(struct snippet_reader *r, struct buf *out)
{
	static const char from[] = "\"'\\trn", to[] = "\"'\\\t\r\n";
	const char *which = r->at + 1 < r->end ? strchr(from, r->at[1]) : NULL;

	if (which && *which) {
		buf_putc(out, to[which - from]);
		r->at += 2;
		return;
	}
	buf_putc(out, '\\');
	r->at++;
	/* what follows is part of the word, be it a separator */
	if (r->at < r->end) {
		buf_putc(out, *r->at);
		step(r);
	}
}

static int quoted(struct snippet_reader *r, struct buf *out, struct err *e)
{
	char quote = *r->at++;
	unsigned line = r->line;

	while (r->at < r->end && *r->at != quote) {
		if (*r->at == '\\') {
			put_escaped(r, out);
			continue;
		}
		buf_putc(out, *r->at);
		step(r);
	}
	if (r->at == r->end)
		return err_set(e, ERR_INVALID, "line %u: a quote that is not closed", line);
	r->at++;
	return 0;
}

static bool ends_word(const struct snippet_reader *r)
{
	return r->at == r->end || blank(*r->at) || *r->at == ';' || *r->at == '{' || *r->at == '}';
}

static void unquoted(struct snippet_reader *r, struct buf *out)
{
	while (!ends_word(r)) {
		if (*r->at == '\\') {
			put_escaped(r, out);
			continue;
		}
		bool braces = r->at[0] == '$' && r->at + 1 < r->end && r->at[1] == '{';
		buf_putc(out, *r->at++);
		/* "${name}" is one piece */
		while (braces && r->at < r->end && !blank(*r->at)) {
			buf_putc(out, *r->at);
			if (*r->at++ == '}')
				break;
		}
	}
}

static int read_word(struct snippet_reader *r, struct snippet_words *w, struct err *e)
{
	struct buf word;
	int rc = 0;

	if (w->n == SNIPPET_WORDS_MAX)
		return err_set(e, ERR_INVALID, "line %u: more than %d words", r->line, SNIPPET_WORDS_MAX);
	buf_init(&word, SNIPPET_BYTES_MAX);
	if (*r->at == '"' || *r->at == '\'')
		rc = quoted(r, &word, e);
	else
		unquoted(r, &word);
	if (rc == 0)
		w->word[w->n++] = word.ptr ? buf_take(&word) : xstrdup("");
	buf_done(&word);
	return rc;
}

int snippet_read(struct snippet_reader *r, struct snippet_words *w, struct err *e)
{
	skip(r);
	*w = (struct snippet_words){ .line = r->line };
	for (;; skip(r)) {
		if (r->at == r->end) {
			w->end = END_TEXT;
			return 0;
		}
		if (*r->at == ';' || *r->at == '{' || *r->at == '}') {
			w->end = *r->at == ';' ? END_SEMICOLON : *r->at == '{' ? END_OPEN : END_CLOSE;
			r->at++;
			return 0;
		}
		if (read_word(r, w, e) < 0)
			return -1;
	}
}

void snippet_words_done(struct snippet_words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->word[i]);
	w->n = 0;
}
