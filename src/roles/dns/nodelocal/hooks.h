/* hooks.h - the socket programs of node-local mode (bpf/nodelocal.bpf.c), attached as long as this process lives.
 */
#pragma once

#include "base/err.h"
#include "nodelocal_shared.h"

struct hooks;
/* Needs CAP_BPF and CAP_NET_ADMIN. `local` in network order. Nothing is translated until hooks_shared()->serving. */
struct hooks *hooks_new(const char *cgroup, __be32 local, struct err *e) must_check;
void hooks_free(struct hooks *h); /* NULL is nothing */
/* Written without any privilege. */
struct nodelocal_shared *hooks_shared(struct hooks *h);
void hooks_targets_set(struct hooks *h, const struct nodelocal_targets *t);
/* No other program can have translated the address before: only the Service's has to be known. */
bool hooks_first(const struct hooks *h);
/* Where cgroup2 is mounted: /sys/fs/cgroup, or beside version 1. In a container with a cgroup namespace of its own that is
 * only its own part: a mount of the host's, wherever it is, is found and preferred. On the heap. */
char *hooks_cgroup_root(struct err *e) must_check;
