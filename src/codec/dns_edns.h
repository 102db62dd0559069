/* dns_edns.h - the options of an OPT record (RFC 6891, 6.1.2): code, length, value. No I/O, no allocation.
 */
#pragma once

#include "codec/dns.h"

enum dns_option {
	DNS_OPTION_NSID = 3,
	DNS_OPTION_SUBNET = 8,
	DNS_OPTION_COOKIE = 10,
	DNS_OPTION_KEEPALIVE = 11, /* RFC 7828 */
	DNS_OPTION_PADDING = 12,
	DNS_OPTION_EXTENDED_ERROR = 15,
};

/* for (struct dns_edns_option o = { 0 }; dns_edns_next(q->options, &o);) - malformed options end it. */
struct dns_edns_option {
	uint16_t code;
	struct str value;
	size_t end_;
};
bool dns_edns_next(struct str options, struct dns_edns_option *o);
bool dns_edns_valid(struct str options); /* whole options and nothing else */

/* The options an answer gets: filled by who answers, then `q->reply_options = dns_edns_str(&r)`. */
#define DNS_REPLY_OPTIONS_BYTES 128
struct dns_edns_reply {
	size_t len;
	uint8_t bytes[DNS_REPLY_OPTIONS_BYTES];
};
bool dns_edns_put(struct dns_edns_reply *r, uint16_t code, const void *value, size_t len); /* false: no room */
struct str dns_edns_str(const struct dns_edns_reply *r);
