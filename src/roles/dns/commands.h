/* commands.h - `portico dns COMMAND`. */
#pragma once

#include "roles/role.h"

extern const struct role_command dns_commands[]; /* name NULL ends */
