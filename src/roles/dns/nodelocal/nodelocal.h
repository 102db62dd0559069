/* nodelocal.h - one instance for each node (NodeLocal DNSCache): a link-local address of its own, and the socket layer takes
 * the cluster's DNS address there before a packet exists, so without conntrack.
 *
 *	guard.c    the address and the firewall's rules, kept and taken away by a process that outlives the role's
 *	hooks.c    the socket programs (bpf/nodelocal.bpf.c)
 *	follow.c   which addresses are the cluster's DNS
 *
 * When the role dies, however it dies, the programs go with it, and sockets reach the central instances again; when it
 * stands still, the programs notice.
 */
#pragma once

#include "base/err.h"
#include "loop/loop.h"
#include "roles/config.h"

struct kube_client;
struct nodelocal;
/* Before the role drops its privileges: adds the address to lo, attaches the socket programs, which translate nothing yet.
 * What exists already is taken over. */
struct nodelocal *nodelocal_prepare(const struct config *c, struct err *e) must_check;
/* From now on the role is seen to be alive, and the DNS Service is followed. */
void nodelocal_start(struct nodelocal *n, struct loop *l, struct kube_client *k);
/* The local instance answers, or soon does not any longer (then sockets reach the central ones). At first it does not. */
void nodelocal_serving(struct nodelocal *n, bool serving);
void nodelocal_free(struct nodelocal *n); /* takes everything away again, and waits for that; NULL is nothing */
