/* JSON text to trees: our own decoder must not be told from jansson's. */
#include "base/limits.h"
#include "codec/jx.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

static const char *const texts[] = {
	"{}", "[]", " { } ", "[ ]", "null", "true", "false", "0", "-0", "7", "-12", "\"\"", "\"a\"",
	"{\"a\":1,\"b\":[1,2,{\"c\":null}],\"d\":{\"e\":false}}",
	"\r\n\t{ \"a\" : [ 1 , 2 ] , \"b\" : true }\n ",
	"{\"z\":1,\"a\":2,\"z\":3,\"\":4}", /* the last of two counts, at the place of the first */
	"\"tab\\t quote\\\" back\\\\ slash\\/ \\b\\f\\n\\r\"", "\"\\u003cb\\u003e\\u0026 \\u001b\"",
	"\"\\u00e4\\ud83d\\ude00 \\u0000\"", "{\"\\u0061\":1}", "\"\xc3\xa4\xe2\x82\xac\"", "{\"\xc3\xa4\":1}",
	"\"\xc3\\n\xa4\"", "\"\xff\"", "{\"\xff\":1}", "\"\\ud83d\"", "{\"\\u0000\":1}", "\"\\x\"", "\"\\u00\"",
	"\"\\u12", "\"\\", "\"a", "\"a\nb\"", "\"\x7f\"",
	"999999999999999999", "-999999999999999999", "1000000000000000000", "9223372036854775807", "-9223372036854775808",
	"9223372036854775808", "01", "-", "-01", "1.5", "1e3", "1E", "1.", "0.0", "-1.25e-2", "+1", ".5",
	"", " ", "{", "[", "}", "]", "[1", "[1,", "[1,]", "[,1]", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\" 1}",
	"[1 2]", "[1]]", "{}{}", "1 2", "nul", "nulll", "True", "[tru]", "[true,fals]", "{\"a\":[1,{\"b\":\"c}]}", "\xef\xbb\xbf{}",
};

static void test_as_jansson(void **state)
{
	struct err e;
	json_error_t je;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct str text = str_of(texts[i]);
		json_t *theirs = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &je);
		json_t *ours = jx_parse(text, 1000, &e);
		if (!ours != !theirs)
			fail_msg("'%s' is %s", text.ptr, ours ? "taken" : e.message);
		if (!ours) {
			cleanup(freep) char *message = xasprintf("%s at line %d column %d", je.text, je.line, je.column);
			assert_string_equal(e.message, message);
			continue;
		}
		cleanup(freep) char *a = jx_dump_text(ours), *b = jx_dump_text(theirs);
		assert_string_equal(a, b);
		assert_true(json_equal(ours, theirs));
		json_decref(ours);
		json_decref(theirs);
	}
}

/* Every beginning of a text is refused, and does not read past its end: each is a piece of memory of its own. */
static void test_cut_short(void **state)
{
	static const char whole[] = "{\"a\":[1,-2,\"\\u0026\\n\xc3\xa4\",true,false,null],\"b\":{\"c\":\"d\"}}";
	struct err e;

	(void)state;
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		cleanup(freep) char *part = xmalloc(n ? n : 1);
		memcpy(part, whole, n);
		assert_null(jx_parse((struct str){ part, n }, 1000, &e));
	}
}

static json_t *nested(const char *open, const char *close, unsigned levels, struct err *e)
{
	struct buf b;
	json_t *v;

	buf_init(&b, 10000);
	for (unsigned i = 0; i < levels; i++)
		buf_puts(&b, open);
	buf_puts(&b, "1");
	for (unsigned i = 0; i < levels; i++)
		buf_puts(&b, close);
	v = jx_parse(buf_str(&b), 10000, e);
	buf_done(&b);
	return v;
}

static void test_depth(void **state)
{
	static const char *const shapes[][2] = { { "[", "]" }, { "{\"a\":", "}" }, { "[{\"a\":", "}]" } };
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		unsigned each = i == 2 ? 2 : 1;
		json_t *v = nested(shapes[i][0], shapes[i][1], LIMIT_JSON_DEPTH / each, &e);
		assert_non_null(v);
		json_decref(v);
		assert_null(nested(shapes[i][0], shapes[i][1], LIMIT_JSON_DEPTH / each + 1, &e));
		assert_non_null(strstr(e.message, "nested deeper"));
	}
}

static void test_unread(void **state)
{
	static const struct jx_unread unread[] = {
		{ STR("metadata"), STR("managedFields") }, { STR(""), STR("status") }, { STR("list"), STR("n") }, { STR_NONE, STR_NONE }
	};
	static const char *const rows[][2] = {
		{ "{\"metadata\":{\"managedFields\":[{\"a\":\"]\\\"}\"}],\"name\":\"x\"},\"status\":{}}", "{\"metadata\":{\"name\":\"x\"}}" },
		{ "{\"metadata\":{\"managedFields\":\"a\\\"b\"},\"status\" : \"\" , \"a\":1}", "{\"metadata\":{},\"a\":1}" },
		{ "{\"status\":-1,\"a\":{\"status\":null},\"managedFields\":[]}", "{\"a\":{\"status\":null},\"managedFields\":[]}" },
		{ "{\"list\":[{\"n\":1,\"m\":2},[{\"n\":false}],3],\"status\":true}", "{\"list\":[{\"m\":2},[{}],3]}" },
		{ "{\"status\":{]}", "{}" }, /* its brackets are counted only */
		{ "{\"status\":\"a}", NULL }, { "{\"status\":}", NULL }, { "{\"status\":nul}", NULL },
		{ "{\"status\":[", NULL },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *v = jx_parse_read(str_of(rows[i][0]), 1000, unread, &e);
		cleanup(freep) char *text = v ? jx_dump_text(v) : NULL;
		if (!c_eq(text, rows[i][1]))
			fail_msg("%s: %s", rows[i][0], text ? text : e.message);
		json_decref(v);
	}
	assert_null(jx_parse_read(STR("{\"status\":\0[]}"), 1000, unread, &e));
}

static void test_size(void **state)
{
	struct err e;
	json_t *v = jx_parse(STR("[1,2]"), 5, &e);

	(void)state;
	assert_non_null(v);
	json_decref(v);
	assert_null(jx_parse(STR("[1,2]"), 4, &e));
	assert_int_equal(e.reason, ERR_TOO_LARGE);
	assert_null(jx_parse(STR_NONE, 4, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_jansson),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
