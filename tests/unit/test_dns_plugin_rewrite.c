#include "dns_plugin_kit.h"

#include "roles/dns/plugin/rewrite_rule.h"

extern const struct plugin plugin_rewrite;
static const struct plugin *const plugins[] = { &plugin_rewrite, NULL };
static const char *const records[] = {
	"ftp.service.us-west-1.consul. 0 A 10.10.10.10",
	"ftp.service.us-west-1.consul. 0 A 10.20.20.20",
	"web.default.svc.cluster.local. 30 A 10.96.0.1",
	"web.default.svc.cluster.local. 30 AAAA fd00::1",
	"_http._tcp.web.default.svc.cluster.local. 30 SRV 0 100 80 web.default.svc.cluster.local.",
	"www.google.com. 60 CNAME edge.google.com.",
	"edge.google.com. 60 A 8.8.8.8",
	"mail.google.com. 60 MX 5 mx.google.com.",
	"30.30.30.10.in-addr.arpa. 60 PTR ftp-us-west-1.service.consul.",
	"my-app.com. 200 CNAME my-app.example.",
	"my-app.example. 200 CNAME my-app.com.cdn.example.net.",
	"my-app.com.cdn.example.net. 300 A 20.2.0.1",
	"my-app.com.other.cdn.com. 100 A 30.3.1.2",
	"naptr.consul. NAPTR 1 2 u s !r! x.consul.",
	"consul. SOA ns.consul. h.consul. 1 2 3 4 5",
	"ttl.test. 10 A 1.1.1.1",
	"ttl.test. 1000 TXT long",
	NULL,
};

static void rules(void **state)
{
	(void)state;
#define WEB "web.example.org.\t30\tIN\tA\t10.96.0.1\n"
	static const struct {
		const char *text;
		struct kit_row row;
	} rows[] = {
		{ "rewrite name web.example.org web.default.svc.cluster.local",
		  { "web.example.org", DNS_A, "NOERROR\n" WEB, "web.default.svc.cluster.local. A\n" } },
		{ "rewrite name web.example.org web.default.svc.cluster.local",
		  { "x.web.example.org", DNS_A, "NXDOMAIN\n" KIT_SOA, "x.web.example.org. A\n" } },
		{ "rewrite stop name exact WEB.example.org. web.default.svc.CLUSTER.local.",
		  { "web.example.org", DNS_A, "NOERROR\n" WEB, "web.default.svc.cluster.local. A\n" } },
		{ "rewrite name exact _http._tcp.w.org _http._tcp.web.default.svc.cluster.local",
		  { "_http._tcp.w.org", DNS_SRV, "NOERROR\n_http._tcp.w.org.\t30\tIN\tSRV\t0 100 80 web.default.svc.cluster.local.\n", NULL } },
		/* Without an answer option the answer has the other names. */
		{ "rewrite name substring service.us-west-1.example.org service.us-west-1.consul",
		  { "ftp.service.us-west-1.example.org", DNS_A,
		    "NOERROR\nftp.service.us-west-1.consul.\t0\tIN\tA\t10.10.10.10\nftp.service.us-west-1.consul.\t0\tIN\tA\t10.20.20.20\n",
		    "ftp.service.us-west-1.consul. A\n" } },
		{ "rewrite stop {\n name regex (.*)-(us-west-1)\\.coredns\\.rocks {1}.service.{2}.consul\n"
		  " answer name (.*)\\.service\\.(us-west-1)\\.consul {1}-{2}.coredns.rocks\n}",
		  { "ftp-us-west-1.coredns.rocks", DNS_A,
		    "NOERROR\nftp-us-west-1.coredns.rocks.\t0\tIN\tA\t10.10.10.10\nftp-us-west-1.coredns.rocks.\t0\tIN\tA\t10.20.20.20\n",
		    "ftp.service.us-west-1.consul. A\n" } },
		{ "rewrite name suffix .schmoogle.com. .google.com. answer auto",
		  { "www.schmoogle.com", DNS_A,
		    "NOERROR\nwww.schmoogle.com.\t60\tIN\tCNAME\tedge.schmoogle.com.\nedge.schmoogle.com.\t60\tIN\tA\t8.8.8.8\n",
		    "www.google.com. A\n" } },
		{ "rewrite name suffix .schmoogle.com. .google.com. answer auto",
		  { "mail.schmoogle.com", DNS_MX, "NOERROR\nmail.schmoogle.com.\t60\tIN\tMX\t5 mx.schmoogle.com.\n", NULL } },
		{ "rewrite name suffix .schmoogle.com. .google.com. answer auto",
		  { "none.schmoogle.com", DNS_MX, "NXDOMAIN\n" KIT_SOA, "none.google.com. MX\n" } },
		{ "rewrite name prefix alias. web. answer auto",
		  { "alias.default.svc.cluster.local", DNS_A, "NOERROR\nalias.default.svc.cluster.local.\t30\tIN\tA\t10.96.0.1\n",
		    "web.default.svc.cluster.local. A\n" } },
		/* What is below the mapped name is mapped back as well. */
		{ "rewrite name regex ^r\\.(.*)\\.$ _http._tcp.{1} answer auto",
		  { "r.web.default.svc.cluster.local", DNS_SRV,
		    "NOERROR\nr.web.default.svc.cluster.local.\t30\tIN\tSRV\t0 100 80 web.default.svc.cluster.local.\n",
		    "_http._tcp.web.default.svc.cluster.local. SRV\n" } },
		{ "rewrite stop {\n name suffix .arpa .arpa\n answer name auto\n answer value (.*)\\.service\\.consul\\. {1}.coredns.rocks.\n}",
		  { "30.30.30.10.in-addr.arpa", DNS_PTR,
		    "NOERROR\n30.30.30.10.in-addr.arpa.\t60\tIN\tPTR\tftp-us-west-1.coredns.rocks.\n", NULL } },
		{ "rewrite name suffix .c.org .consul answer value (.*)\\.consul\\. {1}.c.org.",
		  { "naptr.c.org", 35, "NOERROR\nnaptr.consul.\t300\tIN\tNAPTR\t1 2 \"u\" \"s\" \"!r!\" x.c.org.\n", "naptr.consul. NAPTR\n" } },
		{ "rewrite name exact c.org consul answer value ^ns\\.(.*)\\.$ m.{1}",
		  { "c.org", DNS_SOA, "NOERROR\nc.org.\t300\tIN\tSOA\tm.c.org. h.consul. 1 2 3 4 5\n", NULL } },
		{ "rewrite type AAAA A", { "web.default.svc.cluster.local", DNS_AAAA,
		  "NOERROR\nweb.default.svc.cluster.local.\t30\tIN\tA\t10.96.0.1\n", "web.default.svc.cluster.local. A\n" } },
		{ "rewrite ttl ttl.test 30-300", { "ttl.test", DNS_A, "NOERROR\nttl.test.\t30\tIN\tA\t1.1.1.1\n", NULL } },
		{ "rewrite ttl exact ttl.test. -300", { "ttl.test", DNS_TXT, "NOERROR\nttl.test.\t300\tIN\tTXT\t\"long\"\n", NULL } },
		{ "rewrite ttl suffix test 2000-", { "ttl.test", DNS_TXT, "NOERROR\nttl.test.\t2000\tIN\tTXT\t\"long\"\n", NULL } },
		{ "rewrite continue {\n ttl regex (.*)\\.test 15\n}", { "ttl.test", DNS_TXT, "NOERROR\nttl.test.\t15\tIN\tTXT\t\"long\"\n", NULL } },
		{ "rewrite ttl regex other 15", { "ttl.test", DNS_A, "NOERROR\nttl.test.\t10\tIN\tA\t1.1.1.1\n", NULL } },
		{ "rewrite rcode regex .*none NXDOMAIN NOERROR", { "none.test", DNS_A, "NOERROR\n" KIT_SOA, NULL } },
		{ "rewrite rcode none.test 3 REFUSED", { "none.test", DNS_A, "REFUSED\n" KIT_SOA, NULL } },
		{ "rewrite rcode none.test SERVFAIL REFUSED", { "none.test", DNS_A, "NXDOMAIN\n" KIT_SOA, NULL } },
		{ "rewrite cname regex (.*).cdn.example.net. {1}.other.cdn.com.",
		  { "my-app.com", DNS_A,
		    "NOERROR\nmy-app.com.\t200\tIN\tCNAME\tmy-app.example.\nmy-app.example.\t200\tIN\tCNAME\tmy-app.com.other.cdn.com.\n"
		    "my-app.com.other.cdn.com.\t100\tIN\tA\t30.3.1.2\n", "my-app.com. A\nmy-app.com.other.cdn.com. A\n" } },
		{ "rewrite cname exact edge.google.com my-app.com.other.cdn.com",
		  { "www.google.com", DNS_A,
		    "NOERROR\nwww.google.com.\t60\tIN\tCNAME\tmy-app.com.other.cdn.com.\nmy-app.com.other.cdn.com.\t100\tIN\tA\t30.3.1.2\n",
		    NULL } },
		{ "rewrite name regex ^(.*)\\.long\\.$ {1}.{1}.{1}.{1}.{1}.{1}.{1}.{1}.{1}",
		  { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.long", DNS_A, "SERVFAIL\n", "" } },
		/* Lists: the first that is not `continue` ends. */
		{ "rewrite continue name a.test b.test\nrewrite name b.test c.test\nrewrite name c.test d.test",
		  { "a.test", DNS_A, "NXDOMAIN\n" KIT_SOA, "c.test. A\n" } },
		{ "rewrite continue name suffix .a.test .b.test answer auto\nrewrite name suffix .b.test .default.svc.cluster.local answer auto",
		  { "web.a.test", DNS_A, "NOERROR\nweb.a.test.\t30\tIN\tA\t10.96.0.1\n", "web.default.svc.cluster.local. A\n" } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct kit k;
		kit_open(&k, rows[i].text, plugins, records);
		kit_rows(&k, &rows[i].row, 1);
		kit_close(&k);
	}
}

static void an_answer_that_failed(void **state)
{
	(void)state;
	struct kit k;

	kit_open(&k, "rewrite name a.test b.test", plugins, records);
	k.dumb = true;
	assert_string_equal(kit_ask(&k, "a.test", DNS_A), "SERVFAIL\n");
	kit_close(&k);
}

static void what_it_touches(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool touches;
	} rows[] = {
		{ "rewrite name a.org web.default.svc.cluster.local", false },
		{ "rewrite name web.default.svc.cluster.local a.org", true },
		{ "rewrite name suffix .example.org .default.svc.cluster.local answer auto", false },
		{ "rewrite name suffix .svc.cluster.local .x.org", true },
		{ "rewrite name suffix local x", true },
		{ "rewrite name regex x y", true },
		{ "rewrite name prefix x y", true },
		{ "rewrite ttl suffix example.org 5", false },
		{ "rewrite type ANY HINFO", true },
	};
	struct dns_name zone;

	assert_true(dns_name_from_text(STR("cluster.local"), &zone));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct kit k;
		kit_open(&k, rows[i].text, plugins, records);
		assert_int_equal(plugin_rewrite.touches(&k.instances[0], &zone), rows[i].touches);
		kit_close(&k);
	}
}

static void refuses(void **state)
{
	(void)state;
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "rewrite", "Corefile:2: rewrite: is followed by" },
		{ "rewrite continue", "is followed by" },
		{ "rewrite nonsense a b", "is none of name" },
		{ "rewrite name a", "name is followed by" },
		{ "rewrite name nonsense a b", "is none of exact" },
		{ "rewrite name regex ( b", "regular expression" },
		{ "rewrite name regex a(b) {2}", "names group 2" },
		{ "rewrite name suffix a b c", "is too much" },
		{ "rewrite name suffix a b answer", "answer is followed by" },
		{ "rewrite name suffix a b answer name x", "is followed by FROM and TO" },
		{ "rewrite name suffix a b answer auto answer name x y", "exclude each other" },
		{ "rewrite name suffix a b answer value ( y", "regular expression" },
		{ "rewrite type A", "two record types" },
		{ "rewrite type A NONSENSE", "two record types" },
		{ "rewrite class CH IN", "only questions of class IN" },
		{ "rewrite edns0 local set 0xffee abcd", "edns0: questions go upstream without" },
		{ "rewrite ttl a.org -", "a TTL is" },
		{ "rewrite ttl a.org 5-3", "a TTL is" },
		{ "rewrite ttl a.org x", "a TTL is" },
		{ "rewrite ttl a.org", "is followed by" },
		{ "rewrite rcode a.org NXDOMAIN", "is followed by" },
		{ "rewrite rcode a.org NXDOMAIN NONSENSE", "are codes" },
		{ "rewrite cname a", "is followed by" },
		{ "rewrite answer name a b", "belongs behind" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		kit_refuses(rows[i].text, plugins, rows[i].why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules), cmocka_unit_test(an_answer_that_failed), cmocka_unit_test(what_it_touches), cmocka_unit_test(refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
