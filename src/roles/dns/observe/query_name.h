/* query_name.h - one name, asked on a worker as a client would ask it, and how its answer came about.
 */
#pragma once

#include "codec/jx.h"
#include "roles/dns/serve/request.h"

/* `result` is the callee's: name, server, zone, notes, rcode, kind, source, plugin, upstream, durationUs, answer, authority,
 * additional; each only when it got there. `answered`: there are records. */
typedef void query_name_done(void *ctx, json_t *result, bool answered);
/* Main thread, and so is `done`, which runs later. */
void query_name_ask(struct dns_shared *s, const char *name, uint16_t type, const struct dns_client *c, query_name_done *done, void *ctx);
