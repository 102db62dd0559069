/* answer.h - from a plug-in's answer to the client's message: its id, its question as written, its OPT, its size. */
#pragma once

#include "codec/dns.h"
#include "roles/dns/serve/request.h"

/* Writes r->answer for the client's question `q` (r->asked with the client's case, flags and EDNS) into `out`: an OPT of its own in place of
 * any other, whole records within `max` with TC set when some are left out. Returns the length. */
size_t answer_render(const struct request *r, const struct dns_query *q, uint8_t *out, size_t max);
