/* base64url.h - base64 with the URL and file name safe alphabet, without padding. RFC 4648,
 * section 5. */
#pragma once

#include "base/buf.h"

int base64url_put(struct buf *out, struct str bytes);
/* One text for each value: padding, or bits left over, are malformed (-1). The result is appended. */
int base64url_decode(struct str text, struct buf *out) must_check;
