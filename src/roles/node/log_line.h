/* log_line.h - one line of a container log as the runtime writes it. Pure.
 *
 * CRI logging format: "2016-10-06T00:17:09.669794202Z stdout P|F[:tag] text". P: the line goes on
 * in the next one.
 */
#pragma once

#include "base/base.h"

#define LOG_LINE_BYTES (64u << 10) /* containerd splits at 16 KiB */

struct log_line {
	struct str time, stream, content; /* into the line that was parsed */
	bool partial;
};
/* `line` without its newline. -1 when it is none of ours. */
int log_line_parse(struct str line, struct log_line *ret_line) must_check;
/* Nanoseconds since 1970 of a time stamp like the one above; -1 when malformed. */
int log_time_parse(struct str text, int64_t *ret_unix_ns) must_check;
