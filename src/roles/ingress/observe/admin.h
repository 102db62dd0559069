/* admin.h - what operators ask a running proxy, over HTTP on an address of its own (--ingress-admin-address).
 *
 *   /metrics   Prometheus; ?exclude=name,…           /healthz  the process turns its loop
 *   /explain   ?url=&method=&client=&header=k: v     /readyz   routes are loaded
 *   /top       totals as JSON, for `portico top`
 * Everything runs on the main thread; no worker is asked anything. There is no authentication: the default address is
 * loopback, and nothing here changes anything.
 */
#pragma once

#include "codec/jx.h"
#include "roles/ingress/worker.h"

#define ADMIN_CONNECTIONS_MAX 64

struct admin;
/* `fd` listens, and becomes its own; -1: nobody asks over HTTP. */
struct admin *admin_new(struct loop *main, struct shared *s, int fd, struct err *e) must_check;
void admin_free(struct admin *a); /* NULL is nothing */
