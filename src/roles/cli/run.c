#include "roles/cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define STDERR_KEPT_BYTES 4096

static void __attribute__((noreturn)) exec_program(char *const argv[], int in, int out, int err)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	execv(argv[0], argv);
	_exit(127);
}

/* Reads both pipes to their end; what does not fit is read and forgotten, so the program never blocks. */
static void drain(int out_fd, struct buf *out, int err_fd, struct buf *err)
{
	struct pollfd p[2] = { { .fd = out_fd, .events = POLLIN }, { .fd = err_fd, .events = POLLIN } };
	char chunk[4096];

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		if (poll(p, 2, -1) == -1 && errno != EINTR)
			return;
		for (int i = 0; i < 2; i++) {
			if (p[i].fd < 0 || !p[i].revents)
				continue;
			ssize_t n = read(p[i].fd, chunk, sizeof(chunk));
			struct buf *to = i ? err : out;
			if (n <= 0)
				p[i].fd = -1;
			else if (to && buf_put(to, chunk, (size_t)n) < 0)
				continue;
		}
	}
}

static struct str last_line(struct str text)
{
	while (text.len && text.ptr[text.len - 1] == '\n')
		text.len--;
	const char *nl = text.len ? memrchr(text.ptr, '\n', text.len) : NULL;
	return nl ? (struct str){ nl + 1, text.len - (size_t)(nl + 1 - text.ptr) } : text;
}

int run_command(char *const argv[], int stdin_fd, struct buf *out, struct err *e)
{
	int out_pipe[2], err_pipe[2], status = 0;
	cleanup(closep) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct buf err_text;

	if (pipe2(out_pipe, O_CLOEXEC) == -1)
		return err_errno(e, errno, "pipe");
	if (pipe2(err_pipe, O_CLOEXEC) == -1) {
		close(out_pipe[0]);
		close(out_pipe[1]);
		return err_errno(e, errno, "pipe");
	}
	pid_t pid = fork();
	if (pid == 0)
		exec_program(argv, stdin_fd >= 0 ? stdin_fd : null_fd, out_pipe[1], err_pipe[1]);
	close(out_pipe[1]);
	close(err_pipe[1]);
	buf_init(&err_text, STDERR_KEPT_BYTES);
	if (pid > 0)
		drain(out_pipe[0], out, err_pipe[0], &err_text);
	close(out_pipe[0]);
	close(err_pipe[0]);
	while (pid > 0 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	int rc = 0;
	struct str line = last_line(buf_str(&err_text));
	if (pid == -1)
		rc = err_errno(e, errno, "fork");
	else if (status != 0)
		rc = err_set(e, ERR_INTERNAL, "%s failed: " STR_FMT, argv[0], STR_ARG(line));
	buf_done(&err_text);
	return rc;
}
