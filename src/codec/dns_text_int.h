/* dns_text_int.h - the formats that reading and writing of records share. */
#pragma once

#include "codec/dns_int.h"
#include "codec/dns_text.h"

/* What a record's data is made of, a letter each:
 *   b s l  number of 8, 16, 32 bits         a 6  IPv4, IPv6 address          n  name
 *   t  character string   T  one or more to the end   r  the rest, as one string without a length (CAA)
 *   g  word with its length before it (CAA's tag)   x  the rest, in hexadecimal digits   p  SVCB's parameters */
const char *dns_text_format(uint16_t type); /* NULL: RFC 3597's */

/* SVCB's parameters by number; the last two of the registry that have formats of their own are dohpath and ohttp. */
enum { SVC_MANDATORY, SVC_ALPN, SVC_NO_DEFAULT_ALPN, SVC_PORT, SVC_IPV4HINT, SVC_ECH, SVC_IPV6HINT, SVC_DOHPATH, SVC_OHTTP, SVC_KEYS };
#define SVC_KEY_INVALID 65535 /* RFC 9460, 14.3.2: never a parameter's */
extern const char *const dns_svc_keys[SVC_KEYS];
