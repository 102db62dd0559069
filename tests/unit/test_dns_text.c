#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/dns_text.h"

/* Reads `line`, puts it into a message, prints it from there. */
static void round_trip(const char *line, struct buf *out)
{
	static struct dns_text_record r;
	static uint8_t msg[8192];
	struct dns_query q = { .question = { "\0\0\1\0\1", 5 } };
	struct dns_writer w;
	struct dns_message m;
	struct err e = { 0 };

	buf_init(out, 65536);
	if (dns_text_parse(str_of(line), 60, &r, &e))
		fail_msg("%s: %s", line, e.message);
	dns_answer_start(&w, msg, sizeof(msg), &q);
	assert_true(dns_text_put(&w, DNS_ANSWER, &r));
	size_t len = dns_answer_finish(&w, DNS_NOERROR, false);
	assert_true(dns_message_parse((struct str){ (char *)msg, len }, &m));
	for (struct dns_record rr = dns_records(&m); dns_record_next(&m, &rr);)
		dns_text_print(out, &m, &rr);
}

static void reads_and_prints(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out; /* NULL: as it was read */
	} rows[] = {
		{ "web.example.\t5\tIN\tA\t10.0.0.1", NULL },
		{ "web.example A 10.0.0.1", "web.example.\t60\tIN\tA\t10.0.0.1" },
		{ "web.example IN 7 a 10.0.0.1", "web.example.\t7\tIN\tA\t10.0.0.1" },
		{ "web.example 7 IN A 10.0.0.1", "web.example.\t7\tIN\tA\t10.0.0.1" },
		{ "@ NS a.root-servers.net", ".\t60\tIN\tNS\ta.root-servers.net." },
		{ "x AAAA 2001:DB8:0::1", "x.\t60\tIN\tAAAA\t2001:db8::1" },
		{ "Case.X CNAME Other.Y", "Case.X.\t60\tIN\tCNAME\tOther.Y." },
		{ "a\\046b.x PTR a\\.b.x", "a\\046b.x.\t60\tIN\tPTR\ta\\046b.x." },
		{ "x MX 10 mail.x", "x.\t60\tIN\tMX\t10 mail.x." },
		{ "_h._tcp.x SRV 1 2 65535 .", "_h._tcp.x.\t60\tIN\tSRV\t1 2 65535 ." },
		{ "x SOA ns.x. hm.x. 2024010100 7200 1800 86400 5", "x.\t60\tIN\tSOA\tns.x. hm.x. 2024010100 7200 1800 86400 5" },
		{ "x SOA ns.x. hm.x. (1 60\n 60 60 60)", "x.\t60\tIN\tSOA\tns.x. hm.x. 1 60 60 60 60" },
		{ "x TXT one \"two \\\"2\\\"\" \"\" ; a comment", "x.\t60\tIN\tTXT\t\"one\" \"two \\\"2\\\"\" \"\"" },
		{ "x TXT \"\\000\\255;\"", "x.\t60\tIN\tTXT\t\"\\000\\255;\"" },
		{ "x CAA 128 issue \"ca.example; a=b\"", "x.\t60\tIN\tCAA\t128 issue \"ca.example; a=b\"" },
		{ "x HTTPS 1 . alpn=\"h2,h3\" no-default-alpn port=443 ipv4hint=1.2.3.4,5.6.7.8 ech=AQID ipv6hint=::1 key65000=\"z\"",
		  "x.\t60\tIN\tHTTPS\t1 . alpn=h2,h3 no-default-alpn port=443 ipv4hint=1.2.3.4,5.6.7.8 ech=AQID ipv6hint=::1 "
		  "key65000=\"z\"" },
		{ "x SVCB 0 y.x", "x.\t60\tIN\tSVCB\t0 y.x." },
		{ "x HTTPS 1 . mandatory=alpn,port alpn=h2 port=1", "x.\t60\tIN\tHTTPS\t1 . mandatory=alpn,port alpn=h2 port=1" },
		{ "x TYPE65280 \\# 4 0A00 0001", "x.\t60\tIN\tTYPE65280\t\\# 4 0a000001" },
		{ "x TYPE65280 \\# 0", "x.\t60\tIN\tTYPE65280\t\\# 0" },
		{ "x A \\# 4 0a000001", "x.\t60\tIN\tA\t10.0.0.1" },
		{ "x TLSA 3 1 1 00ff", "x.\t60\tIN\tTLSA\t3 1 1 00ff" },
		{ "x NS \\# 3 016100", "x.\t60\tIN\tNS\ta." },
		{ "x CAA \\# 3 000076", "x.\t60\tIN\tCAA\t\\# 3 000076" }, /* an empty tag has no other form */
		{ "x ANY \\# 0", "x.\t60\tIN\tANY\t\\# 0" }, /* a type here, not the class of that name */
		{ "x CH TXT v", "x.\t60\tCH\tTXT\t\"v\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out;
		round_trip(rows[i].in, &out);
		assert_string_equal(out.ptr, rows[i].out ? rows[i].out : rows[i].in);
		buf_done(&out);
	}
}

static void refuses(void **state)
{
	(void)state;
	static const struct {
		const char *in, *why;
	} rows[] = {
		{ "", "a record is NAME" },
		{ "x", "a record is NAME" },
		{ "x 60 IN", "a record is NAME" },
		{ "x..y A 1.2.3.4", "not a domain name" },
		{ ".x A 1.2.3.4", "not a domain name" },
		{ "x NOTHING y", "no record type" },
		{ "x A 1.2.3", "not an IPv4 address" },
		{ "x A 1.2.3.4 5", "too much" },
		{ "x A", "too early" },
		{ "x AAAA 1.2.3.4", "not an IPv6 address" },
		{ "x MX 65536 y", "not a number of 16 bits" },
		{ "x MX -1 y", "not a number" },
		{ "x TXT", "string is missing" },
		{ "x TXT \"open", "not closed" },
		{ "x TXT \\30", "backslash" },
		{ "x TXT \\256", "backslash" },
		{ "x TYPE65280 abc", "\\# LENGTH HEX" },
		{ "x TYPE65280 \\# 3 0000", "followed by 2 bytes" },
		{ "x TYPE65280 \\# 1 0g", "hexadecimal" },
		{ "x TYPE65280 \\# 1 000", "odd number" },
		{ "x HTTPS 1 . port=1 alpn=h2", "order" },
		{ "x HTTPS 1 . port=1 port=2", "each once" },
		{ "x HTTPS 1 . what=1", "no parameter" },
		{ "x HTTPS 1 . no-default-alpn=1", "takes no value" },
		{ "x HTTPS 1 . ipv4hint=", "needs a value" },
		{ "x HTTPS 1 . alpn=h2,,h3", "name is empty" },
		{ "x HTTPS 1 . alpn=\"\"\"\"", "name is empty" },
		{ "x RRSIG a b", "\\# LENGTH HEX" },
		{ "x CAA 0 \"\" \"v\"", "tag is empty" },
		{ "x NS \\# 2 c00c", "compressed" },
		{ "x NS \\# 0", "malformed" },
		{ "x SOA \\# 4 0000c000", "compressed" },
		{ "x NAPTR \\# 4 00000000", "malformed" },
	};
	static struct dns_text_record r;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		assert_int_equal(dns_text_parse(str_of(rows[i].in), 60, &r, &e), -1);
		if (!strstr(e.message, rows[i].why))
			fail_msg("%s: %s", rows[i].in, e.message);
	}
}

static void long_names_and_strings(void **state)
{
	(void)state;
	static struct dns_text_record r;
	struct err e;
	char line[600];

	memset(line, 'a', sizeof(line));
	strcpy(line + 63, ". A 1.2.3.4");
	assert_int_equal(dns_text_parse(str_of(line), 0, &r, &e), 0);
	assert_int_equal(r.owner.len, 65);
	memset(line, 'a', sizeof(line));
	strcpy(line + 64, ". A 1.2.3.4");
	assert_int_equal(dns_text_parse(str_of(line), 0, &r, &e), -1);
	memset(line, 'a', sizeof(line));
	for (int i = 63; i < 253; i += 64)
		line[i] = '.'; /* 3 × 64, then 61 and the root: 255 */
	strcpy(line + 253, ". A 1.2.3.4");
	assert_int_equal(dns_text_parse(str_of(line), 0, &r, &e), 0);
	assert_int_equal(r.owner.len, 255);
	assert_int_equal(r.owner.labels, 4);
	strcpy(line + 253, "a. A 1.2.3.4");
	assert_int_equal(dns_text_parse(str_of(line), 0, &r, &e), -1);
	strcpy(line, "x TXT ");
	memset(line + 6, 'b', 256);
	line[262] = '\0';
	assert_int_equal(dns_text_parse(str_of(line), 0, &r, &e), -1);
	line[261] = '\0';
	assert_int_equal(dns_text_parse(str_of(line), 0, &r, &e), 0);
	assert_int_equal(r.rdata_len, 256);
}

static void names_of_numbers(void **state)
{
	(void)state;
	char out[DNS_TEXT_TYPE_BYTES];
	uint16_t v;

	assert_true(dns_type_from_text(STR("aaaa"), &v) && v == DNS_AAAA);
	assert_true(dns_type_from_text(STR("TYPE65535"), &v) && v == 65535);
	assert_false(dns_type_from_text(STR("TYPE65536"), &v));
	assert_false(dns_type_from_text(STR("TYPE"), &v));
	assert_string_equal(dns_type_text(DNS_SRV, out), "SRV");
	assert_string_equal(dns_type_text(1234, out), "TYPE1234");
	assert_true(dns_rcode_from_text(STR("nxdomain"), &v) && v == DNS_NXDOMAIN);
	assert_true(dns_rcode_from_text(STR("5"), &v) && v == DNS_REFUSED);
	assert_false(dns_rcode_from_text(STR("4096"), &v));
	assert_string_equal(dns_rcode_text(DNS_BADCOOKIE, out), "BADCOOKIE");
	assert_true(dns_class_from_text(STR("ch"), &v) && v == 3);
	assert_string_equal(dns_class_text(9, out), "CLASS9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_prints),
		cmocka_unit_test(refuses),
		cmocka_unit_test(long_names_and_strings),
		cmocka_unit_test(names_of_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
