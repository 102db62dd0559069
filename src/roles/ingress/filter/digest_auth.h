/* digest_auth.h - digest authentication without requests: the header, responses, nonces (digest.c).
 */
#pragma once

#include "base/base.h"
#include "roles/ingress/filter/htdigest.h"

extern const char *const digest_names[DIGEST_ALGORITHMS]; /* "MD5" and its like */

/* Of "Digest username=…" (RFC 7616, 3.4). Everything points into the text. */
struct digest_credentials {
	struct str username, realm, nonce, uri, response, nc, cnonce;
	enum digest_algorithm algorithm;
};
/* false: not that, or what nobody offered: another algorithm, no qop=auth, a hashed or encoded user name. Quoted texts with a
 * backslash are not taken. */
bool digest_credentials_parse(struct str authorization, struct digest_credentials *ret) must_check;
/* What `response` has to be, in hex. False: that cannot be told, as OpenSSL does not have the algorithm. */
bool digest_response(const struct digest_credentials *c, const char *ha1, struct str method, char out[HTDIGEST_HEX_MAX + 1]) must_check;

#define DIGEST_NONCE_BYTES 49 /* with the NUL */
void digest_nonce_make(const char *realm, uint64_t now_ms, char out[DIGEST_NONCE_BYTES]);
/* Is it one of ours, for this realm, and not too old? */
bool digest_nonce_fresh(struct str nonce, const char *realm, uint64_t now_ms);
