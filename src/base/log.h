/* log.h - one line per event on standard error, as key=value text.
 *
 * Only roles and commands log; base, codec, loop, net and kube return errors instead.
 * A line is: time level role message. Levels below the threshold cost one comparison.
 */
#pragma once

#include "base/base.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_setup(const char *role, enum log_level threshold); /* role is borrowed for ever */
bool log_level_parse(const char *name, enum log_level *ret_level) must_check;
void log_write(enum log_level level, const char *fmt, ...) printf_like(2, 3);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
