/* explain.h - what would happen to a request, and why, without sending it anywhere.
 *
 * A dry exchange goes through the functions that real ones go through: routes_match, the pure filters, canary_choose,
 * balance. Main thread.
 */
#pragma once

#include "codec/jx.h"
#include "roles/ingress/worker.h"

struct explain_request {
	struct str url;	   /* "http(s)://host[:port]/path?query" */
	struct str method; /* empty: GET */
	struct http_header *headers;
	size_t n_headers;
};
/* A new reference; NULL with an error for what is no request. The document's shape: docs/explain.md. */
json_t *explain(struct shared *s, const struct explain_request *r, struct err *e) must_check;
