#include "codec/dns_text_int.h"

#include "codec/base64.h"

#include <arpa/inet.h>

/* ---- words ---- */

struct reader {
	const char *at, *end;
	struct err *e;
	struct dns_text_record *r;
};

/* Parentheses only let a record go on in the next line: here all is one line. */
static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '(' || c == ')';
}

static void skip_blanks(struct reader *in)
{
	while (in->at < in->end && is_blank(*in->at))
		in->at++;
	if (in->at < in->end && *in->at == ';')
		in->at = in->end; /* a comment */
}

/* The next word as written: with its quotes (which may have blanks within) and escapes. Empty at the end. */
static struct str word_next(struct reader *in)
{
	bool quoted = false;

	skip_blanks(in);
	const char *start = in->at;
	for (; in->at < in->end && (quoted || (!is_blank(*in->at) && *in->at != ';')); in->at++) {
		if (*in->at == '"')
			quoted = !quoted;
		else if (*in->at == '\\' && in->at + 1 < in->end)
			in->at++;
	}
	return (struct str){ start, (size_t)(in->at - start) };
}

/* One character of a name or string, its escape resolved: \DDD or \X. -1: malformed. */
static int char_next(struct str *text)
{
	const char *p = text->ptr;
	size_t n = 1;
	int c = (unsigned char)p[0];

	if (c == '\\') {
		if (text->len < 2)
			return -1;
		c = (unsigned char)p[1];
		n = 2;
		if (c >= '0' && c <= '9') {
			if (text->len < 4 || p[2] < '0' || p[2] > '9' || p[3] < '0' || p[3] > '9')
				return -1;
			c = (p[1] - '0') * 100 + (p[2] - '0') * 10 + p[3] - '0';
			n = 4;
		}
	}
	text->ptr += n;
	text->len -= n;
	return c <= 255 ? c : -1;
}

/* ---- names ---- */

static bool label_end(struct dns_name *n, size_t start)
{
	size_t len = n->len - start - 1u;

	n->wire[start] = (uint8_t)len;
	n->labels++;
	return len > 0 && len <= DNS_LABEL_BYTES_MAX && n->len < DNS_NAME_BYTES_MAX;
}

bool dns_name_from_escaped(struct str text, struct dns_name *ret)
{
	size_t start = 0;

	*ret = (struct dns_name){ .len = 1 };
	if (text.len == 0)
		return false;
	if (text.len == 1 && (text.ptr[0] == '.' || text.ptr[0] == '@'))
		return true;
	while (text.len) {
		if (text.ptr[0] == '.') {
			if (!label_end(ret, start))
				return false;
			start = ret->len;
			text.ptr++;
			text.len--;
			if (text.len == 0)
				break;
			ret->len++;
			continue;
		}
		int c = char_next(&text);
		if (c < 0 || ret->len >= DNS_NAME_BYTES_MAX - 1)
			return false;
		ret->wire[ret->len++] = (uint8_t)c;
		if (text.len == 0) {
			if (!label_end(ret, start))
				return false;
			start = ret->len;
		}
	}
	ret->wire[start] = 0;
	ret->len = (uint8_t)(start + 1);
	return true;
}

/* ---- data ---- */

static int data_put(struct reader *in, const void *bytes, size_t len)
{
	if (in->r->rdata_len + len > sizeof(in->r->rdata))
		return err_set(in->e, ERR_INVALID, "the data is longer than %d bytes", DNS_TEXT_RDATA_BYTES_MAX);
	if (len)
		memcpy(in->r->rdata + in->r->rdata_len, bytes, len);
	in->r->rdata_len += len;
	return 0;
}

static int read_number(struct reader *in, struct str word, size_t bytes)
{
	uint64_t v;
	uint8_t out[4];

	if (!str_to_u64(word, bytes == 1 ? UINT8_MAX : bytes == 2 ? UINT16_MAX : UINT32_MAX, &v))
		return err_set(in->e, ERR_INVALID, "\"" STR_FMT "\" is not a number of %zu bits", STR_ARG(word), bytes * 8);
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	return data_put(in, out, bytes);
}

static int read_ip(struct reader *in, struct str word, int family)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t ip[16];

	if (word.len < sizeof(text)) {
		memcpy(text, word.ptr, word.len);
		text[word.len] = '\0';
		if (inet_pton(family, text, ip) == 1)
			return data_put(in, ip, family == AF_INET ? 4 : 16);
	}
	return err_set(in->e, ERR_INVALID, "\"" STR_FMT "\" is not an IPv%d address", STR_ARG(word),
		       family == AF_INET ? 4 : 6);
}

static int read_name(struct reader *in, struct str word)
{
	struct dns_name n;

	if (!dns_name_from_escaped(word, &n))
		return err_set(in->e, ERR_INVALID, "\"" STR_FMT "\" is not a domain name", STR_ARG(word));
	return data_put(in, n.wire, n.len);
}

/* Appends the word's characters without its quotes, with (`prefix`) their number before them. */
static int read_string(struct reader *in, struct str word, bool prefix)
{
	size_t start = in->r->rdata_len;
	struct str rest = word;
	uint8_t c = 0;

	if (prefix && data_put(in, &c, 1))
		return -1;
	if (rest.len && rest.ptr[0] == '"') {
		if (rest.len < 2 || rest.ptr[rest.len - 1] != '"')
			return err_set(in->e, ERR_INVALID, "a quote is not closed");
		rest = (struct str){ rest.ptr + 1, rest.len - 2 };
	}
	while (rest.len) {
		int v = char_next(&rest);
		c = (uint8_t)v;
		if (v < 0)
			return err_set(in->e, ERR_INVALID, "a backslash is followed by nothing that it escapes");
		if (data_put(in, &c, 1))
			return -1;
	}
	if (!prefix)
		return 0;
	size_t len = in->r->rdata_len - start - 1;
	if (len > UINT8_MAX)
		return err_set(in->e, ERR_INVALID, "a string is longer than 255 bytes: write it as several");
	in->r->rdata[start] = (uint8_t)len;
	return 0;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Digits to the line's end; blanks between bytes are allowed. */
static int read_hex(struct reader *in)
{
	for (struct str word; (word = word_next(in)).len;) {
		if (word.len % 2)
			return err_set(in->e, ERR_INVALID, "an odd number of hexadecimal digits");
		for (size_t i = 0; i < word.len; i += 2) {
			int high = nibble(word.ptr[i]), low = nibble(word.ptr[i + 1]);
			if (high < 0 || low < 0)
				return err_set(in->e, ERR_INVALID, "\"" STR_FMT "\" are not hexadecimal digits", STR_ARG(word));
			uint8_t c = (uint8_t)(high << 4 | low);
			if (data_put(in, &c, 1))
				return -1;
		}
	}
	return 0;
}

/* ---- SVCB's parameters (RFC 9460, 2.1) ---- */

static int svc_key(struct str name)
{
	uint64_t v;

	for (int i = 0; i < SVC_KEYS; i++)
		if (str_ieq(name, str_of(dns_svc_keys[i])))
			return i;
	if (name.len > 3 && str_ieq((struct str){ name.ptr, 3 }, STR("key")) &&
	    str_to_u64((struct str){ name.ptr + 3, name.len - 3 }, SVC_KEY_INVALID - 1, &v))
		return (int)v;
	return -1;
}

static int read_svc_item(struct reader *in, int key, struct str item)
{
	size_t start = in->r->rdata_len;
	uint8_t n[2];
	int v;

	switch (key) {
	case SVC_ALPN:
		if (read_string(in, item, true))
			return -1;
		return in->r->rdata[start] ? 0 : err_set(in->e, ERR_INVALID, "alpn: a protocol's name is empty");
	case SVC_IPV4HINT:
		return read_ip(in, item, AF_INET);
	case SVC_IPV6HINT:
		return read_ip(in, item, AF_INET6);
	default: /* SVC_MANDATORY */
		v = svc_key(item);
		if (v <= 0)
			return err_set(in->e, ERR_INVALID, "mandatory: there is no parameter \"" STR_FMT "\"", STR_ARG(item));
		set_u16(n, (unsigned)v);
		return data_put(in, n, 2);
	}
}

static int read_ech(struct reader *in, struct str value)
{
	struct buf b;
	size_t bad;
	int rc;

	buf_init(&b, DNS_TEXT_RDATA_BYTES_MAX);
	rc = base64_decode(value, &b, &bad) ? err_set(in->e, ERR_INVALID, "ech: not base64") : data_put(in, b.ptr, b.len);
	buf_done(&b);
	return rc;
}

static int read_svc_value(struct reader *in, int key, struct str value)
{
	struct str rest = value;

	if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
		rest = (struct str){ value.ptr + 1, value.len - 2 };
	switch (key) {
	case SVC_PORT:
		return read_number(in, rest, 2);
	case SVC_ECH:
		return read_ech(in, rest);
	case SVC_NO_DEFAULT_ALPN:
	case SVC_OHTTP:
		return value.len ? err_set(in->e, ERR_INVALID, "%s takes no value", dns_svc_keys[key]) : 0;
	case SVC_MANDATORY:
	case SVC_ALPN:
	case SVC_IPV4HINT:
	case SVC_IPV6HINT:
		if (!rest.len)
			return err_set(in->e, ERR_INVALID, "%s needs a value", dns_svc_keys[key]);
		while (rest.ptr)
			if (read_svc_item(in, key, str_cut(rest, ',', &rest)))
				return -1;
		return 0;
	default:
		return read_string(in, value, false);
	}
}

static int read_svc(struct reader *in)
{
	int before = -1;

	for (struct str word; (word = word_next(in)).len;) {
		struct str value, name = str_cut(word, '=', &value);
		size_t start = in->r->rdata_len;
		uint8_t head[4] = { 0 };
		int key = svc_key(name);
		if (key < 0)
			return err_set(in->e, ERR_INVALID, "there is no parameter \"" STR_FMT "\"", STR_ARG(name));
		if (key <= before)
			return err_set(in->e, ERR_INVALID, "parameters must be in the order of their numbers, each once: "
				       "\"" STR_FMT "\" is not", STR_ARG(name));
		before = key;
		set_u16(head, (unsigned)key);
		if (data_put(in, head, sizeof(head)) || read_svc_value(in, key, value))
			return -1;
		set_u16(in->r->rdata + start + 2, (unsigned)(in->r->rdata_len - start - 4));
	}
	return 0;
}

/* ---- records ---- */

static int read_strings(struct reader *in)
{
	struct str word = word_next(in);

	if (!word.len)
		return err_set(in->e, ERR_INVALID, "at least one string is missing");
	for (; word.len; word = word_next(in))
		if (read_string(in, word, true))
			return -1;
	return 0;
}

static int read_field(struct reader *in, char kind)
{
	struct str word;

	if (kind == 'T')
		return read_strings(in);
	if (kind == 'x')
		return read_hex(in);
	if (kind == 'p')
		return read_svc(in);
	word = word_next(in);
	if (!word.len)
		return err_set(in->e, ERR_INVALID, "the record's data ends too early");
	switch (kind) {
	case 'b':
		return read_number(in, word, 1);
	case 's':
		return read_number(in, word, 2);
	case 'l':
		return read_number(in, word, 4);
	case 'a':
		return read_ip(in, word, AF_INET);
	case '6':
		return read_ip(in, word, AF_INET6);
	case 'n':
		return read_name(in, word);
	case 'g':
		if (str_eq(word, STR("\"\"")))
			return err_set(in->e, ERR_INVALID, "the tag is empty");
		return read_string(in, word, true);
	default:
		return read_string(in, word, kind != 'r');
	}
}

/* Whether the names of a type that has a format are there in full: a pointer would point into a message that is not known yet. */
static bool names_whole(const struct dns_text_record *r)
{
	struct str data = { (const char *)r->rdata, r->rdata_len };
	const char *format = dns_text_format(r->type);
	struct dns_name n;
	size_t at = 0, end;

	if (!format || !strchr(format, 'n'))
		return true;
	for (; *format && strchr("bsltn", *format); format++, at = end) {
		end = at + (*format == 'l' ? 4 : *format == 's' ? 2 : 1);
		if (*format == 't' && at < data.len)
			end += r->rdata[at];
		if (*format == 'n' && (!dns_name_read(data, at, &n, &end) || end - at != n.len))
			return false;
	}
	return at <= data.len;
}

/* RFC 3597, 5: \# LENGTH DIGITS… */
static int read_generic(struct reader *in)
{
	uint64_t len;
	struct str word = word_next(in);

	if (!str_to_u64(word, DNS_TEXT_RDATA_BYTES_MAX, &len))
		return err_set(in->e, ERR_INVALID, "\\# is followed by a length up to %d", DNS_TEXT_RDATA_BYTES_MAX);
	if (read_hex(in))
		return -1;
	if (in->r->rdata_len != len)
		return err_set(in->e, ERR_INVALID, "\\# %u is followed by %zu bytes", (unsigned)len, in->r->rdata_len);
	if (!names_whole(in->r))
		return err_set(in->e, ERR_INVALID, "\\#: a name in the data is malformed or compressed");
	return 0;
}

static int read_rdata(struct reader *in)
{
	const char *format = dns_text_format(in->r->type);
	char type[DNS_TEXT_TYPE_BYTES];

	skip_blanks(in);
	if (in->end - in->at >= 2 && memcmp(in->at, "\\#", 2) == 0) {
		in->at += 2;
		return read_generic(in);
	}
	if (!format)
		return err_set(in->e, ERR_INVALID, "records of type %s are written as \\# LENGTH HEX",
			       dns_type_text(in->r->type, type));
	for (; *format; format++)
		if (read_field(in, *format))
			return -1;
	struct str rest = word_next(in);
	return rest.len ? err_set(in->e, ERR_INVALID, "\"" STR_FMT "\" is too much for this type", STR_ARG(rest)) : 0;
}

/* TTL and class in any order, then the type. */
static int read_type(struct reader *in)
{
	struct str word;
	uint16_t class;
	uint64_t ttl;

	for (int i = 0; i < 3; i++) {
		word = word_next(in);
		if (str_to_u64(word, INT32_MAX, &ttl))
			in->r->ttl = (uint32_t)ttl;
		else if (dns_class_from_text(word, &class) && class != DNS_ANY) /* ANY is a type */
			in->r->class = class;
		else
			break;
	}
	if (!word.len)
		return err_set(in->e, ERR_INVALID, "a record is NAME [TTL] [CLASS] TYPE DATA");
	if (!dns_type_from_text(word, &in->r->type))
		return err_set(in->e, ERR_INVALID, "\"" STR_FMT "\" is no record type", STR_ARG(word));
	return 0;
}

int dns_text_parse(struct str line, uint32_t ttl, struct dns_text_record *ret, struct err *e)
{
	struct reader in = { line.ptr, line.ptr + line.len, e, ret };
	struct str word = word_next(&in);

	ret->ttl = ttl;
	ret->class = DNS_CLASS_IN;
	ret->rdata_len = 0;
	if (!word.len)
		return err_set(e, ERR_INVALID, "a record is NAME [TTL] [CLASS] TYPE DATA");
	if (!dns_name_from_escaped(word, &ret->owner))
		return err_set(e, ERR_INVALID, "\"" STR_FMT "\" is not a domain name", STR_ARG(word));
	return read_type(&in) || read_rdata(&in) ? -1 : 0;
}

uint16_t dns_text_put(struct dns_writer *w, enum dns_section s, const struct dns_text_record *r)
{
	struct dns_rdata rd = { .fixed = r->rdata, .fixed_len = r->rdata_len };
	uint16_t at = dns_put_named(w, s, &r->owner, r->type, r->ttl, &rd);

	if (at)
		set_u16(w->ptr + at - RR_FIXED_BYTES + 2, r->class);
	return at;
}
