#include "roles/cli/offline.h"

#include "net/addr.h"
#include "roles/cli/cli.h"
#include "roles/cli/roles.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct role *ingress_role(void)
{
	size_t i = 0;

	while (strcmp(roles[i]->name, "ingress") != 0)
		i++;
	return roles[i];
}

static void replace(char **setting, const char *value)
{
	free(*setting);
	*setting = xstrdup(value);
}

/* Nothing is listened on but the admin address, whose socket is there already. */
static void __attribute__((noreturn)) serve_nobody(struct config *c, int listen_fd)
{
	char listening[32], notify[16];

	snprintf(listening, sizeof(listening), "ingress-admin:%d", listen_fd);
	setenv("PORTICO_LISTEN", listening, 1);
	/* A role that tells somebody how it is doing ends with its parent; nobody listens. */
	snprintf(notify, sizeof(notify), "%d", open("/dev/null", O_WRONLY | O_CLOEXEC));
	setenv("PORTICO_NOTIFY_FD", notify, 1);
	replace(&c->http_address, "");
	replace(&c->https_address, "");
	replace(&c->tcp_services_configmap, "-/-"); /* no object has this name */
	replace(&c->udp_services_configmap, "-/-");
	replace(&c->workers, "1");
	replace(&c->log_level, "error");
	_exit(role_process(ingress_role(), c));
}

static int listen_anywhere(struct addr *ret, struct err *e)
{
	int fd = addr_parse("127.0.0.1:0", ret, e) < 0 ? -1 : addr_listen(ret, 16, e);

	if (fd == -1)
		return -1;
	ret->len = sizeof(ret->ss);
	getsockname(fd, (struct sockaddr *)&ret->ss, &ret->len);
	return fd;
}

pid_t offline_start(struct config *c, struct err *e)
{
	char text[ADDR_TEXT_BYTES];
	struct addr at;
	int fd = listen_anywhere(&at, e);
	pid_t child;

	if (fd == -1)
		return -1;
	replace(&c->ingress_admin_address, addr_text(&at, text));
	child = fork();
	if (child == 0)
		serve_nobody(c, fd);
	if (child == -1)
		err_errno(e, errno, "fork");
	close(fd);
	return child;
}

bool offline_stop(pid_t child)
{
	int status = 0;

	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return WIFSIGNALED(status);
}
