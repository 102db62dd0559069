/* observe.h - keeps what records in step with the ConfigMap: the access log's format and place, the traces' collector.
 *
 * Main thread. SIGUSR1 reopens the access log, as it does nginx's.
 */
#pragma once

#include "base/err.h"
#include "roles/ingress/worker.h"

struct observe;
/* Before the workers start. Sets shared->access_log and, when there is a collector, shared->trace; they belong to it. */
struct observe *observe_new(struct shared *s, struct err *e) must_check;
void observe_free(struct observe *o); /* the workers have ended; NULL is nothing */
/* What cannot be used is logged, and the former stays. */
void observe_globals(struct observe *o, const struct globals *g);
