#include "base/err.h"

#include <stdio.h>

static const struct {
	int http;
	const char *name;
} reasons[] = {
	[ERR_NONE] = { 200, "" },
#define X(name, http, reason) [ERR_##name] = { http, reason },
	ERR_MAP(X)
#undef X
};

int err_http(enum err_reason r)
{
	return reasons[r].http;
}

const char *err_reason_name(enum err_reason r)
{
	return reasons[r].name;
}

enum err_reason err_reason_of_http(int status)
{
	for (size_t i = 1; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].http == status)
			return (enum err_reason)i;
	return ERR_INTERNAL;
}

int err_set(struct err *e, enum err_reason r, const char *fmt, ...)
{
	va_list ap;

	e->reason = r;
	e->sys_errno = 0;
	va_start(ap, fmt);
	vsnprintf(e->message, sizeof(e->message), fmt, ap);
	va_end(ap);
	return -1;
}

int err_errno(struct err *e, int sys_errno, const char *fmt, ...)
{
	va_list ap;

	e->reason = ERR_INTERNAL;
	e->sys_errno = sys_errno;
	va_start(ap, fmt);
	int n = vsnprintf(e->message, sizeof(e->message), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(e->message))
		snprintf(e->message + n, sizeof(e->message) - (size_t)n, ": %s", strerror(sys_errno));
	return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char old[ERR_MESSAGE_BYTES];
	va_list ap;

	memcpy(old, e->message, sizeof(old));
	va_start(ap, fmt);
	int n = vsnprintf(e->message, sizeof(e->message), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(e->message))
		snprintf(e->message + n, sizeof(e->message) - (size_t)n, ": %.*s",
			 (int)(sizeof(e->message) - (size_t)n), old);
	return -1;
}
