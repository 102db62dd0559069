/* DNS messages: what is answered, refused and dropped; names; answers that are cut, aged and copied. */
#include "codec/dns_edns.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

/* Space-separated hex bytes and "quoted" ASCII, so that messages can be read. */
static struct str msg(const char *text)
{
	static uint8_t bytes[4096];
	size_t n = 0;

	for (; *text; text++) {
		unsigned v;
		if (*text == ' ')
			continue;
		if (*text == '"') {
			for (text++; *text != '"'; text++)
				bytes[n++] = (uint8_t)*text;
			continue;
		}
		assert_int_equal(sscanf(text++, "%2x", &v), 1);
		bytes[n++] = (uint8_t)v;
	}
	return (struct str){ (char *)bytes, n };
}

#define HEAD(flags, counts) "1234 " flags " " counts " "
#define WEB "03\"Web\" 02\"ns\" 00 "

static void test_queries(void **state)
{
	static const struct {
		const char *what, *hex;
		int result;
		unsigned udp_bytes;
	} rows[] = {
		{ "plain", HEAD("0100", "0001000000000000") WEB "00010001", 0, 512 },
		{ "root", HEAD("0100", "0001000000000000") "00 00020001", 0, 512 },
		{ "EDNS", HEAD("0100", "0001000000000001") WEB "00010001 00 0029 1000 00008000 0000", 0, 1232 },
		{ "EDNS, tiny size", HEAD("0100", "0001000000000001") WEB "00010001 00 0029 0001 00000000 0000", 0, 512 },
		{ "EDNS with an option", HEAD("0100", "0001000000000001") WEB
		  "00010001 00 0029 0400 00000000 0004 000a0000", 0, 1024 },
		{ "an option longer than its OPT", HEAD("0100", "0001000000000001") WEB
		  "00010001 00 0029 0400 00000000 0005 000a0002 01", DNS_FORMERR, 1024 },
		{ "half an option", HEAD("0100", "0001000000000001") WEB
		  "00010001 00 0029 0400 00000000 0003 000a00", DNS_FORMERR, 1024 },
		{ "EDNS version 1", HEAD("0100", "0001000000000001") WEB "00010001 00 0029 1000 00010000 0000", DNS_BADVERS, 1232 },
		{ "two OPTs", HEAD("0100", "0001000000000002") WEB
		  "00010001 00 0029 1000 00000000 0000 00 0029 1000 00000000 0000", DNS_FORMERR, 1232 },
		{ "OPT not at the root", HEAD("0100", "0001000000000001") WEB "00010001 0161 00 0029 1000 00000000 0000",
		  DNS_FORMERR, 512 },
		{ "bytes behind OPT", HEAD("0100", "0001000000000001") WEB
		  "00010001 00 0029 1000 00000000 0000 00", DNS_FORMERR, 1232 },
		{ "OPT cut", HEAD("0100", "0001000000000001") WEB "00010001 00 0029 1000 00000000 0004", DNS_FORMERR, 512 },
		{ "OPT promised", HEAD("0100", "0001000000000001") WEB "00010001", DNS_FORMERR, 512 },
		{ "IXFR with a SOA", HEAD("0000", "0001000000010000") WEB "00fb0001 c00c 0006 0001 00000000 0000", 0, 512 },
		{ "bytes behind", HEAD("0100", "0001000000000000") WEB "00010001 00", DNS_FORMERR, 512 },
		{ "no question", HEAD("0100", "0000000000000000"), DNS_FORMERR, 512 },
		{ "two questions", HEAD("0100", "0002000000000000") WEB "00010001" WEB "001c0001", DNS_FORMERR, 512 },
		{ "question cut in the name", HEAD("0100", "0001000000000000") "03\"We\"", DNS_FORMERR, 512 },
		{ "question cut in the type", HEAD("0100", "0001000000000000") WEB "0001", DNS_FORMERR, 512 },
		{ "compressed question", HEAD("0100", "0001000000000000") "c00c 00010001", DNS_FORMERR, 512 },
		{ "label type 01", HEAD("0100", "0001000000000000") "41 00 00010001", DNS_FORMERR, 512 },
		{ "notify", HEAD("2000", "0001000000000000") WEB "00060001", DNS_NOTIMP, 512 },
		{ "update", HEAD("2800", "0001000000000000") WEB "00060001", DNS_NOTIMP, 512 },
		{ "an answer", HEAD("8100", "0001000000000000") WEB "00010001", -1, 0 },
		{ "eleven bytes", "1234 0100 0001000000 0000", -1, 0 },
		{ "nothing", "", -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_query q;
		int r = dns_query_parse(msg(rows[i].hex), &q);
		if (r != rows[i].result)
			fail_msg("%s: %d", rows[i].what, r);
		if (r < 0)
			continue;
		assert_int_equal(q.id, 0x1234);
		if (q.udp_bytes != rows[i].udp_bytes)
			fail_msg("%s: UDP size %u", rows[i].what, q.udp_bytes);
	}
}

static void test_long_name_in_question(void **state)
{
	uint8_t m[DNS_HEADER_BYTES + 300] = { [2] = 1, [5] = 1 };
	struct dns_query q;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		m[DNS_HEADER_BYTES + 64 * i] = 63;
	m[DNS_HEADER_BYTES + 192] = 61; /* 3 * 64 + 62 + 1 = 255 */
	size_t end = DNS_HEADER_BYTES + 192 + 62;
	m[end] = 0;
	m[end + 2] = m[end + 4] = 1;
	assert_int_equal(dns_query_parse((struct str){ (char *)m, end + 5 }, &q), 0);
	assert_int_equal(q.name.len, 255);
	m[DNS_HEADER_BYTES + 192] = 62;
	m[end] = 'x';
	m[end + 1] = 0;
	m[end + 2] = m[end + 4] = 0;
	m[end + 3] = m[end + 5] = 1;
	assert_int_equal(dns_query_parse((struct str){ (char *)m, end + 6 }, &q), DNS_FORMERR);
}

static void test_names(void **state)
{
	struct dns_name n, zone;
	char text[DNS_NAME_TEXT_BYTES];
	static const struct {
		const char *name, *zone;
		bool under;
	} rows[] = {
		{ "cluster.local", "cluster.local.", true },	 { "a.Cluster.LOCAL", "cluster.local", true },
		{ "a.b.cluster.local", "cluster.local", true },	 { "mycluster.local", "cluster.local", false },
		{ "local", "cluster.local", false },		 { "cluster.local.x", "cluster.local", false },
		{ "example.com", "", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(dns_name_from_text(str_of(rows[i].name), &n));
		assert_true(dns_name_from_text(str_of(rows[i].zone), &zone));
		assert_int_equal(dns_name_under(&n, &zone), rows[i].under);
	}
	assert_true(dns_name_from_text(STR("Web.ns"), &n));
	assert_string_equal(dns_name_text(&n, text), "web.ns.");
	assert_true(dns_name_from_text(STR("."), &n));
	assert_string_equal(dns_name_text(&n, text), ".");
	assert_false(dns_name_from_text(STR("a..b"), &n));
	assert_false(dns_name_from_text(STR(".a"), &n));
	assert_false(dns_name_from_text(STR("a123456789b123456789c123456789d123456789e123456789f123456789g123"
					    "x.y"), &n));
}

static void test_compressed_names(void **state)
{
	struct dns_name n;
	size_t end;
	char text[DNS_NAME_TEXT_BYTES];
	/* 0: "b" root; 3: "a" -> 0; 7: -> 3; 9: -> 9 (itself); 11: -> 13 (forward) */
	struct str m = msg("01\"b\" 00 01\"a\" c000 c003 c009 c00d 0161 00");

	(void)state;
	assert_true(dns_name_read(m, 3, &n, &end));
	assert_string_equal(dns_name_text(&n, text), "a.b.");
	assert_int_equal(end, 7);
	assert_true(dns_name_read(m, 7, &n, &end));
	assert_string_equal(dns_name_text(&n, text), "a.b.");
	assert_int_equal(end, 9);
	assert_false(dns_name_read(m, 9, &n, &end));
	assert_false(dns_name_read(m, 11, &n, &end));
	assert_false(dns_name_read((struct str){ m.ptr, 6 }, 3, &n, &end));
}

static void test_reverse(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		uint8_t ip[16];
	} rows[] = {
		{ "1.0.96.10.in-addr.arpa", 4, { 10, 96, 0, 1 } },
		{ "1.0.96.256.in-addr.arpa", 0 },
		{ "01.0.96.10.in-addr.arpa", 0 },
		{ "0.96.10.in-addr.arpa", 0 },
		{ "x.1.0.96.10.in-addr.arpa", 0 },
		{ "1.0.96.10.in-addr.arpb", 0 },
		{ "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", 16,
		  { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } },
		{ "g.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_name n;
		uint8_t ip[16] = { 0 };
		assert_true(dns_name_from_text(str_of(rows[i].name), &n));
		assert_int_equal(dns_reverse_ip(&n, ip), rows[i].len);
		if (rows[i].len)
			assert_memory_equal(ip, rows[i].ip, rows[i].len);
	}
}

static void test_answer(void **state)
{
	static const uint8_t ip[4] = { 10, 0, 0, 1 };
	struct dns_query q;
	struct dns_writer w;
	struct dns_message m;
	uint8_t out[DNS_UDP_BYTES_MAX];
	struct str query = msg(HEAD("0110", "0001000000000001") WEB "00010001 00 0029 1000 00008000 0000");

	(void)state;
	assert_int_equal(dns_query_parse(query, &q), 0);
	dns_answer_start(&w, out, q.udp_bytes, &q);
	assert_true(dns_put(&w, DNS_ANSWER, DNS_QUESTION_AT, DNS_A, 30, &(struct dns_rdata){ ip, 4 }));
	size_t n = dns_answer_finish(&w, DNS_NOERROR, true);
	assert_true(dns_message_parse((struct str){ (char *)out, n }, &m));
	assert_int_equal(m.id, 0x1234);
	assert_int_equal(m.flags, 0x8590); /* QR AA RD RA CD */
	assert_memory_equal(out + DNS_HEADER_BYTES, "\3Web\2ns", 8); /* as it was asked */
	struct dns_record r = dns_records(&m);
	assert_true(dns_record_next(&m, &r));
	assert_int_equal(r.ttl, 30);
	assert_memory_equal(out + r.rdata_at, ip, 4);
	assert_true(dns_record_next(&m, &r));
	assert_int_equal(r.type, DNS_OPT);
	assert_int_equal(r.ttl, 0x8000);
	assert_false(dns_record_next(&m, &r));
	/* BADVERS does not fit into the header: its upper bits are in OPT. */
	n = dns_answer_error(out, sizeof(out), &q, DNS_BADVERS);
	assert_true(dns_message_parse((struct str){ (char *)out, n }, &m));
	assert_int_equal(m.flags & DNS_FLAGS_RCODE, 0);
	r = dns_records(&m);
	assert_true(dns_record_next(&m, &r));
	assert_int_equal(r.ttl >> 24, 1);
}

static void test_full_answer_is_cut(void **state)
{
	static const uint8_t ip[4] = { 10, 0, 0, 1 };
	struct dns_query q;
	struct dns_writer w;
	struct dns_message m;
	uint8_t out[DNS_UDP_BYTES_MIN];

	(void)state;
	assert_int_equal(dns_query_parse(msg(HEAD("0100", "0001000000000000") WEB "00010001"), &q), 0);
	dns_answer_start(&w, out, sizeof(out), &q);
	int put = 0;
	while (dns_put(&w, DNS_ANSWER, DNS_QUESTION_AT, DNS_A, 30, &(struct dns_rdata){ ip, 4 }))
		put++;
	size_t n = dns_answer_finish(&w, DNS_NOERROR, true);
	assert_int_equal(put, (512 - 12 - 12) / 16);
	assert_true(n <= 512);
	assert_true(dns_message_parse((struct str){ (char *)out, n }, &m));
	assert_true(m.flags & DNS_FLAG_TC);
	assert_int_equal(m.counts[1], put);
	/* An additional record that does not fit is not missed. */
	dns_answer_start(&w, out, 40, &q);
	while (dns_put(&w, DNS_ADDITIONAL, DNS_QUESTION_AT, DNS_A, 30, &(struct dns_rdata){ ip, 4 }))
		;
	dns_answer_finish(&w, DNS_NOERROR, true);
	assert_false(w.truncated);
}

#define A_RECORD(ttl) "c00c 0001 0001 " ttl " 0004 0a000001 "
#define SOA_RECORD(ttl, minimum) "c00c 0006 0001 " ttl " 0018 c00c c00c 00000001 00000002 00000003 00000004 " minimum " "

static void test_ttl(void **state)
{
	static const struct {
		const char *hex;
		uint32_t ttl;
	} rows[] = {
		{ HEAD("8180", "0001000200000000") WEB "00010001" A_RECORD("0000003c") A_RECORD("0000001e"), 30 },
		{ HEAD("8183", "0001000000010000") WEB "00010001" SOA_RECORD("0000003c", "0000000a"), 10 },
		{ HEAD("8180", "0001000000010000") WEB "00010001" SOA_RECORD("00000005", "0000000a"), 5 },
		{ HEAD("8180", "0001000000000000") WEB "00010001", 0 },		    /* a denial without SOA */
		{ HEAD("8182", "0001000100000000") WEB "00010001" A_RECORD("0000003c"), 0 }, /* SERVFAIL */
		{ HEAD("8380", "0001000100000000") WEB "00010001" A_RECORD("0000003c"), 0 }, /* TC */
		/* A CNAME without the type that was asked, and the denial of its target. */
		{ HEAD("8180", "0001000100010000") WEB "00010001 c00c 0005 0001 0000003c 0002 c00c"
		  SOA_RECORD("00000007", "0000000a"), 7 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_message m;
		assert_true(dns_message_parse(msg(rows[i].hex), &m));
		if (dns_message_ttl(&m) != rows[i].ttl)
			fail_msg("row %zu: %u", i, dns_message_ttl(&m));
	}
}

static void test_bad_messages(void **state)
{
	static const char *const rows[] = {
		HEAD("8180", "0001000100000000") WEB "00010001",			       /* record missing */
		HEAD("8180", "0001000100000000") WEB "00010001 c00c 0001 0001 00000000 0003 0a0000", /* A of 3 bytes */
		HEAD("8180", "0001000100000000") WEB "00010001 c00c 0005 0001 00000000 0002 c0ff",   /* pointer outside */
		HEAD("8180", "0001000100000000") WEB "00010001 c00c 0005 0001 00000000 0003 c00c00", /* CNAME and more */
		HEAD("8180", "0001000100000000") WEB "00010001 c00c 0001 0001 00000000 ffff 0a000001",
		HEAD("8180", "0000000000000000"),
		HEAD("8180", "0001000000000000") WEB "00010001 00",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_message m;
		if (dns_message_parse(msg(rows[i]), &m))
			fail_msg("row %zu was accepted", i);
	}
}

static void test_copy_expands_names(void **state)
{
	struct dns_message from, to;
	struct dns_query q;
	struct dns_writer w;
	uint8_t out[DNS_UDP_BYTES_MIN];
	char copy[512];
	struct dns_name n;
	char text[DNS_NAME_TEXT_BYTES];
	size_t end;

	(void)state;
	struct str s = msg(HEAD("8180", "0001000200000000") WEB "00010001 c00c 0005 0001 0000003c 0004 0178 c010"
			   SOA_RECORD("00000007", "0000000a"));
	memcpy(copy, s.ptr, s.len);
	assert_true(dns_message_parse((struct str){ copy, s.len }, &from));
	assert_int_equal(dns_query_parse(msg(HEAD("0100", "0001000000000000") "05\"other\" 00 00010001"), &q), 0);
	dns_answer_start(&w, out, sizeof(out), &q);
	for (struct dns_record r = dns_records(&from); dns_record_next(&from, &r);)
		assert_true(dns_put_copy(&w, DNS_ANSWER, &from, &r));
	assert_true(dns_message_parse((struct str){ (char *)out, dns_answer_finish(&w, 0, false) }, &to));
	struct dns_record r = dns_records(&to);
	assert_true(dns_record_next(&to, &r));
	assert_true(dns_name_read(to.bytes, r.at, &n, &end));
	assert_string_equal(dns_name_text(&n, text), "Web.ns.");
	assert_true(dns_name_read(to.bytes, r.rdata_at, &n, &end));
	assert_string_equal(dns_name_text(&n, text), "x.ns.");
	assert_int_equal(end, r.end);
	assert_true(dns_record_next(&to, &r));
	assert_int_equal(r.rdata_len, 8 + 8 + 20);
	assert_int_equal(out[r.end - 1], 10);
}

static void test_options(void **state)
{
	struct dns_edns_reply reply = { 0 };
	struct dns_edns_option o = { 0 };
	struct dns_query q;
	struct dns_message m;
	uint8_t out[DNS_UDP_BYTES_MIN], big[DNS_REPLY_OPTIONS_BYTES];

	(void)state;
	assert_int_equal(dns_query_parse(msg(HEAD("0100", "0001000000000001") WEB
					     "00010001 00 0029 0400 00000000 000a 00030000 000a0002 aabb"), &q), 0);
	assert_true(dns_edns_next(q.options, &o));
	assert_int_equal(o.code, DNS_OPTION_NSID);
	assert_int_equal(o.value.len, 0);
	assert_true(dns_edns_next(q.options, &o));
	assert_int_equal(o.code, DNS_OPTION_COOKIE);
	assert_memory_equal(o.value.ptr, "\xaa\xbb", 2);
	assert_false(dns_edns_next(q.options, &o));
	/* What the answer gets is at its end, within the limit. */
	assert_true(dns_edns_put(&reply, DNS_OPTION_NSID, "me", 2));
	assert_false(dns_edns_put(&reply, DNS_OPTION_PADDING, big, sizeof(big)));
	q.reply_options = dns_edns_str(&reply);
	size_t n = dns_answer_error(out, sizeof(out), &q, DNS_BADCOOKIE);
	assert_true(dns_message_parse((struct str){ (char *)out, n }, &m));
	assert_memory_equal(out + n - 8, "\0\6\0\3\0\2me", 8);
	assert_int_equal(m.flags & DNS_FLAGS_RCODE, DNS_BADCOOKIE & 15);
	assert_int_equal(out[n - 8 - 4], DNS_BADCOOKIE >> 4);
	/* They are the client's affair, not an upstream's. */
	n = dns_query_write(out, 1, &q);
	assert_memory_equal(out + n - 2, "\0\0", 2);
}

static void test_query_write(void **state)
{
	struct dns_query q, again;
	uint8_t out[DNS_UDP_BYTES_MIN];

	(void)state;
	assert_int_equal(dns_query_parse(msg(HEAD("0110", "0001000000000001") WEB "001c0001 00 0029 0400 00008000 0000"), &q), 0);
	size_t n = dns_query_write(out, 0xabcd, &q);
	assert_int_equal(dns_query_parse((struct str){ (char *)out, n }, &again), 0);
	assert_int_equal(again.id, 0xabcd);
	assert_int_equal(again.type, DNS_AAAA);
	assert_true(again.edns && again.dnssec_ok);
	assert_true(str_eq(again.question, q.question));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_long_name_in_question),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_compressed_names),
		cmocka_unit_test(test_reverse),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_full_answer_is_cut),
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_bad_messages),
		cmocka_unit_test(test_copy_expands_names),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_query_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
