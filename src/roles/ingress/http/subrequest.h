/* subrequest.h - requests that a worker makes on its own account: external authentication, mirrors, error pages, keys by
 * URL, traces.
 *
 * One set for each loop. Connections are kept for each origin (scheme, host, port) and used again; names are resolved on
 * the loop's threads (getaddrinfo) and remembered for SUBREQUEST_NAME_MS. TLS is verified against the system's roots.
 * HTTP/1.1. A request that failed before its answer began is tried once more when it is safe to (RFC 9110, 9.2.2), at
 * another address if the name has several.
 */
#pragma once

#include "loop/loop.h"
#include "net/http.h"
#include "net/tls.h"

#define SUBREQUESTS_MAX 4096	      /* under way on one loop: each holds a descriptor and a few KiB */
#define SUBREQUEST_ORIGINS_MAX 1024   /* remembered on one loop; the one unused for longest makes room */
#define SUBREQUEST_IDLE_MAX 128	      /* connections kept for one origin: as many requests at once need no new ones */
#define SUBREQUEST_NAME_MS 10000      /* getaddrinfo tells no TTL; cluster names change within seconds */
#define SUBREQUEST_HOST_BYTES_MAX 255 /* of a name: RFC 1035, 2.3.4 */

/* An absolute http or https URL; everything points into its text. */
struct url {
	bool https;
	struct str host;      /* without the brackets of an IPv6 address */
	struct str authority; /* host and port as written */
	uint16_t port;
	struct str target;    /* path and query as written; may be empty, or begin with '?' */
};
/* User names, fragments, blanks and control characters are refused. */
int url_parse(struct str text, struct url *ret, struct err *e) must_check;

struct subrequests;
struct subrequest;
struct worker;
struct subrequests *subrequests_new(struct loop *l);
/* The worker's own, made when it is first asked for; the worker frees it. */
struct subrequests *worker_subrequests(struct worker *w);
void subrequests_free(struct subrequests *s); /* what is under way ends without call-backs; NULL is nothing */

/* All of it is borrowed until `head` or `done` is called. */
struct subrequest_ask {
	struct str method, url;
	struct str host;	     /* the Host header; empty: the URL's authority */
	struct http_headers headers; /* without host, content-length, connection and other hop-by-hop ones */
	struct str body;
	uint64_t timeout_ms;	     /* from now to the end of the answer; 0: none */
	uint64_t answer_body_max;    /* a longer one fails with ERR_TOO_LARGE; 0: no limit */
	struct tls *tls;	     /* instead of the system's roots; NULL: those */
};
struct subrequest_ops {
	void (*head)(void *ctx, int status, struct http_headers headers); /* headers: until `done`. May be NULL */
	void (*data)(void *ctx, struct str bytes);			   /* may be NULL: dropped */
	void (*done)(void *ctx, const struct err *e); /* once, last, never from inside subrequest_send; e NULL: complete */
};
/* Never NULL: what is wrong is told by `done`. */
struct subrequest *subrequest_send(struct subrequests *s, const struct subrequest_ask *ask, const struct subrequest_ops *ops,
				   void *ctx);
void subrequest_cancel(struct subrequest *r); /* no call-back; NULL is nothing */
/* The answer's body: back-pressure for those who pass it on. */
void subrequest_want_body(struct subrequest *r, bool on);
size_t subrequests_open(const struct subrequests *s); /* NULL: 0 */
