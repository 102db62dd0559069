#include "roles/ingress/filter/waf_text.h"

#define PLAIN_BYTES_MAX 36 /* a UUID; serialised objects in base64 are longer */
#define DECODE_ROUNDS 2 /* "%252e": an application behind a proxy may decode twice */

static const struct {
	const char *name;
	char is;
} entities[] = {
	{ "lt;", '<' },	   { "gt;", '>' },     { "quot;", '"' },  { "apos;", '\'' }, { "amp;", '&' },	{ "colon;", ':' },
	{ "lpar;", '(' },  { "rpar;", ')' },   { "tab;", '\t' },  { "newline;", '\n' }, { "nbsp;", ' ' }, { "sol;", '/' },
	{ "bsol;", '\\' }, { "equals;", '=' }, { "grave;", '`' }, { "lcub;", '{' },  { "rcub;", '}' },	{ "dollar;", '$' },
	{ "num;", '#' },   { "semi;", ';' },   { "period;", '.' }, { "comma;", ',' }, { "excl;", '!' },
};

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n hexadecimal digits at p; -1: they are not. */
static long hex_read(const char *p, const char *end, unsigned n)
{
	long v = 0;
	if ((size_t)(end - p) < n)
		return -1;
	for (unsigned i = 0; i < n; i++) {
		int digit = hex_value(p[i]);
		if (digit < 0)
			return -1;
		v = v << 4 | digit;
	}
	return v;
}

/* Full-width forms are read as ASCII by some databases and scripts; others that are not ASCII keep no meaning here. */
static char narrow(unsigned long code)
{
	if (code >= 0xff01 && code <= 0xff5e)
		code -= 0xfee0;
	return (char)(code < 256 ? code : '?');
}

bool waf_is_plain(struct str value)
{
	static const bool plain[256] = {
		['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true,
	};
	if (value.len > PLAIN_BYTES_MAX)
		return false;
	for (size_t i = 0; i < value.len; i++)
		if (!plain[(uint8_t)value.ptr[i]])
			return false;
	return true;
}

/* In place: every step only shortens. */
static size_t percent_undo(char *at, size_t n, unsigned *seen)
{
	char *to = at;
	const char *p = at, *end = at + n;
	while (p < end) {
		long v;
		if (*p != '%') {
			*to++ = *p++;
		} else if ((v = hex_read(p + 1, end, 2)) >= 0) {
			*to++ = (char)v;
			p += 3;
		} else if (end - p > 1 && (p[1] | 0x20) == 'u' && (v = hex_read(p + 2, end, 4)) >= 0) {
			*to++ = narrow((unsigned long)v);
			p += 6;
		} else {
			*seen |= WAF_SEEN_BAD_PERCENT;
			*to++ = *p++;
		}
	}
	return (size_t)(to - at);
}

/* At '&': how many bytes are an entity; 0: none. */
static size_t entity_read(const char *p, const char *end, char *ret)
{
	if (end - p > 2 && p[1] == '#') {
		bool is_hex = (p[2] | 0x20) == 'x';
		const char *q = p + 2 + is_hex, *first = q;
		unsigned long v = 0;
		for (int digit; q < end && q - first < 8 && (digit = hex_value(*q)) >= 0 && (is_hex || digit < 10); q++)
			v = v * (is_hex ? 16 : 10) + (unsigned long)digit;
		if (q == first)
			return 0;
		*ret = narrow(v);
		return (size_t)(q - p) + (q < end && *q == ';');
	}
	struct str rest = { p + 1, (size_t)(end - p - 1) };
	for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
		size_t n = strlen(entities[i].name);
		if (rest.len >= n && str_ieq((struct str){ rest.ptr, n }, (struct str){ entities[i].name, n })) {
			*ret = entities[i].is;
			return 1 + n;
		}
	}
	return 0;
}

static size_t entities_undo(char *at, size_t n)
{
	char *to = at, c;
	const char *p = at, *end = at + n;
	while (p < end) {
		size_t used = *p == '&' ? entity_read(p, end, &c) : 0;
		*to++ = used > 0 ? c : *p;
		p += used > 0 ? used : 1;
	}
	return (size_t)(to - at);
}

static size_t escapes_undo(char *at, size_t n)
{
	char *to = at;
	const char *p = at, *end = at + n;
	while (p < end) {
		char kind = *p == '\\' && end - p > 1 ? p[1] : '\0';
		unsigned digits = kind == 'x' ? 2 : kind == 'u' ? 4 : 0;
		long v = digits > 0 ? hex_read(p + 2, end, digits) : -1;
		*to++ = v >= 0 ? narrow((unsigned long)v) : *p;
		p += v >= 0 ? 2 + digits : 1;
	}
	return (size_t)(to - at);
}

/* Two bytes for ASCII (0xC0 0xAE is '.') and full-width forms (0xEF 0xBC 0x81 is '!'). */
static size_t utf8_narrow(const uint8_t *p, size_t left, char *ret)
{
	if ((p[0] == 0xc0 || p[0] == 0xc1) && left > 1 && (p[1] & 0xc0) == 0x80) {
		*ret = (char)((p[0] & 1) << 6 | (p[1] & 0x3f));
		return 2;
	}
	if (p[0] == 0xef && left > 2 && (p[1] == 0xbc || p[1] == 0xbd)) {
		*ret = narrow(0xf000ul | (p[1] & 0x3ful) << 6 | (p[2] & 0x3f));
		return 3;
	}
	return 0;
}

enum byte_kind { KEEP, UPPER, NUL, LINE_END, SLASH, QUOTING, WIDE };
static const uint8_t kinds[256] = {
	['A' ... 'Z'] = UPPER, ['\0'] = NUL,	 ['\r'] = LINE_END, ['\n'] = LINE_END, ['*'] = SLASH, ['\\'] = QUOTING,
	['"'] = QUOTING,       ['\''] = QUOTING, ['^'] = QUOTING,   ['$'] = QUOTING,   [0xc0] = WIDE, [0xc1] = WIDE,
	[0xef] = WIDE,
};

/* Small letters, no NULs, and what was seen. */
static size_t fold(char *at, size_t n, unsigned *seen)
{
	char *to = at;
	for (size_t i = 0; i < n; i++) {
		char c = at[i];
		switch (kinds[(uint8_t)c]) {
		case UPPER:
			c |= 0x20;
			break;
		case NUL:
			*seen |= WAF_SEEN_NUL;
			continue;
		case LINE_END:
			*seen |= WAF_SEEN_LINE_END;
			break;
		case SLASH:
			if ((to > at && to[-1] == '/') || (i + 1 < n && at[i + 1] == '/'))
				*seen |= WAF_SEEN_COMMENT;
			break;
		case QUOTING:
			*seen |= WAF_SEEN_QUOTING;
			break;
		case WIDE: {
			size_t used = utf8_narrow((const uint8_t *)at + i, n - i, &c);
			i += used > 0 ? used - 1 : 0;
			if (c >= 'A' && c <= 'Z')
				c |= 0x20;
			if (used > 0)
				*seen |= WAF_SEEN_QUOTING | WAF_SEEN_COMMENT; /* it might be any of these */
			break;
		}
		default:
			break;
		}
		*to++ = c;
	}
	return (size_t)(to - at);
}

size_t waf_text_lines(struct str value, bool plus, char *out, unsigned *ret_seen)
{
	size_t n = value.len;
	unsigned ignored = 0;
	*ret_seen = 0;
	if (n == 0)
		return 0;
	memcpy(out, value.ptr, n);
	for (size_t i = 0; plus && i < n; i++)
		if (out[i] == '+')
			out[i] = ' ';
	for (unsigned round = 0; round < DECODE_ROUNDS && memchr(out, '%', n) != NULL; round++)
		n = percent_undo(out, n, round == 0 ? ret_seen : &ignored);
	if (memchr(out, '&', n) != NULL)
		n = entities_undo(out, n);
	if (memchr(out, '\\', n) != NULL)
		n = escapes_undo(out, n);
	return fold(out, n, ret_seen);
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

size_t waf_text_compress(struct str lines, char *out)
{
	size_t n = 0;
	for (size_t i = 0; i < lines.len; i++) {
		if (!is_blank(lines.ptr[i]))
			out[n++] = lines.ptr[i];
		else if (n == 0 || out[n - 1] != ' ')
			out[n++] = ' ';
	}
	return n;
}

static size_t put_blank(char *out, size_t n)
{
	if (n == 0 || out[n - 1] != ' ')
		out[n++] = ' ';
	return n;
}

size_t waf_text_sql(struct str text, char *out)
{
	size_t n = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i], next = i + 1 < text.len ? text.ptr[i + 1] : '\0';
		if (c == '/' && next == '*') {
			const char *end = memmem(text.ptr + i + 2, text.len - i - 2, "*/", 2);
			i = end == NULL ? text.len : (size_t)(end - text.ptr) + 1;
			n = put_blank(out, n);
		} else if (is_blank(c)) {
			n = put_blank(out, n);
		} else {
			out[n++] = c;
		}
	}
	return n;
}

size_t waf_text_shell(struct str lines, char *out)
{
	size_t n = 0;
	for (size_t i = 0; i < lines.len; i++) {
		char c = lines.ptr[i];
		struct str rest = { lines.ptr + i, lines.len - i };
		if (c == '\\' || c == '"' || c == '\'' || c == '^')
			continue;
		if (c == '$' && (str_starts(rest, STR("$@")) || str_starts(rest, STR("$*")))) {
			i++;
		} else if (c == '$' && str_starts(rest, STR("${ifs}"))) {
			n = put_blank(out, n);
			i += 5;
		} else if (c == '$' && str_starts(rest, STR("$ifs"))) {
			n = put_blank(out, n);
			i += 3;
		} else if (c == '\r' || c == '\n') {
			if (n == 0 || out[n - 1] != '\n')
				out[n++] = '\n';
		} else if (is_blank(c)) {
			n = put_blank(out, n);
		} else {
			out[n++] = c;
		}
	}
	return n;
}
