/* pod_adopt.h - a pod takes over the sandbox and containers that an earlier run of the role left.
 */
#pragma once

#include "roles/node/pod.h"
#include "roles/node/runtime_view.h"

/* `r` may be NULL: the runtime has nothing of it. Work on the pod begins when the runtime has told
 * all details. */
void pod_adopt(struct pod *p, const struct runtime_pod *r);
