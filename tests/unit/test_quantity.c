#include "kube/object/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Compared with k8s.io/apimachinery's Quantity; only above 2^63-1 do we differ: we stop there. */
static const struct {
	const char *text, *canonical;
	int64_t milli, value;
} good[] = {
	{ "0", "0", 0, 0 },
	{ "0Mi", "0", 0, 0 },
	{ "1", "1", 1000, 1 },
	{ "100m", "100m", 100, 1 },
	{ "1000m", "1", 1000, 1 },
	{ "1500m", "1500m", 1500, 2 },
	{ "0.5", "500m", 500, 1 },
	{ ".5", "500m", 500, 1 },
	{ "1.", "1", 1000, 1 },
	{ "+1", "1", 1000, 1 },
	{ "-1", "-1", -1000, -1 },
	{ "-1.5", "-1500m", -1500, -1 },
	{ "001", "1", 1000, 1 },
	{ "1Gi", "1Gi", 1073741824000, 1073741824 },
	{ "1024Mi", "1Gi", 1073741824000, 1073741824 },
	{ "1.5Gi", "1536Mi", 1610612736000, 1610612736 },
	{ "1000Ki", "1000Ki", 1024000000, 1024000 },
	{ "0.5Ki", "512", 512000, 512 },
	{ "1Ki", "1Ki", 1024000, 1024 },
	{ "0.1Ki", "102400m", 102400, 103 },
	{ "1500.7Ki", "1536716800m", 1536716800, 1536717 },
	{ "1G", "1G", 1000000000000, 1000000000 },
	{ "1000M", "1G", 1000000000000, 1000000000 },
	{ "1500M", "1500M", 1500000000000, 1500000000 },
	{ "1e3", "1e3", 1000000, 1000 },
	{ "1E3", "1e3", 1000000, 1000 },
	{ "12e6", "12e6", 12000000000, 12000000 },
	{ "1e-3", "1e-3", 1, 1 },
	{ "100e3", "100e3", 100000000, 100000 },
	{ "1E", "1E", INT64_MAX, 1000000000000000000 },
	{ "1n", "1n", 1, 1 },
	{ "0.1n", "1n", 1, 1 },
	{ "1u", "1u", 1, 1 },
	{ "100000000000000000000", "9223372036854775807", INT64_MAX, INT64_MAX },
	{ "-100000000000000000000", "-9223372036854775807", INT64_MIN, -INT64_MAX },
	{ "8Ei", "9223372036854775807", INT64_MAX, INT64_MAX },
	{ "1e100", "9223372036854775807", INT64_MAX, INT64_MAX },
	{ "1e-100", "1e-9", 1, 1 },
	{ "0.00000000000000000000000000000000000000001", "1n", 1, 1 },
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		int64_t milli = -7, value = -7;
		struct str text = str_of(good[i].text);
		cleanup(freep) char *canonical = quantity_canonical(text);

		assert_string_equal(canonical, good[i].canonical);
		assert_int_equal(quantity_milli(text, &milli), 0);
		assert_int_equal(quantity_value(text, &value), 0);
		if (milli != good[i].milli || value != good[i].value)
			print_error("%s: %lld %lld\n", good[i].text, (long long)milli,
				    (long long)value);
		assert_true(milli == good[i].milli);
		assert_true(value == good[i].value);
		assert_null(quantity_problem(text));
	}
}

static void test_bad(void **state)
{
	(void)state;
	static const char format[] = "quantities must match the regular expression "
				     "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
	static const char suffix[] = "unable to parse quantity's suffix";
	static const struct {
		const char *text, *problem;
	} rows[] = {
		{ "", format },	     { "abc", format },
		{ "1.5.5", format }, { "1 ", format },
		{ " 1", format },    { "1z", format },
		{ "1kk", suffix },   { "1K", suffix },
		{ "1mi", suffix },   { "1e", suffix },
		{ "1e+", suffix },   { "--1", suffix },
		{ "1-", suffix },    { "1e99999999999", suffix },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t v;

		assert_non_null(quantity_problem(str_of(rows[i].text)));
		assert_string_equal(quantity_problem(str_of(rows[i].text)), rows[i].problem);
		assert_null(quantity_canonical(str_of(rows[i].text)));
		assert_int_equal(quantity_milli(str_of(rows[i].text), &v), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_good),
					    cmocka_unit_test(test_bad) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
