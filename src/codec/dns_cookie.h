/* dns_cookie.h - DNS cookies: a client shows that it gets what is sent to its address. No I/O, no clock.
 *
 * RFC 7873; the server's part as RFC 9018 has it, so that other servers with the same secret understand it.
 */
#pragma once

#include "codec/siphash.h"

#define DNS_COOKIE_CLIENT_BYTES 8
#define DNS_COOKIE_BYTES 24	   /* the client's, then the server's: version, 3 of zero, time, hash */
#define DNS_COOKIE_BYTES_MAX 40	   /* of anybody's: RFC 7873, 4 */
#define DNS_COOKIE_LIFE_S 3600	   /* older ones are not taken: RFC 9018, 4.3 */
#define DNS_COOKIE_RENEW_S 1800	   /* older ones are replaced */
#define DNS_COOKIE_AHEAD_S 300	   /* clocks of replicas that differ */
#define DNS_COOKIE_SECRETS_MAX 4

struct dns_cookie_secrets { /* the first makes cookies, all are good for checking: that is how they are changed */
	size_t n;
	uint8_t keys[DNS_COOKIE_SECRETS_MAX][SIPHASH_KEY_BYTES];
};

enum dns_cookie_state {
	DNS_COOKIE_NONE,      /* the question has none */
	DNS_COOKIE_MALFORMED, /* FORMERR */
	DNS_COOKIE_CLIENT,    /* a client's alone: it has not asked before */
	DNS_COOKIE_BAD,	      /* not ours, too old, another address */
	DNS_COOKIE_GOOD,
};
/* `ip` is 4 or 16 bytes. `options` are the question's; `reply` gets the cookie for the answer, its length is returned: 0, or
 * DNS_COOKIE_BYTES. */
size_t dns_cookie_check(const struct dns_cookie_secrets *s, struct str options, const uint8_t *ip, size_t ip_len, uint32_t now_s,
			uint8_t reply[DNS_COOKIE_BYTES], enum dns_cookie_state *ret_state);
