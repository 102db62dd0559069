#include "kube/schema/decode.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Compared with sigs.k8s.io/yaml's YAMLToJSON. */
static const char *const good[][2] = {
	{ "", "null" },
	{ "a: 1\nb: [x, 'y', \"z\\n\"]\n", "{\"a\":1,\"b\":[\"x\",\"y\",\"z\\n\"]}" },
	{ "[yes, No, on, OFF, y, n, True, FALSE, 'yes']",
	  "[true,false,true,false,true,false,true,false,\"yes\"]" },
	{ "[~, null, Null, '', ]", "[null,null,null,\"\"]" },
	{ "a:\n", "{\"a\":null}" },
	{ "[0x1F, 0b101, 017, 0o17, 1_000, +5, -3, 08, 1e3, 1.0, 1.5, .5, 1., -.5e0]",
	  "[31,5,15,15,1000,5,-3,8,1000,1,1.5,0.5,1,-0.5]" },
	{ "[1.2.3, 1:30, 2001-01-01, 2001-01-01T00:00:00Z, 0x, 1e, '1', 1abc]",
	  "[\"1.2.3\",\"1:30\",\"2001-01-01\",\"2001-01-01T00:00:00Z\",\"0x\",\"1e\",\"1\",\"1abc\"]" },
	{ "9223372036854775807: max\n-9223372036854775808: min\n",
	  "{\"9223372036854775807\":\"max\",\"-9223372036854775808\":\"min\"}" },
	{ "true: a\n1: b\n1.5: c\n", "{\"true\":\"a\",\"1\":\"b\",\"1.5\":\"c\"}" },
	{ "a: &x {k: 1}\nb: *x\n", "{\"a\":{\"k\":1},\"b\":{\"k\":1}}" },
	{ "a: &x [1]\nb: &x [2]\nc: *x\n", "{\"a\":[1],\"b\":[2],\"c\":[2]}" },
	{ "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n",
	  "{\"a\":{\"k\":1,\"l\":2},\"b\":{\"k\":1,\"l\":3}}" },
	{ "a: &x {k: 1}\nb: &y {k: 2, m: 3}\nc:\n  <<: [*x, *y]\n",
	  "{\"a\":{\"k\":1},\"b\":{\"k\":2,\"m\":3},\"c\":{\"k\":1,\"m\":3}}" },
	{ "a: |\n  x\n  y\nb: >\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\\n\"}" },
	{ "a: !!str 1\nb: !!int \"2\"\nc: !!binary aGk=\nd: !foo bar\n",
	  "{\"a\":\"1\",\"b\":2,\"c\":\"hi\",\"d\":\"bar\"}" },
	{ "a: 1\na: 2\n", "{\"a\":2}" },
	{ "---\na: 1\n---\nb: 2\n", "{\"a\":1}" },
	{ "{\"a\": {\"b\": [1, null, true]}}", "{\"a\":{\"b\":[1,null,true]}}" },
	{ "# comment only\n", "null" },
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct err e = { 0 };
		cleanup(json_decrefp) json_t *v =
			yaml_to_json(str_of(good[i][0]), LIMIT_OBJECT_BYTES, &e);

		if (!v)
			fail_msg("%s: %s", good[i][0], e.message);
		cleanup(freep) char *text = jx_dump_text(v);
		assert_string_equal(text, good[i][1]);
	}
}

static void test_bad(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "a: [1", "yaml: line 1: did not find expected ',' or ']'" },
		{ "a: b: c", "yaml: mapping values are not allowed in this context" },
		{ "a:\n\t- b", "yaml: line 2: found character that cannot start any token" },
		{ "a: *x", "yaml: unknown anchor 'x' referenced" },
		{ "a: &x [*x]", "yaml: anchor 'x' value contains itself" },
		{ "a: .nan", "json: unsupported value: NaN" },
		{ "[a]: b", "yaml: invalid map key" },
		{ "<<: 1", "yaml: map merge requires map or sequence of maps as the value" },
		{ "a: !!binary '***'", "yaml: !!binary value contains invalid base64 data" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };

		if (yaml_to_json(str_of(rows[i][0]), LIMIT_OBJECT_BYTES, &e))
			fail_msg("%s was accepted", rows[i][0]);
		assert_int_equal(e.reason, ERR_BAD_REQUEST);
		assert_string_equal(e.message, rows[i][1]);
	}
}

static void test_limits(void **state)
{
	(void)state;
	struct err e = { 0 };
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_puts(&b, "a0: &a0 [lol]\n");
	for (int i = 1; i < 12; i++)
		buf_printf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i,
			   i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	assert_null(yaml_to_json(buf_str(&b), 1 << 20, &e));
	assert_string_equal(e.message, "yaml: document contains excessive aliasing");

	buf_clear(&b);
	for (int i = 0; i < 200; i++)
		buf_putc(&b, '[');
	assert_null(yaml_to_json(buf_str(&b), 1 << 20, &e));
	assert_string_equal(e.message, "yaml: exceeded max depth of 128");
	assert_null(yaml_to_json(buf_str(&b), 100, &e));
	assert_int_equal(e.reason, ERR_TOO_LARGE);
	buf_done(&b);
}

static void test_documents(void **state)
{
	(void)state;
	struct err e = { 0 };
	cleanup(json_decrefp) json_t *v = yaml_documents(
		STR("a: 1\n---\n---\nb: &x 2\n...\n---\nc: 3\n"), LIMIT_OBJECT_BYTES, &e);
	cleanup(freep) char *text = jx_dump_text(v);

	assert_string_equal(text, "[{\"a\":1},null,{\"b\":2},{\"c\":3}]");
	assert_null(yaml_documents(STR("a: &x 1\n---\nb: *x\n"), LIMIT_OBJECT_BYTES, &e));
	cleanup(json_decrefp) json_t *none = yaml_documents(STR(""), LIMIT_OBJECT_BYTES, &e);
	assert_int_equal(json_array_size(none), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_documents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
