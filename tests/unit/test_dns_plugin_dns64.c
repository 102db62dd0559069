#include "dns_plugin_kit.h"

extern const struct plugin plugin_dns64;
static const struct plugin *const plugins[] = { &plugin_dns64, NULL };
static const char *const records[] = {
	"v4.test. 100 A 192.0.2.33",
	"v4.test. 10 A 192.0.2.34",
	"both.test. 60 A 192.0.2.33",
	"both.test. 60 AAAA 2001:db8::1",
	"mapped.test. 60 AAAA ::ffff:192.0.2.1",
	"mapped.test. 60 A 192.0.2.1",
	"alias.test. 60 CNAME v4.test.",
	"text.test. TXT x",
	"33.2.0.192.in-addr.arpa. 60 PTR v4.test.",
	NULL,
};

static void translates(void **state)
{
	(void)state;
#define V4 "v4.test.\t30\tIN\tAAAA\t64:ff9b::c000:221\nv4.test.\t10\tIN\tAAAA\t64:ff9b::c000:222\n"
	static const struct kit_row rows[] = {
		{ "v4.test", DNS_AAAA, "NOERROR\n" V4, "v4.test. AAAA\nv4.test. A\n" },
		{ "v4.test", DNS_A, "NOERROR\nv4.test.\t100\tIN\tA\t192.0.2.33\nv4.test.\t10\tIN\tA\t192.0.2.34\n", "v4.test. A\n" },
		{ "both.test", DNS_AAAA, "NOERROR\nboth.test.\t60\tIN\tAAAA\t2001:db8::1\n", "both.test. AAAA\n" },
		/* An answer with records has no SOA: RFC 6147, 5.1.7. */
		{ "alias.test", DNS_AAAA,
		  "NOERROR\nalias.test.\t60\tIN\tCNAME\tv4.test.\nv4.test.\t100\tIN\tAAAA\t64:ff9b::c000:221\nv4.test.\t10\tIN\tAAAA\t"
		  "64:ff9b::c000:222\n", NULL },
		{ "mapped.test", DNS_AAAA, "NOERROR\nmapped.test.\t60\tIN\tAAAA\t64:ff9b::c000:201\n", NULL },
		{ "none.test", DNS_AAAA, "NXDOMAIN\n" KIT_SOA, "none.test. AAAA\n" },
		{ "text.test", DNS_AAAA, "NOERROR\n" KIT_SOA, "text.test. AAAA\ntext.test. A\n" },
		{ "1.2.2.0.0.0.0.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa", DNS_PTR,
		  "NOERROR\n1.2.2.0.0.0.0.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0.ip6.arpa.\t60\tIN\tCNAME\t33.2.0.192.in-addr.arpa.\n"
		  "33.2.0.192.in-addr.arpa.\t60\tIN\tPTR\tv4.test.\n", "33.2.0.192.in-addr.arpa. PTR\n" },
		{ "1.2.2.0.0.0.0.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.1.0.ip6.arpa", DNS_PTR, "NXDOMAIN\n" KIT_SOA, NULL },
	};
	struct kit k;

	kit_open(&k, "dns64", plugins, records);
	kit_client(&k, "2001:db8::9", DNS_UDP);
	kit_rows(&k, rows, ARRAY_LEN(rows));
	assert_int_equal(metric_value(k.instances[0].started), 6);
	kit_client(&k, "192.0.2.7", DNS_UDP);
	assert_string_equal(kit_ask(&k, "v4.test", DNS_AAAA), "NOERROR\n" KIT_SOA);
	kit_client(&k, "::ffff:192.0.2.7", DNS_UDP);
	assert_string_equal(kit_ask(&k, "v4.test", DNS_AAAA), "NOERROR\n" KIT_SOA);
	kit_close(&k);
}

static void options(void **state)
{
	(void)state;
	struct kit k;

	kit_open(&k, "dns64 {\n allow_ipv4\n translate_all\n}", plugins, records);
	assert_string_equal(kit_ask(&k, "both.test", DNS_AAAA), "NOERROR\nboth.test.\t60\tIN\tAAAA\t64:ff9b::c000:221\n");
	kit_close(&k);
}

/* RFC 6052, 2.4. */
static void prefixes(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "2001:db8::/32", "2001:db8:c000:221::" },
		{ "2001:db8:100::/40", "2001:db8:1c0:2:21::" },
		{ "2001:db8:122::/48", "2001:db8:122:c000:2:2100::" },
		{ "2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::" },
		{ "2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100:0" },
		{ "2001:db8:122:344::/96", "2001:db8:122:344::c000:221" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *text = xasprintf("dns64 {\n prefix %s\n allow_ipv4\n}", rows[i][0]), *want;
		struct kit k;
		kit_open(&k, text, plugins, records);
		want = xasprintf("v4.test.\t30\tIN\tAAAA\t%s\n", rows[i][1]);
		if (!strstr(kit_ask(&k, "v4.test", DNS_AAAA), want))
			fail_msg("%s: %s", rows[i][0], k.answer.ptr);
		kit_close(&k);
		free(text);
		free(want);
	}
}

static void refuses(void **state)
{
	(void)state;
	kit_refuses("dns64 10.0.0.0/8", plugins, "not a prefix of 32");
	kit_refuses("dns64 64:ff9b::/95", plugins, "not a prefix of 32");
	kit_refuses("dns64 64:ff9b::/72", plugins, "not a prefix of 32");
	kit_refuses("dns64 64:ff9b::", plugins, "not a prefix of 32");
	kit_refuses("dns64 a b", plugins, "one prefix at the most");
	kit_refuses("dns64 {\n prefix\n}", plugins, "followed by one prefix");
	kit_refuses("dns64 {\n allow_ipv4 yes\n}", plugins, "takes no value");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(translates), cmocka_unit_test(options), cmocka_unit_test(prefixes), cmocka_unit_test(refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
