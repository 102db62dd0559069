#include "roles/apiserver/jwt.h"

#include "base/file.h"
#include "codec/base64url.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>

#define KEY_FILE_BYTES (64u << 10)
#define ES256_PART_BYTES 32 /* r and s are each as long as the curve's order */

static int key_fill_id(struct jwt_key *k, struct err *e)
{
	unsigned char *der = NULL, digest[SHA256_DIGEST_LENGTH];
	int len = i2d_PUBKEY(k->pkey, &der);
	struct buf id;

	if (len <= 0)
		return err_set(e, ERR_INTERNAL, "the ServiceAccount key cannot be encoded");
	SHA256(der, (size_t)len, digest);
	OPENSSL_free(der);
	buf_init(&id, sizeof(k->id) - 1);
	base64url_put(&id, (struct str){ (char *)digest, sizeof(digest) });
	snprintf(k->id, sizeof(k->id), "%s", id.ptr);
	buf_done(&id);
	return 0;
}

int jwt_key_load(const char *pem_path, struct jwt_key *ret_key, struct err *e)
{
	struct buf pem;

	buf_init(&pem, KEY_FILE_BYTES);
	if (file_read(pem_path, &pem, e) < 0) {
		buf_done(&pem);
		return -1;
	}
	BIO *bio = BIO_new_mem_buf(pem.ptr ? pem.ptr : "", (int)pem.len);
	struct jwt_key k = { .pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL };
	BIO_free(bio);
	buf_done(&pem);
	if (!k.pkey || EVP_PKEY_get_base_id(k.pkey) != EVP_PKEY_EC ||
	    EVP_PKEY_get_bits(k.pkey) != 256) {
		EVP_PKEY_free(k.pkey);
		return err_set(e, ERR_INTERNAL, "%s is not an EC P-256 private key in PEM form",
			       pem_path);
	}
	if (key_fill_id(&k, e) < 0) {
		EVP_PKEY_free(k.pkey);
		return -1;
	}
	*ret_key = k;
	return 0;
}

void jwt_key_done(struct jwt_key *k)
{
	EVP_PKEY_free(k->pkey);
	k->pkey = NULL;
}

static void put_part(struct buf *out, const json_t *v)
{
	cleanup(freep) char *text = jx_dump_text(v);

	base64url_put(out, str_of(text));
}

/* JOSE wants r and s side by side; OpenSSL speaks DER. */
static int der_to_raw(const unsigned char *der, size_t len, unsigned char raw[2 * ES256_PART_BYTES])
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	int ok = sig &&
		 BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, ES256_PART_BYTES) == ES256_PART_BYTES &&
		 BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + ES256_PART_BYTES, ES256_PART_BYTES) ==
			 ES256_PART_BYTES;

	ECDSA_SIG_free(sig);
	return ok ? 0 : -1;
}

static int raw_to_der(const unsigned char *raw, unsigned char **ret_der)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, ES256_PART_BYTES, NULL);
	BIGNUM *s = BN_bin2bn(raw + ES256_PART_BYTES, ES256_PART_BYTES, NULL);
	int len = -1;

	*ret_der = NULL;
	if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
		len = i2d_ECDSA_SIG(sig, ret_der);
	} else {
		BN_free(r);
		BN_free(s);
	}
	ECDSA_SIG_free(sig);
	return len;
}

static int sign_raw(const struct jwt_key *k, struct str text,
		    unsigned char raw[2 * ES256_PART_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char der[128];
	size_t len = sizeof(der);
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
		  EVP_DigestSign(ctx, der, &len, (const unsigned char *)text.ptr, text.len) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? der_to_raw(der, len, raw) : -1;
}

char *jwt_sign(const struct jwt_key *k, const json_t *claims, struct err *e)
{
	cleanup(json_decrefp) json_t *head = json_pack("{s:s,s:s}", "alg", "ES256", "kid", k->id);
	unsigned char raw[2 * ES256_PART_BYTES];
	struct buf out;

	buf_init(&out, JWT_BYTES_MAX);
	put_part(&out, head);
	buf_putc(&out, '.');
	put_part(&out, claims);
	if (out.overflow || sign_raw(k, buf_str(&out), raw) < 0) {
		buf_done(&out);
		err_set(e, ERR_INTERNAL, "the token cannot be signed");
		return NULL;
	}
	buf_putc(&out, '.');
	base64url_put(&out, (struct str){ (char *)raw, sizeof(raw) });
	return buf_take(&out);
}

static bool signature_ok(const struct jwt_key *k, struct str text, struct str raw)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char *der = NULL;
	int len = raw.len == 2 * ES256_PART_BYTES ? raw_to_der((const unsigned char *)raw.ptr, &der)
						  : -1;
	bool ok = ctx && len > 0 &&
		  EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, k->pkey) == 1 &&
		  EVP_DigestVerify(ctx, der, (size_t)len, (const unsigned char *)text.ptr,
				   text.len) == 1;

	OPENSSL_free(der);
	EVP_MD_CTX_free(ctx);
	return ok;
}

static json_t *part_json(struct str text, struct err *e)
{
	struct buf b;
	json_t *v = NULL;

	buf_init(&b, JWT_BYTES_MAX);
	if (base64url_decode(text, &b) == 0)
		v = jx_parse(buf_str(&b), JWT_BYTES_MAX, e);
	buf_done(&b);
	return v;
}

json_t *jwt_verify(const struct jwt_key *k, struct str token, struct err *e)
{
	struct str after_head, after_claims, head_text = str_cut(token, '.', &after_head);
	struct str claims_text =
		after_head.ptr ? str_cut(after_head, '.', &after_claims) : STR_NONE;
	struct buf raw;

	err_set(e, ERR_UNAUTHORIZED, "Unauthorized");
	if (token.len > JWT_BYTES_MAX || !claims_text.ptr || !after_claims.ptr)
		return NULL;
	cleanup(json_decrefp) json_t *head = part_json(head_text, e);
	/* Only what we sign ourselves is accepted: the token does not choose its algorithm. */
	if (!c_eq(jx_str(head, "alg"), "ES256"))
		return NULL;
	buf_init(&raw, 4 * ES256_PART_BYTES);
	struct str signed_text = { token.ptr, head_text.len + 1 + claims_text.len };
	bool ok = base64url_decode(after_claims, &raw) == 0 &&
		  signature_ok(k, signed_text, buf_str(&raw));
	buf_done(&raw);
	json_t *claims = ok ? part_json(claims_text, e) : NULL;
	if (!claims)
		err_set(e, ERR_UNAUTHORIZED, "Unauthorized");
	return claims;
}

static json_t *coordinate(const EVP_PKEY *pkey, const char *which)
{
	BIGNUM *n = NULL;
	unsigned char raw[ES256_PART_BYTES] = { 0 };
	struct buf text;

	if (EVP_PKEY_get_bn_param(pkey, which, &n))
		BN_bn2binpad(n, raw, sizeof(raw));
	BN_free(n);
	buf_init(&text, 2 * sizeof(raw));
	base64url_put(&text, (struct str){ (char *)raw, sizeof(raw) });
	json_t *v = json_string(text.ptr);
	buf_done(&text);
	return v;
}

json_t *jwt_public_jwk(const struct jwt_key *k)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "use", "sig", "kty", "EC", "kid", k->id,
			 "crv", "P-256", "alg", "ES256", "x",
			 coordinate(k->pkey, OSSL_PKEY_PARAM_EC_PUB_X), "y",
			 coordinate(k->pkey, OSSL_PKEY_PARAM_EC_PUB_Y));
}
