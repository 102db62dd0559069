/* health.h - active checks: a GET of every endpoint of the locations that ask for it, and what came of it in ALB's words.
 *
 * Main thread. The result is in endpoint->health, which balancing reads: one that is down gets no requests while another is
 * up. An address is checked once, however many rules lead to it; the first rule's settings count. A new endpoint counts as
 * usable until its checks fail, because its pod's readiness has let it in.
 *
 * A check passes with a status from 200 to 399, as kubelet's probes do. One success makes a new endpoint healthy; after that
 * health_check_healthy successes in a row, and health_check_unhealthy failures in a row, change its state (ALB's rules).
 */
#pragma once

#include "loop/loop.h"
#include "roles/ingress/route/routes.h"
#include "roles/ingress/upstream/upstream.h"

#define HEALTH_CHECKS_MAX 256	      /* under way at once: descriptors; the others wait their turn */
#define HEALTH_BODY_BYTES_MAX (64u << 10) /* of an answer that are read before the check has passed */

struct health;
/* `tls` verifies nothing (shared->upstream_tls), for https and grpcs endpoints; NULL: those are not checked. */
struct health *health_new(struct loop *l, struct tls *tls);
void health_free(struct health *h); /* NULL is nothing */
/* What this host's locations ask for, from now on. */
void health_host(struct health *h, const struct host *host);
void health_host_gone(struct health *h, const char *name);

/* endpoint->health_reason: why its health is what it is. */
enum health_reason {
	HEALTH_NOT_CHECKED, /* nobody asks for checks */
	HEALTH_CHECKING,    /* no result yet */
	HEALTH_PASSED,
	HEALTH_BAD_STATUS,  /* endpoint->health_status */
	HEALTH_TIMED_OUT,
	HEALTH_NO_ANSWER,   /* no connection, or no HTTP */
};
