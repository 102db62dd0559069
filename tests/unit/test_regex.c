/* Bounded regular expressions: what they match, what they refuse, and what a hostile text costs. */
#include "base/regex.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct regex_limits roomy = { .text_bytes = 64, .steps = 100000, .depth = 1000 };
static const struct regex_limits tight = { .text_bytes = 64, .steps = 5, .depth = 1000 };

static struct regex *make(const char *text, unsigned options)
{
	struct err e;
	struct regex *r = regex_new(text, options, &roomy, &e);

	if (!r)
		fail_msg("%s: %s", text, e.message);
	return r;
}

static void test_matches(void **state)
{
	static const struct {
		const char *text;
		unsigned options;
		const char *subject;
		enum regex_result want;
		const char *first; /* the whole match */
	} rows[] = {
		{ "b+", 0, "abbc", REGEX_YES, "bb" },
		{ "b+", REGEX_ANCHORED, "abbc", REGEX_NO },
		{ "B+", 0, "abbc", REGEX_NO },
		{ "B+", REGEX_CASELESS, "abbc", REGEX_YES, "bb" },
		{ "c$", 0, "abc\n", REGEX_YES, "c" },
		{ "c$", REGEX_END_ONLY, "abc\n", REGEX_NO },
		{ "^ab", 0, "abc", REGEX_YES, "ab" },
		{ "^ab", 0, "xab", REGEX_NO },
		{ "^AB", REGEX_CASELESS, "abc", REGEX_YES, "ab" },
		{ "^AB", 0, "abc", REGEX_NO },
		{ "^abc?", 0, "abx", REGEX_YES, "ab" },
		{ "^ab|x", 0, "yx", REGEX_YES, "x" },
		{ "^ab.", 0, "ab", REGEX_NO },
		{ "^", 0, "", REGEX_YES, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct regex *r = make(rows[i].text, rows[i].options);
		/* Interpreted at first, then as machine code. */
		for (int turn = 0; turn < 600; turn++) {
			struct str found = STR_NONE;
			if (regex_match(r, str_of(rows[i].subject), &found, 1) != rows[i].want)
				fail_msg("row %zu, turn %d: \"%s\" and \"%s\"", i, turn, rows[i].text, rows[i].subject);
			assert_true(rows[i].first ? str_eq(found, str_of(rows[i].first)) : !found.ptr);
		}
		regex_free(r);
	}
}

static void test_groups(void **state)
{
	struct regex *r = make("(?<host>[a-z]+)(-x)?(y)", 0), *literal = make("^abc", 0);
	struct str g[REGEX_GROUPS_MAX];

	(void)state;
	assert_int_equal(regex_groups(r), 3);
	assert_int_equal(regex_group(r, "host"), 1);
	assert_int_equal(regex_group(r, "port"), -1);
	assert_int_equal(regex_match(r, STR("..weby.."), g, ARRAY_LEN(g)), REGEX_YES);
	assert_true(str_eq(g[0], STR("weby")) && str_eq(g[1], STR("web")) && !g[2].ptr && str_eq(g[3], STR("y")) && !g[4].ptr);
	g[0] = STR("as before");
	assert_int_equal(regex_match(r, STR("..."), g, ARRAY_LEN(g)), REGEX_NO);
	assert_true(str_eq(g[0], STR("as before")));

	assert_int_equal(regex_groups(literal), 0);
	assert_int_equal(regex_group(literal, "host"), -1);
	assert_int_equal(regex_match(literal, STR("abcd"), g, 2), REGEX_YES);
	assert_true(str_eq(g[0], STR("abc")) && !g[1].ptr);
	regex_free(literal);
	regex_free(r);
}

/* One more than are told: the first ones are. */
static void test_many_groups(void **state)
{
	char text[3 * (REGEX_GROUPS_MAX + 1) + 1] = "";
	struct str g[REGEX_GROUPS_MAX];
	static const struct regex_limits limits = { .text_bytes = sizeof(text), .steps = 1000, .depth = 100 };
	struct err e;

	(void)state;
	for (int i = 0; i <= REGEX_GROUPS_MAX; i++)
		strcat(text, "(a)");
	struct regex *r = regex_new(text, 0, &limits, &e);
	assert_non_null(r);
	assert_int_equal(regex_match(r, STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), g, ARRAY_LEN(g)), REGEX_YES);
	assert_int_equal(g[0].len, REGEX_GROUPS_MAX + 1);
	assert_int_equal(g[REGEX_GROUPS_MAX - 1].len, 1);
	regex_free(r);
}

static void test_refused(void **state)
{
	char text[66];
	struct err e;

	(void)state;
	memset(text, 'a', 65);
	text[65] = '\0';
	assert_null(regex_new(text, 0, &roomy, &e));
	assert_string_equal(e.message, "the regular expression is longer than 64 bytes");
	text[64] = '\0';
	regex_free(make(text, 0));
	assert_null(regex_new("a(b", 0, &roomy, &e));
	assert_string_equal(e.message, "regular expression \"a(b\": missing closing parenthesis at offset 3");
	regex_free(NULL);
}

/* The limits are the expression's, whichever was matched with before it on this thread. */
static void test_limits(void **state)
{
	struct err e;
	struct regex *a = make("^(a+)+$", 0), *b = regex_new("^(a+)+$", 0, &tight, &e);
	static const struct str hostile = STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), easy = STR("aaab");

	(void)state;
	assert_non_null(b);
	for (int i = 0; i < 600; i++) {
		assert_int_equal(regex_match(a, easy, NULL, 0), REGEX_NO);
		assert_int_equal(regex_match(b, easy, NULL, 0), REGEX_LIMIT);
	}
	assert_int_equal(regex_match(a, hostile, NULL, 0), REGEX_LIMIT);
	assert_int_equal(regex_match(a, STR("aaa"), NULL, 0), REGEX_YES);
	regex_free(a);
	regex_free(b);
}

static void *match_often(void *ctx)
{
	const struct regex *r = ctx;
	size_t wrong = 0;

	for (int i = 0; i < 2000; i++) {
		struct str g[2] = { STR_NONE, STR_NONE };
		wrong += regex_match(r, STR("xx-web-7"), g, 2) != REGEX_YES || !str_eq(g[1], STR("7"));
	}
	return (void *)wrong;
}

static void test_threads(void **state)
{
	struct regex *r = make("web-([0-9])", 0);
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, match_often, r), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *wrong;
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	regex_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matches), cmocka_unit_test(test_groups), cmocka_unit_test(test_many_groups),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_limits), cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
