/* SPDY/3.1 framing: frames written by another implementation, round trips, cuts, limits. */
#include "codec/spdy.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>
#include <zlib.h>

/* Written by Go's spdystream framer: two SYN_STREAMs, a SYN_REPLY, data, FIN, PING, RST_STREAM,
 * WINDOW_UPDATE, SETTINGS, GOAWAY. The second header block needs the state that the first left. */
static const char recorded[] =
	"80030001000000290000000100000000000078f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff"
	"800300010000001700000003000000000000c22e555c92929907000000ffff"
	"800300020000000e000000036260606000000000ffff"
	"000000030000000568656c6c6f" "0000000301000000"
	"800300060000000400000007" "80030003000000080000000100000005" "80030009000000080000000100000063"
	"800300040000000c0000000100000007000004d2" "80030007000000080000000300000000";

static const char expected[] =
	"1 stream=1 streamtype=error\n"
	"1 stream=3 streamtype=stdin\n"
	"2 stream=3\n"
	"0 stream=3 data=hello\n"
	"0 stream=3 fin\n"
	"6 stream=7\n"
	"3 stream=1 value=5\n"
	"9 stream=1 value=99\n"
	"4 stream=1 value=1234\n"
	"7 stream=3\n";

static void unhex(const char *hex, struct buf *out)
{
	buf_init(out, 1 << 20);
	for (; *hex; hex += 2) {
		unsigned v;
		assert_int_equal(sscanf(hex, "%2x", &v), 1);
		assert_int_equal(buf_putc(out, (char)v), 0);
	}
}

static void describe(const struct spdy_event *ev, struct buf *out)
{
	if (ev->type == SPDY_IGNORED)
		return;
	buf_printf(out, "%d stream=%u", ev->type, ev->stream);
	if (ev->value)
		buf_printf(out, " value=%u", ev->value);
	for (size_t i = 0; i < ev->n_headers; i++)
		buf_printf(out, " " STR_FMT "=" STR_FMT, STR_ARG(ev->headers[i].name),
			   STR_ARG(ev->headers[i].value));
	if (ev->data.len)
		buf_printf(out, " data=" STR_FMT, STR_ARG(ev->data));
	buf_printf(out, "%s\n", ev->fin ? " fin" : "");
}

/* Feeds `in` so that at most `step` new bytes become visible at a time. */
static void run(struct spdy *s, struct str in, size_t step, struct buf *out)
{
	size_t used = 0, visible = 0;
	struct spdy_event ev;
	struct err e;

	while (used < in.len) {
		ssize_t n = spdy_parse(s, (struct str){ in.ptr + used, visible - used }, &ev, &e);
		assert_true(n >= 0);
		if (n == 0) {
			assert_true(visible < in.len);
			visible = MIN(in.len, visible + step);
		} else {
			describe(&ev, out);
		}
		used += (size_t)n;
	}
}

static void test_recorded(void **state)
{
	(void)state;
	struct buf in, out;
	struct spdy *s = spdy_new();

	unhex(recorded, &in);
	buf_init(&out, 1 << 20);
	run(s, buf_str(&in), in.len, &out);
	assert_string_equal(out.ptr, expected);
	spdy_free(s);

	buf_clear(&out);
	s = spdy_new();
	run(s, buf_str(&in), 1, &out); /* data then comes a byte at a time */
	assert_non_null(strstr(out.ptr, "0 stream=3 data=h\n0 stream=3 data=e\n"));
	assert_non_null(strstr(out.ptr, "7 stream=3\n"));
	spdy_free(s);
	buf_done(&in);
	buf_done(&out);
}

static void test_round_trip(void **state)
{
	(void)state;
	struct spdy *a = spdy_new(), *b = spdy_new();
	const struct spdy_header h[] = { { STR("streamtype"), STR("data") }, { STR("port"), STR("8080") } };
	struct buf wire, out;

	buf_init(&wire, 1 << 20);
	buf_init(&out, 1 << 20);
	for (uint32_t id = 1; id < 200; id += 2)
		assert_int_equal(spdy_put_syn_stream(a, &wire, id, false, h, 2), 0);
	assert_int_equal(spdy_put_syn_reply(a, &wire, 1, true, NULL, 0), 0);
	assert_int_equal(spdy_put_headers(a, &wire, 1, false, h, 1), 0);
	assert_int_equal(spdy_put_data(&wire, 1, true, STR("x")), 0);
	assert_int_equal(spdy_put_rst(&wire, 3, SPDY_RST_CANCEL), 0);
	assert_int_equal(spdy_put_ping(&wire, 0x80000001), 0);
	assert_int_equal(spdy_put_goaway(&wire, 5, 2), 0);
	assert_int_equal(spdy_put_window_update(&wire, 5, 77), 0);
	run(b, buf_str(&wire), 7, &out);
	assert_int_equal(strncmp(out.ptr, "1 stream=1 streamtype=data port=8080\n", 37), 0);
	assert_non_null(strstr(out.ptr, "1 stream=199 streamtype=data port=8080\n"
					"2 stream=1 fin\n8 stream=1 streamtype=data\n0 stream=1 data=x fin\n"
					"3 stream=3 value=5\n6 stream=2147483649\n7 stream=5 value=2\n"
					"9 stream=5 value=77\n"));
	spdy_free(a);
	spdy_free(b);
	buf_done(&wire);
	buf_done(&out);
}

static void test_malformed(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"80020001000000080000000100000000",		  /* version 2 */
		"8003000300000004000000010000",			  /* RST_STREAM too short */
		"80030003000000080000000000000005",		  /* stream 0 */
		"0000000000000001ff",				  /* data for stream 0 */
		"8003000200ffffff00000001",			  /* control frame beyond the limit */
		"800300020000000800000001deadbeef",		  /* not zlib */
		"800300020000000400000001",			  /* no header block at all */
		"80030004000000080000000200000000",		  /* SETTINGS that promise more */
		"80030006000000080000000100000000",		  /* PING too long */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct spdy *s = spdy_new();
		struct spdy_event ev;
		struct err e;
		struct buf in;

		unhex(rows[i], &in);
		if (spdy_parse(s, buf_str(&in), &ev, &e) != -1)
			fail_msg("row %zu was accepted", i);
		buf_done(&in);
		spdy_free(s);
	}
}

static void test_unknown_type_is_skipped(void **state)
{
	(void)state;
	struct spdy *s = spdy_new();
	struct buf in, out;

	unhex("80030077000000030102" "03" "800300060000000400000007", &in);
	buf_init(&out, 1000);
	run(s, buf_str(&in), 1, &out);
	assert_string_equal(out.ptr, "6 stream=7\n");
	buf_done(&in);
	buf_done(&out);
	spdy_free(s);
}

static void test_limits(void **state)
{
	(void)state;
	struct spdy *a = spdy_new(), *b = spdy_new();
	struct spdy_header many[SPDY_HEADERS_MAX + 1];
	struct spdy_event ev;
	struct buf wire, big;
	struct err e;

	buf_init(&wire, 1 << 20);
	buf_init(&big, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct spdy_header){ STR("n"), STR("v") };
	assert_int_equal(spdy_put_syn_reply(a, &wire, 1, false, many, ARRAY_LEN(many)), -1);
	assert_int_equal(wire.len, 0);
	/* Exactly a chunk of inflated bytes, and one more and less: the block ends where the buffer does. */
	for (size_t n = 4096 - 13 - 2; n <= 4096 - 13 + 2; n++) {
		buf_clear(&big);
		for (size_t i = 0; i < n; i++)
			buf_putc(&big, (char)('a' + i % 3));
		const struct spdy_header h = { STR("x"), buf_str(&big) };
		buf_clear(&wire);
		assert_int_equal(spdy_put_syn_reply(a, &wire, 1, false, &h, 1), 0);
		assert_int_equal(spdy_parse(b, buf_str(&wire), &ev, &e), wire.len);
		assert_int_equal(spdy_header_get(&ev, "x").len, n);
	}
	/* A full output buffer leaves what was there. */
	struct buf small;
	buf_init(&small, 20);
	assert_int_equal(spdy_put_data(&small, 1, false, STR("0123456789")), 0);
	assert_int_equal(spdy_put_data(&small, 1, false, STR("0123456789")), -1);
	assert_int_equal(small.len, 18);
	buf_done(&small);
	buf_done(&wire);
	buf_done(&big);
	spdy_free(a);
	spdy_free(b);
}

/* Flushed, not finished: the stream goes on in the connection's next block. */
static void put_deflated(struct buf *out, const void *in, size_t n_in)
{
	static unsigned char packed[4096];
	z_stream z = { .next_in = (Bytef *)in, .avail_in = (uInt)n_in, .next_out = packed,
		       .avail_out = sizeof(packed) };

	assert_int_equal(deflateInit(&z, Z_BEST_COMPRESSION), Z_OK);
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	assert_int_equal(buf_put(out, packed, sizeof(packed) - z.avail_out), 0);
	deflateEnd(&z);
}

/* A SYN_REPLY whose header block inflates to these bytes. */
static int parse_block(const void *block, size_t len, struct err *e)
{
	struct spdy *s = spdy_new();
	struct spdy_event ev;
	struct buf wire;

	unhex("8003000200000000" "00000001", &wire);
	put_deflated(&wire, block, len);
	size_t payload = wire.len - 8;
	wire.ptr[6] = (char)(payload >> 8);
	wire.ptr[7] = (char)payload;
	ssize_t n = spdy_parse(s, buf_str(&wire), &ev, e);
	spdy_free(s);
	buf_done(&wire);
	return n < 0 ? -1 : (int)ev.n_headers;
}

static void test_inflated_limits(void **state)
{
	static char zeros[70000];
	struct buf block;
	struct err e;

	(void)state;
	assert_int_equal(parse_block(zeros, sizeof(zeros), &e), -1);
	assert_int_equal(e.reason, ERR_TOO_LARGE);
	assert_int_equal(parse_block("\0\0\0\0", 4, &e), 0);
	assert_int_equal(parse_block("\0\0\0\0x", 5, &e), -1);
	assert_int_equal(parse_block("\0\0\0\1\0\0\0\1X\0\0\0", 13, &e), -1); /* upper case */
	assert_int_equal(parse_block("\0\0\0\1\0\0\0\0\0\0\0", 12, &e), -1); /* no name */
	buf_init(&block, 1 << 20);
	for (size_t n = SPDY_HEADERS_MAX; n <= SPDY_HEADERS_MAX + 1; n++) {
		buf_clear(&block);
		buf_put(&block, "\0\0\0", 3);
		buf_putc(&block, (char)n);
		for (size_t i = 0; i < n; i++)
			buf_put(&block, "\0\0\0\1a\0\0\0\0", 9);
		assert_int_equal(parse_block(block.ptr, block.len, &e), n == SPDY_HEADERS_MAX ? (int)n : -1);
	}
	buf_done(&block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_unknown_type_is_skipped),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_inflated_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
