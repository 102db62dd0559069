/* pod_worker.h - moves one pod from what it is to what it should be; level-triggered.
 *
 * Whatever happens to a pod, it is woken, looks at everything it knows and takes every step that
 * is due. Containers of a pod start and stop side by side; each has at most one step under way.
 */
#pragma once

#include "roles/node/pod.h"

/* uid, ns and name are copied; obj is referenced and may be NULL (an orphan of the runtime). */
struct pod *pod_new(struct node *n, const char *uid, const char *ns, const char *name, json_t *obj);
void pod_free(struct pod *p); /* nothing is stopped: the runtime keeps what runs */
void pod_update(struct pod *p, json_t *obj);
void pod_set_gone(struct pod *p);
void pod_adopted(struct pod *p); /* the runtime's containers are known: work may begin */

void pod_wake(struct pod *p);
void pod_wake_after(struct pod *p, uint64_t after_ms); /* keeps an earlier wake-up */
void pod_objects_changed(struct pod *p);	       /* a ConfigMap, Secret or token of it */
struct ctr *pod_ctr(struct pod *p, const char *name);  /* NULL if there is none */
bool pod_is_dying(const struct pod *p);
