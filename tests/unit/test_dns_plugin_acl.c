#include "dns_plugin_kit.h"

#include "roles/dns/plugin/net_set.h"
#include "roles/dns/plugin/zone_set.h"

extern const struct plugin plugin_acl;
static const struct plugin *const plugins[] = { &plugin_acl, NULL };
static const char *const records[] = { "web.test. A 10.0.0.1", "web.test. AAAA ::1", "in.corp. A 10.0.0.2", NULL };

#define WEB_A "NOERROR\nweb.test.\t300\tIN\tA\t10.0.0.1\n"
#define WEB_AAAA "NOERROR\nweb.test.\t300\tIN\tAAAA\t::1\n"

static void first_that_fits_decides(void **state)
{
	(void)state;
	static const struct {
		const char *ip, *name;
		uint16_t type;
		const char *answer;
	} rows[] = {
		{ "192.0.2.1", "web.test", DNS_A, WEB_A },
		{ "192.0.2.9", "web.test", DNS_A, "REFUSED\n" },
		{ "::ffff:192.0.2.9", "web.test", DNS_A, "REFUSED\n" },
		{ "192.0.2.9", "web.test", DNS_AAAA, "REFUSED\n" },
		{ "10.1.2.3", "web.test", DNS_AAAA, "NOERROR\n" },
		{ "10.1.2.3", "web.test", DNS_A, WEB_A },
		{ "fd00::5", "web.test", DNS_A, "" },
		{ "fe00::5", "web.test", DNS_AAAA, WEB_AAAA },
		{ "198.51.100.1", "in.corp", DNS_A, "REFUSED\n" },
	};
	struct kit k;

	kit_open(&k, "acl test {\n allow net 192.0.2.1\n block net 192.0.2.0/24\n filter type AAAA TXT net 10.0.0.0/8 172.16.0.0/12\n"
		 " drop net fd00::/8 type A\n}\nacl corp {\n block\n}\n", plugins, records);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		kit_client(&k, rows[i].ip, DNS_UDP);
		assert_string_equal(kit_ask(&k, rows[i].name, rows[i].type), rows[i].answer);
	}
	struct metric *m = plugin_counter(&k.shared, &k.instances[0], "coredns_acl_blocked_requests_total", "", "");
	assert_int_equal(metric_value(m), 4);
	kit_close(&k);
}

static void touches_its_zones(void **state)
{
	(void)state;
	struct dns_name cluster, test, below;
	struct kit k;

	assert_true(dns_name_from_text(STR("cluster.local"), &cluster));
	assert_true(dns_name_from_text(STR("test"), &test));
	assert_true(dns_name_from_text(STR("a.test"), &below));
	kit_open(&k, "acl test {\n block\n}", plugins, records);
	assert_false(plugin_acl.touches(&k.instances[0], &cluster));
	assert_true(plugin_acl.touches(&k.instances[0], &test));
	assert_true(plugin_acl.touches(&k.instances[0], &below));
	kit_close(&k);
}

static void refuses(void **state)
{
	(void)state;
	kit_refuses("acl {\n block net 10.0.0.0/33\n}", plugins, "Corefile:3: acl: \"10.0.0.0/33\" is not a source");
	kit_refuses("acl {\n block type NONSENSE\n}", plugins, "no record type");
	kit_refuses("acl {\n block net\n}", plugins, "at least one");
	kit_refuses("acl {\n block type net 10.0.0.0/8\n}", plugins, "at least one");
	kit_refuses("acl {\n block 10.0.0.0/8\n}", plugins, "neither");
	kit_refuses("acl a..b {\n block\n}", plugins, "not a zone");
}

static void prefixes_as_zones(void **state)
{
	(void)state;
	static const struct {
		const char *prefix;
		size_t n;
		const char *first, *last;
	} rows[] = {
		{ "10.0.0.0/8", 1, "10.in-addr.arpa.", "10.in-addr.arpa." },
		{ "10.33.0.0/11", 32, "32.10.in-addr.arpa.", "63.10.in-addr.arpa." },
		{ "192.0.2.1/32", 1, "1.2.0.192.in-addr.arpa.", "1.2.0.192.in-addr.arpa." },
		{ "fd00::/8", 1, "d.f.ip6.arpa.", "d.f.ip6.arpa." },
		{ "fd00::/7", 2, "c.f.ip6.arpa.", "d.f.ip6.arpa." },
		{ "fd20::/11", 2, "2.d.f.ip6.arpa.", "3.d.f.ip6.arpa." },
		{ "0.0.0.0/0", 1, "in-addr.arpa.", "in-addr.arpa." },
	};
	const struct corefile_line at = { "Corefile", 1, NULL, 0 };
	char text[DNS_NAME_TEXT_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct zone_set z = { 0 };
		struct err e;
		assert_int_equal(zone_set_add(&z, &rows[i].prefix, 1, &at, "x", &e), 0);
		assert_int_equal(z.n, rows[i].n);
		assert_string_equal(dns_name_text(&z.names[0], text), rows[i].first);
		assert_string_equal(dns_name_text(&z.names[z.n - 1], text), rows[i].last);
		zone_set_done(&z);
	}
}

static void nets(void **state)
{
	(void)state;
	static const struct {
		const char *net, *ip;
		bool has;
	} rows[] = {
		{ "10.0.0.0/9", "10.127.255.255", true }, { "10.0.0.0/9", "10.128.0.0", false }, { "10.0.0.5/8", "10.9.9.9", true },
		{ "192.0.2.1", "192.0.2.1", true },	  { "192.0.2.1", "192.0.2.2", false },	 { "*", "::1", true },
		{ "::/0", "10.0.0.1", true },		  { "0.0.0.0/0", "::1", false },	 { "fd00::/10", "fd3f::", true },
		{ "fd00::/10", "fd40::", false },	  { "0.0.0.0/0", "9.9.9.9", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr a;
		struct net n;
		struct err e;
		uint8_t ip[16];
		assert_true(net_parse(rows[i].net, &n));
		assert_int_equal(addr_from_ip(rows[i].ip, 1, &a, &e), 0);
		net_ip(&a, ip);
		assert_int_equal(net_has(&n, ip), rows[i].has);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_that_fits_decides), cmocka_unit_test(touches_its_zones), cmocka_unit_test(refuses),
		cmocka_unit_test(prefixes_as_zones),	   cmocka_unit_test(nets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
