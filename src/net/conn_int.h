/* conn_int.h - what conn.c (life, reading), conn_out.c (the queue) and conn_tls.c share. */
#pragma once

#include "base/buf.h"
#include "net/conn.h"

#define CONN_LINGER_MS 5000 /* a peer that was answered and goes on sending is read this long */
#define CONN_STALL_MS 30000 /* conn_close_after_write gives up on a peer that takes nothing */
#define CONN_READ_BYTES (64u << 10)
#define CONN_READS_PER_TURN 4 /* then others are served */

/* What a transport answers besides a count of bytes. */
enum { CONN_EOF = 0, CONN_AGAIN = -1, CONN_FAILED = -2 };

struct conn {
	struct loop *loop;
	struct io io;
	const struct conn_ops *ops; /* NULL once conn_close_after_write was called */
	void *ctx;
	struct tls *tls;
	SSL *ssl;
	struct addr peer;
	struct buf in;	   /* arrived and not yet used */
	struct list out;   /* struct chunk */
	size_t pending;	   /* bytes in `out` */
	struct defer kick; /* ready, offer kept bytes, flush: at the end of the turn */
	struct defer reap; /* gives the memory back */
	struct timer linger;
	bool connecting, handshaking, ready_owed, offer_owed;
	bool paused, eof_seen, eof_told;
	bool shutdown_wanted, shutdown_done;
	bool write_blocked, above_low, closed;
	bool read_wants_write, write_wants_read; /* TLS: the other direction must move first */
	bool tcp_eof;				 /* TLS: the socket, not the protocol, has ended */
};

/* conn.c */
void conn_update_events(struct conn *c);
void conn_fail(struct conn *c, const struct err *e);
void conn_kick(struct conn *c);

/* conn_out.c */
void conn_flush(struct conn *c);
void conn_out_done(struct conn *c);

/* conn_tls.c: n > 0 bytes, or one of the above */
int conn_tls_start(struct conn *c, bool client, const char *server_name, struct err *e) must_check;
int conn_tls_handshake(struct conn *c, struct err *e) must_check; /* 1 when done */
ssize_t conn_tls_read(struct conn *c, void *to, size_t max, struct err *e) must_check;
ssize_t conn_tls_write(struct conn *c, const void *from, size_t len, struct err *e) must_check;
