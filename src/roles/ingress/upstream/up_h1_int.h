/* up_h1_int.h - what up_h1.c (a connection) and up_h1_request.c (what is written on it) share. */
#pragma once

#include "codec/http1.h"
#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/http/header.h"
#include "roles/ingress/upstream/pool.h"

#define UP_HEAD_BYTES_MAX (64u << 10) /* of an answer; nginx's default would be a page (proxy_buffer_size) */

#define UP_INTERIMS_MAX 64 /* 1xx before an answer: more than that is a flood */
#define UP_TRAILER_BYTES_MAX (16u << 10)
#define UP_SPLICE_MIN_BYTES (128u << 10) /* below it the pipe costs more than the copies it saves */

enum up_state { UP_HEAD, UP_BODY, UP_TUNNEL };

struct up_h1 {
	struct pooled pooled;
	struct worker *worker;
	struct conn *conn;
	struct exchange *x; /* NULL: idle, or over */
	struct http1_body body;
	struct buf trailers;
	struct defer reap;
	char *server_name;
	unsigned requests, interims;
	uint8_t state; /* enum up_state */
	bool ready : 1, reused : 1, any_bytes : 1, keep_alive : 1, chunked : 1;
};

void up_h1_write_head(struct conn *c, struct exchange *x, bool chunked);
void up_h1_write_trailers(struct conn *c, const struct header_list *h);
void up_h1_write_proxy_header(struct conn *c, struct exchange *x);
