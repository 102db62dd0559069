#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/dns_cookie.h"
#include "codec/dns_edns.h"

#include <arpa/inet.h>
#include <stdio.h>

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &out[i]), 1);
	return n;
}

static void the_hash_is_siphash(void **state)
{
	(void)state;
	uint8_t key[SIPHASH_KEY_BYTES], in[15];

	/* The paper's appendix A. */
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	assert_true(siphash24(key, in, sizeof(in)) == 0xa129ca6149be45e5);
	assert_true(siphash24(key, in, 0) == 0x726fdb47dd0e0e31);
	assert_true(siphash24(key, in, 8) == 0x93f5f5799a932462);
}

struct row {
	const char *secrets[2], *ip, *asked;
	uint32_t now;
	enum dns_cookie_state state;
	const char *reply;
};

static void check_row(const struct row *row)
{
	struct dns_cookie_secrets s = { 0 };
	struct dns_edns_reply options = { 0 };
	uint8_t ip[16], cookie[64], reply[DNS_COOKIE_BYTES], want[DNS_COOKIE_BYTES];
	bool v6 = strchr(row->ip, ':');
	enum dns_cookie_state state;

	for (; s.n < 2 && row->secrets[s.n]; s.n++)
		from_hex(row->secrets[s.n], s.keys[s.n]);
	assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, row->ip, ip), 1);
	dns_edns_put(&options, DNS_OPTION_PADDING, "xyz", 3);
	if (row->asked)
		dns_edns_put(&options, DNS_OPTION_COOKIE, cookie, from_hex(row->asked, cookie));
	size_t n = dns_cookie_check(&s, dns_edns_str(&options), ip, v6 ? 16 : 4, row->now, reply, &state);
	if (state != row->state)
		fail_msg("%s at %u: state %d", row->asked, row->now, state);
	assert_int_equal(n, row->reply ? DNS_COOKIE_BYTES : 0);
	if (!row->reply)
		return;
	from_hex(row->reply, want);
	assert_memory_equal(reply, want, sizeof(want));
}

/* RFC 9018, appendix A. */
static void the_rfcs_examples(void **state)
{
	(void)state;
#define A "e5e973e5a6b2a43f48e7dc849e37bfcf"
#define OLD "dd3bdf9344b678b185a6f5cb60fca715"
#define NEW "445536bcd2513298075a5d379663c962"
	static const struct row rows[] = {
		{ { A }, "198.51.100.100", "2464c4abcf10c957", 1559731985, DNS_COOKIE_CLIENT,
		  "2464c4abcf10c957010000005cf79f111f8130c3eee29480" },
		{ { A }, "198.51.100.100", "2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1559734385, DNS_COOKIE_GOOD,
		  "2464c4abcf10c957010000005cf7a871d4a564a1442aca77" },
		{ { A }, "203.0.113.203", "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559728000, DNS_COOKIE_GOOD,
		  "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5" },
		{ { A }, "203.0.113.203", "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", 1559734700, DNS_COOKIE_BAD,
		  "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e" },
		{ { NEW, OLD }, "2001:db8:220:1:59de:d0f4:8769:82b8", "22681ab97d52c298010000005cf7c57926556bd0934c72f8", 1559741961,
		  DNS_COOKIE_GOOD, "22681ab97d52c298010000005cf7c609a6bb79d16625507a" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(&rows[i]);
}

static void what_is_no_good(void **state)
{
	(void)state;
#define GOOD "2464c4abcf10c957010000005cf79f111f8130c3eee29480"
	static const struct row rows[] = {
		{ { A }, "198.51.100.100", NULL, 1559731985, DNS_COOKIE_NONE, NULL },
		{ { A }, "198.51.100.100", "", 1559731985, DNS_COOKIE_MALFORMED, NULL },
		{ { A }, "198.51.100.100", "2464c4abcf10c9", 1559731985, DNS_COOKIE_MALFORMED, NULL },
		{ { A }, "198.51.100.100", "2464c4abcf10c95701000000", 1559731985, DNS_COOKIE_MALFORMED, NULL },
		{ { A }, "198.51.100.100", GOOD GOOD "00", 1559731985, DNS_COOKIE_MALFORMED, NULL },
		/* Of another server: well-formed, and nothing to us. */
		{ { A }, "198.51.100.100", "2464c4abcf10c9570100000000000000", 1559731985, DNS_COOKIE_BAD, GOOD },
		{ { A }, "198.51.100.100", GOOD, 1559731985, DNS_COOKIE_GOOD, GOOD },
		{ { A }, "198.51.100.100", GOOD, 1559731985 + 1800, DNS_COOKIE_GOOD, GOOD },
		{ { A }, "198.51.100.100", GOOD, 1559731985 - 300, DNS_COOKIE_GOOD, GOOD },
		{ { A }, "198.51.100.100", "2464c4abcf10c957010000005cf79f111f8130c3eee29481", 1559731985, DNS_COOKIE_BAD, GOOD },
		{ { A }, "198.51.100.100", "2464c4abcf10c957020000005cf79f111f8130c3eee29480", 1559731985, DNS_COOKIE_BAD, GOOD },
	};
	static const uint32_t bad_times[] = { 1559731985 + 3601, 1559731985 - 301, 0, 0x80000000u };
	uint8_t ip[4], cookie[24], reply[24];
	struct dns_cookie_secrets s = { .n = 1 };
	struct dns_edns_reply options = { 0 };
	enum dns_cookie_state got;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(&rows[i]);
	from_hex(A, s.keys[0]);
	assert_int_equal(inet_pton(AF_INET, "198.51.100.100", ip), 1);
	dns_edns_put(&options, DNS_OPTION_COOKIE, cookie, from_hex(GOOD, cookie));
	for (size_t i = 0; i < ARRAY_LEN(bad_times); i++) {
		dns_cookie_check(&s, dns_edns_str(&options), ip, 4, bad_times[i], reply, &got);
		assert_int_equal(got, DNS_COOKIE_BAD);
	}
	ip[3]++;
	dns_cookie_check(&s, dns_edns_str(&options), ip, 4, 1559731985, reply, &got);
	assert_int_equal(got, DNS_COOKIE_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hash_is_siphash),
		cmocka_unit_test(the_rfcs_examples),
		cmocka_unit_test(what_is_no_good),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
