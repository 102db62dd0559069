#include "codec/json_scan.h"

#include "base/limits.h"

#include <stdio.h>

struct scan {
	struct str text;
	size_t at;
	struct err *e;
	uint8_t in_object[LIMIT_JSON_DEPTH]; /* one per open bracket */
	unsigned depth;
};

/* The byte that was met, as Go quotes a character; one at or above 0x80 becomes that rune of
 * Latin-1. */
static int bad(struct scan *s, const char *context)
{
	if (s->at >= s->text.len)
		return err_set(s->e, ERR_BAD_REQUEST, "unexpected end of JSON input");
	unsigned char c = (unsigned char)s->text.ptr[s->at];
	char shown[12];

	if (c == '\'')
		snprintf(shown, sizeof(shown), "'\\''");
	else if (c == '\\')
		snprintf(shown, sizeof(shown), "'\\\\'");
	else if (c == '\n' || c == '\r' || c == '\t')
		snprintf(shown, sizeof(shown), "'\\%c'", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
	else if (c < 0x20 || c == 0x7f)
		snprintf(shown, sizeof(shown), "'\\x%02x'", c);
	else if (c >= 0x80 && c <= 0xa0)
		snprintf(shown, sizeof(shown), "'\\u%04x'", c);
	else if (c >= 0x80)
		snprintf(shown, sizeof(shown), "'%c%c'", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
	else
		snprintf(shown, sizeof(shown), "'%c'", c);
	return err_set(s->e, ERR_BAD_REQUEST, "invalid character %s %s", shown, context);
}

static int peek(const struct scan *s)
{
	return s->at < s->text.len ? (unsigned char)s->text.ptr[s->at] : -1;
}

static void skip_space(struct scan *s)
{
	while (s->at < s->text.len && memchr(" \t\r\n", s->text.ptr[s->at], 4))
		s->at++;
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(int c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static int scan_escape(struct scan *s)
{
	int c = peek(s);

	if (c < 0 || !memchr("bfnrt\\/\"u", c, 9))
		return bad(s, "in string escape code");
	s->at++;
	for (int i = 0; c == 'u' && i < 4; i++, s->at++)
		if (!is_hex(peek(s)))
			return bad(s, "in \\u hexadecimal character escape");
	return 0;
}

static int scan_string(struct scan *s)
{
	for (s->at++;; s->at++) {
		int c = peek(s);

		if (c == '"') {
			s->at++;
			return 0;
		}
		if (c < 0x20)
			return bad(s, "in string literal");
		if (c != '\\')
			continue;
		s->at++;
		if (scan_escape(s) < 0)
			return -1;
		s->at--;
	}
}

static int scan_digits(struct scan *s, const char *context)
{
	if (!is_digit(peek(s)))
		return bad(s, context);
	while (is_digit(peek(s)))
		s->at++;
	return 0;
}

static int scan_number(struct scan *s)
{
	if (peek(s) == '-')
		s->at++;
	if (peek(s) == '0')
		s->at++;
	else if (scan_digits(s, "in numeric literal") < 0)
		return -1;
	if (peek(s) == '.') {
		s->at++;
		if (scan_digits(s, "after decimal point in numeric literal") < 0)
			return -1;
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		s->at++;
		if (peek(s) == '+' || peek(s) == '-')
			s->at++;
		return scan_digits(s, "in exponent of numeric literal");
	}
	return 0;
}

static int scan_word(struct scan *s, const char *word)
{
	char context[48];

	for (const char *p = word; *p; p++, s->at++)
		if (peek(s) != *p) {
			snprintf(context, sizeof(context), "in literal %s (expecting '%c')", word,
				 *p);
			return bad(s, context);
		}
	return 0;
}

static int scan_literal(struct scan *s)
{
	int c = peek(s);

	if (c == '"')
		return scan_string(s);
	if (c == '-' || is_digit(c))
		return scan_number(s);
	if (c == 't' || c == 'f' || c == 'n')
		return scan_word(s, c == 't' ? "true" : c == 'f' ? "false" : "null");
	return bad(s, "looking for beginning of value");
}

/* A member's name and its colon. */
static int scan_key(struct scan *s)
{
	skip_space(s);
	if (peek(s) != '"')
		return bad(s, "looking for beginning of object key string");
	if (scan_string(s) < 0)
		return -1;
	skip_space(s);
	if (peek(s) != ':')
		return bad(s, "after object key");
	s->at++;
	return 0;
}

/* Opens brackets until a value that is none, or an empty pair, was passed. */
static int scan_value(struct scan *s)
{
	for (;;) {
		skip_space(s);
		int open = peek(s);
		if (open != '{' && open != '[')
			return scan_literal(s);
		if (s->depth == LIMIT_JSON_DEPTH)
			return bad(s, "exceeded max depth");
		s->at++;
		skip_space(s);
		if (peek(s) == (open == '{' ? '}' : ']')) {
			s->at++;
			return 0;
		}
		s->in_object[s->depth++] = open == '{';
		if (open == '{' && scan_key(s) < 0)
			return -1;
	}
}

int json_scan(struct str text, struct err *e)
{
	struct scan s = { .text = text, .e = e };

	if (scan_value(&s) < 0)
		return -1;
	for (skip_space(&s); s.depth; skip_space(&s)) {
		bool in_object = s.in_object[s.depth - 1];
		int c = peek(&s);

		if (c == (in_object ? '}' : ']')) {
			s.at++;
			s.depth--;
			continue;
		}
		if (c != ',')
			return bad(&s, in_object ? "after object key:value pair"
						 : "after array element");
		s.at++;
		if ((in_object && scan_key(&s) < 0) || scan_value(&s) < 0)
			return -1;
	}
	return s.at < text.len ? bad(&s, "after top-level value") : 0;
}

int go_quote(struct buf *out, struct str s)
{
	buf_putc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		const char *known = c ? strchr("\aa\bb\ff\nn\rr\tt\vv\"\"\\\\", c) : NULL;

		if (known && (c < 0x20 || c == '"' || c == '\\'))
			buf_printf(out, "\\%c", known[1]);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(out, "\\x%02x", c);
		else
			buf_putc(out, (char)c);
	}
	return buf_putc(out, '"');
}
