#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"
#include "codec/http_date.h"

static void dates(void **state)
{
	(void)state;
	static const struct {
		time_t at;
		const char *text;
	} rows[] = {
		{ 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" }, /* RFC 9110's own */
		{ 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
		{ -1, "Thu, 01 Jan 1970 00:00:00 GMT" },
		{ 951782399, "Mon, 28 Feb 2000 23:59:59 GMT" },
		{ 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
		{ 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT" },
		{ INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT" },
	};
	char out[HTTP_DATE_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(http_date(rows[i].at, out), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(dates) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
