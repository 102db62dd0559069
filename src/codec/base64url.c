#include "codec/base64url.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int base64url_put(struct buf *out, struct str bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.ptr;

	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (left > 2 ? p[i + 2] : 0);
		char four[4];

		for (int j = 0; j < 4; j++)
			four[j] = alphabet[v >> (18 - 6 * j) & 63];
		buf_put(out, four, left > 2 ? 4 : left + 1);
	}
	return out->overflow ? -1 : 0;
}

static int digit(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

int base64url_decode(struct str text, struct buf *out)
{
	uint32_t bits = 0;
	int n_bits = 0;

	if (text.len % 4 == 1)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		int d = digit(text.ptr[i]);
		if (d < 0)
			return -1;
		bits = bits << 6 | (uint32_t)d;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			if (buf_putc(out, (char)(bits >> n_bits & 0xff)) < 0)
				return -1;
			bits &= (1u << n_bits) - 1;
		}
	}
	return bits ? -1 : 0; /* what is left over of the last character must be zero */
}
