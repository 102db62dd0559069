/* offline.h - an ingress proxy of a folder's manifests (--from) that serves nobody, to ask one question of it. */
#pragma once

#include "roles/config.h"

#include <sys/types.h>

/* A child process; c's admin address is its own from now on, and answers once it has read the folder. -1 with an error. */
pid_t offline_start(struct config *c, struct err *e) must_check;
/* Ends it. False: it had ended by itself, after it has said why. */
bool offline_stop(pid_t child);
