/* FastCGI records, name-value pairs and the heads of CGI programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/cgi_head.h"
#include "codec/fcgi.h"

#include <stdio.h>

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

/* ---- records ---- */

/* What a reader heard, as text: "out(..) err(..) out$ end(0,0)". */
static void hear(const uint8_t *bytes, size_t len, size_t step, struct buf *said)
{
	struct fcgi_reader r = { 0 };
	struct fcgi_piece p;
	struct err e;
	enum fcgi_type last = FCGI_NONE;

	for (size_t at = 0, have = MIN(step, len); at < len;) {
		ssize_t n = fcgi_next(&r, bytes + at, have - at, &p, &e);
		if (n < 0) {
			buf_printf(said, "!%s", strchr(e.message, ':') + 2);
			return;
		}
		if (n == 0 && have == len)
			break;
		have = n == 0 ? MIN(have + step, len) : have;
		at += (size_t)n;
		if (p.type == FCGI_NONE)
			continue;
		if (p.end)
			buf_printf(said, "%s$ ", p.type == FCGI_STDOUT ? "out" : "err");
		else if (p.type == FCGI_END_REQUEST)
			buf_printf(said, "end(%u,%u) ", p.status, p.app_status);
		else
			buf_printf(said, "%s" STR_FMT, p.type == last ? "" : p.type == FCGI_STDOUT ? "o:" : "e:", STR_ARG(p.data));
		last = p.end || p.type == FCGI_END_REQUEST ? FCGI_NONE : p.type;
	}
	buf_puts(said, ".");
}

#define HEAD(type, len, pad) "\1" type "\0\1\0" len pad "\0"
#define END(app, status) HEAD("\3", "\10", "\0") "\0\0\0" app status "\0\0\0"

static void records(void **state)
{
	static const struct {
		const uint8_t *bytes;
		size_t len;
		const char *want;
	} rows[] = {
		{ BYTES(HEAD("\6", "\3", "\0") "abc" HEAD("\6", "\0", "\0") END("\0", "\0")), "o:abcout$ end(0,0) ." },
		{ BYTES(HEAD("\6", "\2", "\6") "abPPPPPP" HEAD("\6", "\1", "\0") "c" END("\7", "\0")), "o:abcend(0,7) ." },
		{ BYTES(HEAD("\7", "\1", "\0") "e" HEAD("\6", "\1", "\0") "o" HEAD("\7", "\0", "\1") "P" END("\0", "\2")), "e:eo:oerr$ end(2,0) ." },
		{ BYTES(HEAD("\6", "\3", "\0") "ab"), "o:ab." },
		{ BYTES("\1\6\0\1"), "." },
		{ BYTES("\2\6\0\1\0\1\0\0a"), "!a version other than 1" },
		{ BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"), "!a version other than 1" },
		{ BYTES("\1\6\0\2\0\1\0\0a"), "!a record of another request" },
		{ BYTES("\1\6\1\1\0\1\0\0a"), "!a record of another request" },
		{ BYTES("\1\6\0\0\0\1\0\0a"), "!a record of another request" },
		{ BYTES(HEAD("\5", "\1", "\0") "a"), "!a record of a type that applications do not send to a request" },
		{ BYTES(HEAD("\13", "\10", "\0") "aaaaaaaa"), "!a record of a type that applications do not send to a request" },
		{ BYTES(HEAD("\3", "\7", "\0") "aaaaaaa"), "!END_REQUEST is not of eight bytes" },
		{ BYTES(HEAD("\6", "\0", "\0") HEAD("\6", "\1", "\0") "a"), "out$ !more of STDOUT after its end" },
		{ BYTES(END("\0", "\0") HEAD("\6", "\1", "\0") "a"), "end(0,0) !a record behind END_REQUEST" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t step = 1; step <= rows[i].len; step++) {
			struct buf said;

			buf_init(&said, 4096);
			hear(rows[i].bytes, rows[i].len, step, &said);
			if (!str_eq_c(buf_str(&said), rows[i].want))
				fail_msg("row %zu by %zu bytes: %s, want %s", i, step, said.ptr, rows[i].want);
			buf_done(&said);
		}
}

static void empty_records(void **state)
{
	static const uint8_t nothing[] = HEAD("\7", "\0", "\0");
	struct fcgi_reader r = { 0 };
	struct fcgi_piece p;
	struct err e;

	(void)state;
	for (int i = 0; i < FCGI_EMPTY_RECORDS_MAX; i++)
		assert_int_equal(fcgi_next(&r, nothing, 8, &p, &e), 8);
	assert_int_equal(fcgi_next(&r, nothing, 8, &p, &e), -1);
}

/* ---- parameters ---- */

static void begin(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 64);
	assert_int_equal(fcgi_begin(&out), 0);
	assert_int_equal(out.len, 16);
	assert_memory_equal(out.ptr, "\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0", 16);
	buf_done(&out);
}

static char *filled(size_t n)
{
	char *s = xmalloc(n + 1);

	memset(s, 'v', n);
	s[n] = '\0';
	return s;
}

/* What was put is found again, whole in its record. */
static size_t read_back(const struct buf *out, size_t *ret_records)
{
	size_t pairs = 0;
	struct err e;

	*ret_records = 0;
	for (size_t at = 0; at < out->len; ++*ret_records) {
		const uint8_t *h = (const uint8_t *)out->ptr + at;
		size_t len = (size_t)h[4] << 8 | h[5];
		struct str rest = { out->ptr + at + 8, len }, name, value;
		int rc;

		assert_memory_equal(h, "\1\4\0\1", 4);
		while ((rc = fcgi_pair_next(&rest, &name, &value, &e)) == 1) {
			assert_true(str_starts(name, STR("N")));
			assert_int_equal(value.len, strtoul(name.ptr + 1, NULL, 10));
			pairs++;
		}
		assert_int_equal(rc, 0);
		at += 8 + len;
		assert_true(len > 0 || at == out->len); /* an empty one ends the stream */
	}
	return pairs;
}

static void params(void **state)
{
	static const size_t sizes[] = { 0, 1, 127, 128, 255, 256, 4096, 65000, 65520, 3, 60000, 127 };
	struct fcgi_params p;
	struct buf out;
	size_t n;

	(void)state;
	buf_init(&out, 1 << 20);
	assert_int_equal(fcgi_params_begin(&p, &out), 0);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		cleanup(freep) char *name = xasprintf("N%zu", sizes[i]), *value = filled(sizes[i]);
		assert_int_equal(fcgi_params_put(&p, str_of(name), (struct str){ value, sizes[i] }), 0);
	}
	cleanup(freep) char *huge = filled(FCGI_CONTENT_BYTES_MAX);
	assert_int_equal(fcgi_params_put(&p, STR("N"), str_of(huge)), -1);
	assert_int_equal(fcgi_params_end(&p), 0);
	assert_int_equal(read_back(&out, &n), ARRAY_LEN(sizes));
	assert_int_equal(n, 5);
	buf_clear(&out);
	assert_int_equal(fcgi_params_begin(&p, &out), 0);
	assert_int_equal(fcgi_params_end(&p), 0);
	assert_int_equal(read_back(&out, &n), 0);
	assert_int_equal(n, 1);
	buf_done(&out);
}

static void bad_pairs(void **state)
{
	static const struct str rows[] = { STR("\1"), STR("\5\1abcde"), STR("\200\0\0"), STR("\1\200\0\1\0a"), STR("\377\377\377\377\0a"),
					   STR("\0\200") };
	struct str name, value;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str rest = rows[i];
		assert_int_equal(fcgi_pair_next(&rest, &name, &value, &e), -1);
	}
}

/* ---- heads ---- */

static void heads(void **state)
{
	static const struct {
		const char *text, *want; /* want: "STATUS reason [length] | name=value …"; NULL: refused */
	} rows[] = {
		{ "Content-Type: text/html\r\n\r\n", "200  | Content-Type=text/html" },
		{ "Status: 404 Not Found\nA: b\n\n", "404 Not Found | A=b" },
		{ "status:503\r\n\r\n", "503  |" },
		{ "Location: /x\r\n\r\n", "302  | Location=/x" },
		{ "Location: http://a/\r\nStatus: 301 Moved\r\n\r\n", "301 Moved | Location=http://a/" },
		{ "Status: 200 OK\r\nStatus: 404 no\r\n\r\n", "200 OK |" },
		{ "Content-Length: 12\r\n\r\n", "200  [12] |" },
		{ "HTTP/1.0 404 No\r\nA: b\r\n\r\n", "200  | A=b" },
		{ "A:\r\nB:  x y\t\r\n\r\n", "200  | A= B=x y" },
		{ "Transfer-Encoding: chunked\r\n\r\n", "200  |" },
		{ "\r\n", "200  |" },
		{ "\n", "200  |" },
		{ "Status: 20\r\n\r\n", NULL }, { "Status: 20x\r\n\r\n", NULL }, { "Status: 200x\r\n\r\n", NULL }, { "Status: 100 Continue\r\n\r\n", NULL },
		{ "Status:\r\n\r\n", NULL }, { "Status: 101 Switching Protocols\r\n\r\n", NULL },
		{ "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", NULL }, { "Content-Length: -1\r\n\r\n", NULL },
		{ "Content-Length:\r\n\r\n", NULL }, { "Content-Length: 99999999999999999999\r\n\r\n", NULL },
		{ "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", NULL },
		{ "<html>\n\n", NULL }, { "A b: c\r\n\r\n", NULL }, { "A : b\r\n\r\n", NULL }, { ": b\r\n\r\n", NULL }, { "A: b\r\n c\r\n\r\n", NULL },
		{ "A: b\rc\r\n\r\n", NULL }, { "A: \1\r\n\r\n", NULL }, { "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_header table[4];
		struct cgi_head h;
		struct buf got;
		struct err e;
		size_t len = strlen(rows[i].text), seen = 0;

		for (size_t have = 0; have < len; have++)
			if (cgi_head_end(rows[i].text, have, &seen))
				fail_msg("%s: ends after %zu", rows[i].text, have);
		assert_int_equal(cgi_head_end(rows[i].text, len, &seen), len);
		if (cgi_head_parse(&h, rows[i].text, len, table, ARRAY_LEN(table), &e) < 0) {
			if (rows[i].want)
				fail_msg("%s: %s", rows[i].text, e.message);
			continue;
		}
		buf_init(&got, 4096);
		buf_printf(&got, "%d " STR_FMT, h.status, STR_ARG(h.reason));
		if (h.has_length)
			buf_printf(&got, " [%llu]", (unsigned long long)h.content_length);
		buf_puts(&got, " |");
		for (size_t k = 0; k < h.n_headers; k++)
			buf_printf(&got, " " STR_FMT "=" STR_FMT, STR_ARG(h.headers[k].name), STR_ARG(h.headers[k].value));
		if (!rows[i].want || strcmp(got.ptr, rows[i].want) != 0)
			fail_msg("%s: %s, want %s", rows[i].text, got.ptr, rows[i].want ? rows[i].want : "a refusal");
		buf_done(&got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records), cmocka_unit_test(empty_records), cmocka_unit_test(begin),
		cmocka_unit_test(params),  cmocka_unit_test(bad_pairs),	    cmocka_unit_test(heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
