/* workers.h - the threads that answer, and the configurations they use.
 */
#pragma once

#include "roles/dns/serve/listen.h"
#include "roles/dns/worker.h"

/* Starts s->n_workers threads that serve nothing yet; s->workers is theirs. */
int dns_workers_start(struct dns_shared *s, struct err *e) must_check;
/* All of them serve it, or stop doing so; then `done` runs on the main loop. Main thread. */
void dns_workers_serve(struct dns_shared *s, struct dns_endpoint *ep);
void dns_workers_leave(struct dns_shared *s, struct dns_endpoint *ep); /* it is freed when the last worker has left */
/* At once, and waits for them; the configuration in use is given back. */
void dns_workers_stop(struct dns_shared *s);
