/* http_ask.h - one GET over plain HTTP, waited for: for commands that ask a running role.
 */
#pragma once

#include "base/buf.h"
#include "net/addr.h"

/* "ADDRESS:PORT" where something listens, as one connects to it: every address is 127.0.0.1. `setting` is named in errors. */
int http_ask_address(const char *listens, const char *setting, struct addr *ret, struct err *e) must_check;
/* Returns the status and the body (`ret_body` is initialised; its maximum is the limit), or -1 when nobody answers. */
int http_ask(const struct addr *to, const char *path, uint64_t timeout_ms, struct buf *ret_body, struct err *e) must_check;
/* The same, until something can be read from `fd` (a keyboard): then 0. */
int http_ask_until(const struct addr *to, const char *path, uint64_t timeout_ms, int fd, struct buf *ret_body, struct err *e) must_check;
/* Calls `line` for each line of an answer that may go on for ever (without its end), until it returns false. Returns as
 * http_ask; with a status other than 200 the body's first line is in `e`. */
int http_ask_lines(const struct addr *to, const char *path, bool (*line)(void *ctx, struct str line), void *ctx, struct err *e) must_check;
/* Appends `value` percent-encoded, for a path's query. */
void http_ask_encode(struct buf *out, const char *value);
