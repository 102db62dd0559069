/* roles.h - the table of roles, in the order in which they are started and listed. */
#pragma once

#include "roles/role.h"

extern const struct role *const roles[]; /* ends with NULL */
