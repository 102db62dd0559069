/* explain_env.h - `portico explain env POD`. */
#pragma once

#include "roles/cli/command.h"

int explain_env(struct config *c, const struct args *all); /* of `portico explain`; returns the exit status */
