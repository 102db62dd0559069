/* admin_client.h - asks the ingress proxy on its admin address, and waits for the answer: for commands. */
#pragma once

#include "codec/jx.h"
#include "roles/config.h"

/* `path` with its query. NULL with an error that says what to do; ERR_UNAVAILABLE: nobody listens there. */
json_t *admin_ask(const struct config *c, const char *path, struct err *e) must_check;
/* Appends `value` percent-encoded. */
void admin_encode(struct buf *out, const char *value);
