/* cgroup.h - the control groups of pods, on version 1, version 2 and the mix of both. cgroups(7).
 */
#pragma once

#include "base/err.h"

#define CGROUP_ROOT "/kubepods"

/* Removes the empty group `path` ("/kubepods/…/pod…") and those below it from every hierarchy. Best
 * effort: a group that still has processes stays. */
void cgroup_remove(const char *path);
void cgroup_kill(const char *path); /* SIGKILL to every process in it and below */
void cgroup_remove_root(void); /* /kubepods and its classes, as far as no pod is left in them */
/* Calls fn for the directory of `path` in each mounted hierarchy; `controllers` is its mount option
 * string on version 1 ("rw,relatime,memory") and "unified" on version 2. */
void cgroup_each(const char *path, void (*fn)(void *ctx, const char *dir, const char *controllers),
		 void *ctx);
