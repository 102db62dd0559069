/* supervisor.h - the process that `portico up` leaves behind: it starts each role and containerd as a process of
 * its own, restarts what dies, keeps the listening sockets open meanwhile, and answers `portico status`.
 *
 * The control socket <run-dir>/portico.sock sends one JSON snapshot to whoever connects, then closes:
 *   {"pid":1,"uptimeSeconds":5,"roles":[{"name","state","pid","restarts","lastError","readySeconds"},…]}
 */
#pragma once

#include "roles/config.h"

/* A socket that is listened on for a role before the role exists. */
struct supervisor_socket {
	const char *role; /* "ingress" */
	const char *name; /* "https", as role_listen_fd knows it */
	int fd;
};
#define SUPERVISOR_SOCKETS_MAX 24
struct supervisor_sockets {
	struct supervisor_socket at[SUPERVISOR_SOCKETS_MAX];
	size_t n;
};

/* Runs until SIGTERM, then stops everything and cleans up. A line per role that became ready goes to `progress_fd`
 * (-1 for none), which is closed when all are ready. */
int supervisor_run(const struct config *c, const struct supervisor_sockets *sockets, int progress_fd, struct err *e);
/* Stops what a supervisor that was killed left behind: containers, mounts, interfaces, programs, tables. */
int supervisor_teardown(const struct config *c, struct err *e) must_check;
