/* fnv.h - FNV-1a (Fowler, Noll, Vo; RFC 9923): a hash that is the same in every process and after every restart, for names and
 * digests that outlive one. Anybody can make two texts collide: maps of what comes from outside take hash_keyed (map.h).
 */
#pragma once

#include "base/base.h"

#define FNV1A_64 UINT64_C(0xcbf29ce484222325) /* the hash of nothing */
#define FNV1A_32 UINT32_C(0x811c9dc5)

/* `h` with `n` bytes more. */
static inline uint64_t fnv1a_64(uint64_t h, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static inline uint32_t fnv1a_32(uint32_t h, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT32_C(0x1000193);
	return h;
}

static inline uint64_t fnv1a_64_text(const char *text)
{
	return fnv1a_64(FNV1A_64, text, strlen(text));
}
