/* siphash.h - SipHash-2-4 (Aumasson, Bernstein 2012): the keyed hash that other servers make cookies with. For hash tables
 * there is hash_keyed (base/map.h).
 */
#pragma once

#include "base/base.h"

#define SIPHASH_KEY_BYTES 16
uint64_t siphash24(const uint8_t key[SIPHASH_KEY_BYTES], const void *data, size_t len);
