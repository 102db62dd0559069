#include "roles/ingress/filter/jwk.h"

#include "codec/jx.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#define SIGNATURE_BYTES_MAX (JWT_RSA_BITS_MAX / 8)
#define DER_BYTES_MAX 160 /* of an ECDSA signature of P-521 */

static int refuse(struct err *e, const char *why)
{
	return err_set(e, ERR_UNAUTHORIZED, "%s", why);
}

/* ---- signatures ---- */

/* JOSE writes r and s one after the other (RFC 7518, 3.4), OpenSSL wants them as DER. 0: they are none. */
static size_t ecdsa_der(const struct jwt_alg *alg, struct str raw, uint8_t out[DER_BYTES_MAX])
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	unsigned half = alg->half_bytes;
	int n = 0;

	if (raw.len == 2 * half) {
		BIGNUM *r = BN_bin2bn((const uint8_t *)raw.ptr, (int)half, NULL);
		BIGNUM *s = BN_bin2bn((const uint8_t *)raw.ptr + half, (int)half, NULL);

		ECDSA_SIG_set0(sig, r, s);
		if (i2d_ECDSA_SIG(sig, NULL) <= DER_BYTES_MAX)
			n = i2d_ECDSA_SIG(sig, &out);
	}
	ECDSA_SIG_free(sig);
	return n > 0 ? (size_t)n : 0;
}

static bool set_padding(const struct jwt_alg *alg, EVP_PKEY_CTX *ctx)
{
	if (alg->kind != JWK_RSA)
		return true;
	if (!alg->pss)
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static bool signature_right(const struct jwt_alg *alg, EVP_PKEY *key, struct str input, struct str signature)
{
	uint8_t der[DER_BYTES_MAX];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx = NULL;
	bool right = false;

	if (alg->half_bytes)
		signature = (struct str){(const char *)der, ecdsa_der(alg, signature, der)};
	if (signature.len && EVP_DigestVerifyInit_ex(md, &ctx, alg->digest, NULL, NULL, key, NULL) == 1 && set_padding(alg, ctx))
		right = EVP_DigestVerify(md, (const uint8_t *)signature.ptr, signature.len, (const uint8_t *)input.ptr,
					 input.len) == 1;
	ERR_clear_error();
	EVP_MD_CTX_free(md);
	return right;
}

/* A key fits when its own kind and `alg` allow the token's algorithm, and it has no other name than the token asks for. */
static bool key_fits(const struct jwk *k, const struct jwt_alg *alg, const char *kid)
{
	if (k->kind != alg->kind || (k->alg && k->alg->kind == JWK_RSA && k->alg != alg))
		return false;
	return !kid || !k->kid || strcmp(k->kid, kid) == 0;
}

static int verify_with_keys(const struct jwks *keys, const struct jwt_alg *alg, const char *kid, struct str input,
			    struct str signature, struct err *e)
{
	int tries = 0;

	for (size_t i = 0; i < keys->n && tries < JWT_TRIES_MAX; i++) {
		if (!key_fits(&keys->at[i], alg, kid))
			continue;
		tries++;
		if (signature_right(alg, keys->at[i].key, input, signature))
			return 0;
	}
	return refuse(e, tries ? "the signature is wrong" : "there is no key for the token");
}

/* ---- the token ---- */

static json_t *decode_object(struct str text, struct err *e)
{
	struct buf out;
	json_t *v = NULL;

	buf_init(&out, JWT_BYTES_MAX);
	if (base64url_decode(text, &out) == 0)
		v = jx_parse(buf_str(&out), JWT_BYTES_MAX, &(struct err){0});
	buf_done(&out);
	if (!json_is_object(v)) {
		json_decref(v);
		refuse(e, "the token is malformed");
		return NULL;
	}
	return v;
}

/* The three parts of a compact serialization (RFC 7515, 7.1). */
static bool split(struct str token, struct str *ret_header, struct str *ret_claims, struct str *ret_signature)
{
	*ret_header = str_cut(token, '.', ret_claims);
	*ret_claims = str_cut(*ret_claims, '.', ret_signature);
	return ret_header->len && ret_claims->len && ret_signature->ptr && ret_signature->len &&
	       !memchr(ret_signature->ptr, '.', ret_signature->len);
}

static int verify_header(const struct jwks *keys, const json_t *header, struct str input, struct str signature, struct err *e)
{
	const struct jwt_alg *alg = jwt_alg_find(jx_str(header, "alg"));
	const json_t *kid = json_object_get(header, "kid");
	struct buf raw;
	int rc;

	if (!alg)
		return refuse(e, "the algorithm is not permitted");
	/* RFC 7515, 4.1.11: extensions that must be understood; none is. */
	if (json_object_get(header, "crit"))
		return refuse(e, "the token needs an extension that is not known");
	if (kid && (!json_is_string(kid) || strlen(json_string_value(kid)) != json_string_length(kid)))
		return refuse(e, "the token is malformed");
	buf_init(&raw, SIGNATURE_BYTES_MAX);
	if (base64url_decode(signature, &raw) < 0)
		rc = refuse(e, "the token is malformed");
	else
		rc = verify_with_keys(keys, alg, json_string_value(kid), input, buf_str(&raw), e);
	buf_done(&raw);
	return rc;
}

json_t *bearer_verify(const struct jwks *keys, struct str token, struct err *e)
{
	struct str header_text, claims_text, signature;
	json_t *claims = NULL;

	if (token.len > JWT_BYTES_MAX || !split(token, &header_text, &claims_text, &signature)) {
		refuse(e, "the token is malformed");
		return NULL;
	}
	struct str input = {token.ptr, (size_t)(signature.ptr - 1 - token.ptr)};
	json_t *header = decode_object(header_text, e);
	/* Claims are not looked at before the signature is right. */
	if (header && verify_header(keys, header, input, signature, e) == 0)
		claims = decode_object(claims_text, e);
	json_decref(header);
	return claims;
}

/* ---- claims: RFC 7519, 4.1 ---- */

static bool text_is(const json_t *v, const char *want)
{
	return json_is_string(v) && strlen(want) == json_string_length(v) && strcmp(json_string_value(v), want) == 0;
}

static bool audience_fits(const json_t *aud, const struct jwt_rules *r)
{
	for (size_t i = 0; i < r->n_audiences; i++) {
		const json_t *one;
		size_t at;

		if (text_is(aud, r->audiences[i]))
			return true;
		json_array_foreach(aud, at, one)
			if (text_is(one, r->audiences[i]))
				return true;
	}
	return r->n_audiences == 0;
}

int jwt_check(const json_t *claims, const struct jwt_rules *r, struct err *e)
{
	const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf");
	double now = (double)r->now_s;

	if ((exp && !json_is_number(exp)) || (nbf && !json_is_number(nbf)))
		return refuse(e, "the token is malformed");
	if (exp && json_number_value(exp) + JWT_LEEWAY_S <= now)
		return refuse(e, "the token has expired");
	if (nbf && json_number_value(nbf) - JWT_LEEWAY_S > now)
		return refuse(e, "the token is not valid yet");
	if (r->issuer && !text_is(json_object_get(claims, "iss"), r->issuer))
		return refuse(e, "the issuer is wrong");
	if (!audience_fits(json_object_get(claims, "aud"), r))
		return refuse(e, "the audience is wrong");
	return 0;
}
