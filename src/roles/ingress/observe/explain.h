/* explain.h - what would happen to a request, and why, without sending it anywhere.
 *
 * A dry exchange goes through the functions that real ones go through: the HTTP/1 parser, exchange_route, those filters
 * that have no effect beyond it (filter->pure), canary_choose, forward_head, balance_pick. Main thread.
 */
#pragma once

#include "codec/jx.h"
#include "codec/http_header.h"
#include "roles/ingress/worker.h"

#define EXPLAIN_HEAD_BYTES (64u << 10)

struct explain_request {
	struct str url;	   /* "http(s)://host[:port]/path?query" */
	struct str method; /* empty: GET */
	struct str client; /* who asks: an address; empty: 127.0.0.1 */
	const struct http_header *headers; /* host: replaces the URL's, but not as server name */
	size_t n_headers;
};
struct explainer;
struct explainer *explainer_new(struct shared *s);
void explainer_free(struct explainer *ex); /* NULL is nothing */
/* A new reference; NULL with an error for what is no request. Its members: request, certificate, host, location,
 * annotations, filters, answer, canary, upstream, endpoints, deviations; each only when it got there. */
json_t *explain(struct explainer *ex, const struct explain_request *r, struct err *e) must_check;
