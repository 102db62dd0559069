/* dns_int.h - numbers on the wire, for dns.c and dns_message.c only. */
#pragma once

#include "codec/dns.h"

#define RR_FIXED_BYTES 10 /* type, class, TTL, length: what follows every owner name */

static inline uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

static inline void set_u16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void set_u32(uint8_t *p, uint32_t v)
{
	set_u16(p, v >> 16);
	set_u16(p + 2, v & 0xffff);
}
