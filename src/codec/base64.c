#include "codec/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_put(struct buf *out, struct str bytes)
{
	const uint8_t *p = (const uint8_t *)bytes.ptr;

	if (buf_reserve(out, (bytes.len + 2) / 3 * 4) < 0)
		return -1;
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? p[i + 1] << 8 : 0) |
			     (left > 2 ? p[i + 2] : 0);
		char quad[4] = { alphabet[v >> 18], alphabet[v >> 12 & 63],
				 left > 1 ? alphabet[v >> 6 & 63] : '=',
				 left > 2 ? alphabet[v & 63] : '=' };
		buf_put(out, quad, 4);
	}
	return 0;
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static size_t skip_breaks(struct str text, size_t at)
{
	while (at < text.len && (text.ptr[at] == '\n' || text.ptr[at] == '\r'))
		at++;
	return at;
}

/* Behind the first '=' of a quad that has n values. 0 when nothing but the rest of the padding
 * follows. */
static int padding_check(struct str text, size_t at, int n, size_t *ret_bad_at)
{
	if (n < 2)
		return *ret_bad_at = at - 1, -1;
	if (n == 2) {
		at = skip_breaks(text, at);
		if (at == text.len)
			return *ret_bad_at = text.len, -1;
		if (text.ptr[at] != '=')
			return *ret_bad_at = at, -1;
		at++;
	}
	at = skip_breaks(text, at);
	if (at < text.len)
		return *ret_bad_at = at, -1;
	return 0;
}

static int put_bits(struct buf *out, uint32_t bits, int n_values, size_t full, size_t *ret_bad_at)
{
	char bytes[3] = { (char)(bits >> 16), (char)(bits >> 8), (char)bits };

	if (out && buf_put(out, bytes, (size_t)n_values - 1) < 0)
		return *ret_bad_at = full, -1;
	return 0;
}

int base64_decode(struct str text, struct buf *out, size_t *ret_bad_at)
{
	uint32_t bits = 0;
	int n = 0;

	for (size_t i = skip_breaks(text, 0); i < text.len; i = skip_breaks(text, i)) {
		char c = text.ptr[i++];
		int v = value_of(c);

		if (c == '=') {
			if (padding_check(text, i, n, ret_bad_at) < 0)
				return -1;
			return put_bits(out, bits << (n == 2 ? 12 : 6), n, text.len + 1,
					ret_bad_at);
		}
		if (v < 0)
			return *ret_bad_at = i - 1, -1;
		bits = bits << 6 | (uint32_t)v;
		if (++n == 4) {
			if (put_bits(out, bits, 4, text.len + 1, ret_bad_at) < 0)
				return -1;
			n = 0;
			bits = 0;
		}
	}
	if (n)
		return *ret_bad_at = text.len - (size_t)n, -1;
	return 0;
}
