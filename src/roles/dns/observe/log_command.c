/* `portico dns log`: questions as they are answered. */
#include "roles/dns/observe/commands.h"

#include "base/screen.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES_MAX (32u << 10)

struct follow {
	struct dns_command *d;
	bool colour;
};

static const char *colour_of(const char *kind)
{
	if (c_eq(kind, "NOERROR"))
		return "\033[32m";
	return c_eq(kind, "NXDOMAIN") || c_eq(kind, "NODATA") ? "\033[33m" : "\033[31m";
}

/* Local time, to the millisecond. */
static void print_time(const char *text)
{
	int64_t ms = 0;
	struct tm tm;
	char clock[16];

	if (time_parse(text, &ms) < 0)
		return;
	localtime_r(&(time_t){ (time_t)(ms / 1000) }, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf("%s.%03d ", clock, (int)(ms % 1000));
}

static void print_event(const struct follow *f, const json_t *v)
{
	const char *kind = jx_str_or(v, "kind", ""), *upstream = jx_str(v, "upstream");
	const char *who = jx_str_or(v, "pod", jx_str_or(v, "client", "")), *code = c_eq(kind, "NODATA") ? "NODATA" : jx_str_or(v, "rcode", "");
	bool paint = f->colour;

	print_time(jx_str_or(v, "time", ""));
	cleanup(freep) char *text = xasprintf("%-24s %-5s %s", who, jx_str_or(v, "type", ""), jx_str_or(v, "name", ""));
	cleanup(freep) char *from = xasprintf("%s%s%s", jx_str_or(v, "source", ""), upstream ? " " : "", upstream ? upstream : "");
	screen_harmless(text);
	screen_harmless(from);
	printf("%s %s%s%s  %s%s %.2f ms%s%s%s\n", text, paint ? colour_of(kind) : "", code, paint ? "\033[0m" : "", paint ? "\033[2m" : "",
	       from, (double)jx_int(v, "durationUs", 0) / 1000, c_eq(jx_str(v, "proto"), "udp") ? "" : " ",
	       c_eq(jx_str(v, "proto"), "udp") ? "" : jx_str_or(v, "proto", ""), paint ? "\033[0m" : "");
}

/* To standard error what is about the log, so that its lines can be piped. */
static bool print_line(void *ctx, struct str line)
{
	struct follow *f = ctx;
	struct err e;
	cleanup(json_decrefp) json_t *v = jx_parse(line, line.len + 1, &e);

	if (!v)
		return true;
	if (jx_bool(v, "started", false))
		fprintf(stderr, "%s", jx_bool(v, "kernelPaused", false) ? "while you look, the kernel answers nothing: all questions are seen\n" : "");
	else if (jx_int(v, "leftOut", 0) > 0)
		fprintf(stderr, "%lld questions were left out: they came faster than they are read\n", (long long)jx_int(v, "leftOut", 0));
	else if (f->d->json)
		printf(STR_FMT "\n", STR_ARG(line));
	else
		print_event(f, v);
	return fflush(stdout) == 0;
}

int dns_log_command(const struct config *c, struct args *a)
{
	static const char *const options[][2] = { { "--name", "name" }, { "--client", "client" }, { "--rcode", "rcode" } };
	struct dns_command d;
	struct buf path;
	struct err e;

	if (dns_command_start(&d, c, a) < 0)
		return 2;
	buf_init(&path, PATH_BYTES_MAX);
	buf_puts(&path, "/log");
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const char *value = NULL;
		if (args_value(a, options[i][0], NULL, &value) < 0) {
			buf_done(&path);
			return 2;
		}
		dns_command_parameter(&path, options[i][1], value);
	}
	struct follow f = { &d, screen_colours(STDOUT_FILENO) };
	int rc = args_words(a, 0) < 0 ? 2 :
		 dns_command_follow(&d, path.ptr, print_line, &f, &e) < 0 ? args_failed(&e) : 0;
	buf_done(&path);
	return rc;
}
