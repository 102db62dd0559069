/* cgroup.h - the control groups of pods, on version 1, version 2 and their mix. cgroups(7). */
#pragma once

#include "base/err.h"

#define CGROUP_ROOT "/kubepods"

/* Kills what is left in a pod's groups, whichever class of service it had, and removes them from
 * every hierarchy. Best effort: a group whose processes take their time to die stays. */
void cgroup_remove_pod(const char *uid);
void cgroup_remove_root(void); /* /kubepods and its classes, as far as no pod is left in them */
/* Calls fn for the directory of `path` in each mounted hierarchy; `controllers` is its mount option
 * string on version 1 ("rw,relatime,memory") and "unified" on version 2. */
void cgroup_each(const char *path, void (*fn)(void *ctx, const char *dir, const char *controllers),
		 void *ctx);
