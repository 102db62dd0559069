#include "roles/cli/command.h"

#include "codec/jx.h"
#include "roles/cli/control.h"
#include "roles/cli/kubeconfig.h"
#include "roles/cli/preflight.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DOWN_TIMEOUT_MS 120000 /* pods may use their whole grace period */

static int wait_for_end(int pidfd, pid_t pid)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	struct err e;

	if (poll(&p, 1, DOWN_TIMEOUT_MS) == 1)
		return 0;
	err_set(&e, ERR_TIMEOUT, "portico (pid %d) has not stopped after %d s; see its log, supervisor.log", pid,
		DOWN_TIMEOUT_MS / 1000);
	return args_failed(&e);
}

static int down(struct config *c, struct args *a)
{
	struct err e;

	if (args_words(a, 0) < 0)
		return 2;
	if (geteuid() != 0) {
		err_set(&e, ERR_FORBIDDEN, "`portico down` needs root (use sudo)");
		return args_failed(&e);
	}
	cleanup(json_decrefp) json_t *doc = control_ask(c, "status", &e);
	if (!doc) {
		if (access(c->run_dir, F_OK) != 0) {
			printf("portico is not running.\n");
			return 0;
		}
		printf("The supervisor is gone; cleaning up what it left.\n");
		if (preflight_fill(c, &e) < 0 || supervisor_teardown(c, &e) < 0)
			return args_failed(&e);
		printf("portico is down.\n");
		return 0;
	}
	pid_t pid = (pid_t)jx_int(doc, "pid", 0);
	cleanup(closep) int pidfd = pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (pidfd == -1 || kill(pid, SIGTERM) == -1) {
		err_errno(&e, errno, "stop pid %d", pid);
		return args_failed(&e);
	}
	printf("Stopping pods and roles…\n");
	fflush(stdout);
	int rc = wait_for_end(pidfd, pid);
	if (rc == 0)
		printf("portico is down. State is kept in %s; `portico up` brings everything back.\n", c->data_dir);
	return rc;
}

const struct command command_down = {
	"down", "", "Stop portico and its containers; the state is kept.",
	"Stops every pod and role and removes what they made: processes, mounts, network namespaces, interfaces, cgroups,\n"
	"BPF pins and the nft table. Objects stay stored under --data-dir.",
	down,
};
