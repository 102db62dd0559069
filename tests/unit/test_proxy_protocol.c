#include "codec/proxy_protocol.h"
#include "net/addr.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static struct err e;

static const char *text_of(const struct sockaddr_storage *ss, socklen_t len, char out[ADDR_TEXT_BYTES])
{
	struct addr a = { .ss = *ss, .len = len };

	return addr_text(&a, out);
}

/* ---- version 1 ---- */

static void lines_are_read(void **state)
{
	static const struct {
		const char *line;
		const char *from, *to; /* NULL, NULL: local */
	} rows[] = {
		{ "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324", "192.168.0.11:443" },
		{ "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535",
		  "255.255.255.255:65535" },
		{ "PROXY TCP6 2001:DB8::1 ::1 1 0\r\n", "[2001:db8::1]:1", "[::1]:0" },
		{ "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
		{ "PROXY UNKNOWN\r\n", NULL, NULL },
		{ "PROXY UNKNOWN ffff::1 whatever 65535 65535\r\n", NULL, NULL },
	};
	char text[ADDR_TEXT_BYTES];
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].line);

		assert_int_equal(proxy_header_parse(rows[i].line, len, &h, &e), len);
		assert_int_equal(h.version, 1);
		assert_int_equal(h.local, !rows[i].from);
		if (!rows[i].from)
			continue;
		assert_string_equal(text_of(&h.source, h.addr_len, text), rows[i].from);
		assert_string_equal(text_of(&h.destination, h.addr_len, text), rows[i].to);
	}
}

static void broken_lines_are_refused(void **state)
{
	static const char *const rows[] = {
		"GET / HTTP/1.1\r\n",
		"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY\r\n",
		"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY UNKNOWNS\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n",
		"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
		"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
		"PROXY TCP4 ::1 ::1 1 2\r\n",
		"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP6 ::1%lo ::1 1 2\r\n",
		/* 107 bytes without an end */
		"PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
	};
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (proxy_header_parse(rows[i], strlen(rows[i]), &h, &e) != -1)
			fail_msg("taken: %s", rows[i]);
	}
	static const char nul[] = "PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n";
	assert_int_equal(proxy_header_parse(nul, sizeof(nul) - 1, &h, &e), -1);
}

/* ---- version 2 ---- */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4_PAIR "\x0a\0\0\x01\x0a\0\0\x02\x04\xd2\x01\xbb"
#define V6_PAIR "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\0\x01\0\x02"

static void blocks_are_read(void **state)
{
	static const struct {
		struct str bytes;
		const char *from, *to; /* NULL, NULL: local */
		bool datagram;
	} rows[] = {
		{ STR(SIGNATURE "\x21\x11\0\x0c" V4_PAIR), "10.0.0.1:1234", "10.0.0.2:443", false },
		{ STR(SIGNATURE "\x21\x12\0\x0c" V4_PAIR), "10.0.0.1:1234", "10.0.0.2:443", true },
		{ STR(SIGNATURE "\x21\x21\0\x24" V6_PAIR), "[2001:db8::1]:1", "[2001:db8::2]:2", false },
		/* additions: an empty one, and one of three bytes */
		{ STR(SIGNATURE "\x21\x11\0\x15" V4_PAIR "\x04\0\0\xea\0\x03" "abc"), "10.0.0.1:1234", "10.0.0.2:443",
		  false },
		{ STR(SIGNATURE "\x20\0\0\0"), NULL, NULL, false },
		/* LOCAL: the rest is ignored, even a family that does not exist */
		{ STR(SIGNATURE "\x20\x77\0\x02xx"), NULL, NULL, false },
		{ STR(SIGNATURE "\x21\0\0\x02xx"), NULL, NULL, false },
	};
	char text[ADDR_TEXT_BYTES];
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str in = rows[i].bytes;

		for (size_t n = 0; n < in.len; n++)
			assert_int_equal(proxy_header_parse(in.ptr, n, &h, &e), 0);
		assert_int_equal(proxy_header_parse(in.ptr, in.len, &h, &e), in.len);
		assert_int_equal(h.version, 2);
		assert_int_equal(h.local, !rows[i].from);
		assert_int_equal(h.datagram, rows[i].datagram);
		if (!rows[i].from)
			continue;
		assert_string_equal(text_of(&h.source, h.addr_len, text), rows[i].from);
		assert_string_equal(text_of(&h.destination, h.addr_len, text), rows[i].to);
	}
}

static void broken_blocks_are_refused(void **state)
{
	static const struct str rows[] = {
		STR("\r\n\r\n\0\r\nQUIZ"),			    /* another signature */
		STR(SIGNATURE "\x11"),				    /* version 1 in binary */
		STR(SIGNATURE "\x31"),				    /* version 3 */
		STR(SIGNATURE "\x22"),				    /* a command that does not exist */
		STR(SIGNATURE "\x21\x13\0\x0c" V4_PAIR),	    /* a protocol that does not exist */
		STR(SIGNATURE "\x21\x41\0\x0c" V4_PAIR),	    /* a family that does not exist */
		STR(SIGNATURE "\x21\x11\0\x0b" V4_PAIR),	    /* shorter than its addresses */
		STR(SIGNATURE "\x21\x21\0\x0c" V4_PAIR),
		STR(SIGNATURE "\x21\x11\0\x0e" V4_PAIR "\x04\0"),   /* half an addition */
		STR(SIGNATURE "\x21\x11\0\x0f" V4_PAIR "\x04\0\x01"), /* one that is longer than the rest */
		STR(SIGNATURE "\x21\x11\x10\0"),		    /* longer than we take */
	};
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (proxy_header_parse(rows[i].ptr, rows[i].len, &h, &e) != -1)
			fail_msg("row %zu was taken", i);
	}
}

/* ---- writing ---- */

static void what_is_written_is_read(void **state)
{
	static const struct {
		const char *from, *to, *line; /* of version 1 */
	} rows[] = {
		{ "10.0.0.1:1234", "10.0.0.2:80", "PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\n" },
		{ "[::ffff:10.0.0.1]:1234", "[::ffff:10.0.0.2]:80", "PROXY TCP4 10.0.0.1 10.0.0.2 1234 80\r\n" },
		{ "[2001:db8::1]:1", "[::1]:2", "PROXY TCP6 2001:db8::1 ::1 1 2\r\n" },
		{ "10.0.0.1:1234", "[::1]:2", "PROXY TCP6 ::ffff:10.0.0.1 ::1 1234 2\r\n" },
		{ "unix:/x", "[::1]:2", "PROXY UNKNOWN\r\n" },
	};
	char out[PROXY_HEADER_WRITE_BYTES];
	struct proxy_header one, two;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr from, to;

		assert_int_equal(addr_parse(rows[i].from, &from, &e), 0);
		assert_int_equal(addr_parse(rows[i].to, &to, &e), 0);
		size_t n = proxy_header_write(1, &from.ss, &to.ss, out);
		assert_int_equal(n, strlen(rows[i].line));
		assert_memory_equal(out, rows[i].line, n);
		assert_int_equal(proxy_header_parse(out, n, &one, &e), n);
		n = proxy_header_write(2, &from.ss, &to.ss, out);
		assert_int_equal(proxy_header_parse(out, n, &two, &e), n);
		assert_int_equal(one.local, two.local);
		assert_memory_equal(&one.source, &two.source, sizeof(one.source));
		assert_memory_equal(&one.destination, &two.destination, sizeof(one.destination));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_read),	 cmocka_unit_test(broken_lines_are_refused),
		cmocka_unit_test(blocks_are_read),	 cmocka_unit_test(broken_blocks_are_refused),
		cmocka_unit_test(what_is_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
