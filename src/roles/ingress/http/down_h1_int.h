/* down_h1_int.h - what down_h1.c (requests), down_h1_head.c (their heads) and down_h1_answer.c (answers) share. */
#pragma once

#include "codec/http1.h"
#include "roles/ingress/http/down.h"
#include "roles/ingress/http/exchange_int.h"

#define H1_TRAILER_BYTES_MAX (16u << 10)
#define H1_DRAIN_IDLE_MS 5000
#define H1_BLANK_BYTES_MAX 8 /* some old clients send a CRLF behind a body */

enum h1_state {
	H1_HEAD,   /* between requests, or in a head */
	H1_BODY,   /* in a request's body */
	H1_WAIT,   /* the request is complete, its answer is not */
	H1_TUNNEL,
};

/* What is needed only while there is a request: an idle connection does without it. */
struct h1_request {
	struct list link;
	struct buf text; /* `head` points into it */
	struct buf trailers;
	struct http1_head head;
	struct http1_body body;
	struct addr peer;
	bool keep_alive, timed, out_chunked;
	struct http_header table[EXCHANGE_HEADERS_MAX]; /* last: it is not cleared */
};

struct down_h1 {
	struct down_conn d;
	struct timer timer;
	struct h1_request *now;
	struct exchange *x;
	unsigned requests;
	uint8_t state; /* enum h1_state */
	bool client_eof : 1, failed : 1, aborted : 1, handed_over : 1;
};

extern const struct down_ops down_h1_ops;
/* down_h1_head.c: a parsed head becomes x->req, first its line and its name, then the rest; or both for `portico explain`,
 * which has the head but no connection. */
void down_h1_take_line(struct exchange *x, const struct http1_head *h, bool https);
void down_h1_take_fields(struct exchange *x, struct http1_head *h, size_t head_bytes);
void down_h1_take_head(struct exchange *x, struct http1_head *h, size_t head_bytes, bool https);
void down_h1_close(struct down_h1 *d);
void down_h1_next(struct down_h1 *d); /* the connection is idle again */
void down_h1_finish(struct down_h1 *d, bool unread);
