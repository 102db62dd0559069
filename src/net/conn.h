/* conn.h - a non-blocking byte stream: TCP or Unix socket, plain or TLS.
 *
 * Call-backs run on the loop. conn_close() may be called from any of them and never calls back;
 * memory is returned at the end of the turn. Written bytes are copied and queued; the writer
 * watches conn_pending() and waits for `drained`, so a slow reader stops its source
 * (back-pressure) instead of filling memory.
 */
#pragma once

#include "loop/loop.h"
#include "net/addr.h"
#include "net/tls.h"

struct conn;
struct conn_ops {
	/* Connected, and the TLS handshake is done. */
	void (*ready)(struct conn *c, void *ctx);
	/* Bytes arrived; returns how many were used. The rest is kept, and offered again with what
	 * follows, or after conn_resume or conn_set_ops. The bytes may be changed in place; kept
	 * ones stay changed. */
	size_t (*data)(struct conn *c, void *ctx, const uint8_t *bytes, size_t len);
	/* The peer will send no more; what it sent has been offered. Writing goes on working. */
	void (*eof)(struct conn *c, void *ctx);
	/* conn_pending() went from above the low-water mark to below it. */
	void (*drained)(struct conn *c, void *ctx);
	/* The connection failed; it is closed and freed after this call. `e` says why. */
	void (*failed)(struct conn *c, void *ctx, const struct err *e);
};
#define CONN_LOW_WATER_BYTES (64u << 10)
#define CONN_HIGH_WATER_BYTES (256u << 10)    /* writers should pause above this */
#define CONN_READ_BUFFER_MAX_BYTES (1u << 20) /* unused bytes beyond this: reading pauses */

/* Takes over `fd`, an accepted or connected socket. `tls` may be NULL; it is referenced. TCP_NODELAY is the
 * caller's to set: accepted sockets inherit it from one of addr_listen. */
struct conn *conn_accept(struct loop *l, int fd, struct tls *tls, const struct conn_ops *ops,
			 void *ctx, struct err *e) must_check;
/* From within `data`: what it does not use, and all that follows, is TLS. `ready` is called again after the handshake. */
int conn_start_tls(struct conn *c, struct tls *tls, struct err *e) must_check;
/* `server_name` (SNI, and the name or address checked) may be NULL without TLS. */
struct conn *conn_connect(struct loop *l, const struct addr *to, struct tls *tls,
			  const char *server_name, const struct conn_ops *ops, void *ctx,
			  struct err *e) must_check;
void conn_set_ops(struct conn *c, const struct conn_ops *ops,
		  void *ctx); /* protocol switch; kept bytes are offered anew */
void conn_write(struct conn *c, const void *data, size_t len);
/* Before anything else and before conn_connect's socket is connected: with TLS, plain bytes that go ahead of the handshake
 * (a PROXY header). Few: they have to fit into a new socket's buffer. */
void conn_write_ahead(struct conn *c, const void *data, size_t len);
void conn_write_shared(struct conn *c, struct str data, void (*release)(void *ctx),
		       void *ctx); /* no copy; released when sent or closed */
/* Room for `len` bytes at the end of the queue, to be filled and committed before any other call: no copy. The
 * connection must be open for writing. */
char *conn_reserve(struct conn *c, size_t len);
void conn_commit(struct conn *c, size_t len);
/* The next n bytes that arrive at `from` go to `to` without passing through this process (splice(2)). `moved` is told
 * of each part; `done` with the last one: then both work as before. When `from` ends or fails before, its eof or failed
 * call-back is the first to know; when either is closed, the rest is forgotten. False: not possible now (TLS, unsent
 * bytes, no descriptors); the caller copies. */
bool conn_splice(struct conn *from, struct conn *to, uint64_t n, void (*moved)(void *ctx, size_t n, bool done), void *ctx);
size_t conn_pending(const struct conn *c);
bool conn_blocked(const struct conn *c); /* the socket takes no more now, of what was written or is spliced to it */
/* From within `data`: for now nothing more is expected from the peer. An accepted connection that epoll was not told of yet
 * is then not added to it, so that one which ends soon never is; what the peer does meanwhile shows when it is heeded, at the
 * latest when something is written to it that its socket does not take. Everything else that asks for input heeds it, too. */
void conn_leave_unheeded(struct conn *c);
void conn_heed(struct conn *c);
void conn_pause(struct conn *c); /* stop reading */
void conn_resume(struct conn *c);
void conn_shutdown(struct conn *c);	     /* half-close once everything queued is sent */
void conn_close(struct conn *c);	     /* at once; NULL is nothing */
void conn_close_after_write(struct conn *c); /* when the queue is empty; no more call-backs */
size_t conn_finishing(void); /* of this thread: those whose queue conn_close_after_write still empties */
/* The same for a peer that will send nothing more (it said so): not even late bytes are waited for. */
void conn_finish(struct conn *c);
const struct addr *conn_peer(struct conn *c);
struct str conn_alpn(const struct conn *c); /* "h2", or empty */
const struct tls_info *conn_tls_info(const struct conn *c); /* NULL: no TLS, or not yet */
X509 *conn_peer_cert(const struct conn *c); /* borrowed; NULL without TLS or certificate */
SSL *conn_ssl(const struct conn *c); /* to set up a client before its handshake; NULL without TLS, and when that is over */
int conn_fd(const struct conn *c);
struct loop *conn_loop(const struct conn *c);
void conn_thread_done(void); /* before a thread that had connections ends: gives its spare memory back */

/* Accepts until stopped; `fd` listens and stays the caller's. Accepted sockets are close-on-exec.
 */
struct listener;
struct listener *listener_new(struct loop *l, int fd,
			      void (*accepted)(void *ctx, int fd, const struct addr *peer),
			      void *ctx, struct err *e) must_check;
/* The same for a socket that several loops accept from: each connection wakes one of them (EPOLLEXCLUSIVE). */
struct listener *listener_new_shared(struct loop *l, int fd,
				     void (*accepted)(void *ctx, int fd, const struct addr *peer),
				     void *ctx, struct err *e);
void listener_free(struct listener *l);
