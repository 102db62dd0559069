#include "codec/http1.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#define HEADERS 8

/* `why` NULL: accepted; else a part of the error's text. */
struct row {
	enum http1_kind kind;
	const char *bytes;
	size_t len;
	int refuse_status;
	const char *why;
};
#define GOOD(s)                                                                                    \
	{                                                                                          \
		HTTP1_REQUEST, s, sizeof(s) - 1, 0, NULL                                           \
	}
#define BAD(s, why)                                                                                \
	{                                                                                          \
		HTTP1_REQUEST, s, sizeof(s) - 1, 400, why                                          \
	}
#define BAD_AS(status, s, why)                                                                     \
	{                                                                                          \
		HTTP1_REQUEST, s, sizeof(s) - 1, status, why                                       \
	}
#define RGOOD(s)                                                                                   \
	{                                                                                          \
		HTTP1_RESPONSE, s, sizeof(s) - 1, 0, NULL                                          \
	}
#define RBAD(s, why)                                                                               \
	{                                                                                          \
		HTTP1_RESPONSE, s, sizeof(s) - 1, 400, why                                         \
	}
#define H "Host: h\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\nHost: h\r\n"

static const struct row rows[] = {
	GOOD(GET H "\r\n"),
	GOOD("GET / HTTP/1.0\r\n\r\n"),
	GOOD(GET "Host: a.b-c_d.example:8080\r\n\r\n"),
	GOOD(GET "Host: [::1]:80\r\n\r\n"),
	GOOD(GET "Host: [fe80::1.2.3.4]\r\n\r\n"),
	GOOD(GET "HOST:h\r\nX:\r\nY: \t a \tb\t \r\nZ: \xc3\xa9\r\n\r\n"),
	GOOD("OPTIONS * HTTP/1.1\r\n" H "\r\n"),
	GOOD("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"),
	GOOD("GET http://h HTTP/1.1\r\n" H "\r\n"),
	GOOD("GET HTTP://h/a?b HTTP/1.1\r\n" H "\r\n"),
	GOOD(POST "Content-Length: 0\r\n\r\n"),
	GOOD(POST "Content-Length: 9223372036854775807\r\n\r\n"),
	GOOD(POST "Transfer-Encoding: Chunked\r\n\r\n"),
	GOOD(POST "!#$%&'*+-.^_`|~09: x\r\n\r\n"),
	/* framing that two readers could read differently */
	BAD(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "together"),
	BAD(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "together"),
	BAD(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "several Content-Length"),
	BAD(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "several Content-Length"),
	BAD(POST "Content-Length: 5, 5\r\n\r\n", "invalid Content-Length"),
	BAD(POST "Content-Length: +5\r\n\r\n", "invalid Content-Length"),
	BAD(POST "Content-Length: -5\r\n\r\n", "invalid Content-Length"),
	BAD(POST "Content-Length: 0x5\r\n\r\n", "invalid Content-Length"),
	BAD(POST "Content-Length: 5 5\r\n\r\n", "invalid Content-Length"),
	BAD(POST "Content-Length:\r\n\r\n", "invalid Content-Length"),
	BAD(POST "Content-Length: 9223372036854775808\r\n\r\n", "invalid Content-Length"),
	BAD(POST "Content-Length: 00000000000000000005\r\n\r\n", "invalid Content-Length"),
	BAD_AS(501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n", "other than chunked"),
	BAD_AS(501, POST "Transfer-Encoding: chunked, gzip\r\n\r\n", "other than chunked"),
	BAD_AS(501, POST "Transfer-Encoding: chunked, chunked\r\n\r\n", "other than chunked"),
	BAD_AS(501, POST "Transfer-Encoding: xchunked\r\n\r\n", "other than chunked"),
	BAD_AS(501, POST "Transfer-Encoding: identity\r\n\r\n", "other than chunked"),
	BAD_AS(501, POST "Transfer-Encoding: \"chunked\"\r\n\r\n", "other than chunked"),
	BAD_AS(501, POST "Transfer-Encoding:\r\n\r\n", "other than chunked"),
	BAD(POST "Transfer-Encoding: chunked\x0b\r\n\r\n", "control character"),
	BAD(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	    "several Transfer"),
	BAD("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0"),
	BAD(POST "Transfer-Encoding : chunked\r\n\r\n", "before the colon"),
	BAD(POST "Transfer-Encoding\t: chunked\r\n\r\n", "before the colon"),
	BAD(POST "X: a\r\n Transfer-Encoding: chunked\r\n\r\n", "folded"),
	BAD(POST "X: a\r\n\tb\r\n\r\n", "folded"),
	BAD(GET " Host: h\r\n\r\n", "folded"),
	/* ends of lines */
	BAD("GET / HTTP/1.1\nHost: h\n\n", "LF alone"),
	BAD(GET "Host: h\n\r\n", "LF alone"),
	BAD(GET H "\n", "LF alone"),
	BAD(GET H "X: a\rb\r\n\r\n", "CR without LF"),
	BAD(GET H "X: a\r\r\n\r\n", "CR without LF"),
	BAD(GET H "\rX: y\r\n\r\n", "CR without LF"),
	BAD(GET H "X: a\0b\r\n\r\n", "control"),
	BAD(GET H "X: a\x1f\r\n\r\n", "control"),
	BAD(GET H "X: 0123456789abcdef0123456789abcde\x7f\r\n\r\n", "control"),
	BAD("\r\n" GET H "\r\n", "invalid method"),
	BAD(" " GET H "\r\n", "invalid method"),
	/* names */
	BAD(GET H ": x\r\n\r\n", "empty header name"),
	BAD(GET H "a b: x\r\n\r\n", "before the colon"),
	BAD(GET H "a\xe9: x\r\n\r\n", "header name"),
	BAD(GET H "a\0: x\r\n\r\n", "header name"),
	BAD(GET H "a(b): x\r\n\r\n", "header name"),
	BAD(GET H "no colon\r\n\r\n", "before the colon"),
	BAD(GET H "nocolon\r\n\r\n", "header name"),
	BAD(GET H "nocolon\n\r\n", "without a colon"),
	BAD_AS(431, GET H "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n\r\n", "too many"),
	/* Host */
	BAD(GET "\r\n", "no Host"),
	BAD(GET H H "\r\n", "several Host"),
	BAD(GET "Host:\r\n\r\n", "invalid Host"),
	BAD(GET "Host: a b\r\n\r\n", "invalid Host"),
	BAD(GET "Host: a/b\r\n\r\n", "invalid Host"),
	BAD(GET "Host: u@h\r\n\r\n", "invalid Host"),
	BAD(GET "Host: a,b:x\r\n\r\n", "invalid Host"),
	BAD(GET "Host: h:65536\r\n\r\n", "invalid Host"),
	BAD(GET "Host: h:80:80\r\n\r\n", "invalid Host"),
	BAD(GET "Host: [::1\r\n\r\n", "invalid Host"),
	BAD(GET "Host: [::1]x\r\n\r\n", "invalid Host"),
	BAD(GET "Host: [g::1]\r\n\r\n", "invalid Host"),
	BAD("GET http://evil/ HTTP/1.1\r\n" H "\r\n", "differs"),
	BAD("GET http:/// HTTP/1.1\r\n" H "\r\n", "authority"),
	BAD("GET http://u@h/ HTTP/1.1\r\n" H "\r\n", "authority"),
	BAD("GET ftp://h/ HTTP/1.1\r\n" H "\r\n", "neither"),
	BAD("GET h HTTP/1.1\r\n" H "\r\n", "neither"),
	BAD("GET * HTTP/1.1\r\n" H "\r\n", "neither"),
	BAD("CONNECT / HTTP/1.1\r\n" H "\r\n", "CONNECT"),
	/* first line */
	BAD("GET /a b HTTP/1.1\r\n" H "\r\n", "no HTTP version"),
	BAD("GET  / HTTP/1.1\r\n" H "\r\n", "target"),
	BAD("GET\t/ HTTP/1.1\r\n" H "\r\n", "method"),
	BAD("GET /\tHTTP/1.1\r\n" H "\r\n", "target"),
	BAD("GET /\x7f HTTP/1.1\r\n" H "\r\n", "target"),
	BAD("GET /#f HTTP/1.1\r\n" H "\r\n", "fragment"),
	BAD("GET /\r\n" H "\r\n", "target"),
	BAD("GET / HTTP/1.1 \r\n" H "\r\n", "control"),
	BAD("GET / http/1.1\r\n" H "\r\n", "no HTTP version"),
	BAD("GET / HTTP/1.x\r\n" H "\r\n", "malformed HTTP version"),
	BAD("GET / HTTP/11.1\r\n" H "\r\n", "malformed HTTP version"),
	BAD("G(T / HTTP/1.1\r\n" H "\r\n", "method"),
	BAD_AS(505, "GET / HTTP/1.2\r\n" H "\r\n", "only"),
	BAD_AS(505, "GET / HTTP/2.0\r\n" H "\r\n", "only"),
	BAD_AS(505, "GET / HTTP/0.9\r\n" H "\r\n", "only"),
	BAD_AS(501, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" H "\r\n", "too long"),
	/* responses */
	RGOOD("HTTP/1.1 200 OK\r\n\r\n"),
	RGOOD("HTTP/1.1 200\r\n\r\n"),
	RGOOD("HTTP/1.0 404 \r\nContent-Length: 3\r\n\r\n"),
	RGOOD("HTTP/1.1 200 Tr\xc3\xa8s bien\r\nTransfer-Encoding: chunked\r\n\r\n"),
	RBAD("HTTP/1.1 20 OK\r\n\r\n", "three digits"),
	RBAD("HTTP/1.1 2000 OK\r\n\r\n", "junk"),
	RBAD("HTTP/1.1  200 OK\r\n\r\n", "three digits"),
	RBAD("HTTP/1.1 099 OK\r\n\r\n", "three digits"),
	RBAD("HTTP/1.1 200 O\0K\r\n\r\n", "control"),
	RBAD("HTTP/1.1 200 OK\n\n", "LF alone"),
	RBAD("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	     "together"),
	RBAD("ICY 200 OK\r\n\r\n", "no HTTP version"),
};

/* In a block of its own size, so that a sanitizer sees each byte read behind it. */
static char *copy_of(const char *bytes, size_t len)
{
	char *p = xmalloc(len);

	memcpy(p, bytes, len);
	return p;
}

static void check_row(const struct row *row, size_t split)
{
	struct http_header table[HEADERS];
	struct http1_head h;
	struct err e = {0};

	http1_head_init(&h, row->kind, table, HEADERS);
	char *first = copy_of(row->bytes, split), *all = copy_of(row->bytes, row->len);
	ssize_t n = split < row->len ? http1_head_parse(&h, first, split, &e) : 0;
	if (n == 0) {
		/* The first line's and names' case was changed in `first`, which has now moved. */
		memcpy(all, first, split);
		free(first);
		first = NULL;
		n = http1_head_parse(&h, all, row->len, &e);
	}
	if (row->why ? n != -1 || !strstr(e.message, row->why) ||
			       h.refuse_status != row->refuse_status
		     : n != (ssize_t)row->len)
		fail_msg("row %zu split at %zu: %zd, status %d '%s'\n%.*s", (size_t)(row - rows),
			 split, n, h.refuse_status, e.message, (int)row->len, row->bytes);
	for (size_t i = 0; n > 0 && i < h.n_headers; i++)
		assert_true(h.headers[i].name.ptr >= all && h.headers[i].name.ptr < all + row->len);
	free(first);
	free(all);
}

static void heads_are_accepted_or_refused_wherever_they_are_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t split = 0; split <= rows[i].len; split++)
			check_row(&rows[i], split);
}

static struct http1_head parsed(const char *text, enum http1_kind kind)
{
	static struct http_header table[HEADERS];
	static char bytes[1024];
	struct http1_head h;
	struct err e = {0};

	snprintf(bytes, sizeof(bytes), "%s", text);
	http1_head_init(&h, kind, table, HEADERS);
	if (http1_head_parse(&h, bytes, strlen(bytes), &e) < 0)
		fail_msg("%s", e.message);
	return h;
}

static void parts_of_a_request(void **state)
{
	struct http1_head h =
		parsed("PATCH /api/v1/x%20y?a=b&c HTTP/1.1\r\nHost: H:1\r\nX-Foo:  bar \r\n"
		       "Expect: 100-Continue\r\nConnection: foo, Upgrade\r\n"
		       "Content-Length: 12\r\n\r\nbody",
		       HTTP1_REQUEST);

	(void)state;
	assert_true(str_eq_c(h.method, "PATCH"));
	assert_true(str_eq_c(h.target, "/api/v1/x%20y?a=b&c"));
	assert_true(str_eq_c(h.path, "/api/v1/x%20y"));
	assert_true(str_eq_c(h.query, "a=b&c"));
	assert_true(str_eq_c(h.authority, "H:1"));
	assert_true(str_eq_c(h.headers[1].name, "x-foo") && str_eq_c(h.headers[1].value, "bar"));
	assert_true(h.expect_continue && h.upgrade && h.keep_alive && h.minor == 1);
	assert_int_equal(h.framing, HTTP1_LENGTH);
	assert_int_equal(h.content_length, 12);

	h = parsed("GET http://h:1 HTTP/1.1\r\nhost: h:1\r\n\r\n", HTTP1_REQUEST);
	assert_true(str_eq_c(h.path, "/") && str_eq_c(h.authority, "h:1"));
	h = parsed("GET http://h?q HTTP/1.1\r\nhost: h\r\n\r\n", HTTP1_REQUEST);
	assert_true(str_eq_c(h.path, "/") && str_eq_c(h.query, "q"));
}

static void keep_alive_follows_version_and_connection(void **state)
{
	static const struct {
		const char *head;
		bool keep;
	} table[] = {
		{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true},
		{"GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nHost: h\r\nConnection: a\r\nConnection: b, close\r\n\r\n",
		 false},
		{"GET / HTTP/1.0\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
		{"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_int_equal(parsed(table[i].head, HTTP1_REQUEST).keep_alive, table[i].keep);
}

static void framing_of_responses(void **state)
{
	struct http1_head h =
		parsed("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", HTTP1_RESPONSE);

	(void)state;
	assert_int_equal(http1_response_framing(&h, false), HTTP1_LENGTH);
	assert_int_equal(http1_response_framing(&h, true), HTTP1_NO_BODY);
	h = parsed("HTTP/1.1 304 x\r\nContent-Length: 3\r\n\r\n", HTTP1_RESPONSE);
	assert_int_equal(http1_response_framing(&h, false), HTTP1_NO_BODY);
	assert_true(str_eq_c(h.reason, "x") && h.status == 304);
	h = parsed("HTTP/1.1 101 x\r\n\r\n", HTTP1_RESPONSE);
	assert_int_equal(http1_response_framing(&h, false), HTTP1_NO_BODY);
	h = parsed("HTTP/1.1 200 x\r\n\r\n", HTTP1_RESPONSE);
	assert_int_equal(http1_response_framing(&h, false), HTTP1_UNTIL_CLOSE);
	h = parsed("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP1_RESPONSE);
	assert_int_equal(http1_response_framing(&h, false), HTTP1_CHUNKED);
}

/* --- bodies --- */

static const struct body_row {
	const char *bytes, *body, *why; /* why NULL: complete, and "REST" behind it is not used */
} bodies[] = {
	{"5\r\nhello\r\n0\r\n\r\nREST", "hello", NULL},
	{"5\r\nhello\r\n00A\r\n 0123456 \n\r\n0\r\n\r\nREST", "hello 0123456 \n", NULL},
	{"1;ext\r\na\r\n1; n=\"v\"\r\nb\r\n0\r\n\r\nREST", "ab", NULL},
	{"1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\nREST", "a", NULL},
	{"0\r\n\r\nREST", "", NULL},
	{"x\r\n", NULL, "hexadecimal"},
	{"\r\n", NULL, "hexadecimal"},
	{" 5\r\nhello", NULL, "hexadecimal"},
	{"-1\r\n", NULL, "hexadecimal"},
	{"0x5\r\nhello", NULL, "junk"},
	{"5 \r\nhello", NULL, "junk"},
	{"5\nhello", NULL, "junk"},
	{"5\rhello", NULL, "CR without LF"},
	{"5;a\nhello", NULL, "control"},
	{"5\r\nhello0\r\n\r\n", NULL, "longer"},
	{"5\r\nhello\n0\r\n\r\n", NULL, "longer"},
	{"5\r\nhello\r0\r\n\r\n", NULL, "CR without LF"},
	{"fffffffffffffffff\r\n", NULL, "overflows"},
	{"8000000000000000\r\n", NULL, "overflows"},
	{"00000000000000000\r\n", NULL, "overflows"},
	{"0\r\n: x\r\n\r\n", NULL, "trailer name"},
	{"0\r\n x: y\r\n\r\n", NULL, "trailer name"},
	{"0\r\nx : y\r\n\r\n", NULL, "trailer name"},
	{"0\r\nx: y\n\r\n", NULL, "control"},
	{"0\r\nx: y\r\n\rz", NULL, "CR without LF"},
};

static void check_body(const struct body_row *row, size_t split)
{
	char got[64] = "";
	size_t at = 0, n_got = 0, len = strlen(row->bytes), end = split;
	struct http1_body b;
	struct err e = {0};
	bool starved = false;
	ssize_t n = 1;

	http1_body_init(&b, HTTP1_CHUNKED, 0);
	while (n >= 0 && !b.done && !starved) {
		char *bytes = copy_of(row->bytes + at, end - at);
		struct str data;

		n = http1_body_next(&b, bytes, end - at, &data, &e);
		if (data.len)
			memcpy(got + n_got, data.ptr, data.len);
		n_got += data.len;
		at += n > 0 ? (size_t)n : 0;
		free(bytes);
		starved = n == 0 && end == len;
		if (n == 0)
			end = len;
	}
	if (row->why)
		assert_true(n == -1 && strstr(e.message, row->why));
	else if (row->body)
		assert_true(b.done && str_eq_c((struct str){got, n_got}, row->body) &&
			    len - at == 4);
}

static void chunked_bodies_wherever_they_are_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		for (size_t split = 0; split <= strlen(bodies[i].bytes); split++)
			check_body(&bodies[i], split);
}

static void extensions_are_limited(void **state)
{
	struct http1_body b;
	struct err e;
	struct str data;
	char line[1024];

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "1;", 2);
	http1_body_init(&b, HTTP1_CHUNKED, 0);
	assert_int_equal(http1_body_next(&b, line, sizeof(line), &data, &e), -1);
	http1_body_init(&b, HTTP1_CHUNKED, 0);
	ssize_t n = 0;
	for (int i = 0; i < 1000 && n >= 0; i++) {
		static const char chunk[] =
			"1;"
			"0123456789012345678901234567890123456789012345678901234567890123456789"
			"\r\n";
		n = http1_body_next(&b, chunk, sizeof(chunk) - 1, &data, &e);
		if (n >= 0)
			n = http1_body_next(&b, "a\r\n", 3, &data, &e);
		if (n == 1)
			n = http1_body_next(&b, "\r\n", 2, &data, &e);
	}
	assert_int_equal(n, -1);
	/* A stream of a million small chunks without them is fine. */
	http1_body_init(&b, HTTP1_CHUNKED, 0);
	for (int i = 0; i < 1000000; i++) {
		assert_int_equal(http1_body_next(&b, "1\r\na", 4, &data, &e), 4);
		assert_int_equal(http1_body_next(&b, "\r\n", 2, &data, &e), 2);
	}
}

static void other_framings(void **state)
{
	struct http1_body b;
	struct err e;
	struct str data;

	(void)state;
	http1_body_init(&b, HTTP1_LENGTH, 5);
	assert_int_equal(http1_body_next(&b, "abc", 3, &data, &e), 3);
	assert_false(b.done);
	assert_int_equal(http1_body_next(&b, "defg", 4, &data, &e), 2);
	assert_true(b.done && str_eq_c(data, "de"));
	http1_body_init(&b, HTTP1_NO_BODY, 0);
	assert_true(b.done);
	http1_body_init(&b, HTTP1_UNTIL_CLOSE, 0);
	assert_int_equal(http1_body_next(&b, "abc", 3, &data, &e), 3);
	assert_false(b.done);
}

static void chunk_heads_are_written(void **state)
{
	char out[HTTP1_CHUNK_HEAD_BYTES];

	(void)state;
	assert_int_equal(http1_chunk_head(out, 0), 3);
	assert_memory_equal(out, "0\r\n", 3);
	assert_int_equal(http1_chunk_head(out, 0x10), 4);
	assert_memory_equal(out, "10\r\n", 4);
	assert_int_equal(http1_chunk_head(out, SIZE_MAX), 18);
	assert_memory_equal(out, "ffffffffffffffff\r\n", 18);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_are_accepted_or_refused_wherever_they_are_split),
		cmocka_unit_test(parts_of_a_request),
		cmocka_unit_test(keep_alive_follows_version_and_connection),
		cmocka_unit_test(framing_of_responses),
		cmocka_unit_test(chunked_bodies_wherever_they_are_split),
		cmocka_unit_test(extensions_are_limited),
		cmocka_unit_test(other_framings),
		cmocka_unit_test(chunk_heads_are_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
