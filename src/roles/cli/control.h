/* control.h - the supervisor's socket, for root only: one line is asked, one JSON document is answered.
 *
 *   "status"         the snapshot that supervisor.h describes
 *   "restart ROLE"   {"restarting":"ROLE"}, or {"error":"…"}
 */
#pragma once

#include "codec/jx.h"
#include "loop/loop.h"
#include "roles/config.h"

struct control;
/* `answer` returns a new reference. */
struct control *control_new(struct loop *l, const struct config *c, json_t *(*answer)(void *ctx, const char *line), void *ctx,
			    struct err *e) must_check;
void control_free(struct control *c);
/* The client's side, blocking. NULL with ERR_NOT_FOUND when no supervisor runs. */
json_t *control_ask(const struct config *c, const char *line, struct err *e) must_check;
