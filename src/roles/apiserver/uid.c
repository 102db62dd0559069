#include "roles/apiserver/uid.h"

#include <stdio.h>
#include <sys/random.h>

static void random_fill(unsigned char *out, size_t n)
{
	if (getrandom(out, n, 0) != (ssize_t)n)
		abort();
}

const char *uid_make(char out[UID_TEXT_BYTES])
{
	unsigned char b[16];

	random_fill(b, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(out, UID_TEXT_BYTES,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
	return out;
}

const char *name_suffix_make(char out[SUFFIX_TEXT_BYTES])
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	unsigned char b[SUFFIX_TEXT_BYTES - 1];

	random_fill(b, sizeof(b));
	for (size_t i = 0; i < sizeof(b); i++)
		out[i] = letters[b[i] % (sizeof(letters) - 1)];
	out[sizeof(b)] = '\0';
	return out;
}
