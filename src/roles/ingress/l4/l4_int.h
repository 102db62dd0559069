/* l4_int.h - what l4.c (main thread), l4_worker.c and udp.c share. */
#pragma once

#include "base/list.h"
#include "roles/ingress/l4/l4.h"
#include "roles/ingress/l4/spec.h"
#include "roles/ingress/upstream/upstream.h"

enum l4_protocol { L4_TCP, L4_UDP, N_L4 };

/* Where a port's clients go; never changed once it can be seen. */
struct l4_target {
	struct l4_spec spec;
	struct backend *backend;
};
struct l4_port {
	unsigned refs; /* atomic: the main thread's, and one for each worker that listens */
	enum l4_protocol protocol;
	uint16_t number;
	struct l4_target *target; /* atomic; replaced ones are retired */
	int *fds;		  /* tcp: one, that all workers accept from; udp: one for each worker */
	size_t n_fds;
};
static inline const struct l4_target *l4_target(const struct l4_port *p)
{
	return __atomic_load_n(&p->target, __ATOMIC_ACQUIRE);
}
void l4_port_unref(struct l4_port *p);

/* On the worker's thread. */
void l4_worker_add(struct worker *w, struct l4_port *p);
void l4_worker_del(struct worker *w, const struct l4_port *p);

/* udp.c: one socket of one worker, and the clients it has. */
struct l4_udp;
struct l4_udp *l4_udp_new(struct worker *w, struct l4_port *p, int fd, struct err *e) must_check;
void l4_udp_free(struct l4_udp *u);
