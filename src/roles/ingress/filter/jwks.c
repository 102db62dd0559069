#include "roles/ingress/filter/jwk.h"

#include "codec/jx.h"
#include "net/tls.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#define NUMBER_BYTES_MAX (JWT_RSA_BITS_MAX / 8)
#define EXPONENT_BYTES_MAX 8 /* 65537 needs three; a long one makes verifying slow */

static const struct jwt_alg algs[] = {
	{"RS256", JWK_RSA, "SHA256", false, 0},	    {"RS384", JWK_RSA, "SHA384", false, 0},
	{"RS512", JWK_RSA, "SHA512", false, 0},	    {"PS256", JWK_RSA, "SHA256", true, 0},
	{"PS384", JWK_RSA, "SHA384", true, 0},	    {"PS512", JWK_RSA, "SHA512", true, 0},
	{"ES256", JWK_P256, "SHA256", false, 32},   {"ES384", JWK_P384, "SHA384", false, 48},
	{"ES512", JWK_P521, "SHA512", false, 66},   {"EdDSA", JWK_ED25519, NULL, false, 0},
	{"Ed25519", JWK_ED25519, NULL, false, 0},
};

static const struct curve {
	const char *crv, *group;
	enum jwk_kind kind;
	unsigned bytes; /* of a coordinate */
} curves[] = {
	{"P-256", "prime256v1", JWK_P256, 32}, {"P-384", "secp384r1", JWK_P384, 48}, {"P-521", "secp521r1", JWK_P521, 66}};

const struct jwt_alg *jwt_alg_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(algs); i++)
		if (c_eq(algs[i].name, name))
			return &algs[i];
	return NULL;
}

/* ---- numbers of a key ---- */

static int member(const json_t *jwk, const char *name, struct buf *out, struct err *e)
{
	const json_t *v = json_object_get(jwk, name);

	buf_clear(out);
	if (!json_is_string(v) || json_string_length(v) == 0 ||
	    base64url_decode((struct str){json_string_value(v), json_string_length(v)}, out) < 0)
		return err_set(e, ERR_INVALID, "\"%s\" is missing or no base64url of a permitted length", name);
	return 0;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *bld, struct err *e)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY_CTX *check = NULL;
	EVP_PKEY *key = NULL;

	if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1)
		check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	if (!check || EVP_PKEY_public_check_quick(check) != 1) {
		EVP_PKEY_free(key);
		key = NULL;
		err_openssl(e, ERR_INVALID, type);
	}
	EVP_PKEY_CTX_free(check);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}

static EVP_PKEY *rsa_key(const json_t *jwk, struct err *e)
{
	struct buf n, exponent;
	EVP_PKEY *key = NULL;
	BIGNUM *bn_n = NULL, *bn_e = NULL;
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();

	buf_init(&n, NUMBER_BYTES_MAX);
	buf_init(&exponent, EXPONENT_BYTES_MAX);
	if (member(jwk, "n", &n, e) == 0 && member(jwk, "e", &exponent, e) == 0) {
		bn_n = BN_bin2bn((const uint8_t *)n.ptr, (int)n.len, NULL);
		bn_e = BN_bin2bn((const uint8_t *)exponent.ptr, (int)exponent.len, NULL);
		if (BN_num_bits(bn_n) < JWT_RSA_BITS_MIN || !BN_is_odd(bn_n) || !BN_is_odd(bn_e) || BN_is_one(bn_e))
			err_set(e, ERR_INVALID, "RSA: fewer than %d bits, or no public key", JWT_RSA_BITS_MIN);
		else if (OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn_n) &&
			 OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, bn_e))
			key = from_params("RSA", bld, e);
	}
	BN_free(bn_n);
	BN_free(bn_e);
	OSSL_PARAM_BLD_free(bld);
	buf_done(&n);
	buf_done(&exponent);
	return key;
}

static EVP_PKEY *ec_key(const json_t *jwk, const struct curve *c, struct err *e)
{
	uint8_t point[1 + 2 * 66] = {POINT_CONVERSION_UNCOMPRESSED};
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY *key = NULL;
	struct buf x, y;

	buf_init(&x, 66);
	buf_init(&y, 66);
	if (member(jwk, "x", &x, e) < 0 || member(jwk, "y", &y, e) < 0)
		goto out;
	if (x.len != c->bytes || y.len != c->bytes) {
		err_set(e, ERR_INVALID, "a coordinate of %s has %u bytes", c->crv, c->bytes);
		goto out;
	}
	memcpy(point + 1, x.ptr, x.len);
	memcpy(point + 1 + x.len, y.ptr, y.len);
	if (OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, c->group, 0) &&
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * c->bytes))
		key = from_params("EC", bld, e);
out:
	OSSL_PARAM_BLD_free(bld);
	buf_done(&x);
	buf_done(&y);
	return key;
}

static EVP_PKEY *ed25519_key(const json_t *jwk, struct err *e)
{
	EVP_PKEY *key = NULL;
	struct buf x;

	buf_init(&x, 32);
	if (member(jwk, "x", &x, e) == 0) {
		key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const uint8_t *)x.ptr, x.len);
		if (!key)
			err_openssl(e, ERR_INVALID, "Ed25519");
	}
	buf_done(&x);
	return key;
}

/* ---- keys ---- */

/* RFC 7517, 4.2 and 4.3 */
static bool for_signatures(const json_t *jwk)
{
	const char *use = jx_str(jwk, "use");
	const json_t *ops = json_object_get(jwk, "key_ops"), *op;
	bool verify = !ops;
	size_t i;

	json_array_foreach(ops, i, op)
		verify = verify || c_eq(json_string_value(op), "verify");
	return verify && (!use || strcmp(use, "sig") == 0);
}

/* 1: taken; 0: of a kind that is not ours; -1: broken. */
static int read_key(const json_t *jwk, struct jwk *ret, struct err *e)
{
	const char *kty = jx_str(jwk, "kty"), *crv = jx_str(jwk, "crv"), *alg = jx_str(jwk, "alg");

	ret->alg = alg ? jwt_alg_find(alg) : NULL;
	if (!for_signatures(jwk) || (alg && !ret->alg))
		return 0;
	if (c_eq(kty, "RSA")) {
		ret->kind = JWK_RSA;
		ret->key = rsa_key(jwk, e);
	} else if (c_eq(kty, "OKP") && c_eq(crv, "Ed25519")) {
		ret->kind = JWK_ED25519;
		ret->key = ed25519_key(jwk, e);
	} else {
		const struct curve *c = NULL;
		for (size_t i = 0; i < ARRAY_LEN(curves); i++)
			if (c_eq(kty, "EC") && c_eq(crv, curves[i].crv))
				c = &curves[i];
		if (!c)
			return 0;
		ret->kind = c->kind;
		ret->key = ec_key(jwk, c, e);
	}
	if (ret->key && ret->alg && ret->alg->kind != ret->kind) {
		EVP_PKEY_free(TAKE_PTR(ret->key));
		return err_set(e, ERR_INVALID, "\"alg\" does not fit \"kty\"");
	}
	return ret->key ? 1 : -1;
}

static int read_keys(struct jwks *set, const json_t *doc, struct err *e)
{
	const json_t *keys = json_object_get(doc, "keys"), *jwk;
	size_t i;

	if (!json_is_array(keys))
		return err_set(e, ERR_INVALID, "it has no array \"keys\"");
	json_array_foreach(keys, i, jwk) {
		struct jwk k = {0};
		int r = read_key(jwk, &k, e);

		if (r < 0)
			return err_wrap(e, "keys[%zu]", i);
		if (r == 0)
			continue;
		if (set->n == JWKS_KEYS_MAX) {
			EVP_PKEY_free(k.key);
			return err_set(e, ERR_INVALID, "it has more than %d keys", JWKS_KEYS_MAX);
		}
		k.kid = xstrdup(jx_str(jwk, "kid"));
		set->at[set->n++] = k;
	}
	return set->n ? 0 : err_set(e, ERR_INVALID, "it has no key that can verify RS, PS, ES or EdDSA signatures");
}

struct jwks *jwks_new(struct str json, struct err *e)
{
	static uint64_t ids;
	json_t *doc = jx_parse(json, JWKS_BYTES_MAX, e);
	struct jwks *set = xcalloc(1, sizeof(*set));

	set->id = __atomic_add_fetch(&ids, 1, __ATOMIC_RELAXED);
	if (!doc || read_keys(set, doc, e) < 0) {
		err_wrap(e, "JSON Web Key Set");
		jwks_free(TAKE_PTR(set));
	}
	json_decref(doc);
	return set;
}

void jwks_free(struct jwks *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n; i++) {
		EVP_PKEY_free(k->at[i].key);
		free(k->at[i].kid);
	}
	free(k);
}

size_t jwks_count(const struct jwks *k)
{
	return k->n;
}

uint64_t jwks_id(const struct jwks *k)
{
	return k->id;
}
