#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fnv.h"

/* The vectors of RFC 9923. */
static void fnv(void **state)
{
	(void)state;
	assert_true(fnv1a_64_text("") == UINT64_C(0xcbf29ce484222325));
	assert_true(fnv1a_64_text("a") == UINT64_C(0xaf63dc4c8601ec8c));
	assert_true(fnv1a_64_text("foobar") == UINT64_C(0x85944171f73967e8));
	assert_true(fnv1a_64(fnv1a_64_text("foo"), "bar", 3) == fnv1a_64_text("foobar"));
	assert_int_equal(fnv1a_32(FNV1A_32, "a", 1), 0xe40c292c);
	assert_int_equal(fnv1a_32(FNV1A_32, "foobar", 6), 0xbf9cf968);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(fnv) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
