/* net_set.h - lists of address prefixes, "10.0.0.0/8 fd00::/8 192.0.2.1": IPv4 and IPv6 in one form. No I/O.
 */
#pragma once

#include "net/addr.h"

struct net { /* IPv4 is ::ffff:0:0/96 */
	uint8_t ip[16];
	uint8_t bits;
};
/* An address alone is the prefix of its whole length; "*" is every address. */
bool net_parse(const char *text, struct net *ret) must_check;
bool net_has(const struct net *n, const uint8_t ip[16]);

struct net_set {
	struct net *nets;
	size_t n;
};
bool net_set_add(struct net_set *s, const char *text) must_check; /* false: malformed */
void net_set_done(struct net_set *s);
bool net_set_has(const struct net_set *s, const uint8_t ip[16]);

/* The address in 16 bytes; ::ffff:a.b.c.d is IPv4's however it came. */
void net_ip(const struct addr *a, uint8_t ret_ip[16]);
bool net_ip_is_4(const uint8_t ip[16]);
void net_ip_mask(uint8_t ip[16], unsigned bits); /* clears what is behind the first `bits` of the 128 */
