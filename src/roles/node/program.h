/* program.h - another program, run to its end with text on its standard input. Blocks: for worker
 * threads. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* `out` (may be NULL) gets standard output. A non-zero exit is an error with the end of standard
 * error. */
int program_run(const char *const argv[], struct str input, struct buf *out,
		struct err *e) must_check;
