#include "codec/http1.h"
#include "codec/http1_chars.h"

#define CHUNK_DIGITS_MAX 16
#define CHUNK_LINE_MAX 256 /* size and extensions, which nobody uses */
#define TRAILER_LINE_MAX 8192
#define OVERHEAD_BYTES_MAX                                                                         \
	(64u << 10) /* all extensions and trailers of one body: beyond it is an attack */

enum {
	AT_SIZE,
	IN_EXTENSION,
	SIZE_LF,
	IN_DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_START,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	LAST_LF,
};

void http1_body_init(struct http1_body *b, enum http1_framing framing, uint64_t content_length)
{
	*b = (struct http1_body){
		.framing = framing,
		.left = framing == HTTP1_LENGTH ? content_length : 0,
		.done = framing == HTTP1_NO_BODY ||
			(framing == HTTP1_LENGTH && content_length == 0),
	};
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int bad(struct err *e, const char *rule)
{
	return err_set(e, ERR_BAD_REQUEST, "malformed HTTP body: %s", rule);
}

static int at_size(struct http1_body *b, char c, struct err *e)
{
	int v = hex_value(c);

	if (v >= 0) {
		if (++b->digits_ > CHUNK_DIGITS_MAX || b->left > (INT64_MAX >> 4))
			return bad(e, "chunk size overflows");
		b->left = b->left << 4 | (uint64_t)v;
		return 0;
	}
	if (b->digits_ == 0)
		return bad(e, "chunk size is not hexadecimal");
	if (c == '\r')
		b->state_ = SIZE_LF;
	else if (c == ';')
		b->state_ = IN_EXTENSION;
	else
		return bad(e, "junk behind a chunk size");
	return 0;
}

static bool is_value_char(char c)
{
	return (uint8_t)c >= 0x20 ? c != 0x7f : c == '\t';
}

static int trailer_start(struct http1_body *b, char c, struct err *e)
{
	if (c == '\r') {
		b->state_ = LAST_LF;
		return 0;
	}
	if (!http1_token_lower[(uint8_t)c])
		return bad(e, "invalid trailer name");
	b->state_ = TRAILER_NAME;
	return 0;
}

static int lf_then(struct http1_body *b, char c, uint8_t next, struct err *e)
{
	if (c != '\n')
		return bad(e, "CR without LF");
	b->state_ = next;
	b->line_ = 0;
	return 0;
}

/* One byte of what is around the data. */
static int framing_byte(struct http1_body *b, char c, struct err *e)
{
	switch (b->state_) {
	case AT_SIZE:
		return at_size(b, c, e);
	case IN_EXTENSION:
		if (c == '\r')
			b->state_ = SIZE_LF;
		else if (!is_value_char(c))
			return bad(e, "control character in a chunk extension");
		return ++b->line_ > CHUNK_LINE_MAX ? bad(e, "chunk extension is too long") : 0;
	case SIZE_LF:
		return lf_then(b, c, b->left ? IN_DATA : TRAILER_START, e);
	case DATA_CR:
		b->state_ = DATA_LF;
		return c == '\r' ? 0 : bad(e, "chunk is longer than its size");
	case DATA_LF:
		b->digits_ = 0;
		return lf_then(b, c, AT_SIZE, e);
	case TRAILER_START:
		return trailer_start(b, c, e);
	case TRAILER_NAME:
		if (c == ':')
			b->state_ = TRAILER_VALUE;
		else if (!http1_token_lower[(uint8_t)c])
			return bad(e, "invalid trailer name");
		return 0;
	case TRAILER_VALUE:
		if (c == '\r')
			b->state_ = TRAILER_LF;
		else if (!is_value_char(c))
			return bad(e, "control character in a trailer");
		return ++b->line_ > TRAILER_LINE_MAX ? bad(e, "trailer is too long") : 0;
	case TRAILER_LF:
		return lf_then(b, c, TRAILER_START, e);
	default: /* LAST_LF */
		b->done = c == '\n';
		return b->done ? 0 : bad(e, "CR without LF");
	}
}

static ssize_t take_data(struct http1_body *b, const char *bytes, size_t len, struct str *ret_data)
{
	size_t n = (size_t)MIN(b->left, (uint64_t)len);

	*ret_data = (struct str){bytes, n};
	b->left -= n;
	return (ssize_t)n;
}

static ssize_t chunked_next(struct http1_body *b, const char *bytes, size_t len,
			    struct str *ret_data, struct err *e)
{
	size_t used = 0;

	while (used < len && !b->done && b->state_ != IN_DATA) {
		bool line_end = b->state_ == TRAILER_LF;

		if (framing_byte(b, bytes[used], e) < 0)
			return -1;
		/* OVERHEAD_BYTES_MAX bounds what is kept as well. */
		if (b->trailers && (line_end || (b->state_ >= TRAILER_NAME && b->state_ <= TRAILER_LF)))
			buf_putc(b->trailers, bytes[used]);
		used++;
		bool junk = b->state_ == IN_EXTENSION || b->state_ >= TRAILER_NAME;

		if (junk && ++b->overhead_ > OVERHEAD_BYTES_MAX)
			return bad(e, "chunk extensions or trailers are too long");
	}
	if (b->state_ != IN_DATA || used == len)
		return (ssize_t)used;
	used += (size_t)take_data(b, bytes + used, len - used, ret_data);
	if (b->left == 0)
		b->state_ = DATA_CR;
	return (ssize_t)used;
}

ssize_t http1_body_next(struct http1_body *b, const char *bytes, size_t len, struct str *ret_data,
			struct err *e)
{
	ssize_t n;

	*ret_data = STR_NONE;
	if (b->done)
		return 0;
	switch (b->framing) {
	case HTTP1_LENGTH:
		n = take_data(b, bytes, len, ret_data);
		b->done = b->left == 0;
		return n;
	case HTTP1_CHUNKED:
		return chunked_next(b, bytes, len, ret_data, e);
	case HTTP1_UNTIL_CLOSE:
		*ret_data = (struct str){bytes, len};
		return (ssize_t)len;
	default:
		return 0;
	}
}

size_t http1_trailers(struct str text, struct http_header *table, size_t max)
{
	size_t n = 0;

	while (text.len && n < max) {
		struct str value, line = str_cut(text, '\n', &text);
		struct str name = str_cut(line, ':', &value);

		if (value.len && value.ptr[value.len - 1] == '\r')
			value.len--;
		table[n++] = (struct http_header){name, str_trim(value)};
	}
	return n;
}

size_t http1_chunk_head(char out[HTTP1_CHUNK_HEAD_BYTES], size_t chunk_len)
{
	static const char hex[] = "0123456789abcdef";
	int shift = 60;
	size_t n = 0;

	while (shift > 0 && !(chunk_len >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		out[n++] = hex[chunk_len >> shift & 15];
	out[n++] = '\r';
	out[n++] = '\n';
	return n;
}
