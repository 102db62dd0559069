/* log_out.h - where a log's lines go: a descriptor shared by several threads, that never makes them wait.
 *
 * Streams (pipes, terminals, sockets) take what fits now; regular files take everything, so log_out_write on them belongs on
 * a thread. Lines of several workers never mix: what is left of a line is written before anything else.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct log_out;
/* `path` NULL: standard output. */
struct log_out *log_out_open(const char *path, struct err *e) must_check;
struct log_out *log_out_ref(struct log_out *o); /* any thread */
void log_out_unref(struct log_out *o);		/* NULL is nothing */
bool log_out_regular(const struct log_out *o);
const char *log_out_path(const struct log_out *o); /* NULL: standard output */
/* Bytes in the regular file that it has open; 0 for streams. */
uint64_t log_out_size(const struct log_out *o);
/* Writes whole lines from the front of `lines`, consuming them. 0: all; 1: a stream is full, the rest stays;
 * -1: the descriptor is broken, nothing is kept (*ret_lost: how many lines). */
int log_out_write(struct log_out *o, struct buf *lines, size_t *ret_lost) must_check;
