#include "roles/cli/command.h"

#include "base/screen.h"
#include "codec/jx.h"
#include "roles/cli/control.h"

#include <stdio.h>
#include <unistd.h>

/* Proportional set size in KiB: shared pages of the one binary are counted once over all roles. 0 if not readable. */
static long memory_kib(long long pid)
{
	char path[64], line[256];
	long kib = 0;

	snprintf(path, sizeof(path), "/proc/%lld/smaps_rollup", pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pss: %ld kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

static void add_memory(json_t *doc)
{
	json_t *role;
	size_t i;

	json_array_foreach(json_object_get(doc, "roles"), i, role) {
		long long pid = (long long)jx_int(role, "pid", 0);
		jx_set_int(role, "memoryKiB", pid > 0 ? memory_kib(pid) : 0);
	}
}

static const char *age(int64_t ms, char out[32])
{
	int64_t s = ms / 1000;

	if (s < 120)
		snprintf(out, 32, "%llds", (long long)s);
	else if (s < 7200)
		snprintf(out, 32, "%lldm", (long long)s / 60);
	else
		snprintf(out, 32, "%lldh", (long long)s / 3600);
	return out;
}

static void print_table(const json_t *doc)
{
	bool colour = screen_colours(STDOUT_FILENO);
	json_t *role;
	size_t i;
	long total = 0;

	printf("%-12s %-10s %7s %9s %8s %6s  %s\n", "ROLE", "STATE", "PID", "MEMORY", "RESTARTS", "UP", "LAST ERROR");
	json_array_foreach(json_object_get(doc, "roles"), i, role) {
		char up[32];
		bool ready = c_eq(jx_str(role, "state"), "ready");
		long kib = (long)jx_int(role, "memoryKiB", 0);
		total += kib;
		printf("%-12s %s%-10s%s %7lld %6.1f MB %8lld %6s  %s\n", jx_str(role, "name"),
		       colour ? (ready ? "\033[32m" : "\033[31m") : "", jx_str(role, "state"), colour ? "\033[0m" : "",
		       (long long)jx_int(role, "pid", 0), (double)kib / 1024, (long long)jx_int(role, "restarts", 0),
		       age(jx_int(role, "uptimeMs", 0), up), jx_str_or(role, "lastError", ""));
	}
	printf("%-12s %-10s %7s %6.1f MB\n", "total", "", "", (double)total / 1024);
}

static int status(struct config *c, struct args *a)
{
	struct err e;
	bool json;
	size_t i;
	json_t *role;
	int rc = 0;

	if (args_json(a, &json) < 0 || args_words(a, 0) < 0)
		return 2;
	cleanup(json_decrefp) json_t *doc = control_ask(c, "status", &e);
	if (!doc)
		return args_failed(&e);
	add_memory(doc);
	if (json) {
		cleanup(freep) char *text = json_dumps(doc, JSON_INDENT(2));
		puts(text);
	} else {
		print_table(doc);
	}
	json_array_foreach(json_object_get(doc, "roles"), i, role)
		if (!c_eq(jx_str(role, "state"), "ready"))
			rc = 1;
	return rc;
}

const struct command command_status = {
	"status", "[--output text|json]", "Show each role: state, pid, memory, restarts, last error.",
	"Exit status 0 when every role is ready, 1 otherwise. Memory is the proportional set size.", status,
};
