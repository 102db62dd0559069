#include "dns_plugin_kit.h"

#include "roles/dns/plugin/template_text.h"

extern const struct plugin plugin_template;
static const struct plugin *const plugins[] = { &plugin_template, NULL };
static const char *const records[] = { "web.test. A 10.9.9.9", "google.com. A 8.8.8.8", "x.example. TXT hello", NULL };

/* The examples of CoreDNS' documentation. */
static void documented(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		struct kit_row row;
	} rows[] = {
		{ "template ANY ANY {\n rcode NXDOMAIN\n}", { "a.test", DNS_A, "NXDOMAIN aa\n", "" } },
		{ "template ANY ANY invalid {\n rcode NXDOMAIN\n"
		  " authority \"invalid. 60 {{ .Class }} SOA ns.invalid. hostmaster.invalid. (1 60 60 60 60)\"\n ederror 21 \"Blocked\"\n}",
		  { "a.b.invalid", DNS_MX,
		    "NXDOMAIN aa\n;; authority\ninvalid.\t60\tIN\tSOA\tns.invalid. hostmaster.invalid. 1 60 60 60 60\n", "" } },
		{ "template IN ANY example.com {\n match \"example\\.com\\.(dc1\\.example\\.com\\.)$\"\n rcode NXDOMAIN\n"
		  " authority \"{{ index .Match 1 }} 60 IN SOA ns.{{ index .Match 1 }} hostmaster.{{ index .Match 1 }} (1 60 60 60 60)\"\n"
		  " fallthrough\n}",
		  { "x.example.com.dc1.example.com", DNS_A,
		    "NXDOMAIN aa\n;; authority\ndc1.example.com.\t60\tIN\tSOA\tns.dc1.example.com. hostmaster.dc1.example.com. 1 60 60 60 60\n",
		    "" } },
		{ "template IN A example {\n"
		  " match (^|[.])ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]example[.]$\n"
		  " answer \"{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}\"\n fallthrough\n}",
		  { "foo.ip-10-1-2-3.example", DNS_A, "NOERROR aa\nfoo.ip-10-1-2-3.example.\t60\tIN\tA\t10.1.2.3\n", "" } },
		{ "template IN PTR in-addr.arpa {\n"
		  " match ^(?P<d>[0-9]*)[.](?P<c>[0-9]*)[.](?P<b>[0-9]*)[.](?P<a>[0-9]*)[.]in-addr[.]arpa[.]$\n"
		  " answer \"{{ .Name }} 60 IN PTR ip-{{ .Group.a }}-{{ .Group.b }}-{{ .Group.c }}-{{ .Group.d }}.example.\"\n}",
		  { "4.3.2.1.in-addr.arpa", DNS_PTR,
		    "NOERROR aa\n4.3.2.1.in-addr.arpa.\t60\tIN\tPTR\tip-1-2-3-4.example.\n", "" } },
		{ "template IN A example {\n match \"^ip0a(?P<b>[a-f0-9]{2})(?P<c>[a-f0-9]{2})(?P<d>[a-f0-9]{2})[.]example[.]$\"\n"
		  " answer \"{{ .Name }} 60 IN A 10.{{ parseInt .Group.b 16 8 }}.{{ parseInt .Group.c 16 8 }}.{{ parseInt .Group.d 16 8 }}\"\n"
		  " fallthrough\n}",
		  { "ip0a5f6c09.example", DNS_A, "NOERROR aa\nip0a5f6c09.example.\t60\tIN\tA\t10.95.108.9\n", "" } },
		{ "template IN MX example {\n match ^ip-10-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]example[.]$\n"
		  " answer \"{{ .Name }} 60 IN MX 10 {{ .Name }}\"\n"
		  " additional \"{{ .Name }} 60 IN A 10.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}\"\n fallthrough\n}",
		  { "ip-10-1-2-3.example", DNS_MX,
		    "NOERROR aa\nip-10-1-2-3.example.\t60\tIN\tMX\t10 ip-10-1-2-3.example.\n;; additional\nip-10-1-2-3.example.\t60\tIN\tA\t"
		    "10.1.2.3\n", "" } },
		{ "template IN ANY foogle.com {\n match \"^foogle\\.com\\.$\"\n answer \"foogle.com 60 IN CNAME google.com\"\n}",
		  { "foogle.com", DNS_A, "NOERROR aa\nfoogle.com.\t60\tIN\tCNAME\tgoogle.com.\ngoogle.com.\t300\tIN\tA\t8.8.8.8\n",
		    "google.com. A\n" } },
		{ "template IN AAAA {\n rcode NOERROR\n}", { "web.test", DNS_AAAA, "NOERROR aa\n", "" } },
		{ "template IN AAAA {\n rcode NOERROR\n}", { "web.test", DNS_A, "NOERROR\nweb.test.\t300\tIN\tA\t10.9.9.9\n", "web.test. A\n" } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct kit k;
		kit_open(&k, rows[i].text, plugins, records);
		kit_rows(&k, &rows[i].row, 1);
		kit_close(&k);
	}
}

static void several_rules(void **state)
{
	(void)state;
	static const struct kit_row rows[] = {
		{ "b1.example", DNS_TXT, "NOERROR aa\nb1.example.\t5\tIN\tTXT\t\"second\" \"b1.example.\"\n", "" },
		{ "c1.example", DNS_TXT, "SERVFAIL\n", "" },
		{ "b1.example", DNS_MX, "NXDOMAIN\n" KIT_SOA, "b1.example. MX\n" },
		{ "a1.other", DNS_TXT, "NXDOMAIN\n" KIT_SOA, "a1.other. TXT\n" },
		{ "d300.example", DNS_A, "SERVFAIL\n", "" },
		{ "d30.example", DNS_A, "NOERROR aa\nd30.example.\t3600\tIN\tA\t10.0.0.30\n", "" },
		{ "d999.example", DNS_AAAA, "SERVFAIL\n", "" },
	};
	struct kit k;

	kit_open(&k,
		 "template IN TXT example {\n match ^a ^z\n fallthrough\n answer \"{{ .Question.Name }} TXT {{ .Remote }} {{.Zone}} {{ .Type }} "
		 "{{ .Class }} {{ .Question.Qtype }} {{ .Question.Qclass }}   {{- .Message.Id -}}  {{ .Regex }}\"\n}\n"
		 "template IN TXT example {\n match ^b\n answer \"{{ .Name }} 5 TXT second {{ index .Match 0 }}1.example.\"\n}\n"
		 "template IN A example {\n match ^d([0-9]+)\n answer \"{{ .Name }} A 10.0.0.{{ index .Match 1 }}\"\n fallthrough\n}\n"
		 "template IN AAAA example {\n match ^d(?P<n>[0-9]+)\n answer \"{{ .Name }} AAAA ::{{ parseInt .Group.n 10 8 }}\"\n}\n",
		 plugins, records);
	kit_rows(&k, rows, ARRAY_LEN(rows));
	/* "{{- X -}}" eats the blanks around it. */
	assert_string_equal(kit_ask(&k, "a1.example", DNS_TXT),
			    "NOERROR aa\na1.example.\t3600\tIN\tTXT\t\"192.0.2.1\" \"example.\" \"TXT\" \"IN\" \"16\" \"17^a\"\n");
	assert_int_equal(metric_value(plugin_counter(&k.shared, &k.instances[0], "coredns_template_rr_failures_total", "",
						     ",class=\"IN\",type=\"A\"")), 2);
	assert_int_equal(metric_value(plugin_counter(&k.shared, &k.instances[0], "coredns_template_template_failures_total", "",
						     ",class=\"IN\",type=\"AAAA\"")), 2);
	kit_close(&k);
}

static void refuses(void **state)
{
	(void)state;
	static const struct {
		const char *body, *why;
	} rows[] = {
		{ "match (", "Corefile:3: template: regular expression" },
		{ "answer \"{{ .Meta }} A 1.2.3.4\"", "is not known" },
		{ "answer \"{{ .Group.a }} A 1.2.3.4\"", "no match has a group named \"a\"" },
		{ "match ^(?P<b>.)\n answer \"{{ .Group.a }} A 1.2.3.4\"", "no match has a group named \"a\"" },
		{ "answer \"{{ .Name A 1.2.3.4\"", "not followed by }}" },
		{ "answer \"{{ if .Name }} A 1.2.3.4\"", "is not one of" },
		{ "answer \"{{ index .Match 1 }} A 1.2.3.4\"", "a group's number, 0 to 0" },
		{ "answer \"{{ parseInt .Name 1 8 }} A 1.2.3.4\"", "a base (2 to 36)" },
		{ "rcode NONSENSE", "no answer's code" },
		{ "rcode BADCOOKIE", "no answer's code" },
		{ "ederror x", "is a number" },
		{ "answer", "needs a value" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[256];
		strcpy(text, "template IN A {\n ");
		strcat(text, rows[i].body);
		strcat(text, "\n}");
		kit_refuses(text, plugins, rows[i].why);
	}
	kit_refuses("template IN", plugins, "is followed by a class");
	kit_refuses("template IN NONSENSE", plugins, "is followed by a class");
}

/* A pattern that would take for ever is given up, and does not match. */
static void hostile_names(void **state)
{
	(void)state;
	struct kit k;

	kit_open(&k, "template IN A {\n match ^((a+)+)+$\n fallthrough\n}", plugins, records);
	assert_string_equal(kit_ask(&k, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", DNS_A), "NXDOMAIN\n" KIT_SOA);
	kit_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documented), cmocka_unit_test(several_rules), cmocka_unit_test(refuses), cmocka_unit_test(hostile_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
