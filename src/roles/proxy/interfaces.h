/* interfaces.h - follows this namespace's interfaces and addresses and keeps the data plane attached.
 *
 * Pods' veths (DP_POD_LINK_PREFIX) get the pod programs, and the namespaces behind them are served at the
 * socket; other Ethernet interfaces get the host programs while they have an address.
 */
#pragma once

#include "loop/loop.h"
#include "roles/proxy/dp.h"

struct interfaces;
/* `ready` is called once, when everything that existed at the start is attached. */
struct interfaces *interfaces_new(struct loop *l, struct dp *dp, void (*ready)(void *ctx), void *ctx,
				  struct err *e) must_check;
void interfaces_free(struct interfaces *i); /* NULL is nothing; leaves the programs attached */
/* The numbers of the pods' network namespaces, as far as they are known; returns how many. */
size_t interfaces_pods(const struct interfaces *i, int32_t *ret_nsids, size_t max);
