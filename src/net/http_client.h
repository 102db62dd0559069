/* http_client.h - a client of one origin. Connects when needed, reconnects by itself.
 *
 * HTTP/2: one connection, many calls. HTTP/1.1: a small pool of kept-alive connections.
 * A failed connection fails its calls (`done` with an error); retrying is the caller's decision.
 */
#pragma once

#include "loop/loop.h"
#include "net/conn.h"
#include "net/http.h"

struct http_client;
struct http_call;
struct http_client_config {
	struct addr to;
	const char *authority;	 /* Host/:authority header */
	const char *server_name; /* for TLS */
	struct tls *tls;	 /* NULL for plain (h2 is then by prior knowledge) */
	bool h2;		 /* false: HTTP/1.1 */
	uint64_t connect_timeout_ms;
	size_t idle_max; /* HTTP/1.1 connections kept; 0: 4 */
};
struct http_client *http_client_new(struct loop *l, const struct http_client_config *c);
void http_client_free(struct http_client *c); /* open calls end without call-backs */

struct http_call_ops {
	void (*response)(void *ctx, int status, struct http_headers headers); /* may be NULL */
	void (*data)(void *ctx, struct str bytes);			      /* may be NULL */
	/* Exactly once, last. e is NULL when the response is complete; trailers may be empty
	 * (gRPC). */
	void (*done)(void *ctx, const struct err *e, struct http_headers trailers);
};
struct http_call_request {
	const char *method, *path;
	const struct http_header *headers; /* without host, content-length, connection */
	size_t n_headers;
	struct str host;     /* instead of the configuration's authority; empty: that */
	struct str body;     /* copied */
	bool body_open;	     /* more follows through http_call_write/http_call_end (HTTP/2 only) */
	uint64_t timeout_ms; /* for the whole call; 0 = none (watches) */
};
struct http_call *http_client_send(struct http_client *c, const struct http_call_request *r,
				   const struct http_call_ops *ops, void *ctx);
void http_call_write(struct http_call *call, struct str data);
void http_call_end(struct http_call *call);
void http_call_cancel(struct http_call *call); /* no call-back; NULL is nothing */
/* Whether the response's body is wanted now (HTTP/1.1 only; HTTP/2 has its window). */
void http_call_want_body(struct http_call *call, bool on);
size_t http_client_open(const struct http_client *c); /* calls under way */

/* A new HTTP/1.1 connection that asks for an upgrade. On 101 `upgraded` gets the connection and
 * takes it over (it calls conn_set_ops at once); on anything else `refused` gets status and body,
 * or status 0 and the error. */
struct http_upgrade_ops {
	void (*upgraded)(void *ctx, struct conn *c, struct http_headers headers);
	void (*refused)(void *ctx, int status, struct str body, const struct err *e);
};
struct http_upgrade_call;
struct http_upgrade_call *http_client_upgrade(struct loop *l, const struct http_client_config *c,
					      const struct http_call_request *r,
					      const struct http_upgrade_ops *ops, void *ctx);
void http_upgrade_cancel(struct http_upgrade_call *call);
