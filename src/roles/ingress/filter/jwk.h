/* jwk.h - one key of a set, and what it may be used for. Private to jwks.c and jwt_verify.c. */
#pragma once

#include "codec/base64url.h"

#include "roles/ingress/filter/jwt.h"

#include <openssl/evp.h>

enum jwk_kind { JWK_RSA, JWK_P256, JWK_P384, JWK_P521, JWK_ED25519 };

/* A row of RFC 7518, 3.1, RFC 8037 or RFC 9864. */
struct jwt_alg {
	const char *name;
	enum jwk_kind kind;
	const char *digest; /* NULL: part of the signature scheme */
	bool pss;
	unsigned half_bytes; /* of an ECDSA signature: r and s */
};
const struct jwt_alg *jwt_alg_find(const char *name); /* NULL: not one of ours */

struct jwk {
	char *kid;		   /* NULL: none */
	enum jwk_kind kind;
	const struct jwt_alg *alg; /* NULL: any of its kind */
	EVP_PKEY *key;
};
struct jwks {
	uint64_t id;
	size_t n;
	struct jwk at[JWKS_KEYS_MAX];
};
