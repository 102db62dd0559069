/* http_server_int.h - what http_server.c (connections, exchanges) and its two protocols share. */
#pragma once

#include "base/limits.h"
#include "codec/http1.h"
#include "codec/http_date.h"
#include "net/http_server.h"

#include <nghttp2/nghttp2.h>

struct server_conn;

/* A protocol. reply() with `end` is a whole answer: its body was put into x before. */
struct http_protocol {
	const struct conn_ops *conn_ops;
	int (*start)(struct server_conn *sc);
	void (*stop)(struct server_conn
			     *sc); /* the connection is closed; give back what is the protocol's */
	void (*idle)(struct server_conn *sc); /* quiet for too long: say goodbye and close */
	void (*reply)(struct http_exchange *x, int status, const struct http_header *headers,
		      size_t n);
	void (*reply_start)(struct http_exchange *x, int status, const struct http_header *headers,
			    size_t n);
	void (*write)(struct http_exchange *x, struct str data);
	void (*end)(struct http_exchange *x);
	void (*abort)(struct http_exchange *x);
	size_t (*pending)(const struct http_exchange *x);
};
extern const struct http_protocol http_server_h1, http_server_h2;

/* READING and HANDLING belong to the client's and the handler's parts; once ENDED the handler has
 * let go. */
enum exchange_state { X_READING, X_HANDLING, X_STREAMING, X_ENDED };

struct http_exchange {
	struct list link; /* in its connection's, then in the server's ended or spare ones */
	struct server_conn *sc;
	struct http_request req;
	enum exchange_state state;
	struct arena arena;
	struct buf body;
	bool head; /* HEAD: answered without a body */
	void (*closed)(void *ctx);
	void *closed_ctx;
	void (*drained)(void *ctx);
	void *drained_ctx;
	/* The body of a whole answer. */
	struct str reply_body;
	void (*reply_release)(void *ctx);
	void *reply_ctx;
	/* HTTP/2 */
	int32_t stream_id;
	struct http_header *headers; /* growing, in the arena */
	size_t n_headers, max_headers, headers_bytes;
	int refused;	/* status for a request that broke a limit while it arrived */
	bool expect;	/* asks for 100 Continue */
	struct buf out; /* not yet given to a frame, from out_at on; for a whole answer too, if it
			   was copied */
	size_t out_at;
	bool ended; /* nothing follows what is in `out` */
	bool deferred, above_low, drain_owed;
	size_t counted; /* of bodies_bytes */
	size_t dropped; /* of a body that is not wanted any more */
};

struct h1_partial;
struct server_conn {
	struct list link; /* in the server */
	struct http_server *server;
	struct conn *conn; /* NULL once upgraded or failed */
	const struct http_protocol *protocol;
	struct list exchanges;
	struct timer idle;
	uint64_t quiet_since_ms; /* start of the wait for a request, or for the rest of one */
	struct defer reap;
	bool closed;
	/* HTTP/1.1 */
	struct h1_partial *partial; /* a head that did not arrive in one piece */
	struct http1_body h1_body;
	struct http_exchange *x; /* the one being read, handled or answered */
	bool keep_alive, old_version, chunked, in_data, refused;
	/* HTTP/2 */
	nghttp2_session *session;
	struct defer flush;
	size_t bodies_bytes; /* of all requests together */
	bool drain_owed, in_session;
};

struct http_server {
	struct loop *loop;
	struct http_server_config config;
	struct list conns, listeners;
	size_t n_conns;
	struct list ended, spare; /* exchanges */
	size_t n_spare;
	struct defer collect, reap;
	bool freed;
	struct buf head; /* where reply heads are built */
	struct http_header table[LIMIT_REQUEST_HEADERS];
	uint64_t date_s;
	char date[HTTP_DATE_BYTES];
};

struct http_exchange *http_exchange_new(struct server_conn *sc);
/* Takes it from its connection; its memory goes with the end of the turn. */
void http_exchange_end(struct http_exchange *x);
/* The request is complete. The exchange, or the whole connection, may be over when this returns. */
void exchange_dispatch(struct http_exchange *x);
/* The client is gone: tells the handler, if it still has the exchange. */
void exchange_lost(struct http_exchange *x);
/* Fills x->reply_body with what a refusal says; the arena or the body buffer owns it. */
void exchange_refusal(struct http_exchange *x, int status, const char *message);
void server_conn_close(struct server_conn *sc);
void server_conn_detach(struct server_conn *sc); /* the connection itself is somebody else's now */
const char *server_date(struct http_server *s);
/* A name that only makes sense on one HTTP/1.1 connection. */
bool header_is_hop(struct str name);
