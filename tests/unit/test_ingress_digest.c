/* Digest authentication: users, the header, responses, nonces. The filter as a whole: tests/func/ingress_features.py. */
#include "roles/ingress/filter/digest_auth.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#define MD5_HEX "0123456789ABCDEF0123456789abcdef"
#define MD5_LOWER "0123456789abcdef0123456789abcdef"
#define SHA_HEX MD5_LOWER MD5_LOWER

static void test_users(void **state)
{
	static const char file[] = "# a comment\nann:r:" MD5_HEX "\r\nann:r:" SHA_HEX "\nann:r:ffffffffffffffffffffffffffffffff\n"
				   "bob:a:realm:" MD5_HEX "\nshort:r:abc\nnothing\nodd:r:g123456789abcdef0123456789abcdef\n:r:" MD5_HEX "\n";
	struct htdigest *h = htdigest_new();
	struct err e;

	(void)state;
	assert_int_equal(htdigest_add_file(h, STR(file), &e), 0);
	assert_int_equal(htdigest_add_user(h, STR("eve"), STR("r:" MD5_HEX "\n"), &e), 0);
	assert_int_equal(htdigest_add_user(h, STR("joe"), STR("joe:r:" MD5_HEX), &e), 0);
	assert_int_equal(htdigest_add_user(h, STR("joe"), STR("nonsense"), &e), 0);
	assert_int_equal(htdigest_count(h), 5);
	assert_int_equal(htdigest_unusable(h), 5);
	assert_string_equal(htdigest_find(h, STR("ann"), "r", DIGEST_MD5), MD5_LOWER);
	assert_string_equal(htdigest_find(h, STR("ann"), "r", DIGEST_SHA_256), SHA_HEX);
	assert_string_equal(htdigest_find(h, STR("bob"), "a:realm", DIGEST_MD5), MD5_LOWER);
	assert_string_equal(htdigest_find(h, STR("eve"), "r", DIGEST_MD5), MD5_LOWER);
	assert_string_equal(htdigest_find(h, STR("joe"), "r", DIGEST_MD5), MD5_LOWER);
	assert_null(htdigest_find(h, STR("ann"), "s", DIGEST_MD5));
	assert_null(htdigest_find(h, STR("bob"), "a:realm", DIGEST_SHA_256));
	assert_true(htdigest_knows(h, "r", DIGEST_SHA_256) && htdigest_knows(h, "a:realm", DIGEST_MD5));
	assert_false(htdigest_knows(h, "a:realm", DIGEST_SHA_256));
	cleanup(freep) char *big = xcalloc(1, HTDIGEST_BYTES_MAX);
	assert_int_equal(htdigest_add_file(h, (struct str){ big, HTDIGEST_BYTES_MAX }, &e), -1);
	htdigest_free(h);
}

#define REST "realm=\"r\", nonce=\"n\", uri=\"/x?a=b,c\", response=\"00\", qop=auth, nc=00000001, cnonce=\"c\""

static void test_header(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		enum digest_algorithm algorithm;
	} rows[] = {
		{ "Digest username=\"ann\", " REST, true, DIGEST_MD5 },
		{ "digest  username = \"ann\" ," REST " , algorithm=MD5,", true, DIGEST_MD5 },
		{ "DIGEST username=ann," REST ", algorithm=sha-256, opaque=\"x\", userhash=false", true, DIGEST_SHA_256 },
		{ "Digest username=\"ann\", " REST ", algorithm=\"SHA-256\"", true, DIGEST_SHA_256 },
		{ "Digest username=\"ann\", " REST ", algorithm=MD5-sess" },
		{ "Digest username=\"ann\", " REST ", username=\"bob\"" },
		{ "Digest username*=UTF-8''ann, username=\"a\", " REST },
		{ "Digest " REST },
		{ "Digest username=\"ann:x\", " REST },
		{ "Digest username=\"a\\\"b\", " REST },
		{ "Digest username=\"ann, " REST },
		{ "Digest username=\"ann\" " REST ", =x" },
		{ "Digest username, " REST },
		{ "Digest username=\"ann\", realm=\"r\", nonce=\"n\", uri=\"/\", response=\"00\"" }, /* RFC 2069 */
		{ "Digest username=\"ann\", realm=\"r\", nonce=\"n\", uri=\"/\", response=\"0\", qop=auth-int, nc=00000001, cnonce=\"c\"" },
		{ "Digest username=\"ann\", realm=\"r\", nonce=\"n\", uri=\"/\", response=\"0\", qop=auth, nc=1, cnonce=\"c\"" },
		{ "Basic YTpi" }, { "Digest" }, { "Digest " }, { "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct digest_credentials c;
		size_t len = strlen(rows[i].text);
		cleanup(freep) char *alone = xmalloc(len + !len); /* reading past it is seen */
		memcpy(alone, rows[i].text, len);
		if (digest_credentials_parse((struct str){ alone, len }, &c) != rows[i].ok)
			fail_msg("%s", rows[i].text);
		if (!rows[i].ok)
			continue;
		assert_true(str_eq_c(c.username, "ann") && str_eq_c(c.uri, "/x?a=b,c") && str_eq_c(c.cnonce, "c"));
		assert_int_equal(c.algorithm, rows[i].algorithm);
	}
}

/* RFC 7616, 3.9.1. */
static void test_response(void **state)
{
	static const struct {
		const char *algorithm, *ha1, *response;
	} rows[] = {
		{ "MD5", "3d78807defe7de2157e2b0b6573a855f", "8ca523f5e9506fed4657c9700eebdbec" },
		{ "SHA-256", "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232",
		  "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[HTDIGEST_HEX_MAX + 1];
		struct digest_credentials c;
		cleanup(freep) char *text = xasprintf(
			"Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm=%s, "
			"nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, "
			"cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"%s\"",
			rows[i].algorithm, rows[i].response);
		assert_true(digest_credentials_parse(str_of(text), &c));
		assert_true(digest_response(&c, rows[i].ha1, STR("GET"), out));
		assert_string_equal(out, rows[i].response);
		assert_true(digest_response(&c, rows[i].ha1, STR("PUT"), out));
		assert_string_not_equal(out, rows[i].response);
	}
}

/* OpenSSL without MD5, as FIPS has it: nothing fits, and not the empty response either. */
static void test_no_algorithm(void **state)
{
	char out[HTDIGEST_HEX_MAX + 1] = "";
	struct digest_credentials c;

	(void)state;
	assert_true(digest_credentials_parse(STR("Digest username=\"ann\", " REST), &c));
	assert_int_equal(EVP_set_default_properties(NULL, "fips=yes"), 1);
	assert_false(digest_response(&c, MD5_LOWER, STR("GET"), out));
	assert_int_equal(EVP_set_default_properties(NULL, ""), 1);
	assert_true(digest_response(&c, MD5_LOWER, STR("GET"), out));
}

static void test_nonces(void **state)
{
	char n[DIGEST_NONCE_BYTES];

	(void)state;
	digest_nonce_make("r", 100000, n);
	assert_int_equal(strlen(n), DIGEST_NONCE_BYTES - 1);
	assert_true(digest_nonce_fresh(str_of(n), "r", 100000));
	assert_true(digest_nonce_fresh(str_of(n), "r", 160000));
	assert_false(digest_nonce_fresh(str_of(n), "r", 160001));
	assert_true(digest_nonce_fresh(str_of(n), "r", 99000)); /* another worker's clock */
	assert_false(digest_nonce_fresh(str_of(n), "r", 98999));
	assert_false(digest_nonce_fresh(str_of(n), "s", 100000));
	assert_false(digest_nonce_fresh(STR(""), "r", 100000));
	for (size_t i = 0; i < DIGEST_NONCE_BYTES - 1; i++) {
		char was = n[i];
		n[i] = was == '1' ? '2' : '1';
		assert_false(digest_nonce_fresh(str_of(n), "r", 100000));
		n[i] = was;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_response),
		cmocka_unit_test(test_no_algorithm),
		cmocka_unit_test(test_nonces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
