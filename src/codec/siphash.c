#include "codec/siphash.h"

#include "base/sip_round.h"

#include <endian.h>

static void rounds(uint64_t v[4], int n)
{
	while (n--)
		sip_round(v);
}

static uint64_t get_le64(const uint8_t *p, size_t len)
{
	uint64_t m = 0;

	memcpy(&m, p, len);
	return le64toh(m);
}

static void take(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	rounds(v, 2);
	v[0] ^= m;
}

uint64_t siphash24(const uint8_t key[SIPHASH_KEY_BYTES], const void *data, size_t len)
{
	uint64_t k0 = get_le64(key, 8), k1 = get_le64(key + 8, 8);
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573 };
	const uint8_t *p = data;
	size_t at = 0;

	for (; at + 8 <= len; at += 8)
		take(v, get_le64(p + at, 8));
	take(v, get_le64(p + at, len - at) | (uint64_t)len << 56);
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
