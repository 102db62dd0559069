/* log_reader.h - the text of one container log file, filtered as `kubectl logs` asks. Reads, never
 * waits. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct log_options {
	bool follow, previous, timestamps;
	int64_t tail_lines;    /* -1: all */
	int64_t since_unix_ns; /* 0: all */
	int64_t limit_bytes;   /* -1: none */
};

struct log_reader {
	int fd;
	struct log_options options;
	struct buf line; /* the beginning of a line that is not complete yet */
	int64_t left_bytes;
};
int log_reader_open(struct log_reader *r, const char *path, const struct log_options *o,
		    struct err *e) must_check;
void log_reader_done(struct log_reader *r);
enum log_more {
	LOG_MORE,
	LOG_END /* of the file, for now */,
	LOG_LIMIT /* reached: nothing follows */
};
/* Appends some text to `out`; call again while it says LOG_MORE. */
enum log_more log_reader_next(struct log_reader *r, struct buf *out);
