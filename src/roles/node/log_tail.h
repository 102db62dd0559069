/* log_tail.h - the last lines of a container's log, without their prefixes. */
#pragma once

#include "base/buf.h"

/* At most max_lines and max_bytes. Blocking, but reads no more than a few pages. A missing log is
 * empty. */
void log_tail(const char *path, size_t max_lines, size_t max_bytes, struct buf *out);
