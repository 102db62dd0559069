#include "roles/ingress/filter/digest_auth.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>

#define NONCE_MS 60000 /* nginx-http-auth-digest's auth_digest_timeout */
#define AHEAD_MS 1000
#define MAC_BYTES 16
#define TIME_DIGITS 16

const char *const digest_names[DIGEST_ALGORITHMS] = { [DIGEST_SHA_256] = "SHA-256", [DIGEST_MD5] = "MD5" };

/* ---- hashes ---- */

static void to_hex(const uint8_t *bytes, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* The hash of the parts with colons between them. False: there is no such hash here, as MD5 where OpenSSL is bound to FIPS. */
static bool hash_parts(enum digest_algorithm a, const struct str *part, size_t n, char out[HTDIGEST_HEX_MAX + 1])
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, a == DIGEST_MD5 ? EVP_md5() : EVP_sha256(), NULL) == 1;

	for (size_t i = 0; i < n && ok; i++)
		ok = (!i || EVP_DigestUpdate(md, ":", 1) == 1) && EVP_DigestUpdate(md, part[i].ptr, part[i].len) == 1;
	ok = ok && EVP_DigestFinal_ex(md, sum, &len) == 1;
	EVP_MD_CTX_free(md);
	if (ok)
		to_hex(sum, MIN(len, HTDIGEST_HEX_MAX / 2u), out);
	return ok;
}

bool digest_response(const struct digest_credentials *c, const char *ha1, struct str method, char out[HTDIGEST_HEX_MAX + 1])
{
	char ha2[HTDIGEST_HEX_MAX + 1];
	const struct str request[] = { method, c->uri };

	if (!hash_parts(c->algorithm, request, ARRAY_LEN(request), ha2))
		return false;
	const struct str all[] = { str_of(ha1), c->nonce, c->nc, c->cnonce, STR("auth"), str_of(ha2) };
	return hash_parts(c->algorithm, all, ARRAY_LEN(all), out);
}

/* ---- nonces ---- */

static uint8_t nonce_key[32];

static void make_key(void)
{
	if (RAND_bytes(nonce_key, sizeof(nonce_key)) != 1)
		abort();
}

static void nonce_at(const char *realm, uint64_t at_ms, char out[DIGEST_NONCE_BYTES])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	cleanup(freep) char *text = xasprintf("%016" PRIx64 "%s", at_ms, realm);
	uint8_t mac[EVP_MAX_MD_SIZE] = { 0 };

	pthread_once(&once, make_key);
	if (!HMAC(EVP_sha256(), nonce_key, sizeof(nonce_key), (const uint8_t *)text, strlen(text), mac, NULL))
		abort(); /* anybody could make the nonces that would follow */
	memcpy(out, text, TIME_DIGITS);
	to_hex(mac, MAC_BYTES, out + TIME_DIGITS);
}

void digest_nonce_make(const char *realm, uint64_t now_ms, char out[DIGEST_NONCE_BYTES])
{
	nonce_at(realm, now_ms, out);
}

bool digest_nonce_fresh(struct str nonce, const char *realm, uint64_t now_ms)
{
	char digits[TIME_DIGITS + 1] = "", ours[DIGEST_NONCE_BYTES];

	if (nonce.len != DIGEST_NONCE_BYTES - 1)
		return false;
	memcpy(digits, nonce.ptr, TIME_DIGITS);
	uint64_t at_ms = strtoull(digits, NULL, 16);
	nonce_at(realm, at_ms, ours);
	/* Another worker's clock may be a turn of its loop ahead. */
	return CRYPTO_memcmp(ours, nonce.ptr, nonce.len) == 0 && at_ms <= now_ms + AHEAD_MS && now_ms <= at_ms + NONCE_MS;
}

/* ---- the header ---- */

struct parameter {
	struct str name, value;
};

static bool is_token(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static struct str take_token(struct str *s)
{
	size_t n = 0;

	while (n < s->len && is_token(s->ptr[n]))
		n++;
	struct str token = { s->ptr, n };
	*s = (struct str){ s->ptr + n, s->len - n };
	return token;
}

static bool take_quoted(struct str *s, struct str *ret)
{
	size_t n = 1;

	while (n < s->len && s->ptr[n] != '"' && s->ptr[n] != '\\')
		n++;
	if (n == s->len || s->ptr[n] == '\\')
		return false;
	*ret = (struct str){ s->ptr + 1, n - 1 };
	*s = (struct str){ s->ptr + n + 1, s->len - n - 1 };
	return true;
}

/* 1: one more; 0: the end; -1: malformed. */
static int next_parameter(struct str *s, struct parameter *ret)
{
	while (s->len && strchr(", \t", s->ptr[0]) && s->ptr[0])
		*s = (struct str){ s->ptr + 1, s->len - 1 };
	if (!s->len)
		return 0;
	ret->name = take_token(s);
	*s = str_trim(*s);
	if (!ret->name.len || !s->len || s->ptr[0] != '=')
		return -1;
	*s = str_trim((struct str){ s->ptr + 1, s->len - 1 });
	if (s->len && s->ptr[0] == '"')
		return take_quoted(s, &ret->value) ? 1 : -1;
	ret->value = take_token(s);
	return ret->value.len ? 1 : -1;
}

static bool algorithm_of(struct str name, enum digest_algorithm *ret)
{
	*ret = DIGEST_MD5; /* of who names none */
	for (int a = 0; name.ptr && a < DIGEST_ALGORITHMS; a++)
		if (str_ieq(name, str_of(digest_names[a]))) {
			*ret = (enum digest_algorithm)a;
			return true;
		}
	return !name.ptr;
}

bool digest_credentials_parse(struct str authorization, struct digest_credentials *ret)
{
	struct str algorithm = STR_NONE, qop = STR_NONE, odd = STR_NONE;
	struct digest_credentials c = { 0 };
	const struct {
		struct str name, *value;
	} known[] = { { STR("username"), &c.username }, { STR("realm"), &c.realm }, { STR("nonce"), &c.nonce }, { STR("uri"), &c.uri },
		      { STR("response"), &c.response }, { STR("nc"), &c.nc }, { STR("cnonce"), &c.cnonce },
		      { STR("algorithm"), &algorithm }, { STR("qop"), &qop }, { STR("username*"), &odd } };
	struct parameter p;
	int more;

	if (authorization.len < 7 || !str_ieq((struct str){ authorization.ptr, 7 }, STR("digest ")))
		return false;
	struct str rest = str_trim((struct str){ authorization.ptr + 7, authorization.len - 7 });
	while ((more = next_parameter(&rest, &p)) > 0)
		for (size_t i = 0; i < ARRAY_LEN(known); i++) {
			if (!str_ieq(p.name, known[i].name))
				continue;
			if (known[i].value->ptr)
				return false; /* twice: which one did the others read? */
			*known[i].value = p.value;
		}
	for (size_t i = 0; i < 7; i++)
		if (!known[i].value->ptr)
			return false;
	/* "a:b" of realm "c" has the hash of "a" in realm "b:c". */
	if (memchr(c.username.ptr, ':', c.username.len))
		return false;
	if (more < 0 || odd.ptr || !str_eq(qop, STR("auth")) || c.nc.len != 8 || !algorithm_of(algorithm, &c.algorithm))
		return false;
	*ret = c;
	return true;
}
