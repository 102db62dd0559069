/* exchange.h - one request and its answer, whatever HTTP version is spoken on either side.
 *
 *   down_h1.c / down_h2.c          exchange.c                     up_h1.c / up_h2.c
 *   reads a request     ──────►  route, request filters,   ──────►  sends it
 *   writes the answer   ◄──────  response filters          ◄──────  reads the answer
 *
 * The two codecs know only this header. An exchange lives on one worker's loop; everything it allocates comes from its arena,
 * which is cleared and used again for the next request. Back-pressure goes both ways: whoever receives bytes it cannot pass
 * on calls want_body(false) on their source and true when there is room again.
 */
#pragma once

#include "codec/http_header.h"
#include "loop/loop.h"
#include "roles/ingress/route/routes.h"
#include "roles/ingress/upstream/upstream.h"

struct conn;
struct worker;
struct exchange;
struct filter_use;
struct pace;

#define EXCHANGE_HEADERS_MAX 128       /* of a request or an answer: more than any browser or framework sends */
#define HEADER_LIST_MAX (EXCHANGE_HEADERS_MAX + 64) /* with what we and filters add */
#define EXCHANGE_ARENA_BYTES (512u << 10) /* all heads, copies and rewritten texts of one exchange */
#define EXCHANGE_TRIED_MAX 8	       /* endpoints remembered so that they are not tried twice */

/* A list of headers that filters may change. Names are compared ignoring case: HTTP/1 ones keep the case they came in. */
struct header_list {
	struct http_header *at; /* of the arena */
	size_t n, cap;
};

struct request {
	struct str method, scheme;     /* scheme: "http" or "https", as the client came */
	struct str authority;	       /* Host, or :authority */
	struct str host;	       /* without port */
	uint64_t host_key;	       /* routes_key() */
	struct str target;	       /* path and query as they came; "*" for OPTIONS * */
	struct str path, query;	       /* raw halves of target; query without '?' */
	struct str uri;		       /* the path normalised: what locations match */
	struct str protocol;	       /* "HTTP/1.1", "HTTP/2.0": for logs */
	struct str upgrade;	       /* "websocket": Upgrade (h1) or :protocol (RFC 8441); empty: none */
	struct header_list headers;    /* without hop-by-hop ones and Host */
	int64_t content_length;	       /* -1: unknown */
	bool has_ours;		       /* it carries headers that the proxy writes itself (header.h: H_FORWARDED, …) */
	bool has_body, is_head, is_grpc, idempotent, expect_continue, te_trailers;
	const struct addr *peer;       /* the TCP peer, or who a PROXY header says that is */
	const struct addr *local;      /* where the client went, by a PROXY header; NULL: there was none */
	struct addr client;	       /* who is believed to ask: after PROXY protocol and X-Forwarded-For */
	char client_text[64];	       /* its address as text */
	bool https;		       /* TLS here, or told so by a believed X-Forwarded-Proto */
	const struct tls_info *tls;    /* NULL on plain connections */
	uint64_t bytes;		       /* of head and body so far: $request_length */
	uint64_t connection;	       /* serial number of the connection, from 1: $connection; 0: not known */
	uint64_t connection_requests;  /* of it so far, this one included: $connection_requests */
};

struct answer {
	int status;
	struct str reason;	       /* HTTP/1.x only; may be empty */
	struct header_list headers;    /* without hop-by-hop ones; no content-length */
	int64_t content_length;	       /* -1: unknown */
	bool no_body;		       /* HEAD, 204, 304, or its end came with the head */
	bool tunnel;		       /* an h2 upstream has accepted an extended CONNECT */
};

/* What an exchange asks of the connection the request came on. */
struct down_ops {
	void (*interim)(struct exchange *x, int status, const struct header_list *h); /* 100, 103 */
	void (*head)(struct exchange *x, const struct answer *a);  /* once; with a->no_body the answer is complete */
	void (*body)(struct exchange *x, struct str data, bool end); /* takes all; watch pending() */
	void (*trailers)(struct exchange *x, const struct header_list *h); /* instead of body(…, true) */
	void (*abort)(struct exchange *x);	       /* half an answer: cut the connection, or reset the stream */
	void (*want_body)(struct exchange *x, bool on); /* the request's */
	size_t (*pending)(const struct exchange *x);   /* bytes of the answer that the client has not taken */
	size_t (*unread)(const struct exchange *x);    /* the same with what the kernel holds for it; NULL: pending() is all */
	/* The exchange is over and will not be touched again: h1 goes to its next request, h2 closes the stream. */
	void (*done)(struct exchange *x);
	struct conn *(*conn)(struct exchange *x);      /* for tunnels and splicing; NULL: not available (h2) */
	int (*fd)(const struct exchange *x);	       /* the socket, to ask its addresses; NULL or -1: there is none */
};

/* What an exchange asks of the attempt at an upstream. */
struct up_ops {
	void (*body)(struct exchange *x, struct str data, bool end); /* the request's */
	void (*trailers)(struct exchange *x, const struct header_list *h);
	void (*want_body)(struct exchange *x, bool on); /* the answer's */
	size_t (*pending)(const struct exchange *x);    /* bytes of the request that the upstream has not taken */
	void (*cancel)(struct exchange *x);	       /* the attempt is abandoned; x->up is NULL afterwards */
};

enum exchange_state {
	X_FILTERS,   /* request filters run, or one waits */
	X_CONNECT,   /* an upstream connection is being made */
	X_SENT,	     /* the request's head has gone out, no answer yet */
	X_ANSWER,    /* the answer's head has been passed on */
	X_TUNNEL,    /* 101, or 2xx to an extended CONNECT: bytes both ways */
	X_DONE,
};

/* How an attempt failed; says whether another endpoint may be tried. */
enum up_failure {
	UP_REFUSED,   /* the upstream has certainly not seen the request (connect failed, GOAWAY, REFUSED_STREAM) */
	UP_STALE,     /* a kept connection that was closed before a byte of the answer: most likely not seen */
	UP_RESET,     /* it may have seen it */
	UP_BAD,	      /* an answer that is no HTTP */
	UP_TIMEOUT,
};

struct exchange {
	struct worker *worker;
	const struct down_ops *down_ops;
	void *down;			/* down_h1's connection or down_h2's stream */
	const struct up_ops *up_ops;
	void *up;			/* NULL: no attempt under way */
	enum exchange_state state;

	struct request req;
	struct answer ans;
	const struct location *loc;	/* its host is referenced */
	struct arena arena;

	/* filters */
	const struct filter_use *filter_at; /* the next request filter; while one waits, the one behind it */
	void **filter_state;		/* one slot for each filter of the location; of the arena; NULL at first */
	uint32_t request_filters;	/* bit i: the location's filter i looks at the request's body */
	uint32_t body_filters;		/* bit i: the location's filter i changes the answer's body; BODY_PACED */
	struct pace *pace;		/* http/pace.h; of the arena; NULL: this answer goes as fast as it can */
	bool request_body_done, answer_done, request_paused, answer_paused, answer_own;
	bool closing;			/* exchange_end ran: memory is kept until the turn ends */

	/* the attempt */
	struct backend *backend;	/* the primary or a canary, referenced while an attempt is made */
	const char *canary_why;		/* "header", "cookie", "weight"; NULL: primary */
	struct endpoint *endpoint;	/* referenced */
	uint64_t tried[EXCHANGE_TRIED_MAX]; /* endpoints' ids */
	unsigned n_tried;
	struct str sticky;		/* the session cookie's new value; empty: it stays as it is (upstream/affinity.c) */
	bool head_awaited;		/* counted in endpoint->waiting (upstream/balance.c) */
	unsigned n_stale;		/* kept connections that turned out to be closed */
	enum up_failure last_failure;
	bool retrying;			/* counted in the retry budget */
	bool waiting_for_body;		/* of the request, before an upstream is chosen */
	bool continued;			/* 100 Continue was sent */
	struct header_list up_headers;	/* what the upstream gets: made by exchange.c, changed by filters */
	struct str up_target, up_host, up_method;
	struct buf held;		/* the request's body while no upstream can take it, and for another try */
	struct header_list held_trailers; /* behind it; as the client sent them */
	bool held_complete;		/* all of the body so far is in `held`: another try is possible */
	bool answered;			/* the client has seen a byte */
	bool client_gone, unlogged;

	/* time and size: microseconds of CLOCK_MONOTONIC, 0 = not yet */
	uint64_t started_us, first_try_us, try_us, connect_us, connected_us, head_us, ended_us;
	uint64_t answer_body_bytes, request_body_bytes, up_answer_bytes;
	uint64_t answer_head_bytes;	/* as it went out, by the codecs; with the body $bytes_sent */
	struct timer timer;		/* the one that counts now: connect, send, read */
	size_t unread_seen;		/* bytes that a slow client had not taken when the timer was set */
	bool slow_client;		/* the timer is about that client */
	uint64_t total_deadline_ms;	/* request_timeout_s; 0: none */
	char request_id[33];
	struct str request_id_header;	/* the client's own; ptr NULL: none */
	char trace_parent[56];		/* W3C, ours; empty: none */
	struct str remote_user;		/* of basic auth or a token */
	bool access_granted;		/* these two: filter/access.h */
	int access_refused;
	struct list tries_log;		/* $upstream_addr, $upstream_status of each try: observe/access_log.c */
	struct list link;		/* of the worker: free, to begin, or ended in this turn */
};

/* ---- for the codecs ---- */
/* A request's head is complete in x->req. The codec made x by exchange_new and set down, down_ops. */
struct exchange *exchange_new(struct worker *w);
/* x->req.authority is known. Before exchange_begin, and as long before it as can be: its host is looked for meanwhile. */
void exchange_named(struct exchange *x);
void exchange_begin(struct exchange *x);
void exchange_request_body(struct exchange *x, struct str data, bool end); /* takes all */
void exchange_request_trailers(struct exchange *x, const struct header_list *h);
void exchange_down_drained(struct exchange *x);	/* pending() fell below the low-water mark */
void exchange_down_lost(struct exchange *x);	/* the client went away; x is gone after this */
/* A request that the codec refuses itself (400, 408, 414, 431, 505): logged and counted like any other. */
void exchange_refuse(struct exchange *x, int status);

void exchange_up_ready(struct exchange *x);	/* connected (and TLS done): the codec has sent the head already */
void exchange_up_drained(struct exchange *x);
void exchange_up_interim(struct exchange *x, int status, const struct header_list *h);
void exchange_up_head(struct exchange *x);	/* x->ans is filled */
void exchange_up_body(struct exchange *x, struct str data, bool end);
void exchange_up_trailers(struct exchange *x, const struct header_list *h);
/* The rest of an answer's body may go past the exchange, from socket to socket; then it is only told how much. */
bool exchange_may_splice(const struct exchange *x);
void exchange_up_moved(struct exchange *x, size_t n);
void exchange_up_failed(struct exchange *x, enum up_failure how);

/* ---- for filters ---- */
/* Answers x itself: an nginx error page (or the custom one) for `status`. */
void exchange_answer_error(struct exchange *x, int status);
/* Answers with headers in x->ans.headers and this body. */
void exchange_answer(struct exchange *x, int status, struct str content_type, struct str body);
void exchange_redirect(struct exchange *x, int status, struct str location);
/* After FILTER_WAIT: goes on with the next filter. */
void exchange_resume(struct exchange *x);

/* ---- headers ---- */
/* Trailers that may be passed on (RFC 9110 §6.5.1), from the lines that a codec kept; of the arena. */
struct header_list trailers_of(struct exchange *x, struct str lines);
void header_add_str(struct exchange *x, struct header_list *l, struct str name, struct str value);
/* value is borrowed: of the arena or constant. The length of a constant name is known when this is compiled. */
static inline void header_add(struct exchange *x, struct header_list *l, const char *name, struct str value)
{
	header_add_str(x, l, (struct str){ name, strlen(name) }, value);
}
void header_set(struct exchange *x, struct header_list *l, const char *name, struct str value);	/* replaces all of that name */
void header_add_date(struct exchange *x, struct header_list *l); /* unless there is one */
void header_del(struct header_list *l, const char *name);
struct str header_get(const struct header_list *l, const char *name); /* the first; STR_NONE */
/* The value of a cookie of the request. */
struct str request_cookie(const struct exchange *x, const char *name);
/* printf into the arena; STR_NONE when the arena is full. */
struct str x_printf(struct exchange *x, const char *fmt, ...) printf_like(2, 3);
struct str x_dup(struct exchange *x, struct str s);
/* CLOCK_MONOTONIC as read at the start of the loop's turn: free, and precise enough for what took more than a turn. */
uint64_t x_now_us(const struct exchange *x);
