/* teardown.h - `portico down`: everything that this role made on the machine goes. */
#pragma once

#include "base/err.h"
#include "roles/config.h"

/* Stops and removes all pods through the runtime if it still answers (within a bounded time), then
 * removes what is left: processes and control groups, mounts and files of volumes, interfaces,
 * network namespaces, addresses, the nft table. Blocking; repeating it is harmless. Goes on after a
 * failure, and tells the first one. */
int node_teardown(const struct config *c, struct err *e) must_check;
