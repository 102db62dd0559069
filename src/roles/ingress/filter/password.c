/* Password hashes of htpasswd files. */
#include "codec/base64.h"
#include "roles/ingress/filter/htpasswd_int.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

/* Who may write a Secret must not be able to occupy the threads that verify: the dearest hash costs about a second. */
#define BCRYPT_COST_MAX 14
#define SHA_CRYPT_ROUNDS_MAX 1000000
#define SHA1_BYTES 20
#define MD5_BYTES 16
#define APR1_SALT_MAX 8
#define APR1_ROUNDS 1000
#define APR1_HASH_CHARS 22

static const char crypt_digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static bool is_crypt_text(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '\0' || strchr(crypt_digits, s.ptr[i]) == NULL)
			return false;
	return true;
}

static bool equal_constant_time(struct str a, struct str b)
{
	return a.len == b.len && CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0;
}

static struct str after(struct str s, const char *prefix)
{
	size_t n = strlen(prefix);
	return (struct str){ s.ptr + n, s.len - n };
}

/* ---- crypt(3) ---- */

static bool libcrypt_verify(struct str hash, struct str password)
{
	char setting[HTPASSWD_HASH_MAX + 1], phrase[HTPASSWD_PASSWORD_MAX + 1];
	memcpy(setting, hash.ptr, hash.len);
	setting[hash.len] = '\0';
	memcpy(phrase, password.ptr, password.len);
	phrase[password.len] = '\0';
	struct crypt_data *data = xcalloc(1, sizeof(*data));
	const char *out = crypt_r(phrase, setting, data);
	bool ok = out != NULL && out[0] != '*' && equal_constant_time(str_of(out), hash);
	OPENSSL_cleanse(phrase, sizeof(phrase));
	OPENSSL_cleanse(data, sizeof(*data));
	free(data);
	return ok;
}

static bool bcrypt_usable(struct str hash)
{
	uint64_t cost;
	return hash.len == 60 && hash.ptr[6] == '$' && is_crypt_text((struct str){ hash.ptr + 7, 53 }) &&
	       str_to_u64((struct str){ hash.ptr + 4, 2 }, BCRYPT_COST_MAX, &cost);
}

/* "[rounds=N$]salt$hash" behind "$5$" or "$6$" */
static bool sha_crypt_usable(struct str hash)
{
	struct str rest = after(hash, "$5$");
	if (str_starts(rest, STR("rounds="))) {
		uint64_t rounds;
		struct str number = str_cut(after(rest, "rounds="), '$', &rest);
		if (!str_to_u64(number, SHA_CRYPT_ROUNDS_MAX, &rounds))
			return false;
	}
	struct str digest;
	str_cut(rest, '$', &digest);
	return digest.len == (hash.ptr[1] == '5' ? 43u : 86u) && is_crypt_text(digest);
}

static bool md5_crypt_usable(struct str hash)
{
	struct str digest;
	str_cut(after(hash, "$1$"), '$', &digest);
	return digest.len == APR1_HASH_CHARS && is_crypt_text(digest);
}

/* "$y$jNr$salt$hash": crypt_gensalt's costs 1 to 6; 6 takes 32 MiB */
static bool yescrypt_usable(struct str hash)
{
	return hash.len > 8 && hash.ptr[3] == 'j' && strchr("789A", hash.ptr[4]) != NULL && strchr("5T", hash.ptr[5]) != NULL &&
	       hash.ptr[4] != '\0' && hash.ptr[5] != '\0' && hash.ptr[6] == '$';
}

static bool des_usable(struct str hash)
{
	return hash.len == 13 && is_crypt_text(hash);
}

/* ---- $apr1$: Apache's variety of Poul-Henning Kamp's MD5 crypt ---- */

static bool md5_put(EVP_MD_CTX *ctx, const void *data, size_t len)
{
	return EVP_DigestUpdate(ctx, data, len) == 1;
}

static bool apr1_first(EVP_MD_CTX *ctx, struct str password, struct str salt, uint8_t digest[MD5_BYTES])
{
	uint8_t other[MD5_BYTES];
	bool ok = EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1 && md5_put(ctx, password.ptr, password.len) &&
		  md5_put(ctx, salt.ptr, salt.len) && md5_put(ctx, password.ptr, password.len) &&
		  EVP_DigestFinal_ex(ctx, other, NULL) == 1;
	ok = ok && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1 && md5_put(ctx, password.ptr, password.len) &&
	     md5_put(ctx, "$apr1$", 6) && md5_put(ctx, salt.ptr, salt.len);
	for (size_t left = password.len; ok && left > 0; left -= MIN(left, MD5_BYTES))
		ok = md5_put(ctx, other, MIN(left, MD5_BYTES));
	for (size_t bits = password.len; ok && bits > 0; bits >>= 1)
		ok = md5_put(ctx, bits & 1 ? "" : password.ptr, 1);
	return ok && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
}

static bool apr1_round(EVP_MD_CTX *ctx, unsigned i, struct str password, struct str salt, uint8_t digest[MD5_BYTES])
{
	struct str last = { (char *)digest, MD5_BYTES };
	struct str first = i & 1 ? password : last, second = i & 1 ? last : password;
	return EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1 && md5_put(ctx, first.ptr, first.len) &&
	       (i % 3 == 0 || md5_put(ctx, salt.ptr, salt.len)) && (i % 7 == 0 || md5_put(ctx, password.ptr, password.len)) &&
	       md5_put(ctx, second.ptr, second.len) && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
}

static void apr1_text(const uint8_t d[MD5_BYTES], char out[APR1_HASH_CHARS])
{
	static const uint8_t order[5][3] = { { 0, 6, 12 }, { 1, 7, 13 }, { 2, 8, 14 }, { 3, 9, 15 }, { 4, 10, 5 } };
	size_t n = 0;
	for (size_t i = 0; i < 5; i++) {
		uint32_t v = (uint32_t)d[order[i][0]] << 16 | (uint32_t)d[order[i][1]] << 8 | d[order[i][2]];
		for (size_t k = 0; k < 4; k++, v >>= 6)
			out[n++] = crypt_digits[v & 63];
	}
	out[n++] = crypt_digits[d[11] & 63];
	out[n] = crypt_digits[d[11] >> 6];
}

static bool apr1_usable(struct str hash)
{
	struct str digest, salt = str_cut(after(hash, "$apr1$"), '$', &digest);
	return salt.len <= APR1_SALT_MAX && digest.len == APR1_HASH_CHARS;
}

static bool apr1_verify(struct str hash, struct str password)
{
	struct str wanted, salt = str_cut(after(hash, "$apr1$"), '$', &wanted);
	uint8_t digest[MD5_BYTES];
	char text[APR1_HASH_CHARS];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && apr1_first(ctx, password, salt, digest);
	for (unsigned i = 0; ok && i < APR1_ROUNDS; i++)
		ok = apr1_round(ctx, i, password, salt, digest);
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return false;
	apr1_text(digest, text);
	return equal_constant_time((struct str){ text, sizeof(text) }, wanted);
}

/* ---- {SHA}, {SSHA}: base64 of SHA-1 of the password and a salt, then the salt; {PLAIN} ---- */

static bool salted_sha1_verify(struct str base64, struct str password, size_t salt_max)
{
	struct buf raw;
	buf_init(&raw, HTPASSWD_HASH_MAX);
	size_t bad_at;
	unsigned char digest[EVP_MAX_MD_SIZE];
	bool ok = base64_decode(base64, &raw, &bad_at) == 0 && raw.len >= SHA1_BYTES && raw.len - SHA1_BYTES <= salt_max;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	ok = ok && ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1 && md5_put(ctx, password.ptr, password.len) &&
	     md5_put(ctx, raw.ptr + SHA1_BYTES, raw.len - SHA1_BYTES) && EVP_DigestFinal_ex(ctx, digest, NULL) == 1 &&
	     CRYPTO_memcmp(digest, raw.ptr, SHA1_BYTES) == 0;
	EVP_MD_CTX_free(ctx);
	buf_done(&raw);
	return ok;
}

static bool sha_verify(struct str hash, struct str password)
{
	return salted_sha1_verify(after(hash, "{SHA}"), password, 0);
}

static bool ssha_verify(struct str hash, struct str password)
{
	return salted_sha1_verify(after(hash, "{SSHA}"), password, HTPASSWD_HASH_MAX);
}

static bool plain_verify(struct str hash, struct str password)
{
	return equal_constant_time(after(hash, "{PLAIN}"), password);
}

static bool base64_usable(struct str hash)
{
	struct str rest;
	str_cut(hash, '}', &rest);
	return rest.len >= 28;
}

static bool always_usable(struct str hash)
{
	(void)hash;
	return true;
}

static const struct password_scheme schemes[] = {
	{ "$apr1$", false, apr1_usable, apr1_verify },
	{ "$2a$", false, bcrypt_usable, libcrypt_verify },
	{ "$2b$", false, bcrypt_usable, libcrypt_verify },
	{ "$2y$", false, bcrypt_usable, libcrypt_verify },
	{ "$5$", false, sha_crypt_usable, libcrypt_verify },
	{ "$6$", false, sha_crypt_usable, libcrypt_verify },
	{ "$1$", false, md5_crypt_usable, libcrypt_verify },
	{ "$y$", false, yescrypt_usable, libcrypt_verify },
	{ "{SHA}", true, base64_usable, sha_verify },
	{ "{SSHA}", true, base64_usable, ssha_verify },
	{ "{PLAIN}", true, always_usable, plain_verify },
	{ "", false, des_usable, libcrypt_verify },
};

const struct password_scheme *password_scheme(struct str hash)
{
	if (hash.len == 0 || hash.len > HTPASSWD_HASH_MAX || memchr(hash.ptr, '\0', hash.len) != NULL)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (str_starts(hash, str_of(schemes[i].prefix)))
			return schemes[i].usable(hash) ? &schemes[i] : NULL;
	return NULL;
}

bool password_hash_is_quick(struct str hash)
{
	const struct password_scheme *s = password_scheme(hash);
	return s == NULL || s->quick;
}

bool password_verify(struct str hash, struct str password)
{
	const struct password_scheme *s = password_scheme(hash);
	if (password.ptr == NULL)
		password = STR("");
	/* crypt(3) would stop at a NUL and take the rest for granted. */
	if (s == NULL || password.len > HTPASSWD_PASSWORD_MAX || memchr(password.ptr, '\0', password.len) != NULL)
		return false;
	return s->verify(hash, password);
}
