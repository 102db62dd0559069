/* hook.h - lifecycle hooks of a container: exec, httpGet and sleep. */
#pragma once

#include "base/err.h"
#include "roles/node/pod.h"

struct hook;
/* `done` runs once, later; e is NULL on success. timeout_ms 0: the hook's own time. */
struct hook *hook_run(struct ctr *c, const json_t *handler, uint64_t timeout_ms,
		      void (*done)(void *ctx, const struct err *e), void *ctx);
void hook_cancel(struct hook *h); /* no call-back; NULL is nothing */
