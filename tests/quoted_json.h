/* JSON with single quotes, so that tests stay readable: J("{'a':%d}", 1). The caller owns the result. */
#pragma once

#include "codec/jx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

printf_like(1, 2) static inline json_t *J(const char *fmt, ...)
{
	json_error_t e;
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	json_t *v = json_loads(text, JSON_DECODE_ANY, &e);
	if (!v)
		fail_msg("%s at column %d in %s", e.text, e.column, text);
	free(text);
	return v;
}
