/* worker_int.h - what the files about threads share.
 */
#pragma once

#include "roles/dns/workers.h"

#include <pthread.h>

struct thread {
	struct dns_worker w; /* first: &s->workers[n] is not used as an array of these */
	pthread_t id;
	bool running;
	struct list served;   /* worker_serve.c */
	struct timer leaving; /* runs while something of `served` is on its way out */
	struct drain *drain;  /* all of it is on its way out, and this is told; NULL: not so, or told */
	uint64_t drain_by_ms;
};
static inline struct thread *thread_of(struct dns_worker *w)
{
	return container_of(w, struct thread, w);
}

void worker_serve_init(struct thread *t); /* before it runs */

/* ---- on the worker's thread, when its loop has ended ---- */

void worker_serve_done(struct thread *t);  /* closes all */
void worker_config_done(struct thread *t); /* its part of the configuration in use */

/* When no worker runs any more. */
void config_end(struct dns_config *c);
