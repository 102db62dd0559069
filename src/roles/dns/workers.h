/* workers.h - the threads that answer, and the configurations they use.
 */
#pragma once

#include "roles/dns/serve/listen.h"
#include "roles/dns/worker.h"

/* Starts s->n_workers threads that serve nothing yet; s->workers is theirs. */
int dns_workers_start(struct dns_shared *s, struct err *e) must_check;
/* All of them serve it. Main thread, as all here. */
void dns_workers_serve(struct dns_shared *s, struct dns_endpoint *ep);
/* What was asked there is answered first; then it is freed. */
void dns_workers_leave(struct dns_shared *s, struct dns_endpoint *ep);
/* Another process serves: `done` runs on the main loop when all that was asked here is answered, after seconds at most. */
void dns_workers_drain(struct dns_shared *s, void (*done)(void *ctx), void *ctx);
/* At once, and waits for them; the configuration in use is given back. */
void dns_workers_stop(struct dns_shared *s);
