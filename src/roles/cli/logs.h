/* logs.h - the files under <data-dir>/logs, kept within a bound. */
#pragma once

#include "base/err.h"

/* When the file has grown past its bound: its content moves to PATH.1 and the file starts empty. Writers append, so they
 * need not be told. */
void log_rotate(const char *path);
