/* guard.h - a small process that keeps the node-local address and takes it away when the role's process has ended, however.
 *
 * The role itself gives its privileges up; this one keeps CAP_NET_ADMIN, listens to nobody, and waits.
 */
#pragma once

#include "base/err.h"
#include "roles/config.h"

#include <netinet/in.h>

struct guard;
/* Adds `local` to lo, and rules that keep its traffic out of conntrack where nft(8) is. One guard an address and run-dir: it
 * waits for that of an instance which has just ended. */
struct guard *guard_start(const struct config *c, struct in_addr local, struct err *e) must_check;
void guard_end(struct guard *g); /* everything is taken away when this returns; NULL is nothing */
/* Why packets are tracked all the same; NULL: they are not. */
const char *guard_tracked(const struct guard *g);
