/* gzip.h - a body compressed in place. RFC 1952, at zlib's fastest level: the loop waits meanwhile.
 */
#pragma once

#include "base/buf.h"

/* -1 leaves the body as it was. */
int gzip_replace(struct buf *body) must_check;
