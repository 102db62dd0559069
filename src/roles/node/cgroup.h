/* cgroup.h - the control groups of pods, on version 1, version 2 and the mix of both. cgroups(7). */
#pragma once

#include "base/err.h"

/* Removes the empty group `path` ("/kubepods/…/pod…") and those below it from every hierarchy. Best effort: a group
 * that still has processes stays, and goes with the next removal above it. */
void cgroup_remove(const char *path);
