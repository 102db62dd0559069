/* Bearer tokens: keys and signatures are made here with OpenSSL, by code that shares nothing with what is tested. */
#include "roles/ingress/filter/jwt.h"

#include "roles/ingress/observe/metrics.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <cmocka.h>

#include "unit/ingress_fake.h"

static struct err e;
static EVP_PKEY *rsa, *p256, *p384, *p521, *ed, *other;
static struct jwks *all;

/* ---- making ---- */

static char *b64(const void *data, size_t len)
{
	static char pool[64][30000];
	static unsigned next;
	char *out = pool[next++ % 64], *w = out;
	int n = EVP_EncodeBlock((unsigned char *)out, data, (int)len);

	for (int i = 0; i < n; i++)
		if (out[i] != '=')
			*w++ = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
	*w = '\0';
	return out;
}

static char *b64_number(EVP_PKEY *k, const char *param, int bytes)
{
	unsigned char raw[1024];
	BIGNUM *n = NULL;

	assert_int_equal(EVP_PKEY_get_bn_param(k, param, &n), 1);
	if (!bytes)
		bytes = BN_num_bytes(n);
	BN_bn2binpad(n, raw, bytes);
	BN_free(n);
	return b64(raw, (size_t)bytes);
}

static char *jwk_ec(EVP_PKEY *k, const char *crv, int bytes, const char *kid)
{
	return xasprintf("{\"kty\":\"EC\",\"crv\":\"%s\",\"kid\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}", crv, kid,
			 b64_number(k, OSSL_PKEY_PARAM_EC_PUB_X, bytes), b64_number(k, OSSL_PKEY_PARAM_EC_PUB_Y, bytes));
}

static char *jwk_rsa(EVP_PKEY *k, const char *more)
{
	return xasprintf("{\"kty\":\"RSA\",%s\"n\":\"%s\",\"e\":\"%s\"}", more, b64_number(k, OSSL_PKEY_PARAM_RSA_N, 0),
			 b64_number(k, OSSL_PKEY_PARAM_RSA_E, 0));
}

static char *jwk_ed(EVP_PKEY *k, const char *kid)
{
	unsigned char raw[32];
	size_t len = sizeof(raw);

	EVP_PKEY_get_raw_public_key(k, raw, &len);
	return xasprintf("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"%s\",\"x\":\"%s\"}", kid, b64(raw, len));
}

/* "{"keys":[...]}" of these, which are freed. */
static char *set_of(char *const *keys, size_t n)
{
	struct buf out;

	buf_init(&out, 1u << 20);
	buf_puts(&out, "{\"keys\":[");
	for (size_t i = 0; i < n; i++) {
		buf_printf(&out, "%s%s", i ? "," : "", keys[i]);
		free(keys[i]);
	}
	buf_puts(&out, "]}");
	return buf_take(&out);
}

static struct jwks *set_new(char *key)
{
	cleanup(freep) char *text = set_of(&key, 1);

	return jwks_new(str_of(text), &e);
}

/* `half`: ECDSA's r and s as JOSE wants them. */
static char *sign(EVP_PKEY *k, const char *digest, bool pss, int half, const char *input)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *ctx;
	unsigned char sig[1024], raw[132];
	const unsigned char *at = sig;
	size_t len = sizeof(sig);

	assert_int_equal(EVP_DigestSignInit_ex(md, &ctx, digest, NULL, NULL, k, NULL), 1);
	if (pss) {
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST);
	}
	assert_int_equal(EVP_DigestSign(md, sig, &len, (const unsigned char *)input, strlen(input)), 1);
	EVP_MD_CTX_free(md);
	if (!half)
		return b64(sig, len);
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &at, (long)len);
	BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, half);
	BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + half, half);
	ECDSA_SIG_free(s);
	return b64(raw, 2 * (size_t)half);
}

static char token_text[40000];
static struct str token(EVP_PKEY *k, const char *header, const char *claims, const char *digest, bool pss, int half)
{
	static char input[30000];

	snprintf(input, sizeof(input), "%s.%s", b64(header, strlen(header)), b64(claims, strlen(claims)));
	snprintf(token_text, sizeof(token_text), "%s.%s", input, sign(k, digest, pss, half, input));
	return str_of(token_text);
}

static struct str es256(const char *header, const char *claims)
{
	return token(p256, header, claims, "SHA256", false, 32);
}

static bool verified(const struct jwks *keys, struct str t)
{
	json_t *claims = bearer_verify(keys, t, &e);

	json_decref(claims);
	return claims != NULL;
}

/* ---- signatures ---- */

static void test_algorithms(void **state)
{
	const struct {
		const char *alg;
		EVP_PKEY *key;
		const char *digest;
		bool pss;
		int half;
	} rows[] = {
		{"RS256", rsa, "SHA256", false, 0}, {"RS384", rsa, "SHA384", false, 0}, {"RS512", rsa, "SHA512", false, 0},
		{"PS256", rsa, "SHA256", true, 0},  {"PS384", rsa, "SHA384", true, 0},	{"PS512", rsa, "SHA512", true, 0},
		{"ES256", p256, "SHA256", false, 32}, {"ES384", p384, "SHA384", false, 48},
		{"ES512", p521, "SHA512", false, 66}, {"EdDSA", ed, NULL, false, 0}, {"Ed25519", ed, NULL, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char header[64];

		snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", rows[i].alg);
		struct str t = token(rows[i].key, header, "{\"sub\":\"ann\"}", rows[i].digest, rows[i].pss, rows[i].half);
		json_t *claims = bearer_verify(all, t, &e);
		if (!claims)
			fail_msg("%s: %s", rows[i].alg, e.message);
		assert_string_equal(json_string_value(json_object_get(claims, "sub")), "ann");
		json_decref(claims);
		/* any other byte of it is another token */
		for (size_t at = 0; at < t.len; at += 7) {
			token_text[at] ^= 1;
			if (verified(all, t))
				fail_msg("%s: changed at %zu", rows[i].alg, at);
			token_text[at] ^= 1;
		}
		for (size_t cut = 1; cut < 40; cut++)
			assert_false(verified(all, (struct str){t.ptr, t.len - cut}));
	}
}

/* Each header is signed rightly with what a confused reader would take for the key. */
static void test_confusions(void **state)
{
	char input[512], signature[EVP_MAX_MD_SIZE];
	unsigned len;
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;

	(void)state;
	const char *none = b64("{\"alg\":\"none\"}", 14), *claims = b64("{}", 2);
	snprintf(input, sizeof(input), "%s.%s.", none, claims);
	assert_false(verified(all, str_of(input)));
	snprintf(input, sizeof(input), "%s.%s", none, claims);
	assert_false(verified(all, str_of(input)));
	snprintf(input, sizeof(input), "%s.%s.%s", none, claims, claims);
	assert_false(verified(all, str_of(input)));

	PEM_write_bio_PUBKEY(bio, rsa);
	long pem_len = BIO_get_mem_data(bio, &pem);
	snprintf(input, sizeof(input), "%s.%s", b64("{\"alg\":\"HS256\"}", 15), claims);
	HMAC(EVP_sha256(), pem, (int)pem_len, (unsigned char *)input, strlen(input), (unsigned char *)signature, &len);
	snprintf(token_text, sizeof(token_text), "%s.%s", input, b64(signature, len));
	assert_false(verified(all, str_of(token_text)));
	assert_string_equal(e.message, "the algorithm is not permitted");
	BIO_free(bio);

	/* another padding, digest or curve than the header says */
	assert_false(verified(all, token(rsa, "{\"alg\":\"RS256\"}", "{}", "SHA256", true, 0)));
	assert_false(verified(all, token(rsa, "{\"alg\":\"PS256\"}", "{}", "SHA256", false, 0)));
	assert_false(verified(all, token(rsa, "{\"alg\":\"RS256\"}", "{}", "SHA512", false, 0)));
	assert_false(verified(all, token(p256, "{\"alg\":\"ES384\"}", "{}", "SHA384", false, 48)));
	/* DER in place of r and s, and a pair of zeros (CVE-2022-21449) */
	assert_false(verified(all, token(p256, "{\"alg\":\"ES256\"}", "{}", "SHA256", false, 0)));
	char zeros[64] = {0};
	snprintf(token_text, sizeof(token_text), "%s.%s.%s", b64("{\"alg\":\"ES256\"}", 15), claims, b64(zeros, 64));
	assert_false(verified(all, str_of(token_text)));
	/* a key that came with the token */
	assert_false(verified(all, token(other, "{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"EC\"},\"jku\":\"http://x\"}", "{}",
					 "SHA256", false, 32)));
}

static void test_header(void **state)
{
	(void)state;
	assert_true(verified(all, es256("{\"typ\":\"JWT\",\"kid\":\"p256\",\"alg\":\"ES256\"}", "{}")));
	assert_false(verified(all, es256("{\"alg\":\"ES256\",\"kid\":\"p384\"}", "{}")));
	assert_string_equal(e.message, "there is no key for the token");
	assert_false(verified(all, es256("{\"alg\":\"ES256\",\"kid\":1}", "{}")));
	assert_false(verified(all, es256("{\"alg\":\"ES256\",\"kid\":\"p256\\u0000x\"}", "{}")));
	assert_false(verified(all, es256("{\"alg\":\"ES256\",\"crit\":[\"b64\"],\"b64\":false}", "{}")));
	assert_false(verified(all, es256("{\"alg\":[\"ES256\"]}", "{}")));
	assert_false(verified(all, es256("{}", "{}")));
	assert_false(verified(all, es256("[]", "{}")));
	assert_false(verified(all, es256("{\"alg\":\"ES256\"} x", "{}")));
	assert_false(verified(all, es256("{\"alg\":\"ES256\"}", "[]")));
	assert_false(verified(all, es256("{\"alg\":\"ES256\"}", "{\"a\":")));
}

static void test_malformed(void **state)
{
	static const char *const bad[] = {"", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "e30.e30.", "e30..e30", ".e30.e30"};
	char big[JWT_BYTES_MAX + 100];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(verified(all, str_of(bad[i])));
	struct str t = es256("{\"alg\":\"ES256\"}", "{}");
	snprintf(big, sizeof(big), "%s=", t.ptr);
	assert_false(verified(all, str_of(big)));
	snprintf(big, sizeof(big), "%s.", t.ptr);
	assert_false(verified(all, str_of(big)));
	snprintf(big, sizeof(big), " %s", t.ptr);
	assert_false(verified(all, str_of(big)));
	/* a large one passes, a larger one does not */
	char *claims = xmalloc(JWT_BYTES_MAX);
	memset(claims, ' ', JWT_BYTES_MAX);
	claims[0] = '{';
	claims[11000] = '}';
	claims[11001] = '\0';
	assert_true(verified(all, es256("{\"alg\":\"ES256\"}", claims)));
	claims[11000] = claims[11001] = ' ';
	claims[12300] = '}';
	claims[12301] = '\0';
	assert_false(verified(all, es256("{\"alg\":\"ES256\"}", claims)));
	free(claims);
}

/* ---- claims ---- */

#define NOW 1000000
static char *one_aud[] = {(char *)"api"}, *two_auds[] = {(char *)"x", (char *)"api"};
static const struct {
	const char *claims;
	const char *issuer;
	char *const *audiences;
	size_t n;
	const char *why; /* NULL: right */
} claim_rows[] = {
	{"{}", NULL, NULL, 0, NULL},
	{"{\"exp\":999941}", NULL, NULL, 0, NULL},
	{"{\"exp\":999940}", NULL, NULL, 0, "the token has expired"},
	{"{\"exp\":999940.5}", NULL, NULL, 0, NULL},
	{"{\"exp\":-1}", NULL, NULL, 0, "the token has expired"},
	{"{\"exp\":\"2000000\"}", NULL, NULL, 0, "the token is malformed"},
	{"{\"exp\":null}", NULL, NULL, 0, "the token is malformed"},
	{"{\"exp\":1e300}", NULL, NULL, 0, NULL},
	{"{\"nbf\":1000060}", NULL, NULL, 0, NULL},
	{"{\"nbf\":1000061}", NULL, NULL, 0, "the token is not valid yet"},
	{"{\"nbf\":true}", NULL, NULL, 0, "the token is malformed"},
	{"{\"iss\":\"me\"}", "me", NULL, 0, NULL},
	{"{\"iss\":\"me\\u0000x\"}", "me", NULL, 0, "the issuer is wrong"},
	{"{\"iss\":\"Me\"}", "me", NULL, 0, "the issuer is wrong"},
	{"{\"iss\":[\"me\"]}", "me", NULL, 0, "the issuer is wrong"},
	{"{}", "me", NULL, 0, "the issuer is wrong"},
	{"{\"aud\":\"api\"}", NULL, one_aud, 1, NULL},
	{"{\"aud\":[\"web\",\"api\"]}", NULL, one_aud, 1, NULL},
	{"{\"aud\":[\"web\",\"api\"]}", NULL, two_auds, 2, NULL},
	{"{\"aud\":[\"web\"]}", NULL, two_auds, 2, "the audience is wrong"},
	{"{\"aud\":[]}", NULL, one_aud, 1, "the audience is wrong"},
	{"{\"aud\":{\"api\":1}}", NULL, one_aud, 1, "the audience is wrong"},
	{"{}", NULL, one_aud, 1, "the audience is wrong"},
};

static void test_claims(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(claim_rows); i++) {
		struct jwt_rules r = {claim_rows[i].issuer, claim_rows[i].audiences, claim_rows[i].n, NOW};
		json_t *claims = json_loads(claim_rows[i].claims, JSON_ALLOW_NUL, NULL);
		int rc = jwt_check(claims, &r, &e);

		if ((rc == 0) != !claim_rows[i].why || (rc < 0 && strcmp(e.message, claim_rows[i].why) != 0))
			fail_msg("%s: %s", claim_rows[i].claims, rc ? e.message : "taken");
		json_decref(claims);
	}
}

/* ---- key sets ---- */

static void test_sets_that_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "{", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}",
		"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}",
		"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
		"{\"keys\":[{\"kty\":\"RSA\"}]}",
		"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQAB\",\"y\":\"AQAB\"}]}",
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQAB\"}]}",
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"AQAB\"}]}",
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"not+base64url/\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (jwks_new(str_of(bad[i]), &e))
			fail_msg("%s", bad[i]);
	/* a point that is not on the curve, short RSA, an algorithm of another kind */
	assert_null(set_new(xasprintf("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}",
				      b64_number(p256, OSSL_PKEY_PARAM_EC_PUB_X, 32), b64_number(other, OSSL_PKEY_PARAM_EC_PUB_Y, 32))));
	EVP_PKEY *small = EVP_RSA_gen(1024);
	assert_null(set_new(jwk_rsa(small, "")));
	EVP_PKEY_free(small);
	assert_null(set_new(jwk_rsa(rsa, "\"alg\":\"ES256\",")));
}

static void test_what_keys_are_for(void **state)
{
	struct jwks *k;

	(void)state;
	assert_null(set_new(jwk_rsa(rsa, "\"use\":\"enc\",")));
	assert_null(set_new(jwk_rsa(rsa, "\"key_ops\":[\"encrypt\"],")));
	assert_null(set_new(jwk_rsa(rsa, "\"alg\":\"RSA-OAEP\",")));
	k = set_new(jwk_rsa(rsa, "\"use\":\"sig\",\"key_ops\":[\"verify\"],\"alg\":\"PS256\","));
	assert_non_null(k);
	assert_true(verified(k, token(rsa, "{\"alg\":\"PS256\"}", "{}", "SHA256", true, 0)));
	/* the same key and a right signature, but not what it is for */
	assert_false(verified(k, token(rsa, "{\"alg\":\"RS256\"}", "{}", "SHA256", false, 0)));
	assert_false(verified(k, token(rsa, "{\"alg\":\"PS384\"}", "{}", "SHA384", true, 0)));
	/* a key without a name serves tokens that name one */
	assert_true(verified(k, token(rsa, "{\"alg\":\"PS256\",\"kid\":\"x\"}", "{}", "SHA256", true, 0)));
	jwks_free(k);
}

static void test_many_keys(void **state)
{
	char *keys[JWKS_KEYS_MAX + 1];

	(void)state;
	for (size_t n = JWKS_KEYS_MAX; n <= JWKS_KEYS_MAX + 1; n++) {
		for (size_t i = 0; i < n; i++)
			keys[i] = jwk_ec(i == n - 1 ? p256 : other, "P-256", 32, i == n - 1 ? "last" : "x");
		cleanup(freep) char *text = set_of(keys, n);
		struct jwks *k = jwks_new(str_of(text), &e);
		assert_int_equal(k != NULL, n == JWKS_KEYS_MAX);
		/* without a name, only the first few are tried */
		assert_false(k && verified(k, es256("{\"alg\":\"ES256\"}", "{}")));
		assert_true(!k || verified(k, es256("{\"alg\":\"ES256\",\"kid\":\"last\"}", "{}")));
		jwks_free(k);
	}
}

/* ---- the cache ---- */

static void test_cache(void **state)
{
	struct jwt_cache *c = jwt_cache_new();
	struct jwks *same = set_new(jwk_ec(other, "P-256", 32, "x"));
	struct str t = es256("{\"alg\":\"ES256\"}", "{\"exp\":1000100}");
	json_t *a, *b;

	(void)state;
	a = jwt_cache_verify(c, all, t, NOW, &e);
	b = jwt_cache_verify(c, all, t, NOW, &e);
	assert_non_null(a);
	assert_ptr_equal(a, b); /* the second time it was not decoded */
	json_decref(b);
	assert_null(jwt_cache_verify(c, same, t, NOW, &e)); /* other keys, another answer */
	b = jwt_cache_verify(c, all, t, NOW + 161, &e);
	assert_ptr_equal(a, b); /* forgotten now, though the caller sees why */
	json_decref(b);
	b = jwt_cache_verify(c, all, t, NOW + 161, &e);
	assert_ptr_not_equal(a, b);
	json_decref(a);
	json_decref(b);
	token_text[t.len - 1] ^= 4;
	assert_null(jwt_cache_verify(c, all, t, NOW, &e));
	for (int i = 0; i < JWT_CACHE_MAX + 20; i++) {
		char claims[64];

		snprintf(claims, sizeof(claims), "{\"n\":%d}", i);
		b = jwt_cache_verify(c, all, es256("{\"alg\":\"ES256\"}", claims), NOW, &e);
		assert_non_null(b);
		json_decref(b);
	}
	jwt_cache_free(c);
	jwks_free(same);
}

/* ---- the filter ---- */

static struct fake f;
static struct metrics_shard shard;

static void begin(void)
{
	fake_init(&f, "GET", "http://a.test/");
	f.worker.metrics = &shard;
	f.set.jwt_jwks = all;
}

static void finish(void)
{
	fake_done(&f);
	jwt_cache_free(f.worker.jwt_cache);
}

static enum filter_verdict with(const char *authorization)
{
	if (authorization)
		fake_header(&f, "Authorization", authorization);
	return fake_request(&f, &filter_jwt);
}

static const char *bearer(const char *claims)
{
	struct str t = es256("{\"alg\":\"ES256\"}", claims);

	return arena_printf(&f.x.arena, "Bearer " STR_FMT, STR_ARG(t));
}

static void test_who_passes(void **state)
{
	(void)state;
	begin();
	assert_int_equal(with(bearer("{\"sub\":\"ann\"}")), FILTER_NEXT);
	assert_true(str_eq_c(f.x.remote_user, "ann"));
	assert_true(f.x.access_granted);
	finish();
	begin();
	const char *t = bearer("{}");
	assert_int_equal(with(arena_printf(&f.x.arena, "bEaReR   %s ", t + 7)), FILTER_NEXT);
	finish();
	begin();
	f.set.satisfy = SATISFY_ANY;
	f.x.access_granted = true;
	assert_int_equal(with(NULL), FILTER_NEXT);
	finish();
}

static void test_who_is_refused(void **state)
{
	static const struct {
		const char *authorization, *want;
	} rows[] = {
		{NULL, "Bearer realm=\"a.test\""},
		{"Basic YTpi", "Bearer realm=\"a.test\""},
		{"Bearer", "Bearer realm=\"a.test\""},
		{"Bearer ", "Bearer realm=\"a.test\""},
		{"Bearer a.b.c", "Bearer realm=\"a.test\", error=\"invalid_token\", error_description=\"the token is malformed\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin();
		assert_int_equal(with(rows[i].authorization), FILTER_ANSWERED);
		assert_int_equal(f.status, 401);
		assert_int_equal(fake_answer(&f, &filter_jwt, 0), FILTER_NEXT);
		assert_string_equal(fake_answer_header(&f, "WWW-Authenticate"), rows[i].want);
		finish();
	}
	begin();
	fake_header(&f, "authorization", bearer("{}"));
	assert_int_equal(with(bearer("{}")), FILTER_ANSWERED); /* which of the two would the upstream read? */
	finish();
	begin();
	assert_int_equal(with(bearer("{\"exp\":1}")), FILTER_ANSWERED);
	fake_answer(&f, &filter_jwt, 0);
	assert_non_null(strstr(fake_answer_header(&f, "WWW-Authenticate"), "the token has expired"));
	finish();
}

static const struct {
	char *row;
	const char *header, *want;
} forwards[] = {
	{(char *)"sub", "X-Jwt-Claim-sub", "ann"},
	{(char *)"sub=X-User", "X-User", "ann"},
	{(char *)"n", "X-Jwt-Claim-n", "7"},
	{(char *)"ok", "X-Jwt-Claim-ok", "true"},
	{(char *)"roles=X-Roles", "X-Roles", "a,b,3"},
	{(char *)"realm.roles=X-Realm-Roles", "X-Realm-Roles", "c"},
	{(char *)"https://x/y=X-Url", "X-Url", "z"},
	{(char *)"obj=X-Obj", "X-Obj", "{\"k\":[1]}"},
	{(char *)"evil=X-Evil", "X-Evil", NULL},
	{(char *)"nul=X-Nul", "X-Nul", NULL},
	{(char *)"absent=X-Absent", "X-Absent", NULL},
	{(char *)"deep=X-Deep", "X-Deep", NULL},
	{(char *)"empty=X-Empty", "X-Empty", NULL},
};

static void test_claims_for_the_upstream(void **state)
{
	char *rows[ARRAY_LEN(forwards) + 2];

	(void)state;
	begin();
	for (size_t i = 0; i < ARRAY_LEN(forwards); i++) {
		rows[i] = forwards[i].row;
		header_add(&f.x, &f.x.up_headers, forwards[i].header, STR("forged"));
	}
	rows[ARRAY_LEN(forwards)] = (char *)"sub=bad header";
	rows[ARRAY_LEN(forwards) + 1] = (char *)"sub=";
	f.set.jwt_forward_claims = (struct str_list){rows, ARRAY_LEN(rows)};
	assert_int_equal(with(bearer("{\"sub\":\"ann\",\"n\":7,\"ok\":true,\"roles\":[\"a\",\"b\",3],\"realm\":{\"roles\":[\"c\"]},"
				     "\"https://x/y\":\"z\",\"obj\":{\"k\":[1]},\"evil\":\"a\\r\\nX-User: root\",\"nul\":\"a\\u0000b\","
				     "\"deep\":[[1]],\"empty\":\"\"}")),
			 FILTER_NEXT);
	fake_upstream(&f, &filter_jwt);
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(forwards); i++) {
		const char *got = fake_up_header(&f, forwards[i].header);

		if (!c_eq(got, forwards[i].want))
			fail_msg("%s: %s", forwards[i].row, got);
		n += got != NULL;
	}
	assert_int_equal(f.x.up_headers.n, n);
	finish();
}

static int setup(void **state)
{
	char *keys[5];

	(void)state;
	rsa = EVP_RSA_gen(2048);
	p256 = EVP_EC_gen("P-256");
	p384 = EVP_EC_gen("P-384");
	p521 = EVP_EC_gen("P-521");
	other = EVP_EC_gen("P-256");
	ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	keys[0] = jwk_rsa(rsa, "\"kid\":\"rsa\",");
	keys[1] = jwk_ec(p256, "P-256", 32, "p256");
	keys[2] = jwk_ec(p384, "P-384", 48, "p384");
	keys[3] = jwk_ec(p521, "P-521", 66, "p521");
	keys[4] = jwk_ed(ed, "ed");
	cleanup(freep) char *text = set_of(keys, 5);
	all = jwks_new(str_of(text), &e);
	return all && jwks_count(all) == 5 ? 0 : -1;
}

static int teardown(void **state)
{
	EVP_PKEY *const keys[] = {rsa, p256, p384, p521, other, ed};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		EVP_PKEY_free(keys[i]);
	jwks_free(all);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algorithms),
		cmocka_unit_test(test_confusions),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_sets_that_are_refused),
		cmocka_unit_test(test_what_keys_are_for),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_who_passes),
		cmocka_unit_test(test_who_is_refused),
		cmocka_unit_test(test_claims_for_the_upstream),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
