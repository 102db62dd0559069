/* base64.h - base64 with the standard alphabet and padding. RFC 4648, section 4. */
#pragma once

#include "base/buf.h"

int base64_put(struct buf *out, struct str bytes);
/* Line breaks are skipped, as Go's encoding/base64 does. -1 when malformed (*ret_bad_at is where,
 * as Go counts) or when `out` is full (*ret_bad_at is text.len + 1). `out` may be NULL: only
 * checks. */
int base64_decode(struct str text, struct buf *out, size_t *ret_bad_at) must_check;
