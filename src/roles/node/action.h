/* action.h - one handler of a probe or hook, run once: exec, httpGet, tcpSocket, grpc, sleep. */
#pragma once

#include "base/err.h"
#include "roles/node/pod.h"

#define ACTION_OUTPUT_BYTES (10u << 10) /* kubelet keeps as much of a probe's answer */

struct action;
/* `ok`: success as kubelet judges it. `output` is the probe's text, borrowed. Runs once, never
 * before action_run returned. */
typedef void action_done_fn(void *ctx, bool ok, const char *output);
/* `handler` has one of the members above; it is borrowed until the end. */
struct action *action_run(struct ctr *c, const json_t *handler, uint64_t timeout_ms,
			  action_done_fn *done, void *ctx);
void action_cancel(struct action *a); /* no call-back; NULL is nothing */
