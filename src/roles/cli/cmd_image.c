#include "roles/cli/command.h"

#include "roles/cli/containerd.h"
#include "roles/cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* tar of an OCI layout's folder, written to a pipe by a child. Returns the read end. */
static int tar_folder(const char *dir, pid_t *ret_pid, struct err *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) == -1)
		return err_errno(e, errno, "pipe");
	pid_t pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		execlp("tar", "tar", "-C", dir, "-cf", "-", ".", (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	if (pid == -1) {
		close(fds[0]);
		return err_errno(e, errno, "fork");
	}
	*ret_pid = pid;
	return fds[0];
}

static int import_folder(const struct config *c, const char *dir, char **ret_names, struct err *e)
{
	cleanup(freep) char *marker = xasprintf("%s/oci-layout", dir);
	int status = 0;
	pid_t pid = 0;

	if (access(marker, F_OK) != 0)
		return err_set(e, ERR_INVALID, "'%s' is no OCI image layout (it has no file oci-layout): give such a folder, or "
					       "an archive made by `docker save` or `skopeo copy`", dir);
	cleanup(closep) int fd = tar_folder(dir, &pid, e);
	if (fd == -1)
		return -1;
	int rc = containerd_import(c, "-", fd, ret_names, e);
	if (waitpid(pid, &status, 0) == pid && status != 0 && rc == 0)
		rc = err_set(e, ERR_INTERNAL, "tar could not read all of '%s'", dir);
	return rc;
}

static int image(struct config *c, struct args *a)
{
	cleanup(freep) char *names = NULL;
	struct stat st;
	struct err e;

	if (a->argc != 3 || strcmp(a->argv[1], "load") != 0)
		return args_usage(a, "which image?");
	if (geteuid() != 0) {
		err_set(&e, ERR_FORBIDDEN, "the image store is root's: use sudo");
		return args_failed(&e);
	}
	if (stat(a->argv[2], &st) == -1) {
		err_errno(&e, errno, "'%s'", a->argv[2]);
		return args_failed(&e);
	}
	if (!containerd_answers(c)) {
		err_set(&e, ERR_UNAVAILABLE, "containerd is not running: start portico with `portico up`");
		return args_failed(&e);
	}
	int rc = S_ISDIR(st.st_mode) ? import_folder(c, a->argv[2], &names, &e) : containerd_import(c, a->argv[2], -1, &names, &e);
	if (rc < 0) {
		err_wrap(&e, "load '%s'", a->argv[2]);
		return args_failed(&e);
	}
	fputs(names && names[0] ? names : "loaded\n", stdout);
	return 0;
}

const struct command command_image = {
	"image", "load FILE|DIR", "Load a container image into this node's store.",
	"FILE is an archive (`docker save`, or an OCI layout as tar), DIR an OCI layout. Names without a registry become\n"
	"docker.io/library/NAME, which is also what pods that say `image: NAME` look for.",
	image,
};
