/* control.h - the supervisor's socket: one JSON document to whoever connects (root only), then close. */
#pragma once

#include "codec/jx.h"
#include "loop/loop.h"
#include "roles/config.h"

struct control;
struct control *control_new(struct loop *l, const struct config *c, json_t *(*snapshot)(void *ctx), void *ctx,
			    struct err *e) must_check;
void control_free(struct control *c);
/* The client's side, blocking. NULL with ERR_NOT_FOUND when no supervisor runs. */
json_t *control_ask(const struct config *c, struct err *e) must_check;
