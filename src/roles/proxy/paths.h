/* paths.h - where the data plane lives on this machine. */
#pragma once

#include "roles/config.h"

/* "/sys/fs/bpf/portico"; another run directory than the default gets a name of its own, so that two porticos
 * can run beside each other. On the heap. */
char *proxy_pin_dir(const struct config *c);
/* The cgroup2 hierarchy's mount point: all of /sys/fs/cgroup, or beside version 1. On the heap. */
char *proxy_cgroup_root(struct err *e) must_check;
