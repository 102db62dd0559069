/* http.h - what HTTP servers and clients here share: headers and requests. RFC 9110.
 *
 * Header names are lower case. Everything in a struct http_request or struct http_response is
 * borrowed: it lives as long as the exchange or call it came from.
 */
#pragma once

#include "codec/http_header.h"

struct str http_header_get(struct http_headers h, const char *lower_name); /* STR_NONE if absent */
bool http_header_has_token(struct http_headers h, const char *lower_name, const char *token);
const char *http_status_text(int status); /* "Not Found" */

struct http_request {
	struct str method;    /* "GET" */
	struct str target;    /* as sent: path and query */
	struct str path;      /* still percent-encoded */
	struct str query;     /* behind '?', may be empty */
	struct str authority; /* Host or :authority */
	struct http_headers headers;
	struct str body; /* whole: servers here buffer it up to their limit */
	bool h2;
};

/* Query parameters: percent-decoded into the arena, '+' is a blank. NULL when absent. */
struct arena;
const char *http_query_get(struct str query, const char *name, struct arena *a);
/* The i-th value of a repeated parameter (exec's `command`), NULL past the last. */
const char *http_query_get_nth(struct str query, const char *name, size_t i, struct arena *a);
/* NULL when malformed or when it contains %00. */
const char *uri_decode(struct str s, struct arena *a);
