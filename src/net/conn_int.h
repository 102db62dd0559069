/* conn_int.h - what conn.c (life, reading), conn_out.c (the queue) and conn_tls.c share. */
#pragma once

#include "base/buf.h"
#include "net/conn.h"

#define CONN_LINGER_MS 5000 /* a peer that was answered and goes on sending is read this long */
#define CONN_STALL_MS 30000 /* conn_close_after_write gives up on a peer that takes nothing */
#define CONN_READ_BYTES (64u << 10)
#define CONN_DIRECT_BYTES 8192 /* from here on a write is tried at once: a copy would cost more than the call */
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
	struct addr *peer;    /* NULL: nobody asked yet */
	struct buf *in;	      /* arrived and not yet used; NULL: nothing. An idle connection holds no buffer */
	struct list out;      /* struct chunk */
	size_t pending;	      /* bytes in `out` */
	struct conn_splice *splice_in, *splice_out; /* bytes go from here, or to here, without being looked at */
	struct defer defer;   /* ready, offer kept bytes, flush at the end of the turn; once closed: gives the memory back */
	struct timer *linger; /* NULL until the end is near */
	bool connecting : 1, handshaking : 1, ready_owed : 1, offer_owed : 1;
	bool paused : 1, eof_seen : 1, eof_told : 1, write_failed : 1;
	bool shutdown_wanted : 1, shutdown_done : 1, no_linger : 1;
	bool write_blocked : 1, above_low : 1, closed : 1;
	bool raw : 1;	  /* TLS: `in` holds records that arrived before OpenSSL was there */
	bool tcp_eof : 1; /* TLS: the socket, not the protocol, has ended */
	bool read_wants_write, write_wants_read; /* TLS: the other direction must move first */
};

/* conn.c */
void conn_update_events(struct conn *c);
void conn_fail(struct conn *c, const struct err *e);
void conn_kick(struct conn *c);
void conn_linger(struct conn *c, uint64_t ms);
void conn_kept_free(struct conn *c);
static inline size_t conn_kept(const struct conn *c)
{
	return c->in ? c->in->len : 0;
}

/* conn_out.c */
void conn_flush(struct conn *c);
void conn_out_done(struct conn *c);

/* conn_splice.c */
void conn_splice_move(struct conn_splice *s);
void conn_splice_end(struct conn_splice *s);
bool conn_splice_wants_input(const struct conn_splice *s);
bool conn_splice_blocked(const struct conn_splice *s);
void conn_splice_thread_done(void);

/* conn_tls.c: n > 0 bytes, or one of the above */
int conn_tls_start(struct conn *c, bool client, const char *server_name, struct err *e) must_check;
int conn_tls_handshake(struct conn *c, struct err *e) must_check; /* 1 when done */
ssize_t conn_tls_read(struct conn *c, void *to, size_t max, struct err *e) must_check;
ssize_t conn_tls_write(struct conn *c, const void *from, size_t len, struct err *e) must_check;
