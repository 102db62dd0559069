/* buf.h - a growable run of bytes that cannot exist without a maximum.
 *
 * Every append is all or nothing: at the maximum it returns -1, changes nothing and sets
 * `overflow`, so that a long sequence of appends may be checked once at its end.
 */
#pragma once

#include "base/base.h"

struct buf {
	char *ptr; /* owned; ptr[len] is always '\0' once something was appended */
	size_t len, cap, max;
	bool overflow;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_done(struct buf *b);  /* takes a zeroed or half-built one */
void buf_clear(struct buf *b); /* keeps the memory */
int buf_put(struct buf *b, const void *data, size_t len);
int buf_put_str(struct buf *b, struct str s);
int buf_puts(struct buf *b, const char *s);
int buf_putc(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) printf_like(2, 3);
int buf_put_u64(struct buf *b, uint64_t n); /* in decimal digits */
/* Appends `s` as a JSON string with its quotes. */
int buf_put_json(struct buf *b, struct str s);
int buf_reserve(struct buf *b, size_t more); /* room for `more` behind len, without moving len */
void buf_consume(struct buf *b, size_t n);   /* drops n bytes at the front */
struct str buf_str(const struct buf *b);
char *buf_take(struct buf *b); /* the caller owns a NUL-terminated string; the buffer is empty */
