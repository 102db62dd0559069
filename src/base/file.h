/* file.h - whole files, read with a limit and replaced atomically. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* Reads all of `path` into `out` (initialised; its maximum is the limit). */
int file_read(const char *path, struct buf *out, struct err *e) must_check;
/* Writes path.tmp, fsyncs it, renames it over `path`; `mode` is exact, umask notwithstanding. */
int file_write(const char *path, struct str data, mode_t mode, struct err *e) must_check;
/* As mkdir -p; existing directories keep their mode. */
int dir_make(const char *path, mode_t mode, struct err *e) must_check;
/* Removes a tree without crossing a mount point; a missing path is success. */
int dir_remove(const char *path, struct err *e) must_check;
