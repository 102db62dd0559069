/* run.h - another program, run to its end. Blocks: for commands, never for a role's loop. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* Standard output goes to `out` (may be NULL: discarded). A non-zero exit is an error with the program's last line of
 * standard error. stdin_fd -1: /dev/null. */
int run_command(char *const argv[], int stdin_fd, struct buf *out, struct err *e) must_check;
