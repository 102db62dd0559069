/* Choosing a coding, and what the compressed answer looks like to who decodes it. */
#include "roles/ingress/filter/coding.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "unit/ingress_fake.h"

#define ALL (1u << CODING_ZSTD | 1u << CODING_BR | 1u << CODING_GZIP)
#define TEXT_BYTES (300u << 10)
static char text[TEXT_BYTES];

/* ---- Accept-Encoding ---- */

static const struct {
	const char *value;
	unsigned offered;
	enum coding want;
} wishes[] = {
	{"gzip", ALL, CODING_GZIP},
	{"gzip, deflate, br, zstd", ALL, CODING_ZSTD},
	{"gzip, deflate, br", ALL, CODING_BR},
	{"gzip, deflate, br", 1u << CODING_GZIP, CODING_GZIP},
	{"GZIP", ALL, CODING_GZIP},
	{"x-gzip", ALL, CODING_GZIP},
	{"br;q=0.5, gzip;q=0.8", ALL, CODING_GZIP},
	{"br ; q=0.8 , gzip\t;\tQ=0.5", ALL, CODING_BR},
	{"gzip;q=0", ALL, CODING_NONE},
	{"gzip;q=0.000", ALL, CODING_NONE},
	{"gzip;q=0.001", ALL, CODING_GZIP},
	{"*", ALL, CODING_ZSTD},
	{"*, zstd;q=0", ALL, CODING_BR},
	{"*;q=0", ALL, CODING_NONE},
	{"*;q=0, gzip", ALL, CODING_GZIP},
	{"identity", ALL, CODING_NONE},
	{"identity, gzip;q=0.5", ALL, CODING_NONE},
	{"identity;q=0.5, gzip", ALL, CODING_GZIP},
	{"identity, gzip", ALL, CODING_GZIP},
	{"identity;q=0, gzip;q=0.1", ALL, CODING_GZIP},
	{"", ALL, CODING_NONE},
	{"gzip;q=2", ALL, CODING_NONE},
	{"gzip;q=1.001", ALL, CODING_NONE},
	{"gzip;q=0.0001", ALL, CODING_NONE},
	{"gzip;q", ALL, CODING_NONE},
	{"gzip;q=", ALL, CODING_NONE},
	{"gzip;q=-1", ALL, CODING_NONE},
	{"gzip;level=9;q=0.3", ALL, CODING_GZIP},
	{"gzipped, br2", ALL, CODING_NONE},
	{",,gzip,,", ALL, CODING_GZIP},
};

static void test_wishes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
		struct accept_encoding a;

		accept_encoding_init(&a);
		accept_encoding_add(&a, str_of(wishes[i].value));
		if (accept_encoding_choose(&a, wishes[i].offered) != wishes[i].want)
			fail_msg("'%s': not %d", wishes[i].value, wishes[i].want);
	}
}

static void test_wishes_of_two_lines(void **state)
{
	struct accept_encoding a;

	(void)state;
	accept_encoding_init(&a);
	accept_encoding_add(&a, STR("br;q=0"));
	accept_encoding_add(&a, STR("*;q=0.5, gzip"));
	assert_int_equal(accept_encoding_choose(&a, 1u << CODING_BR), CODING_NONE);
	assert_int_equal(accept_encoding_choose(&a, ALL), CODING_GZIP);
}

/* ---- decoders: how much of `in` can be read so far ---- */

static size_t gunzip(struct str in, char *to)
{
	z_stream z = {.next_in = (Bytef *)in.ptr, .avail_in = (uInt)in.len, .next_out = (Bytef *)to,
		      .avail_out = TEXT_BYTES + 1};

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	int r = inflate(&z, Z_SYNC_FLUSH);
	assert_true(r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR);
	inflateEnd(&z);
	return z.total_out;
}

static size_t unzstd(struct str in, char *to)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();
	ZSTD_inBuffer from = {in.ptr, in.len, 0};
	ZSTD_outBuffer out = {to, TEXT_BYTES + 1, 0};

	while (from.pos < from.size)
		assert_false(ZSTD_isError(ZSTD_decompressStream(d, &out, &from)));
	ZSTD_freeDCtx(d);
	return out.pos;
}

/* The decoder's library comes with the encoder's, but nothing else needs to be linked with it. */
static size_t unbrotli(struct str in, char *to)
{
	void *lib = dlopen("libbrotlidec.so.1", RTLD_NOW);
	assert_non_null(lib);
	void *(*create)(void *, void *, void *) = (void *(*)(void *, void *, void *))dlsym(lib, "BrotliDecoderCreateInstance");
	int (*decode)(void *, size_t *, const uint8_t **, size_t *, uint8_t **, size_t *) =
		(int (*)(void *, size_t *, const uint8_t **, size_t *, uint8_t **, size_t *))dlsym(
			lib, "BrotliDecoderDecompressStream");
	void (*destroy)(void *) = (void (*)(void *))dlsym(lib, "BrotliDecoderDestroyInstance");
	void *d = create(NULL, NULL, NULL);
	const uint8_t *next = (const uint8_t *)in.ptr;
	uint8_t *out = (uint8_t *)to;
	size_t left = in.len, room = TEXT_BYTES + 1, total = 0;

	assert_int_not_equal(decode(d, &left, &next, &room, &out, &total), 0);
	destroy(d);
	return total;
}

static size_t (*const decoders[CODINGS])(struct str in, char *to) = {
	[CODING_ZSTD] = unzstd, [CODING_BR] = unbrotli, [CODING_GZIP] = gunzip};

static void put(struct buf *all, struct coder *c, struct str in, enum coder_step step)
{
	struct str out;

	assert_int_equal(coder_feed(c, in, step, &out), 0);
	assert_int_equal(buf_put_str(all, out), 0);
}

/* Twice, so that the second stream runs on what the first left behind. */
static void test_streams_are_read_back(void **state)
{
	static char back[TEXT_BYTES + 1];
	struct coders *cs = coders_new();

	(void)state;
	for (int i = 0; i < 2 * CODINGS; i++) {
		enum coding coding = (enum coding)(i % CODINGS);
		struct coder *c = coder_begin(cs, coding, 3 + i / CODINGS);
		struct buf all;

		assert_non_null(c);
		buf_init(&all, 1u << 20);
		for (size_t at = 0; at < TEXT_BYTES; at += 30000)
			put(&all, c, (struct str){text + at, MIN((size_t)30000, TEXT_BYTES - at)}, CODER_MORE);
		put(&all, c, STR_NONE, CODER_END);
		assert_true(all.len < TEXT_BYTES / 2);
		assert_int_equal(decoders[coding](buf_str(&all), back), TEXT_BYTES);
		assert_memory_equal(back, text, TEXT_BYTES);
		coder_end(c);
		buf_done(&all);
	}
	coders_free(cs);
}

/* An event must be readable before the next one comes. */
static void test_a_flush_holds_nothing_back(void **state)
{
	static char back[TEXT_BYTES + 1];
	struct coders *cs = coders_new();

	(void)state;
	for (int coding = 0; coding < CODINGS; coding++) {
		struct coder *c = coder_begin(cs, (enum coding)coding, 4);
		struct buf all;

		buf_init(&all, 1u << 20);
		put(&all, c, STR("data: 1\n\n"), CODER_FLUSH);
		assert_int_equal(decoders[coding](buf_str(&all), back), 9);
		put(&all, c, STR("data: 22\n\n"), CODER_FLUSH);
		assert_int_equal(decoders[coding](buf_str(&all), back), 19);
		assert_memory_equal(back, "data: 1\n\ndata: 22\n\n", 19);
		coder_end(c); /* in the middle: the client went away */
		buf_done(&all);
	}
	coders_free(cs);
}

static void test_streams_are_limited(void **state)
{
	struct coders *cs = coders_new();
	static struct coder *open[CODERS_MAX];
	struct str out;
	size_t n = 0;

	(void)state;
	while (n < CODERS_MAX && (open[n] = coder_begin(cs, CODING_GZIP, 1)))
		n++;
	assert_true(n > 500 && n < CODERS_MAX);
	assert_null(coder_begin(cs, CODING_BR, 4));
	for (size_t i = 0; i < n; i++)
		coder_end(open[i]);
	for (n = 0; n < CODERS_MAX && (open[n] = coder_begin(cs, CODING_BR, 5)); n++)
		assert_int_equal(coder_feed(open[n], (struct str){text, TEXT_BYTES}, CODER_FLUSH, &out), 0);
	assert_in_range(n, 20, 300);
	for (size_t i = 0; i < n; i++)
		coder_end(open[i]);
	coders_free(cs);
}

/* ---- the filter ---- */

static char *types[] = {"text/plain", "application/json"};
static struct fake f;

static void setup(const char *accept)
{
	fake_init(&f, "GET", "http://a.test/x");
	f.globals.gzip = f.globals.brotli = f.globals.zstd = true;
	f.globals.gzip_level = 1;
	f.globals.brotli_level = 4;
	f.globals.zstd_level = 3;
	f.globals.gzip_min_bytes = 256;
	f.globals.brotli_min_bytes = 20;
	f.globals.gzip_types = f.globals.brotli_types = (struct str_list){types, ARRAY_LEN(types)};
	fake_header(&f, "accept-encoding", accept);
	f.x.ans.content_length = 1000;
}

static void finish(void)
{
	fake_done(&f);
	coders_free(f.worker.coders);
}

static void head(const char *name, const char *value)
{
	header_add(&f.x, &f.x.ans.headers, name, str_of(value));
}

static bool compressed(int status)
{
	assert_int_equal(fake_answer(&f, &filter_compress, status), FILTER_NEXT);
	bool on = filter_compress.body_wanted(&f.x, fake_state(&f, &filter_compress));
	assert_int_equal(on, f.x.ans.content_length == -1 && fake_answer_header(&f, "content-encoding"));
	return on;
}

static void test_head_of_a_compressed_answer(void **state)
{
	struct str out;

	(void)state;
	setup("gzip");
	head("content-type", "Text/Plain; charset=utf-8");
	head("etag", "\"abc\"");
	head("accept-ranges", "bytes");
	assert_true(compressed(200));
	assert_string_equal(fake_answer_header(&f, "content-encoding"), "gzip");
	assert_string_equal(fake_answer_header(&f, "etag"), "W/\"abc\"");
	assert_string_equal(fake_answer_header(&f, "vary"), "Accept-Encoding");
	assert_null(fake_answer_header(&f, "accept-ranges"));
	/* its length was known: no need to flush what waits to be compressed */
	void **s = fake_state(&f, &filter_compress);
	assert_int_equal(filter_compress.body(&f.x, s, (struct str){text, 1000}, false, &out), 0);
	assert_true(out.len < 100);
	assert_int_equal(filter_compress.body(&f.x, s, STR_NONE, true, &out), 0);
	assert_true(out.len > 100);
	finish();
}

static void test_streams_are_flushed(void **state)
{
	char back[100];
	struct str out;

	(void)state;
	setup("gzip");
	head("content-type", "text/plain");
	f.x.ans.content_length = -1;
	assert_true(compressed(200));
	assert_int_equal(filter_compress.body(&f.x, fake_state(&f, &filter_compress), STR("data: 1\n\n"), false, &out), 0);
	assert_int_equal(gunzip(out, back), 9);
	finish();
}

static const struct {
	const char *name, *accept, *header, *value;
	int status;
	int64_t length;
	bool want, vary;
} answers[] = {
	{"plain", "gzip", "x-a", "b", 200, 1000, true, true},
	{"a client that wants none still varies", "identity", "x-a", "b", 200, 1000, false, true},
	{"too short for gzip", "gzip", "x-a", "b", 200, 255, false, true /* brotli might be */},
	{"brotli's own minimum", "br", "x-a", "b", 200, 20, true, true},
	{"too short for all", "gzip, br", "x-a", "b", 200, 19, false, false},
	{"404", "gzip", "x-a", "b", 404, 1000, true, true},
	{"403", "gzip", "x-a", "b", 403, 1000, true, true},
	{"500", "gzip", "x-a", "b", 500, 1000, false, false},
	{"206", "gzip", "x-a", "b", 206, 1000, false, false},
	{"encoded already", "gzip", "content-encoding", "br", 200, 1000, false, false},
	{"a range", "gzip", "content-range", "bytes 0-1/2", 200, 1000, false, false},
	{"no-transform", "gzip", "cache-control", "public, No-Transform", 200, 1000, false, false},
	{"other directives", "gzip", "cache-control", "public, max-age=1", 200, 1000, true, true},
	{"weak already", "gzip", "etag", "W/\"a\"", 200, 1000, true, true},
};

static void test_which_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		setup(answers[i].accept);
		head("content-type", "application/json");
		head(answers[i].header, answers[i].value);
		f.x.ans.content_length = answers[i].length;
		if (compressed(answers[i].status) != answers[i].want ||
		    (fake_answer_header(&f, "vary") != NULL) != answers[i].vary)
			fail_msg("%s", answers[i].name);
		if (c_eq(answers[i].header, "etag"))
			assert_string_equal(fake_answer_header(&f, "etag"), "W/\"a\"");
		finish();
	}
}

static void test_types(void **state)
{
	static const struct {
		const char *type;
		bool want;
	} rows[] = {{"text/html", true}, {"image/png", false}, {"", false}, {"text/plainer", false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		setup("gzip");
		head("content-type", rows[i].type);
		assert_int_equal(compressed(200), rows[i].want);
		finish();
	}
}

static void test_vary_is_said_once(void **state)
{
	(void)state;
	setup("gzip");
	head("content-type", "text/plain");
	head("vary", "Origin, accept-encoding");
	assert_true(compressed(200));
	assert_int_equal(f.x.ans.headers.n, 3);
	finish();
}

static void test_head_and_off(void **state)
{
	(void)state;
	setup("gzip");
	head("content-type", "text/plain");
	f.x.req.is_head = f.x.ans.no_body = true;
	assert_false(compressed(200));
	finish();
	setup("gzip");
	f.globals.gzip = f.globals.brotli = f.globals.zstd = false;
	assert_false(filter_compress.wanted(&f.loc, &f.globals));
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_wishes_of_two_lines),
		cmocka_unit_test(test_streams_are_read_back),
		cmocka_unit_test(test_a_flush_holds_nothing_back),
		cmocka_unit_test(test_streams_are_limited),
		cmocka_unit_test(test_head_of_a_compressed_answer),
		cmocka_unit_test(test_streams_are_flushed),
		cmocka_unit_test(test_which_answers),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_vary_is_said_once),
		cmocka_unit_test(test_head_and_off),
	};

	for (size_t i = 0; i < TEXT_BYTES; i++)
		text[i] = "etaoin shrdlu"[(i * 2654435761u >> 16) % 13];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
