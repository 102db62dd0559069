#include "roles/cli/command.h"

#include "base/file.h"
#include "base/log.h"
#include "base/screen.h"
#include "codec/jx.h"
#include "roles/cli/control.h"
#include "roles/cli/kubeconfig.h"
#include "roles/cli/pki.h"
#include "roles/cli/preflight.h"
#include "roles/cli/roles.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define UP_TIMEOUT_MS 60000 /* a slow disk's first containerd start, generously */

static int prepare(struct config *c, struct supervisor_sockets *sockets, struct err *e)
{
	cleanup(freep) char *logs = xasprintf("%s/logs", c->data_dir);
	cleanup(freep) char *path = xasprintf("%s/config.json", c->run_dir);

	if (preflight_fill(c, e) < 0 || config_check(c, e) < 0 || preflight_machine(c, e) < 0 ||
	    preflight_sockets(c, sockets, e) < 0)
		return -1;
	if (dir_make(c->data_dir, 0755, e) < 0 || dir_make(c->run_dir, 0755, e) < 0 || dir_make(logs, 0755, e) < 0)
		return -1;
	if (preflight_folder(c->data_dir, "data-dir", e) < 0 || preflight_folder(c->run_dir, "run-dir", e) < 0)
		return -1;
	/* What an unprivileged role may write: <data-dir>/ROLE. */
	cleanup(freep) char *store = xasprintf("%s/apiserver", c->data_dir);
	if (dir_make(store, 0700, e) < 0)
		return -1;
	if (chown(store, role_uid("apiserver"), role_uid("apiserver")) == -1)
		return err_errno(e, errno, "chown '%s'", store);
	if (pki_ensure(c, e) < 0)
		return -1;
	return config_save(c, path, e);
}

/* Detached from the terminal; what it says goes to its log. */
static void __attribute__((noreturn)) run_supervisor(const struct config *c, const struct supervisor_sockets *sockets,
						      int progress_fd)
{
	cleanup(freep) char *log_path = xasprintf("%s/logs/supervisor.log", c->data_dir);
	int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct err e;

	setsid();
	if (chdir("/") == -1 || log_fd == -1 || null_fd == -1)
		_exit(1);
	dup2(null_fd, STDIN_FILENO);
	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	log_setup("supervisor", LOG_INFO);
	if (supervisor_run(c, sockets, progress_fd, &e) < 0) {
		log_error("%s", e.message);
		dprintf(progress_fd, "! %s\n", e.message);
		_exit(1);
	}
	_exit(0);
}

/* Prints "apiserver 120" lines as they come. 0 when all are ready, 1 on failure, 2 on time-out. */
static int follow_progress(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	FILE *in = fdopen(fd, "r");
	char line[ERR_MESSAGE_BYTES + 8], name[64];
	unsigned long long ms;
	bool colour = screen_colours(STDOUT_FILENO);

	while (in) {
		if (poll(&p, 1, UP_TIMEOUT_MS) == 0) {
			fclose(in);
			return 2;
		}
		if (!fgets(line, sizeof(line), in))
			break;
		if (line[0] == '!') {
			fprintf(stderr, "portico: %s", line + 2);
			fclose(in);
			return 1;
		}
		if (sscanf(line, "%63s %llu", name, &ms) == 2)
			printf("  %s%-12s%s ready after %llu.%03llu s\n", colour ? "\033[32m" : "", name,
			       colour ? "\033[0m" : "", ms / 1000, ms % 1000);
		fflush(stdout);
	}
	if (in)
		fclose(in);
	return 0;
}

static int complain_late(const struct config *c)
{
	struct err e;
	cleanup(json_decrefp) json_t *doc = control_ask(c, "status", &e);
	json_t *role;
	size_t i;

	if (!doc)
		return args_failed(&e);
	fprintf(stderr, "portico: not everything is ready after %d s; it goes on trying:\n", UP_TIMEOUT_MS / 1000);
	json_array_foreach(json_object_get(doc, "roles"), i, role)
		if (!c_eq(jx_str(role, "state"), "ready"))
			fprintf(stderr, "  %-12s %s %s (log: %s/logs/%s.log)\n", jx_str(role, "name"), jx_str(role, "state"),
				jx_str_or(role, "lastError", ""), c->data_dir, jx_str(role, "name"));
	return 1;
}

static int merge_kubeconfig(const struct config *c)
{
	cleanup(freep) char *path = NULL;
	bool current;
	struct err e;

	if (kubeconfig_merge_user(c, &path, &current, &e) < 0) {
		fprintf(stderr, "portico: %s\nportico: use kubectl --kubeconfig %s/admin.kubeconfig\n", e.message, c->data_dir);
		return 1;
	}
	printf("kubectl is configured: context \"portico\" in %s\n", path);
	if (!current)
		printf("Another context is current there: use `kubectl --context portico …`, or `kubectl config use-context portico`.\n");
	return 0;
}

static int start_detached(const struct config *c, const struct supervisor_sockets *sockets, struct err *e)
{
	int progress[2];

	if (pipe2(progress, O_CLOEXEC) == -1)
		return err_errno(e, errno, "pipe");
	fflush(NULL);
	pid_t pid = fork();
	if (pid == -1)
		return err_errno(e, errno, "fork");
	if (pid == 0) {
		close(progress[0]);
		run_supervisor(c, sockets, progress[1]);
	}
	close(progress[1]);
	return progress[0];
}

static int up(struct config *c, struct args *a)
{
	struct supervisor_sockets sockets;
	struct err e;
	bool foreground = args_flag(a, "--foreground");
	bool keep_kubeconfig = args_flag(a, "--no-kubeconfig");

	/* What the caller had open (a lock of its script, say) must not stay open as long as portico runs. */
	close_range(STDERR_FILENO + 1, ~0u, 0);

	if (args_words(a, 0) < 0)
		return 2;
	json_t *running = control_ask(c, "status", &e);
	if (running) {
		printf("portico is running already (pid %lld); `portico status` tells more.\n",
		       (long long)jx_int(running, "pid", 0));
		json_decref(running);
		return 0;
	}
	if (prepare(c, &sockets, &e) < 0)
		return args_failed(&e);
	if (foreground) {
		log_setup("supervisor", LOG_INFO);
		return supervisor_run(c, &sockets, -1, &e) < 0 ? args_failed(&e) : 0;
	}
	printf("Starting portico on node %s (%s)\n", c->node_name, c->node_ip);
	int fd = start_detached(c, &sockets, &e);
	if (fd < 0)
		return args_failed(&e);
	int rc = follow_progress(fd);
	if (rc)
		return rc == 2 ? complain_late(c) : 1;
	return keep_kubeconfig ? 0 : merge_kubeconfig(c);
}

const struct command command_up = {
	"up", "[--foreground] [--no-kubeconfig]", "Start portico on this machine.",
	"Starts every role as a process of its own and waits until all are ready. Then the context \"portico\" is\n"
	"merged into the kubeconfig of the user who called (with sudo: of that user).\n"
	"  --foreground       stay in the foreground; Ctrl-C stops everything\n"
	"  --no-kubeconfig    leave the user's kubeconfig alone",
	up,
};
