/* conn_int.h - what conn.c (life, reading), conn_out.c (the queue) and conn_tls.c share. */
#pragma once

#include "base/buf.h"
#include "net/conn.h"
#include "net/tls_record.h"

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
	struct conn_tls *tls; /* NULL: plain */
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
	bool finishing : 1; /* counted by conn_finishing */
	bool unheeded : 1;  /* not watched yet, and need not be */
	bool raw : 1; /* TLS: `in` holds records that arrived before TLS began */
};

/* TLS on a connection: OpenSSL makes the handshake; of TLS 1.3 servers the rest is ours (tls_record.h). */
struct conn_tls {
	struct tls *context;
	SSL *ssl;		  /* NULL: the records are ours */
	struct tls_record record;
	struct tls_secrets *secrets; /* of a handshake that may become ours */
	struct buf *ahead;	  /* conn_write_ahead's, until the socket is connected; NULL: none */
	struct buf *in;		  /* records that were received and not read yet; NULL: none */
	struct buf *out;	  /* records the socket has not taken; NULL: none */
	const uint8_t *feed;	  /* bytes that OpenSSL is to read now */
	size_t feed_len;
	uint32_t n_written;	  /* records since the write keys became those of application data */
	bool done;		  /* the handshake is */
	bool waits_for_input;	  /* the handshake does */
	bool read_wants_write, write_wants_read; /* the other direction must move first */
	bool tcp_eof;		  /* the socket, not the protocol, has ended */
	bool closed;		  /* the protocol has */
	bool more;		  /* the socket may have more than was read */
	bool quiet;		  /* nothing may be sent any more, not even a farewell */
	struct tls_info info;
};

/* conn.c */
void conn_update_events(struct conn *c);
void conn_fail(struct conn *c, const struct err *e);
void conn_kick(struct conn *c);
void conn_linger(struct conn *c, uint64_t ms);
void conn_finished(struct conn *c);
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

/* What every read of a thread goes into first: nothing is kept in it when a call-back returns. */
extern _Thread_local uint8_t conn_scratch[CONN_READ_BYTES];

/* conn_tls.c: handshakes, and connections whose records are OpenSSL's. */
int conn_tls_start(struct conn *c, struct tls *tls, bool client, const char *server_name, struct err *e) must_check;
int conn_tls_handshake(struct conn *c, struct err *e) must_check; /* 1 when done; CONN_AGAIN, CONN_FAILED */
ssize_t conn_tls_read(struct conn *c, void *to, size_t max, struct err *e) must_check; /* n > 0, or CONN_EOF, … */
/* Takes bytes from the pieces and returns how many; -1 as sendmsg(2). */
ssize_t conn_tls_send(struct conn *c, const struct iovec *iov, size_t n, struct err *e) must_check;
bool conn_tls_more(const struct conn *c); /* there is input that epoll does not report */
void conn_tls_quiet(struct conn *c);
void conn_tls_bye(struct conn *c); /* close_notify, if it can be sent at once */
void conn_tls_free(struct conn *c);
int conn_tls_send_ahead(struct conn *c, struct err *e) must_check;
void conn_tls_keep(struct buf **b, const uint8_t *bytes, size_t len);

/* conn_records.c: connections whose records are ours. */
bool conn_records_begin(struct conn *c); /* after a handshake; false: OpenSSL has to go on */
ssize_t conn_records_read(struct conn *c, uint8_t *to, size_t max, struct err *e) must_check;
ssize_t conn_records_send(struct conn *c, const struct iovec *iov, size_t n) must_check;
void conn_records_bye(struct conn *c);
/* Sends what is left in `out`: 0, or CONN_AGAIN, CONN_FAILED with errno. */
int conn_records_push(struct conn *c);
/* What is followed at once by the end goes into one segment with it. */
static inline int conn_send_flags(const struct conn *c)
{
	return c->shutdown_wanted ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL;
}
static inline size_t conn_unsent(const struct conn *c)
{
	return c->tls && c->tls->out ? c->tls->out->len : 0;
}
/* Many pieces may be given at once. */
static inline bool conn_gathers(const struct conn *c)
{
	return !c->tls || !c->tls->ssl;
}
