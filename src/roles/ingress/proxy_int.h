/* proxy_int.h - what the proxy's parts share: down.c (clients), up.c (upstreams), message.c (heads). */
#pragma once

#include "codec/http1.h"
#include "net/conn.h"
#include "roles/ingress/proxy.h"

#define HEADERS_MAX 100		       /* of a request or an answer; nginx has no count, but 32 KiB in all */
#define HEAD_BYTES (32u << 10)	       /* large_client_header_buffers: 4 × 8k */
#define TRIES_MAX 3		       /* proxy_next_upstream_tries */
#define CLIENT_HEADER_MS 60000	       /* client_header_timeout */
#define KEEPALIVE_MS 75000	       /* keepalive_timeout */
#define CONNECT_MS 5000		       /* proxy_connect_timeout */
#define READ_MS 60000		       /* proxy_read_timeout and proxy_send_timeout */
#define IDLE_PER_ENDPOINT 64	       /* upstream-keepalive-connections is 320 over all */
#define IDLE_MS 60000		       /* upstream-keepalive-timeout */
#define CLIENTS_MAX 8192	       /* two descriptors each stay within 20,000 */

struct down;
struct up;

struct proxy {
	struct loop *loop;
	struct proxy_config config;
	struct listener *http, *https;
	struct tls *tls; /* the https listener's: default certificate, SNI call-back */
	struct map pools; /* raw sockaddr → struct pool */
	struct list downs;
	size_t n_downs;
	struct timer sweep; /* of idle upstream connections */
};

enum down_state {
	DOWN_HEAD,   /* reading a request's head, or waiting for one */
	DOWN_BODY,   /* forwarding its body */
	DOWN_WAIT,   /* all of it was forwarded */
	DOWN_TUNNEL, /* after 101 */
};

struct down { /* one client connection, and the request it is at */
	struct list link;
	struct proxy *proxy;
	struct conn *conn;
	struct up *up;
	enum down_state state;
	bool https, client_eof, closed;
	struct timer timer;
	struct defer reap;
	/* the request */
	struct buf head_text; /* `head` points into it */
	struct http1_head head;
	struct http_header table[HEADERS_MAX];
	struct http1_body body;
	uint64_t body_seen;
	struct route_table *routes;
	const struct location *loc;
	struct buf path;    /* normalised */
	struct buf request; /* the upstream head, kept for another try */
	struct addr tried;
	unsigned tries;
	bool body_started; /* bytes of the body have left: no other try */
	bool keep_alive, head_method;
	/* its answer */
	bool answered; /* the client has seen bytes of it */
	bool out_chunked;
};

struct up { /* one upstream connection */
	struct list link; /* in its pool while idle */
	struct proxy *proxy;
	struct conn *conn;
	struct addr to;
	struct down *down; /* NULL while idle */
	bool ready, reused, any_bytes;
	bool in_body, keep_alive, idle;
	uint64_t idle_since_ms;
	struct buf head_text;
	struct http1_head head;
	struct http_header table[HEADERS_MAX];
	struct http1_body body;
	struct defer reap;
};

struct pool {
	struct list idle; /* newest last */
	size_t n;
};

/* down.c */
void down_accept(struct proxy *p, int fd, const struct addr *peer, bool https);
void down_close(struct down *d);
void down_fail(struct down *d, int status); /* an error page, or a cut connection when an answer has begun */
void down_redirect_https(struct down *d);
void down_upstream_ready(struct down *d);
void down_upstream_failed(struct down *d, bool timeout, bool maybe_seen); /* another try, or 502/504 */
void down_answer_complete(struct down *d, bool upstream_keeps);
void down_offer_again(struct down *d); /* bytes that were kept: somebody can take them now */
void down_activity(struct down *d);

/* up.c */
void up_get(struct down *d, const struct addr *to); /* pooled or new; then down_upstream_ready or _failed */
void up_close(struct up *u);
void up_release(struct up *u); /* to its pool */
void up_sweep(struct timer *t);
void up_pools_done(struct proxy *p);

/* message.c */
int message_request(const struct down *d, struct buf *out) must_check; /* the head for the upstream */
int message_response(struct down *d, const struct http1_head *h, enum http1_framing framing, struct buf *out) must_check;
void message_error_page(int status, bool keep_alive, bool head_method, struct buf *out);
