/* probe.h - liveness, readiness and startup probes of a running container. */
#pragma once

#include "roles/node/pod.h"

/* The container runs (and its postStart hook is over): sets ready and started as far as no probe
 * decides. */
void probes_start(struct ctr *c);
/* As probes_start after a restart of the role: what the API knew of this very container still
 * holds. */
void probes_resume(struct ctr *c, bool ready, bool started);
void probes_stop(struct ctr *c);
