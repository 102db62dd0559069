/* explain_env.h - `portico explain env POD`. */
#pragma once

#include "roles/cli/command.h"

int explain_env(struct config *c, int argc, char **argv); /* argv[0] is "env"; returns the exit status */
