/* command.h - `portico ingress COMMAND`: what can be asked without a running proxy. */
#pragma once

#include "roles/role.h"

extern const struct role_command ingress_commands[]; /* name NULL ends */

int annotations_command(const struct config *c, struct args *a);
int check_command(const struct config *c, struct args *a);
