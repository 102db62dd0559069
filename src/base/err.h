/* err.h - one error, from the syscall up to the API's Status body.
 *
 * A function that can fail returns 0 or -1 (or NULL) and takes `struct err *e` last.
 * On success *e is untouched. On failure it is filled once, by the place that knew most;
 * callers on the way up only add context (err_wrap). The message is inline, so reporting
 * an error cannot itself run out of memory.
 */
#pragma once

#include "base/base.h"

/* Reasons are Kubernetes' metav1.StatusReason with their HTTP codes (apimachinery, api/errors).
 *        name                  http  Status.reason            */
#define ERR_MAP(X)                                              \
	X(BAD_REQUEST,          400, "BadRequest")              \
	X(UNAUTHORIZED,         401, "Unauthorized")            \
	X(FORBIDDEN,            403, "Forbidden")               \
	X(NOT_FOUND,            404, "NotFound")                \
	X(METHOD_NOT_ALLOWED,   405, "MethodNotAllowed")        \
	X(NOT_ACCEPTABLE,       406, "NotAcceptable")           \
	X(ALREADY_EXISTS,       409, "AlreadyExists")           \
	X(CONFLICT,             409, "Conflict")                \
	X(EXPIRED,              410, "Expired")                 \
	X(TOO_LARGE,            413, "RequestEntityTooLarge")   \
	X(UNSUPPORTED_MEDIA,    415, "UnsupportedMediaType")    \
	X(INVALID,              422, "Invalid")                 \
	X(TOO_MANY_REQUESTS,    429, "TooManyRequests")         \
	X(INTERNAL,             500, "InternalError")           \
	X(UNAVAILABLE,          503, "ServiceUnavailable")      \
	X(TIMEOUT,              504, "Timeout")

enum err_reason {
	ERR_NONE = 0,
#define X(name, http, reason) ERR_##name,
	ERR_MAP(X)
#undef X
};

#define ERR_MESSAGE_BYTES 512

struct err {
	enum err_reason reason;
	int sys_errno; /* 0 when no system call was at fault */
	char message[ERR_MESSAGE_BYTES];
};

int err_http(enum err_reason r);
const char *err_reason_name(enum err_reason r);
enum err_reason err_reason_of_http(int status); /* ERR_INTERNAL for what is not in the table */

/* These return -1, so that `return err_set(e, ...)` reads as one step. */
int err_set(struct err *e, enum err_reason r, const char *fmt, ...) printf_like(3, 4);
int err_errno(struct err *e, int sys_errno, const char *fmt, ...) printf_like(3, 4);
int err_wrap(struct err *e, const char *fmt, ...) printf_like(2, 3); /* "context: old message" */
