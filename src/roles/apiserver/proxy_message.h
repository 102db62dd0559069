/* proxy_message.h - what changes in a request and its answer on their way through pods/proxy and
 * services/proxy.
 *
 * As k8s.io/apimachinery pkg/util/proxy over Go's httputil.ReverseProxy, with these differences:
 * links inside HTML are not rewritten, and X-Forwarded-Uri is all that tells the prefix. Pure:
 * everything is made in the arena.
 */
#pragma once

#include "base/err.h"
#include "net/http.h"

/* An answer with larger headers than this is refused: it could not be sent on. */
#define PROXY_ANSWER_HEADER_BYTES (48u << 10)

struct proxy_message {
	struct arena *arena;
	const char *path;      /* as asked for, decoded: "/api/v1/…/proxy/a/b" */
	const char *rest;      /* the part behind the subresource, without its slash; NULL: none */
	const char *client;    /* the address of who asks; "" when it is not known */
	const char *authority; /* the target's "ip:port" */
	struct str own_authority; /* what the client calls this server */
};

/* "/a/b?query", percent-encoded anew as Go's url.URL does. NULL when the arena is full. */
const char *proxy_message_path(const struct proxy_message *m, struct str query);
/* The headers that the target gets: without what is for this server only (credentials,
 * impersonation, the hop's own), with X-Forwarded-For and X-Forwarded-Uri. */
int proxy_message_request(const struct proxy_message *m, const struct http_request *r,
			  struct http_headers *ret, struct err *e) must_check;
/* The headers that the client gets: without the hop's own and CORS, with Location led back through
 * this server. */
int proxy_message_answer(const struct proxy_message *m, struct http_headers from,
			 struct http_headers *ret, struct err *e) must_check;
