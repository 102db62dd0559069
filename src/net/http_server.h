/* http_server.h - HTTP/1.1 (RFC 9112, strict) and HTTP/2 (nghttp2) over TCP, Unix sockets or TLS.
 *
 * A request is handed over once its body is complete. The handler answers now or later; until
 * it has ended the reply, or has been told `closed`, the exchange stays valid.
 */
#pragma once

#include "base/buf.h"
#include "loop/loop.h"
#include "net/conn.h"
#include "net/http.h"

struct http_server;
struct http_exchange;
struct http_server_config {
	void (*request)(void *ctx, struct http_exchange *x);
	void *ctx;
	struct tls *tls;	/* NULL for plain */
	size_t body_max;	/* above it: 413 */
	size_t connections_max; /* above it: accepted and closed */
	uint64_t idle_ms;	/* a connection without a request is closed after this */
	/* What a body above body_max, or a malformed request, is answered with; NULL gives plain
	 * text. */
	void (*refuse)(void *ctx, int status, const char *message, struct buf *ret_body);
};
struct http_server *http_server_new(struct loop *l, const struct http_server_config *c);
int http_server_listen(struct http_server *s, int fd,
		       struct err *e) must_check; /* takes fd; several are allowed */
void http_server_free(struct http_server *s);	  /* closes every connection */

const struct http_request *http_request_of(const struct http_exchange *x);
struct arena *http_arena(struct http_exchange *x); /* freed with the exchange */
X509 *http_peer_cert(const struct http_exchange *x); /* borrowed; NULL if none */
const struct addr *http_peer_addr(const struct http_exchange *x); /* len 0: not known */

/* Called once if the client goes away before the reply has ended; the exchange is freed after it.
 * On HTTP/1.1 a client that ends its side of the connection while its request is handled counts as
 * gone, as in Go's net/http. */
void http_on_closed(struct http_exchange *x, void (*closed)(void *ctx), void *ctx);

/* The whole answer. content-length is added; `body` is copied. */
void http_reply(struct http_exchange *x, int status, const struct http_header *headers, size_t n,
		struct str body);
/* As http_reply without the copy: release(ctx) is called when the bytes are no longer needed. */
void http_reply_shared(struct http_exchange *x, int status, const struct http_header *headers,
		       size_t n, struct str body, void (*release)(void *ctx), void *ctx);
/* A stream: chunked on HTTP/1.1, DATA frames on HTTP/2; every write is flushed by the end of the
 * turn. */
void http_reply_start(struct http_exchange *x, int status, const struct http_header *headers,
		      size_t n);
void http_reply_write(struct http_exchange *x, struct str data); /* copies */
size_t http_reply_pending(const struct http_exchange *x);	 /* bytes queued and not yet sent */
void http_reply_on_drained(struct http_exchange *x, void (*drained)(void *ctx), void *ctx);
void http_reply_end(struct http_exchange *x);
void http_reply_abort(
	struct http_exchange *x); /* reset the stream, or close the HTTP/1.1 connection */

/* HTTP/1.1 only (NULL on HTTP/2): answers 101 with these headers and hands the raw connection over.
 * The exchange is gone afterwards. Bytes that came behind the request are offered to `ops->data`.
 */
struct conn *http_upgrade(struct http_exchange *x, const struct http_header *headers, size_t n,
			  const struct conn_ops *ops, void *ctx);
