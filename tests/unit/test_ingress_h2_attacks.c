/* What HTTP/2 clients should not do, as raw frames: each attack meets its limit, and other clients are served meanwhile.
 *
 * Compiled with the connection's own file, so that a minute's stall takes a moment.
 */
#define H2_SEND_STALL_MS 300
#define H2_TICK_MS 50
#include "../../src/roles/ingress/http/down_h2.c"

#include "h1_peer.h"
#include "h2_peer.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION, UNKNOWN = 0xfa };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };
enum { NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED = 5, REFUSED_STREAM = 7, CANCEL = 8, CALM = 11 };

static struct rig r;
static struct h1_server h1;
static struct client *raw; /* the attacker */
static struct buf out;

static int group_setup(void **state)
{
	(void)state;
	rig_init(&r);
	h1_start(&h1, &r);
	r.globals.client_body_timeout_s = 1;
	rig_location(&r, "/", h1.port, PROTOCOL_HTTP);
	rig_location(&r, "/now", h1.port, PROTOCOL_HTTP)->proxy_request_buffering = false;
	rig_location(&r, "/early-answer", h1.port, PROTOCOL_HTTP)->proxy_request_buffering = false;
	rig_start(&r, NULL);
	buf_init(&out, 64u << 20);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	h1_stop(&h1);
	rig_stop(&r);
	buf_done(&out);
	return 0;
}

/* ---- frames out ---- */

static void frame(uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t len)
{
	const uint8_t head[9] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags,
				 (uint8_t)(id >> 24),  (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

	assert_int_equal(buf_put(&out, head, 9), 0);
	assert_int_equal(buf_put(&out, payload, len), 0);
}

static void frame_u32(uint8_t type, uint32_t id, uint32_t value)
{
	const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};

	frame(type, 0, id, bytes, 4);
}

static void priority(uint32_t id, uint32_t on)
{
	const uint8_t bytes[5] = {(uint8_t)(on >> 24), (uint8_t)(on >> 16), (uint8_t)(on >> 8), (uint8_t)on, 15};

	frame(PRIORITY, 0, id, bytes, 5);
}

/* RFC 7541 §5.1, prefix of 7 bits. */
static void hpack_len(struct buf *b, size_t n)
{
	if (n < 127) {
		buf_putc(b, (char)n);
		return;
	}
	buf_putc(b, 127);
	for (n -= 127; n > 127; n >>= 7)
		buf_putc(b, (char)((n & 127) | 128));
	buf_putc(b, (char)n);
}

/* A literal that is not indexed, as it is. */
static void field_bytes(struct buf *b, const char *name, size_t name_len, const char *value, size_t value_len)
{
	buf_putc(b, 0);
	hpack_len(b, name_len);
	buf_put(b, name, name_len);
	hpack_len(b, value_len);
	buf_put(b, value, value_len);
}

static void field(struct buf *b, const char *name, const char *value)
{
	field_bytes(b, name, strlen(name), value, strlen(value));
}

static void request_head(struct buf *b, const char *method, const char *path)
{
	buf_init(b, 16u << 20);
	field(b, ":method", method);
	field(b, ":scheme", "http");
	field(b, ":authority", "a.test");
	field(b, ":path", path);
}

static void request(uint32_t id, const char *method, const char *path, bool end)
{
	struct buf b;

	request_head(&b, method, path);
	frame(HEADERS, END_HEADERS | (end ? END_STREAM : 0), id, b.ptr, b.len);
	buf_done(&b);
}

static void send_out(void)
{
	if (raw->conn)
		conn_write(raw->conn, out.ptr, out.len);
	buf_clear(&out);
}

static int setup_no_ack(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

	(void)state;
	raw = client_new(&r, r.port, NULL, true, 0);
	buf_clear(&out);
	buf_puts(&out, preface);
	frame(SETTINGS, 0, 0, "", 0);
	return raw->closed ? -1 : 0;
}

static int setup(void **state)
{
	if (setup_no_ack(state) < 0)
		return -1;
	frame(SETTINGS, ACK, 0, "", 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	client_free(raw);
	return 0;
}

/* ---- frames in ---- */

struct seen {
	uint8_t type, flags;
	uint32_t id;
	const uint8_t *payload;
	size_t len;
};

static bool next_frame(size_t *at, struct seen *ret)
{
	const uint8_t *p = (const uint8_t *)raw->raw_in.ptr + *at;
	size_t left = raw->raw_in.len - *at;

	if (left < 9)
		return false;
	*ret = (struct seen){p[3], p[4], (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8], p + 9,
			     (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2]};
	if (left < 9 + ret->len)
		return false;
	*at += 9 + ret->len;
	return true;
}

static struct {
	uint8_t type;
	uint32_t id;
	const char *token; /* PING */
} awaited;

static bool find(struct seen *ret)
{
	for (size_t at = 0; next_frame(&at, ret);)
		if (ret->type == awaited.type && ret->id == awaited.id &&
		    (!awaited.token || memcmp(ret->payload, awaited.token, 8) == 0))
			return true;
	return false;
}

static bool found_or_closed(void *ctx)
{
	struct seen s;

	(void)ctx;
	return find(&s) || raw->closed;
}

static bool found(void *ctx)
{
	struct seen s;

	(void)ctx;
	return find(&s);
}

static bool closed(void *ctx)
{
	(void)ctx;
	return raw->closed;
}

/* The error code of the GOAWAY, or of the stream's RST_STREAM; -1: it has not come. */
static int code_of(uint8_t type, uint32_t id)
{
	struct seen s;

	awaited.type = type;
	awaited.id = id;
	awaited.token = NULL;
	if (!rig_until(&r, found_or_closed, NULL, 5000) || !find(&s))
		return -1;
	const uint8_t *p = s.payload + (type == GOAWAY ? 4 : 0);
	return (int)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

/* The attacker's connection goes on. */
static bool alive(void)
{
	static char token[9] = "token000";

	token[7]++;
	frame(PING, 0, 0, token, 8);
	send_out();
	awaited.type = PING;
	awaited.id = 0;
	awaited.token = token;
	return rig_until(&r, found_or_closed, NULL, 5000) && !raw->closed;
}

/* Everybody else is served. */
static void assert_others_served(void)
{
	struct client *other = client_new(&r, r.port, NULL, false, 0);
	struct call *k = client_ask(other, "GET", "/hello", NULL, false);

	assert_true(call_wait(k));
	assert_int_equal(k->status, 200);
	client_free(other);
}

/* The status of a stream's answer; 0: there was none. */
static int status_of(uint32_t id)
{
	nghttp2_hd_inflater *inflater;
	struct seen s;
	int status = 0;

	awaited.type = HEADERS;
	awaited.id = id;
	awaited.token = NULL;
	if (!rig_until(&r, found_or_closed, NULL, 5000) || !find(&s))
		return 0;
	/* The table is the connection's: all heads are read up to the one wanted. */
	nghttp2_hd_inflate_new(&inflater);
	for (size_t at = 0; next_frame(&at, &s);) {
		if (s.type != HEADERS)
			continue;
		for (int flags = 0; !(flags & NGHTTP2_HD_INFLATE_FINAL);) {
			nghttp2_nv nv;
			ssize_t n = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, s.payload, s.len, 1);
			assert_true(n >= 0);
			s.payload += n;
			s.len -= (size_t)n;
			if ((flags & NGHTTP2_HD_INFLATE_EMIT) && s.id == id && nv.name[0] == ':')
				status = atoi((char *)nv.value);
		}
		nghttp2_hd_inflate_end_headers(inflater);
	}
	nghttp2_hd_inflate_del(inflater);
	return status;
}

static void assert_flood_ends(void)
{
	send_out();
	assert_int_equal(code_of(GOAWAY, 0), CALM);
	assert_true(rig_until(&r, closed, NULL, 5000));
	assert_others_served();
}

/* ---- floods ---- */

static void reset_flood(uint32_t code)
{
	unsigned before = h1.n_requests;

	for (uint32_t i = 0; i < 5000; i++) {
		request(2 * i + 1, "GET", "/hello", true);
		frame_u32(RST_STREAM, 2 * i + 1, code);
	}
	assert_flood_ends();
	assert_true(h1.n_requests - before <= H2_RESETS_BURST + 2);
}

/* CVE-2023-44487 */
static void test_rapid_reset(void **state)
{
	(void)state;
	reset_flood(CANCEL);
}

/* The same, as if nothing were wrong. */
static void test_rapid_reset_no_error(void **state)
{
	(void)state;
	reset_flood(0);
}

/* CVE-2025-8671: errors that make the server reset. */
static void test_made_you_reset(void **state)
{
	(void)state;
	/* In rounds, as our resets count as open streams until they are sent. */
	for (uint32_t i = 0; i < 5000 && !raw->closed; i++) {
		struct buf b;

		if (i % 50 == 49 && !alive())
			break;
		request_head(&b, "POST", "/hello");
		field(&b, "content-length", "5");
		frame(HEADERS, END_HEADERS, 2 * i + 1, b.ptr, b.len);
		frame(DATA, END_STREAM, 2 * i + 1, "1234", 4);
		buf_done(&b);
	}
	assert_flood_ends();
}

static void test_ping_flood(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++)
		frame(PING, 0, 0, "12345678", 8);
	assert_flood_ends();
}

static void test_settings_flood(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++)
		frame(SETTINGS, 0, 0, "", 0);
	assert_flood_ends();
}

static void test_priority_flood(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 10000; i++)
		priority(2 * (i % 200) + 1, 2 * (i % 7) + 501);
	assert_flood_ends();
}

static void test_window_flood(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++)
		frame_u32(WINDOW_UPDATE, 0, 1);
	assert_flood_ends();
}

static void test_unknown_flood(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++)
		frame(UNKNOWN, 0, 0, "x", 1);
	assert_flood_ends();
}

static void test_empty_data_flood(void **state)
{
	(void)state;
	request(1, "POST", "/now", false);
	for (int i = 0; i < 10000; i++)
		frame(DATA, 0, 1, "", 0);
	assert_flood_ends();
}

/* The same for a stream that nghttp2 has forgotten. */
static void test_empty_data_for_ended(void **state)
{
	(void)state;
	request(1, "GET", "/hello", true);
	send_out();
	assert_int_equal(status_of(1), 200);
	assert_true(alive());
	frame(DATA, 0, 1, "", 0);
	send_out();
	assert_int_equal(code_of(GOAWAY, 0), STREAM_CLOSED);
}

static void test_continuation_flood(void **state)
{
	struct buf b;

	(void)state;
	request_head(&b, "GET", "/hello");
	frame(HEADERS, END_STREAM, 1, b.ptr, b.len);
	buf_clear(&b);
	field(&b, "x-more", "1");
	for (int i = 0; i < 1000; i++)
		frame(CONTINUATION, 0, 1, b.ptr, b.len);
	buf_done(&b);
	assert_flood_ends();
}

/* Reasonable use of all of these does not count as a flood. */
static void test_busy_client(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		request(2 * i + 1, "GET", "/hello", true);
		priority(2 * i + 1, 0);
		frame_u32(WINDOW_UPDATE, 2 * i + 1, 1000);
		frame_u32(WINDOW_UPDATE, 0, 1000);
		if (i % 3 == 0)
			frame_u32(RST_STREAM, 2 * i + 1, CANCEL);
		if (i % 10 == 0)
			frame(PING, 0, 0, "12345678", 8);
	}
	assert_true(alive());
	assert_int_equal(status_of(199 - 2), 200);
}

/* ---- heads ---- */

/* One entry of the table, named ten thousand times: 40 MB of header list in 14 KB. */
static void test_hpack_bomb(void **state)
{
	static char large[3800];
	struct buf b;

	(void)state;
	memset(large, 'x', sizeof(large));
	request_head(&b, "GET", "/hello");
	buf_putc(&b, 0x40); /* a literal that is indexed */
	hpack_len(&b, 3);
	buf_puts(&b, "x-y");
	hpack_len(&b, sizeof(large));
	buf_put(&b, large, sizeof(large));
	for (int i = 0; i < 10000; i++)
		buf_putc(&b, (char)(0x80 | 62));
	assert_true(b.len < 16384);
	frame(HEADERS, END_HEADERS | END_STREAM, 1, b.ptr, b.len);
	buf_done(&b);
	send_out();
	assert_int_not_equal(code_of(RST_STREAM, 1), -1);
	assert_true(alive());
	assert_others_served();
}

static void test_too_many_fields(void **state)
{
	struct buf b;

	(void)state;
	request_head(&b, "GET", "/hello");
	for (int i = 0; i < EXCHANGE_HEADERS_MAX; i++)
		field(&b, "x", "y");
	frame(HEADERS, END_HEADERS | END_STREAM, 1, b.ptr, b.len);
	buf_done(&b);
	send_out();
	assert_int_equal(status_of(1), 400); /* nginx's "Request Header Or Cookie Too Large" */
	assert_true(alive());
}

static void test_large_field(void **state)
{
	struct buf b;

	(void)state;
	char *large = xcalloc(1, 40001);
	memset(large, 'x', 40000);
	request_head(&b, "GET", "/hello");
	field(&b, "x", large);
	frame(HEADERS, END_STREAM, 1, b.ptr, 16384);
	frame(CONTINUATION, 0, 1, b.ptr + 16384, 16384);
	frame(CONTINUATION, END_HEADERS, 1, b.ptr + 32768, b.len - 32768);
	buf_done(&b);
	free(large);
	send_out();
	assert_int_equal(status_of(1), 400);
	assert_true(alive());
}

/* Every family of smuggling through HTTP/2 (Kettle 2021): none reaches the upstream. */
static const struct {
	const char *what;
	const char *method, *path; /* NULL: not sent */
	const char *name, *value;
	int status; /* 0: RST_STREAM with PROTOCOL_ERROR */
} smuggling[] = {
	{"CR LF in a value", "GET", "/hello", "x", "a\r\nHost: evil", 0},
	{"LF in a value", "GET", "/hello", "x", "a\nb", 0},
	{"CR in a value", "GET", "/hello", "x", "a\rb", 0},
	{"blank before a value", "GET", "/hello", "x", " a", 0},
	{"LF in a name", "GET", "/hello", "x\ny", "a", 0},
	{"colon in a name", "GET", "/hello", "x:y", "a", 0},
	{"blank in a name", "GET", "/hello", "transfer-encoding ", "chunked", 0},
	{"upper case", "GET", "/hello", "X", "a", 0},
	{"no name", "GET", "/hello", "", "a", 0},
	{"transfer-encoding", "POST", "/hello", "transfer-encoding", "chunked", 0},
	{"connection", "GET", "/hello", "connection", "close", 0},
	{"keep-alive", "GET", "/hello", "keep-alive", "5", 0},
	{"proxy-connection", "GET", "/hello", "proxy-connection", "keep-alive", 0},
	{"upgrade", "GET", "/hello", "upgrade", "h2c", 0},
	{"te", "GET", "/hello", "te", "gzip", 0},
	{"content-length without a body", "POST", "/hello", "content-length", "5", 0},
	{"content-length with a sign", "POST", "/hello", "content-length", "+0", 0},
	{"content-length twice in one", "POST", "/hello", "content-length", "0, 0", 0},
	{"pseudo-header field behind others", "GET", "/hello", ":path", "/other", 0},
	{"unknown pseudo-header field", "GET", "/hello", ":x", "y", 0},
	{"answer's pseudo-header field", "GET", "/hello", ":status", "200", 0},
	{"no method", NULL, "/hello", "x", "y", 0},
	{"no path", "GET", NULL, "x", "y", 0},
	{"empty path", "GET", "", "x", "y", 0},
	{"relative path", "GET", "hello", "x", "y", 0},
	{"absolute form", "GET", "http://b.test/", "x", "y", 0},
	{"asterisk", "GET", "*", "x", "y", 0},
	{"line in the path", "GET", "/ HTTP/1.1\r\nHost: evil\r\n\r\n", "x", "y", 0},
	{"blank in the path", "GET", "/a b", "x", "y", 0},
	{"line in the method", "GET / HTTP/1.1\r\nX: ", "/hello", "x", "y", 0},
	{"blank in the method", "GET /x", "/hello", "x", "y", 0},
	{"another host", "GET", "/hello", "host", "evil", 400},
	{"fragment", "GET", "/a#b", "x", "y", 400},
	{"CONNECT to anywhere", "CONNECT", NULL, NULL, NULL, 405},
};

static void test_smuggling(void **state)
{
	unsigned before = h1.n_requests;
	uint32_t id = 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(smuggling); i++, id += 2) {
		bool connect = smuggling[i].method && strcmp(smuggling[i].method, "CONNECT") == 0;
		struct buf b;

		buf_init(&b, 65536);
		if (smuggling[i].method)
			field(&b, ":method", smuggling[i].method);
		if (!connect)
			field(&b, ":scheme", "http");
		field(&b, ":authority", connect ? "b.test:443" : "a.test");
		if (smuggling[i].path)
			field(&b, ":path", smuggling[i].path);
		if (smuggling[i].name)
			field(&b, smuggling[i].name, smuggling[i].value);
		frame(HEADERS, END_HEADERS | END_STREAM, id, b.ptr, b.len);
		buf_done(&b);
		send_out();
		int status = smuggling[i].status ? status_of(id) : 0;
		int code = smuggling[i].status ? 0 : code_of(RST_STREAM, id);
		if (status != smuggling[i].status || code != (smuggling[i].status ? 0 : PROTOCOL_ERROR))
			fail_msg("%s: status %d, code %d", smuggling[i].what, status, code);
		if (!alive())
			fail_msg("%s: the connection ended", smuggling[i].what);
	}
	assert_int_equal(h1.n_requests, before);
}

static void test_nul_and_authority(void **state)
{
	static const char *const authorities[] = {"user@a.test", "a.test/x", "a.test\\x", "a test", "a.test?x", "[::1"};
	struct buf b;
	uint32_t id = 3;

	(void)state;
	request_head(&b, "GET", "/hello");
	field_bytes(&b, "x", 1, "a\0b", 3);
	frame(HEADERS, END_HEADERS | END_STREAM, 1, b.ptr, b.len);
	buf_done(&b);
	send_out();
	assert_int_equal(code_of(RST_STREAM, 1), PROTOCOL_ERROR);
	for (size_t i = 0; i < ARRAY_LEN(authorities); i++, id += 2) {
		buf_init(&b, 65536);
		field(&b, ":method", "GET");
		field(&b, ":scheme", "http");
		field(&b, ":path", "/hello");
		field(&b, ":authority", authorities[i]);
		frame(HEADERS, END_HEADERS | END_STREAM, id, b.ptr, b.len);
		buf_done(&b);
		assert_true(alive());
		awaited.type = HEADERS;
		awaited.id = id;
		awaited.token = NULL;
		if (found(NULL) && status_of(id) != 400)
			fail_msg("%s: %d", authorities[i], status_of(id));
		else if (!found(NULL) && code_of(RST_STREAM, id) != PROTOCOL_ERROR)
			fail_msg("%s: %d", authorities[i], code_of(RST_STREAM, id));
	}
}

/* ---- bodies ---- */

static void test_length_mismatch(void **state)
{
	struct buf b;

	(void)state;
	for (uint32_t id = 1; id <= 3; id += 2) {
		request_head(&b, "POST", "/now");
		field(&b, "content-length", "5");
		frame(HEADERS, END_HEADERS, id, b.ptr, b.len);
		buf_done(&b);
		frame(DATA, END_STREAM, id, "123456", id == 1 ? 6 : 4);
		send_out();
		assert_int_equal(code_of(RST_STREAM, id), PROTOCOL_ERROR);
	}
	assert_true(alive());
}

/* A client that has not seen our limit yet may ask again; one that has seen it is at fault. */
static void test_too_many_streams(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 400; i++) {
		request(2 * i + 1, "POST", "/hang", false);
		frame(DATA, 0, 2 * i + 1, "x", 1);
	}
	send_out();
	assert_int_equal(code_of(RST_STREAM, 2 * 128 + 1), REFUSED_STREAM);
	assert_int_equal(code_of(RST_STREAM, 799), REFUSED_STREAM);
	assert_true(alive());
	frame(SETTINGS, ACK, 0, "", 0);
	request(801, "POST", "/hang", false);
	send_out();
	assert_int_equal(code_of(GOAWAY, 0), PROTOCOL_ERROR);
	assert_others_served();
}

/* More than its window (RFC 9113 §6.9.1). */
static void test_window_ignored(void **state)
{
	static char much[16384];

	(void)state;
	request(1, "POST", "/hang", false);
	for (int i = 0; i < 1000; i++)
		frame(DATA, 0, 1, much, sizeof(much));
	send_out();
	assert_int_equal(code_of(RST_STREAM, 1), FLOW_CONTROL_ERROR);
	assert_true(alive());
	assert_others_served();
}

/* ---- slow clients ---- */

/* Answers that nobody takes: the streams are reset, after what would be a minute. */
static void test_zero_window(void **state)
{
	static const uint8_t no_window[6] = {0, 4, 0, 0, 0, 0};

	(void)state;
	frame(SETTINGS, 0, 0, no_window, 6);
	for (uint32_t i = 0; i < 20; i++)
		request(2 * i + 1, "GET", i % 2 ? "/hello" : "/big", true);
	send_out();
	assert_int_equal(code_of(RST_STREAM, 1), CANCEL);
	assert_int_equal(code_of(RST_STREAM, 39), CANCEL);
	assert_true(alive());
	assert_others_served();
}

/* A body that does not come, of a request that somebody waits for. */
static void test_slow_body(void **state)
{
	(void)state;
	request(1, "POST", "/hello", false);
	frame(DATA, 0, 1, "x", 1);
	send_out();
	assert_int_equal(status_of(1), 408);
	assert_int_equal(code_of(RST_STREAM, 1), NO_ERROR);
	assert_true(alive());
}

/* A body that goes on and on behind its answer: the answer arrives, then the stream is reset. */
static void test_endless_body(void **state)
{
	static char piece[16384];

	(void)state;
	request(1, "POST", "/early-answer", false);
	send_out();
	assert_int_equal(status_of(1), 200);
	for (int round = 0; round < 100 && !raw->closed; round++) {
		for (int i = 0; i < 4; i++)
			frame(DATA, 0, 1, piece, sizeof(piece));
		assert_true(alive()); /* our windows have been opened again */
	}
	assert_int_equal(code_of(RST_STREAM, 1), NO_ERROR);
	assert_true(alive());
}

/* All answers of a connection together are bounded, too: then each of them stops its upstream. */
static void test_answers_bounded(void **state)
{
	struct h2_down c = {.out_bytes = H2_OUT_MAX_BYTES + 1};
	struct h2_stream s = {.c = &c, .out.len = H2_OUT_LOW_BYTES + 1};
	struct exchange x = {.down = &s};

	(void)state;
	assert_true(down_h2_ops.pending(&x) > CONN_HIGH_WATER_BYTES);
	s.out.len = H2_OUT_LOW_BYTES;
	assert_int_equal(down_h2_ops.pending(&x), H2_OUT_LOW_BYTES);
	c.out_bytes = H2_OUT_MAX_BYTES;
	s.out.len = H2_OUT_LOW_BYTES + 1;
	assert_int_equal(down_h2_ops.pending(&x), H2_OUT_LOW_BYTES + 1);
}

/* ---- dependencies ---- */

static void test_priority_cycle(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		priority(3, 5);
		priority(5, 7);
		priority(7, 3);
	}
	request(3, "GET", "/hello", true);
	request(5, "GET", "/hello", true);
	request(7, "GET", "/hello", true);
	send_out();
	assert_int_equal(status_of(3), 200);
	assert_int_equal(status_of(7), 200);
	assert_true(alive());
}

static void test_depends_on_itself(void **state)
{
	(void)state;
	priority(3, 3);
	send_out();
	assert_int_equal(code_of(GOAWAY, 0), PROTOCOL_ERROR);
}

/* ---- RFC 8441 ---- */

static void test_tunnel_before_answer(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 65536);
	field(&b, ":method", "CONNECT");
	field(&b, ":protocol", "websocket");
	field(&b, ":scheme", "http");
	field(&b, ":authority", "a.test");
	field(&b, ":path", "/hang");
	frame(HEADERS, END_HEADERS, 1, b.ptr, b.len);
	buf_done(&b);
	frame(DATA, 0, 1, "GET /admin HTTP/1.1\r\n\r\n", 23);
	send_out();
	assert_int_equal(code_of(RST_STREAM, 1), PROTOCOL_ERROR);
	assert_true(alive());
}

static int group_setup_crowded(void **state)
{
	int rc = group_setup(state);

	rig_crowd(&r);
	return rc;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_rapid_reset),	T(test_rapid_reset_no_error), T(test_made_you_reset),	  T(test_ping_flood),	   T(test_settings_flood),
		T(test_priority_flood), T(test_window_flood),	  T(test_unknown_flood),   T(test_empty_data_flood),
		T(test_empty_data_for_ended), T(test_continuation_flood), T(test_busy_client), T(test_hpack_bomb),
		T(test_too_many_fields), T(test_large_field),	  T(test_smuggling),	   T(test_nul_and_authority),
		T(test_length_mismatch), cmocka_unit_test_setup_teardown(test_too_many_streams, setup_no_ack, teardown), T(test_window_ignored), T(test_zero_window),
		cmocka_unit_test(test_answers_bounded), T(test_endless_body),
		T(test_slow_body),	T(test_priority_cycle),	  T(test_depends_on_itself), T(test_tunnel_before_answer),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown) + cmocka_run_group_tests(tests, group_setup_crowded, group_teardown);
}
