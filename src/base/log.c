#include "base/log.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_BYTES 2048 /* under PIPE_BUF, so lines of several processes never mix */

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const char *log_role = "portico";
static enum log_level log_threshold = LOG_INFO;

void log_setup(const char *role, enum log_level threshold)
{
	log_role = role;
	log_threshold = threshold;
}

bool log_level_parse(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return true;
		}
	return false;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[LOG_LINE_BYTES];
	struct timespec now;
	struct tm tm;
	va_list ap;

	if (level > log_threshold)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03ldZ %-5s %s: ", now.tv_nsec / 1000000,
			      level_names[level], log_role);
	va_start(ap, fmt);
	int m = vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	va_end(ap);
	n = MIN(n + (size_t)MAX(m, 0), sizeof(line) - 2);
	/* A peer's text may reach a line: it cannot start a second one. */
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20)
			line[i] = ' ';
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nobody is left to tell */
}
