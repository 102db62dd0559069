/* ctr.h - the life of one container: started, watched, stopped. Each wakes its pod when something
 * changed. */
#pragma once

#include "roles/node/cri.h"
#include "roles/node/pod.h"

void ctr_init(struct ctr *c, struct pod *p, const json_t *spec, enum ctr_kind kind);
void ctr_done(struct ctr *c); /* forgets it; the runtime keeps what runs */

/* Starts it if it is due: not running, wanted, and not backed off. */
void ctr_step(struct ctr *c);
/* Asks it to end within grace_ms, and kills it then. Repeated with less grace, that holds. */
void ctr_stop(struct ctr *c, uint64_t grace_ms);
bool ctr_busy(const struct ctr *c);    /* runs, or a step is under way */
void ctr_abandon_start(struct ctr *c); /* drops a start that has no container yet */

/* ctr_watch.c: what the runtime says. */
void ctr_check(struct ctr *c); /* asks for its status */
void ctr_apply_status(struct ctr *c, const Cri__ContainerStatusResponse *r);
void ctr_vanished(struct ctr *c); /* the runtime does not know it any more */
void ctr_unwatch(struct ctr *c);
void ctr_remove(struct ctr *c, const char *id); /* from the runtime; no answer is awaited */
