/* zones.h - names of zones as Corefiles write them, also as networks. */
#pragma once

#include "codec/dns.h"

struct zone_names {
	struct dns_name *at; /* on the heap */
	size_t n;
};
/* Appends "a.org", "." or "" (the root), or the reverse zones of "10.0.0.0/8" and "2001:db8::/33": one for each digit that the
 * prefix leaves open, 128 at most. False: it is neither, and nothing was appended. */
bool zone_names_add(struct zone_names *z, struct str word) must_check;
void zone_names_done(struct zone_names *z);
