/* cli.h - the commands a person types, and the way into each role's process. */
#pragma once

#include "roles/role.h"

/* Returns the exit status: 0 done, 1 failed, 2 wrong usage. */
int cli_main(int argc, char **argv);
/* Runs one role in this process until it is told to stop. */
int role_process(const struct role *r, const struct config *config);
