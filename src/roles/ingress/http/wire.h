/* wire.h - writing HTTP/1 heads: room for all of it is reserved once, then bytes are put down one after another. */
#pragma once

#include "roles/ingress/http/exchange.h"

static inline char *wire_put(char *to, struct str s)
{
	memcpy(to, s.ptr ? s.ptr : "", s.len);
	return to + s.len;
}
#define WIRE_LITERAL(to, text) wire_put(to, STR(text))

#define WIRE_NUMBER_BYTES 20
static inline char *wire_number(char *to, uint64_t v)
{
	char digits[WIRE_NUMBER_BYTES];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		*to++ = digits[--n];
	return to;
}

static inline size_t wire_headers_size(const struct header_list *l)
{
	size_t size = 0;

	for (size_t i = 0; i < l->n; i++)
		size += l->at[i].name.len + l->at[i].value.len + 4;
	return size;
}

static inline char *wire_headers(char *p, const struct header_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		p = wire_put(p, l->at[i].name);
		*p++ = ':';
		*p++ = ' ';
		p = wire_put(p, l->at[i].value);
		*p++ = '\r';
		*p++ = '\n';
	}
	return p;
}
