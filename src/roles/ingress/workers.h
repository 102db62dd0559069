/* workers.h - the threads that serve: started when the routes are there, drained when another process takes over.
 */
#pragma once

#include "roles/ingress/worker.h"

#define WORKER_SOCKETS_MAX 4 /* HTTP and HTTPS, IPv4 and IPv6 */

struct worker_socket {
	int fd; /* listening; stays the caller's */
	bool https;
};
struct workers;
/* Starts shared->n_workers threads that accept from the same sockets. Main thread. */
struct workers *workers_start(struct shared *s, const struct worker_socket *sockets, size_t n, struct err *e) must_check;
/* No new connections: `closed` when no worker uses the sockets any more. What is under way is finished, for at most
 * worker-shutdown-timeout. Then `drained`. Both on the main loop. */
void workers_drain(struct workers *ws, void (*closed)(void *arg), void (*drained)(void *arg), void *arg);
void workers_stop(struct workers *ws); /* at once, and waits for the threads; NULL is nothing */
void workers_each(struct workers *ws, void (*fn)(void *ctx, const struct worker *w), void *ctx);
