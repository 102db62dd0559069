/* route_int.h - the routing table's inside, shared by its builder and its reader. */
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "roles/ingress/route.h"

struct host {
	bool regex;		     /* all paths are regular expressions */
	bool tls;		     /* a certificate is configured: plain requests are redirected */
	struct map exact, prefix;    /* path → struct location; prefix paths without a final '/', so "" is the root */
	struct location **by_length; /* ImplementationSpecific, or every path of a regex host: longest first */
	size_t n_by_length;
	struct location **all;	     /* owns them */
	size_t n_all;
};

struct route_table {
	unsigned refs;
	struct map hosts;    /* folded name, "*.rest" or "" → struct host */
	struct map backends; /* key → struct backend */
	struct map certs;    /* folded name or "*.rest" → struct tls */
	struct map names;    /* "ns/name" of Ingresses → itself: owns the strings that locations point to */
	pcre2_match_data *match_data;	    /* of the process: one thread reads the table */
	pcre2_match_context *match_limits;
};
