/* sandbox.h - what a role may still do once it serves.
 *
 * Identity first (uid, capabilities(7), no_new_privs), before the role opens anything; then, when it has started,
 * Landlock (landlock(7): no writes but to its own folder, nothing to execute) and seccomp (a deny list). Roles that
 * manage containers as root keep their identity and get neither.
 */
#pragma once

#include "roles/role.h"

int sandbox_identity(const struct role *r, struct err *e) must_check;
/* `writable` may be NULL: then nothing is. A kernel without Landlock is no error. */
int sandbox_lock(const struct role *r, const char *writable, struct err *e) must_check;
