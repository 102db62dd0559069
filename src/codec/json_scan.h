/* json_scan.h - what is wrong with a text that is no JSON, in the words of Go's encoding/json.
 *
 * Clients compare and print these sentences; jansson's own are others. Slower than parsing: only
 * for texts that failed.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* 0 when the text is JSON. -1 with ERR_BAD_REQUEST: "invalid character 'x' looking for beginning of
 * value". */
int json_scan(struct str text, struct err *e) must_check;
/* A string as strconv.Quote writes it: for error texts. Appends to a buffer. */

int go_quote(struct buf *out, struct str s);
