#include "kube/object/selector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static json_t *json(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(v);
	return v;
}

static void test_parse_and_match(void **state)
{
	(void)state;
	static const struct {
		const char *text, *labels, *canonical;
		bool matches;
	} rows[] = {
		{ "", "{}", "", true },
		{ "a=b", "{\"a\":\"b\"}", "a=b", true },
		{ "a==b", "{\"a\":\"c\"}", "a=b", false },
		{ " a = b ", "{\"a\":\"b\"}", "a=b", true },
		{ "a=", "{\"a\":\"\"}", "a=", true },
		{ "a=,b", "{\"a\":\"\",\"b\":\"1\"}", "a=,b", true },
		{ "a!=b", "{}", "a!=b", true },
		{ "a!=b", "{\"a\":\"b\"}", "a!=b", false },
		{ "b,a", "{\"a\":\"1\",\"b\":\"2\"}", "a,b", true },
		{ "!a", "{\"a\":\"1\"}", "!a", false },
		{ "! a", "{}", "!a", true },
		{ "a in (y,x)", "{\"a\":\"x\"}", "a in (x,y)", true },
		{ "a in (x)", "{\"a\":\"z\"}", "a in (x)", false },
		{ "a in (x)", "{}", "a in (x)", false },
		{ "a in (,x)", "{\"a\":\"\"}", "a in (,x)", true },
		{ "a notin (x, y)", "{}", "a notin (x,y)", true },
		{ "a notin (x,y)", "{\"a\":\"y\"}", "a notin (x,y)", false },
		{ "a>5", "{\"a\":\"6\"}", "a>5", true },
		{ "a>5", "{\"a\":\"x\"}", "a>5", false },
		{ "a<5", "{\"a\":\"4\"}", "a<5", true },
		{ "in in (in)", "{\"in\":\"in\"}", "in in (in)", true },
		{ "app.kubernetes.io/name=x,tier!=db", "{\"app.kubernetes.io/name\":\"x\"}",
		  "app.kubernetes.io/name=x,tier!=db", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		struct selector *s = selector_parse(str_of(rows[i].text), &e);
		cleanup(json_decrefp) json_t *labels = json(rows[i].labels);

		if (!s)
			fail_msg("%s: %s", rows[i].text, e.message);
		cleanup(freep) char *text = selector_text(s);
		assert_string_equal(text, rows[i].canonical);
		assert_int_equal(selector_matches(s, labels), rows[i].matches);
		selector_free(s);
	}
}

static void test_parse_errors(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "a=b=c",
		  "unable to parse requirement: found '=', expected: ',' or 'end of string'" },
		{ ",",
		  "unable to parse requirement: found ',', expected: !, identifier, or 'end of string'" },
		{ "a,", "unable to parse requirement: found '', expected: identifier after ','" },
		{ "a in x", "unable to parse requirement: found 'x', expected: '('" },
		{ "a in (x", "unable to parse requirement: found '', expected: ',' or ')'" },
		{ "a b",
		  "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt" },
		{ "=b",
		  "unable to parse requirement: found '=', expected: !, identifier, or 'end of string'" },
		{ "a>x",
		  "unable to parse requirement: values[0][a]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer" },
		{ "a=-x",
		  "unable to parse requirement: values[0][a]: Invalid value: \"-x\": a valid label must be" },
		{ "-a",
		  "unable to parse requirement: key: Invalid value: \"-a\": name part must consist" },
		{ "A.b/c/d", "unable to parse requirement: key: Invalid value: \"A.b/c/d\"" },
		{ "a..b/c", "unable to parse requirement: key: Invalid value: \"a..b/c\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };

		assert_null(selector_parse(str_of(rows[i].text), &e));
		assert_int_equal(e.reason, ERR_BAD_REQUEST);
		if (strncmp(e.message, rows[i].message, strlen(rows[i].message)) != 0)
			fail_msg("%s: %s", rows[i].text, e.message);
	}
}

static void test_label_selector(void **state)
{
	(void)state;
	static const struct {
		const char *selector, *text;
	} rows[] = {
		{ "{}", "" },
		{ "null", "" },
		{ "{\"matchLabels\":{\"b\":\"2\",\"a\":\"1\"}}", "a=1,b=2" },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"z\",\"y\"]}]}",
		  "a in (y,z)" },
		{ "{\"matchLabels\":{\"c\":\"d\"},\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\"},"
		  "{\"key\":\"b\",\"operator\":\"DoesNotExist\"}]}",
		  "a,!b,c=d" },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\"}]}", NULL },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\",\"values\":[\"x\"]}]}",
		  NULL },
		{ "{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Near\"}]}", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		cleanup(json_decrefp) json_t *ls = json(rows[i].selector);
		struct selector *s = selector_of_label_selector(ls, &e);

		assert_int_equal(!s, !rows[i].text);
		if (!s)
			continue;
		cleanup(freep) char *text = selector_text(s);
		assert_string_equal(text, rows[i].text);
		selector_free(s);
	}
}

static void test_field_selector(void **state)
{
	(void)state;
	struct err e = { 0 };
	struct field_selector s;

	assert_int_equal(
		field_selector_parse(STR("metadata.name=web,spec.nodeName!=,status.phase==Running"),
				     &s, &e),
		0);
	assert_int_equal(s.n, 3);
	assert_true(str_eq_c(s.at[0].path, "metadata.name"));
	assert_true(str_eq_c(s.at[0].value, "web"));
	assert_true(s.at[1].not_equal);
	assert_int_equal(s.at[1].value.len, 0);
	assert_true(str_eq_c(s.at[2].value, "Running"));
	field_selector_done(&s);

	assert_int_equal(field_selector_parse(STR("a=b\\,c\\=d\\\\"), &s, &e), 0);
	assert_true(str_eq_c(s.at[0].value, "b,c=d\\"));
	field_selector_done(&s);
	assert_int_equal(field_selector_parse(STR(""), &s, &e), 0);
	assert_int_equal(s.n, 0);
	field_selector_done(&s);
	assert_int_equal(field_selector_parse(STR("bogus"), &s, &e), -1);
	assert_string_equal(e.message, "invalid selector: 'bogus'; can't understand 'bogus'");
	assert_int_equal(field_selector_parse(STR("a=b=c"), &s, &e), -1);
	assert_int_equal(field_selector_parse(STR("a=b\\x"), &s, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_match),
		cmocka_unit_test(test_parse_errors),
		cmocka_unit_test(test_label_selector),
		cmocka_unit_test(test_field_selector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
