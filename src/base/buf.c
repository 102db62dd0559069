#include "base/buf.h"

#include <stdio.h>

#define BUF_FIRST_BYTES 256

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){ .max = max_bytes };
}

void buf_done(struct buf *b)
{
	free(b->ptr);
	b->ptr = NULL;
	b->len = b->cap = 0;
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
	if (b->ptr)
		b->ptr[0] = '\0';
}

int buf_reserve(struct buf *b, size_t more)
{
	if (more > b->max - b->len) {
		b->overflow = true;
		return -1;
	}
	size_t need = b->len + more + 1;
	if (need <= b->cap)
		return 0;
	size_t cap = b->cap ? b->cap : BUF_FIRST_BYTES;
	while (cap < need)
		cap *= 2;
	b->ptr = xrealloc(b->ptr, cap);
	b->cap = cap;
	return 0;
}

int buf_put(struct buf *b, const void *data, size_t len)
{
	if (buf_reserve(b, len) < 0)
		return -1;
	if (len)
		memcpy(b->ptr + b->len, data, len);
	b->len += len;
	b->ptr[b->len] = '\0';
	return 0;
}

int buf_put_str(struct buf *b, struct str s)
{
	return buf_put(b, s.ptr, s.len);
}

int buf_puts(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

int buf_putc(struct buf *b, char c)
{
	return buf_put(b, &c, 1);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	int r = n < 0 ? -1 : buf_reserve(b, (size_t)n);
	if (r == 0) {
		vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return r;
}

int buf_put_u64(struct buf *b, uint64_t n)
{
	char text[20];
	char *at = text + sizeof(text);

	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	return buf_put(b, at, (size_t)(text + sizeof(text) - at));
}

static int put_json_escape(struct buf *b, unsigned char c)
{
	switch (c) {
	case '"':
		return buf_put(b, "\\\"", 2);
	case '\\':
		return buf_put(b, "\\\\", 2);
	case '\n':
		return buf_put(b, "\\n", 2);
	case '\r':
		return buf_put(b, "\\r", 2);
	case '\t':
		return buf_put(b, "\\t", 2);
	default:
		return buf_printf(b, "\\u%04x", c);
	}
}

int buf_put_json(struct buf *b, struct str s)
{
	size_t from = 0;

	if (buf_putc(b, '"') < 0)
		return -1;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		if (buf_put(b, s.ptr + from, i - from) < 0 || put_json_escape(b, c) < 0)
			return -1;
		from = i + 1;
	}
	return buf_put(b, s.ptr + from, s.len - from) < 0 ? -1 : buf_putc(b, '"');
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	b->len -= n;
	if (b->len)
		memmove(b->ptr, b->ptr + n, b->len);
	if (b->ptr)
		b->ptr[b->len] = '\0';
}

struct str buf_str(const struct buf *b)
{
	return (struct str){ b->ptr, b->len };
}

char *buf_take(struct buf *b)
{
	char *p = b->ptr ? b->ptr : xstrdup("");

	*b = (struct buf){ .max = b->max };
	return p;
}
