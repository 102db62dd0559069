/* jwt.h - bearer tokens: JSON Web Tokens signed by a key of a JSON Web Key Set. RFC 7515, 7517, 7518, 7519, 8037, 8725.
 *
 * Asymmetric signatures only: RS, PS, ES 256/384/512 and EdDSA (Ed25519). The key decides which algorithms it may be used
 * with, never the token alone, so neither "none" nor an HMAC keyed with a public key can pass (RFC 8725, 2.1).
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

#define JWKS_BYTES_MAX (256u << 10) /* of a document: hundreds of keys */
#define JWKS_KEYS_MAX 64	    /* issuers publish two to ten */
#define JWT_BYTES_MAX (16u << 10)   /* of a token: header lines end there too */
#define JWT_RSA_BITS_MIN 2048	    /* RFC 7518, 3.3 */
#define JWT_RSA_BITS_MAX 8192	    /* verifying costs with the square of it */
#define JWT_TRIES_MAX 4		    /* keys that a token without `kid` is tried with: a false one costs no more than these */
#define JWT_LEEWAY_S 60		    /* of clocks, for exp and nbf: RFC 7519 speaks of "no more than a few minutes" */

/* Keys that are not for signatures, or of kinds not known here, are left out (RFC 7517, 5); none left is an error. Immutable:
 * any thread may read it. */
struct jwks;
struct jwks *jwks_new(struct str json, struct err *e) must_check;
void jwks_free(struct jwks *k); /* NULL is nothing */
size_t jwks_count(const struct jwks *k);
uint64_t jwks_id(const struct jwks *k); /* no other set of this process has or had it */

/* The claims (json_decref) of a token that is signed by one of the keys; NULL: it is not, and why. Texts of errors are ours,
 * never the token's. */
json_t *bearer_verify(const struct jwks *keys, struct str token, struct err *e) must_check;

/* What the claims must say besides. */
struct jwt_rules {
	const char *issuer;	      /* NULL: any */
	char *const *audiences;	      /* one of them; n_audiences 0: any */
	size_t n_audiences;
	int64_t now_s;		      /* since 1970 */
};
int jwt_check(const json_t *claims, const struct jwt_rules *r, struct err *e) must_check;

/* Tokens whose signature was found right, so that the next request with one costs a hash: one set for each worker. */
#define JWT_CACHE_MAX 4096		 /* tokens; the one unused for longest makes room */
#define JWT_CACHE_BYTES_MAX (16u << 20) /* of tokens; their claims take up to a few times that */
struct jwt_cache;
struct jwt_cache *jwt_cache_new(void);
void jwt_cache_free(struct jwt_cache *c); /* NULL is nothing */
/* As bearer_verify; claims that have expired are forgotten. */
json_t *jwt_cache_verify(struct jwt_cache *c, const struct jwks *keys, struct str token, int64_t now_s, struct err *e) must_check;
