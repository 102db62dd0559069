#include "roles/node/base64.h"

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

char *base64_decode(struct str text, size_t *ret_len)
{
	char *out = xmalloc(text.len / 4 * 3 + 4);
	uint32_t bits = 0;
	size_t n = 0, digits = 0;

	while (text.len && text.ptr[text.len - 1] == '=')
		text.len--;
	for (size_t i = 0; i < text.len; i++) {
		int d = digit(text.ptr[i]);
		if (d < 0) {
			free(out);
			return NULL;
		}
		bits = bits << 6 | (uint32_t)d;
		if (++digits % 4 == 0) {
			out[n++] = (char)(bits >> 16);
			out[n++] = (char)(bits >> 8);
			out[n++] = (char)bits;
		}
	}
	if (digits % 4 == 2) {
		out[n++] = (char)(bits >> 4);
	} else if (digits % 4 == 3) {
		out[n++] = (char)(bits >> 10);
		out[n++] = (char)(bits >> 2);
	}
	out[n] = '\0';
	*ret_len = n;
	return out;
}
