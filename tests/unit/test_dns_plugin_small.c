/* any, minimal, header, whoami, local, bufsize, loadbalance: what a few lines do. */
#include "dns_plugin_kit.h"

extern const struct plugin plugin_any, plugin_minimal, plugin_header, plugin_whoami, plugin_local, plugin_bufsize, plugin_loadbalance;
static const struct plugin *const plugins[] = { &plugin_bufsize, &plugin_local, &plugin_any, &plugin_loadbalance, &plugin_header,
						&plugin_minimal, &plugin_whoami, NULL };
static const char *const records[] = {
	"web.test. A 10.0.0.1", "web.test. A 10.0.0.2", "web.test. A 10.0.0.3",	 "web.test. A 10.1.0.4",
	"c.test. CNAME web.test.", "m.test. MX 10 a.m.test.",	"m.test. MX 10 b.m.test.", "m.test. MX 20 c.m.test.", NULL,
};

static void any_gets_hinfo(void **state)
{
	(void)state;
	static const struct kit_row rows[] = {
		{ "web.test", DNS_ANY, "NOERROR\nweb.test.\t8482\tIN\tHINFO\t\"ANY obsoleted\" \"See RFC 8482\"\n", "" },
		{ "none.test", DNS_A, "NXDOMAIN\n" KIT_SOA, "none.test. A\n" },
	};
	struct kit k;

	kit_open(&k, "any", plugins, records);
	kit_rows(&k, rows, ARRAY_LEN(rows));
	kit_close(&k);
	kit_refuses("any x", plugins, "no arguments");
}

static void local_names(void **state)
{
	(void)state;
#define SOA(zone) zone ".\t604800\tIN\tSOA\tlocalhost. root.localhost. 1 0 0 0 604800\n"
	static const struct kit_row rows[] = {
		{ "localhost", DNS_A, "NOERROR\nlocalhost.\t604800\tIN\tA\t127.0.0.1\n", "" },
		{ "localhost", DNS_AAAA, "NOERROR\nlocalhost.\t604800\tIN\tAAAA\t::1\n", "" },
		{ "localhost", DNS_SOA, "NOERROR\n" SOA("localhost"), "" },
		{ "localhost", DNS_NS, "NOERROR\nlocalhost.\t604800\tIN\tNS\tlocalhost.\n", "" },
		{ "localhost", DNS_MX, "NOERROR\n;; authority\n" SOA("localhost"), "" },
		{ "localhost.svc.test", DNS_A, "NOERROR\nlocalhost.svc.test.\t604800\tIN\tA\t127.0.0.1\n", "" },
		{ "localhost.svc.test", DNS_TXT, "NOERROR\n;; authority\n" SOA("localhost.svc.test"), "" },
		{ "1.0.0.127.in-addr.arpa", DNS_PTR, "NOERROR\n1.0.0.127.in-addr.arpa.\t604800\tIN\tPTR\tlocalhost.\n", "" },
		{ "1.0.0.127.in-addr.arpa", DNS_A, "NOERROR\n;; authority\n" SOA("127.in-addr.arpa"), "" },
		{ "2.0.0.127.in-addr.arpa", DNS_PTR, "NXDOMAIN\n;; authority\n" SOA("127.in-addr.arpa"), "" },
		{ "0.in-addr.arpa", DNS_A, "NOERROR\n;; authority\n" SOA("0.in-addr.arpa"), "" },
		{ "localhostx.test", DNS_A, "NXDOMAIN\n" KIT_SOA, "localhostx.test. A\n" },
	};
	struct kit k;

	kit_open(&k, "local", plugins, records);
	kit_rows(&k, rows, ARRAY_LEN(rows));
	kit_close(&k);
}

static void whoami_tells(void **state)
{
	(void)state;
	static const struct kit_row rows[] = {
		{ "a.test", DNS_A,
		  "NOERROR aa\n;; additional\na.test.\t0\tIN\tA\t192.0.2.1\n_udp.a.test.\t0\tIN\tSRV\t0 0 4242 .\n", "" },
		{ ".", DNS_TXT, "NOERROR aa\n;; additional\n.\t0\tIN\tA\t192.0.2.1\n_udp.\t0\tIN\tSRV\t0 0 4242 .\n", "" },
	};
	struct kit k;

	kit_open(&k, "whoami", plugins, records);
	kit_rows(&k, rows, ARRAY_LEN(rows));
	kit_client(&k, "fd00::9", DNS_TCP);
	assert_string_equal(kit_ask(&k, "a.test", DNS_A),
			    "NOERROR aa\n;; additional\na.test.\t0\tIN\tAAAA\tfd00::9\n_tcp.a.test.\t0\tIN\tSRV\t0 0 4242 .\n");
	kit_close(&k);
}

static void minimal_takes_away(void **state)
{
	(void)state;
	static const struct kit_row with[] = {
		{ "none.test", DNS_A, "NXDOMAIN\n" KIT_SOA, "none.test. A\n" },
		{ "web.test", DNS_AAAA, "NOERROR\n" KIT_SOA, "web.test. AAAA\n" },
	};
	struct kit k;
	struct request r = { 0 };
	struct dns_message m;
	struct dns_writer w;

	kit_open(&k, "minimal", plugins, records);
	kit_rows(&k, with, ARRAY_LEN(with));
	r.worker = k.worker;
	r.query = (struct dns_query){ .question = { "\0\0\1\0\1", 5 } };
	reply_start(&r, &w);
	for (enum dns_section s = DNS_ANSWER; s <= DNS_ADDITIONAL; s++)
		reply_put(&w, s, DNS_A, 5, "\1\2\3\4", 4);
	reply_finish(&r, &w, DNS_NOERROR, true, FROM_UPSTREAM);
	assert_int_equal(plugin_minimal.answer(&r, &k.instances[0]), PLUGIN_NEXT);
	assert_true(reply_message(&r, &m));
	assert_int_equal(m.counts[DNS_ANSWER], 1);
	assert_int_equal(m.counts[DNS_AUTHORITY] + m.counts[DNS_ADDITIONAL], 0);
	assert_true(m.flags & DNS_FLAG_AA);
	assert_int_equal(r.source, FROM_UPSTREAM);
	free(r.answer.bytes);
	kit_close(&k);
}

static void header_changes_flags(void **state)
{
	(void)state;
	struct kit k;

	kit_open(&k, "header {\n response set aa ra\n query clear rd\n}", plugins, records);
	kit_ask(&k, "none.test", DNS_A);
	assert_int_equal(k.flags & (DNS_FLAG_AA | DNS_FLAG_RA), DNS_FLAG_AA | DNS_FLAG_RA);
	kit_close(&k);
	kit_open(&k, "header {\n clear aa\n}\nwhoami", plugins, records);
	kit_ask(&k, "none.test", DNS_A);
	assert_int_equal(k.flags & DNS_FLAG_AA, 0);
	kit_close(&k);
	kit_refuses("header", plugins, "needs lines");
	kit_refuses("header {\n response set xx\n}", plugins, "not a flag");
	kit_refuses("header {\n response clear ra\n}", plugins, "not for changing");
	kit_refuses("header {\n query set\n}", plugins, "a line is");
}

static void bufsize_is_a_limit(void **state)
{
	(void)state;
	struct dns_query q = { .udp_bytes = 1232 };
	struct kit k;

	kit_open(&k, "bufsize 600", plugins, records);
	assert_int_equal(plugin_bufsize.guard(&k.instances[0], k.worker, &k.client, &q, NULL, NULL), PLUGIN_NEXT);
	assert_int_equal(q.udp_bytes, 600);
	assert_true(plugin_bufsize.touches(&k.instances[0], &k.zone));
	kit_close(&k);
	kit_open(&k, "bufsize", plugins, records);
	assert_false(plugin_bufsize.touches(&k.instances[0], &k.zone));
	kit_close(&k);
	kit_refuses("bufsize 511", plugins, "one number");
	kit_refuses("bufsize 4097", plugins, "one number");
}

/* Every record comes first now and then, none is lost, the CNAME stays in front. */
static void addresses_take_turns(void **state)
{
	(void)state;
	static const char *const all[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.1.0.4" };
	unsigned first[4] = { 0 };
	struct kit k;

	kit_open(&k, "loadbalance round_robin", plugins, records);
	for (int i = 0; i < 200; i++) {
		const char *said = kit_ask(&k, "c.test", DNS_A);
		const char *cname = "NOERROR\nc.test.\t300\tIN\tCNAME\tweb.test.\nweb.test.\t300\tIN\tA\t";
		assert_memory_equal(said, cname, strlen(cname));
		for (size_t a = 0; a < 4; a++) {
			assert_non_null(strstr(said, all[a]));
			first[a] += memcmp(said + strlen(cname), all[a], strlen(all[a])) == 0;
		}
		kit_ask(&k, "none.test", DNS_AAAA); /* as resolvers do: every second question is another one */
	}
	for (size_t a = 0; a < 4; a++)
		assert_in_range(first[a], 20, 90);
	kit_close(&k);
}

static void mail_servers_take_turns(void **state)
{
	(void)state;
	bool changed = false;
	char before[512] = "";
	struct kit k;

	kit_open(&k, "loadbalance", plugins, records);
	for (int i = 0; i < 30; i++) {
		const char *said = kit_ask(&k, "m.test", DNS_MX);
		changed |= *before && strcmp(before, said) != 0;
		strcpy(before, said);
		assert_non_null(strstr(said, "m.test.\t300\tIN\tMX\t10 a.m.test.\n"));
		assert_non_null(strstr(said, "m.test.\t300\tIN\tMX\t10 b.m.test.\n"));
		assert_non_null(strstr(said, "m.test.\t300\tIN\tMX\t20 c.m.test.\n"));
	}
	assert_true(changed);
	assert_false(plugin_loadbalance.touches(&k.instances[0], &k.zone));
	kit_close(&k);
	kit_refuses("loadbalance weighted f", plugins, "round_robin is");
}

static void preferred_come_first(void **state)
{
	(void)state;
	struct kit k;

	kit_open(&k, "loadbalance {\n prefer 10.1.0.0/16 10.0.0.2\n}", plugins, records);
	for (int i = 0; i < 20; i++) {
		const char *want = "NOERROR\nweb.test.\t300\tIN\tA\t10.1.0.4\nweb.test.\t300\tIN\tA\t10.0.0.2\n";
		assert_memory_equal(kit_ask(&k, "web.test", DNS_A), want, strlen(want));
	}
	kit_close(&k);
	kit_refuses("loadbalance {\n prefer 10.0.0.0/99\n}", plugins, "not a prefix");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_gets_hinfo),	cmocka_unit_test(local_names),		cmocka_unit_test(whoami_tells),
		cmocka_unit_test(minimal_takes_away),	cmocka_unit_test(header_changes_flags), cmocka_unit_test(bufsize_is_a_limit),
		cmocka_unit_test(addresses_take_turns), cmocka_unit_test(mail_servers_take_turns), cmocka_unit_test(preferred_come_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
