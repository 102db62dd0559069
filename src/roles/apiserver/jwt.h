/* jwt.h - signed tokens: JWS compact form with ES256, as ServiceAccount tokens are. RFC 7515, 7518.
 */
#pragma once

#include "codec/jx.h"

#include <openssl/evp.h>

#define JWT_BYTES_MAX                                                                              \
	(16u << 10) /* a token with many audiences fits; longer ones are refused unread */

struct jwt_key {
	EVP_PKEY *pkey; /* EC P-256, private */
	char id[44];	/* kid: the SHA-256 of the public key, base64url */
};
int jwt_key_load(const char *pem_path, struct jwt_key *ret_key, struct err *e) must_check;
void jwt_key_done(struct jwt_key *k);
char *jwt_sign(const struct jwt_key *k, const json_t *claims,
	       struct err *e) must_check; /* on the heap */
/* Checks form, algorithm and signature, not the claims. New reference. */
json_t *jwt_verify(const struct jwt_key *k, struct str token, struct err *e) must_check;
/* The public key as a JSON Web Key. RFC 7517. New reference. */
json_t *jwt_public_jwk(const struct jwt_key *k);
