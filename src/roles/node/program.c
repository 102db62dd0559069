#include "roles/node/program.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_BYTES (ERR_MESSAGE_BYTES / 2) /* of standard error, kept for the message */

extern char **environ;

/* Input and outputs are files in memory: no pipe can fill up and block either side. */
static int memory_file(struct str data, struct err *e)
{
	int fd = memfd_create("program", MFD_CLOEXEC);

	if (fd == -1 || (data.len && write(fd, data.ptr, data.len) != (ssize_t)data.len) ||
	    lseek(fd, 0, SEEK_SET) == -1)
		err_errno(e, errno, "create a file in memory");
	return fd;
}

static int spawn_wait(const char *const argv[], int in, int out, int err, int *ret_status,
		      struct err *e)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
	int rc = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc)
		return err_errno(e, rc, "run '%s'", argv[0]);
	while (waitpid(pid, ret_status, 0) == -1)
		if (errno != EINTR)
			return err_errno(e, errno, "wait for '%s'", argv[0]);
	return 0;
}

static int read_back(int fd, struct buf *out, const char *program, struct err *e)
{
	char chunk[4096];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, chunk, sizeof(chunk), at)) > 0) {
		if (buf_put(out, chunk, (size_t)n) < 0)
			return err_set(e, ERR_TOO_LARGE, "'%s' wrote too much", program);
		at += n;
	}
	return 0;
}

int program_run(const char *const argv[], struct str input, struct buf *out, struct err *e)
{
	cleanup(closep) int in = memory_file(input, e);
	cleanup(closep) int out_fd = memory_file(STR_NONE, e), err_fd = memory_file(STR_NONE, e);
	char words[WORDS_BYTES];
	int status;

	if (in == -1 || out_fd == -1 || err_fd == -1 ||
	    spawn_wait(argv, in, out_fd, err_fd, &status, e) < 0)
		return -1;
	if (status) {
		ssize_t n = pread(err_fd, words, sizeof(words) - 1, 0);
		words[MAX(n, 0)] = '\0';
		words[strcspn(words, "\n")] = '\0';
		return err_set(e, ERR_INTERNAL, "%s: exit status %d: %s", argv[0],
			       WEXITSTATUS(status), words);
	}
	return out ? read_back(out_fd, out, argv[0], e) : 0;
}
