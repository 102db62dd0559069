/* pod_steps.h - what pod_worker.c calls at each stage; each looks, does what is due, and returns.
 */
#pragma once

#include "roles/node/pod.h"

/* pod_run.c: towards the spec. */
void pod_step_running(struct pod *p);
/* pod_sandbox.c: true when there is a sandbox to put containers into. */
bool pod_sandbox_step(struct pod *p);
void pod_sandbox_lost(struct pod *p); /* the runtime says it has ended */
/* pod_end.c: towards nothing. */
void pod_step_killing(struct pod *p);
void pod_step_cleaning(struct pod *p);
void pod_step_ended(struct pod *p);
/* pod_push.c: the status to the API, when it changed. */
void pod_push(struct pod *p);
void pod_push_cancel(struct pod *p);
/* pods.c: the pod is gone from the API and from the runtime; frees it. */
void pod_removed(struct pod *p);
