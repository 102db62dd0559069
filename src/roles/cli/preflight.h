/* preflight.h - what must hold before `portico up` starts anything; each failure says what to do. */
#pragma once

#include "roles/cli/supervisor.h"

/* Fills in node_name and node_ip where they are not set. */
int preflight_fill(struct config *c, struct err *e) must_check;
/* root, containerd and runc installed, cgroup2 and BPF there, room on the disk. */
int preflight_machine(const struct config *c, struct err *e) must_check;
/* Binds and listens on every address; a port in use is an error that names its owner and the setting. */
int preflight_sockets(const struct config *c, struct supervisor_sockets *ret_sockets, struct err *e) must_check;
/* An existing folder that roles without root must reach: nothing above it may be closed to others. */
int preflight_folder(const char *path, const char *setting, struct err *e) must_check;
