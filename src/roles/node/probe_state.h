/* probe_state.h - when a row of probe results changes the verdict. Pure. Kubernetes:
 * pkg/kubelet/prober/worker.go. */
#pragma once

#include "base/base.h"

enum verdict { VERDICT_UNKNOWN, VERDICT_SUCCESS, VERDICT_FAILURE };

struct probe_state {
	int success_threshold, failure_threshold;
	enum verdict verdict;
	bool last_ok;
	int run; /* equal results in a row */
};
/* True when the verdict is another one now. */
bool probe_state_feed(struct probe_state *s, bool ok);
