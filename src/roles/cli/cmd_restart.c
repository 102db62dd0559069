#include "roles/cli/command.h"

#include "codec/jx.h"
#include "roles/cli/control.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define READY_TIMEOUT_MS 30000
#define ASK_MS 50

/* The row of a role in the supervisor's snapshot: its pid when it is ready, 0 while it is not, -1 without a row. */
static int role_pid(const json_t *doc, const char *name, const char **ret_error)
{
	json_t *role;
	size_t i;

	json_array_foreach(json_object_get(doc, "roles"), i, role)
		if (c_eq(jx_str(role, "name"), name)) {
			*ret_error = jx_str_or(role, "lastError", "");
			return c_eq(jx_str(role, "state"), "ready") ? (int)jx_int(role, "pid", 0) : 0;
		}
	return -1;
}

/* Until another process serves. */
static int wait_for_other(const struct config *c, const char *name, int old_pid, struct err *e)
{
	for (int waited = 0; waited < READY_TIMEOUT_MS; waited += ASK_MS) {
		cleanup(json_decrefp) json_t *doc = control_ask(c, "status", e);
		const char *error = "";
		if (!doc)
			return -1;
		int pid = role_pid(doc, name, &error);
		if (pid > 0 && pid != old_pid)
			return pid;
		if (strncmp(error, "restart failed", 14) == 0)
			return err_set(e, ERR_UNAVAILABLE, "%s: %s", name, error);
		usleep(ASK_MS * 1000);
	}
	return err_set(e, ERR_TIMEOUT, "%s is not ready after %d s; see %s/logs/%s.log", name, READY_TIMEOUT_MS / 1000,
		       c->data_dir, name);
}

static int restart_one(const struct config *c, const char *name, struct err *e)
{
	cleanup(freep) char *line = xasprintf("restart %s", name);
	cleanup(json_decrefp) json_t *before = control_ask(c, "status", e);
	const char *ignored;

	if (!before)
		return -1;
	int old_pid = role_pid(before, name, &ignored);
	cleanup(json_decrefp) json_t *doc = control_ask(c, line, e);
	if (!doc)
		return -1;
	if (jx_str(doc, "error"))
		return err_set(e, ERR_INVALID, "restart %s: %s", name, jx_str(doc, "error"));
	int pid = wait_for_other(c, name, old_pid, e);
	if (pid < 0)
		return -1;
	printf("%s: ready (pid %d, was %d)\n", name, pid, old_pid);
	fflush(stdout);
	return 0;
}

static int restart(struct config *c, struct args *a)
{
	struct err e;

	if (args_words(a, INT_MAX) < 0)
		return 2;
	if (a->argc < 2)
		return args_usage(a, "which role? `portico status` lists them");
	if (geteuid() != 0) {
		err_set(&e, ERR_FORBIDDEN, "`portico restart` needs root (use sudo)");
		return args_failed(&e);
	}
	for (int i = 1; i < a->argc; i++)
		if (restart_one(c, a->argv[i], &e) < 0)
			return args_failed(&e);
	return 0;
}

const struct command command_restart = {
	"restart", "ROLE…", "Restart roles, with the program that is installed now.",
	"The ingress and dns roles are replaced without a gap: the new process takes over the listening sockets, and the old one\n"
	"finishes its requests, WebSockets included, for up to worker-shutdown-timeout, or answers what it was asked. If the new one\n"
	"does not start, the old one goes on.\n"
	"Other roles end and start again; their listening sockets stay open meanwhile.",
	restart,
};
