/* line.h - a worker's ways to one upstream: a socket of its own for each question over UDP, kept connections over TCP and TLS.
 *
 * RFC 5452 (a fresh port and id for every try), RFC 7766 (many questions on one connection, answered in any order), RFC 7858.
 */
#pragma once

#include "base/list.h"
#include "loop/loop.h"
#include "net/conn.h"
#include "roles/dns/resolve/upstream.h"
#include "roles/dns/resolve/wire.h"

#define LINE_SOCKETS_MAX 512   /* of a worker, for UDP: half of a process' usual 1,024 descriptors */
#define LINE_STREAMS_MAX 4     /* connections of a worker to one upstream */
#define LINE_PIPELINE_MAX 64   /* questions under way on one: then another is opened */
#define LINE_FOREIGN_MAX 8     /* datagrams that are not the answer: more is somebody guessing, and TCP cannot be guessed */
#define LINE_CONNECT_MS 3000   /* handshakes included: within a question's 5 s there is time for another upstream */

struct line_options {
	bool force_tcp;
	uint64_t expire_ms, max_age_ms; /* an idle connection's life; any connection's, 0: no limit */
	size_t idle_max;		/* idle connections kept, 0: all */
	struct tls *tls;		/* for upstreams by TLS */
};

#define LINE_WHY_BYTES 96

/* What the lines of one worker share. */
struct line_pool {
	struct loop *loop;
	unsigned worker;
	size_t n_sockets;
	uint64_t short_ms; /* when the process had no descriptor left; 0: never */
	uint8_t in[DNS_MESSAGE_BYTES_MAX];
};

/* We are short of sockets, which says nothing about upstreams. */
#define LINE_SHORT_MS 100
bool line_pool_full(const struct line_pool *pool);

struct line {
	struct line_pool *pool;
	struct upstream *upstream;
	const struct line_options *options;
	struct list streams;
	size_t n_streams;
	char why[LINE_WHY_BYTES]; /* the newest failure, for people; "": none */
};
void line_init(struct line *l, struct line_pool *pool, struct upstream *u, const struct line_options *o);
void line_done(struct line *l); /* its tries were stopped */

enum try_end {
	TRY_ANSWERED,
	TRY_UNREACHABLE, /* refused, closed, no certificate that fits */
	TRY_SUSPECT,	 /* too much came that was not the answer */
};
/* A question to one upstream over one transport. */
struct stream;
struct try {
	struct line *line;
	struct upstream_query query;
	uint64_t sent_us;
	bool stream_wanted; /* read only: it went over TCP or TLS */
	/* Once at most, never from within try_start; the try may be started again or freed from it. `m` (TRY_ANSWERED, but not with
	 * REPLY_BARE) is valid within the call. */
	void (*done)(struct try *t, enum try_end end, enum upstream_reply reply, const struct dns_message *m);
	struct list link_;
	struct stream *stream_;
	struct io io_;
	unsigned foreign_;
	bool again_; /* its connection was closed under it, and it went out on another one */
};
struct try_how {
	bool tcp, edns, cased, no_recursion;
};
void try_init(struct try *t, struct line *l, void (*done)(struct try *t, enum try_end end, enum upstream_reply reply, const struct dns_message *m));
/* False: it cannot be sent, now or at all. */
bool try_start(struct try *t, const struct dns_query *q, struct try_how how) must_check;
void try_stop(struct try *t); /* no call-back; one that ended is nothing */
/* It should have been answered by now: a connection on which nothing comes gets no more questions. */
void try_is_late(struct try *t);

/* ---- line.c and stream.c only ---- */

bool stream_send(struct try *t);
void stream_forget(struct try *t);
void stream_is_late(struct stream *s);
void streams_close(struct line *l);
void line_failed(struct line *l, const char *why);
void line_count_conn(const struct line *l, enum upstream_transport t, bool hit);
uint16_t line_random_id(void);
