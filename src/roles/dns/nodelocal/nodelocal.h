/* nodelocal.h - one instance for each node (NodeLocal DNSCache): a link-local address of its own, and the socket layer takes
 * the cluster's DNS address there before a packet exists, so without conntrack.
 */
#pragma once

#include "base/err.h"
#include "net/addr.h"
#include "roles/config.h"

struct nodelocal;
/* Before the role drops its privileges: adds the address to lo, attaches the cgroup programs (connect, sendmsg, recvmsg,
 * getpeername). What exists already is taken over. */
struct nodelocal *nodelocal_prepare(const struct config *c, struct err *e) must_check;
/* Which addresses lead to the local instance: the Service's, and its endpoints'. Main thread. */
void nodelocal_set(struct nodelocal *n, const struct addr *from, size_t n_from);
/* The local instance serves, or no longer does (then packets go to the central ones). */
void nodelocal_serving(struct nodelocal *n, bool serving);
void nodelocal_free(struct nodelocal *n); /* takes everything away again; NULL is nothing */
