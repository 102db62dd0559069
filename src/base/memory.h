/* memory.h - a process that has started gives back what only its start needed. */
#pragma once

#include "base/base.h"

/* Free heap pages, and the program's and its libraries' own pages (code, constants), which come back from the page cache
 * when they are used again: of a TLS library's tables and everybody's beginnings most never are. */
void memory_settle(void);
