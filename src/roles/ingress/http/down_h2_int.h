/* down_h2_int.h - what down_h2.c (connection), down_h2_request.c (reading) and down_h2_answer.c (writing) share.
 *
 * A struct h2_stream lives exactly as long as nghttp2's stream: from its HEADERS to on_stream_close, or to the end of the
 * connection. Its exchange may end before (the answer waits for the client's window) and then is forgotten.
 */
#pragma once

#include "base/buf.h"
#include "roles/ingress/http/down.h"
#include "roles/ingress/http/h2_guard.h"
#include "roles/ingress/http/h2_mem.h"

#include <nghttp2/nghttp2.h>

#define H2_STREAM_WINDOW_BYTES (128 << 10)   /* a usual body needs no round trip for credit */
#define H2_CONNECTION_WINDOW_BYTES (1 << 20) /* of all its streams */
/* Bodies that upstreams do not take: beyond this no credit is given to the connection as a whole. */
#define H2_HELD_MAX_BYTES (2u << 20)
/* Answers that the client does not take: beyond this every stream may have H2_OUT_LOW_BYTES only. */
#define H2_OUT_MAX_BYTES (4u << 20)
#define H2_OUT_LOW_BYTES (32u << 10)
#define H2_OUT_STREAM_MAX_BYTES (64u << 20) /* a bug's end, not a limit that back-pressure lets anyone reach */
/* The rest of a body whose request was answered already is read and dropped: told to stop (RFC 9113 §8.1), some clients,
 * curl 7.88 among them, lose the answer that came just before. */
#define H2_DROPPED_MAX_BYTES (1u << 20)
#ifndef H2_SEND_STALL_MS /* tests are in more of a hurry */
#define H2_SEND_STALL_MS 60000 /* nginx's send_timeout: a client that takes nothing of an answer for so long is gone */
#define H2_TICK_MS 5000	       /* how exactly time-outs of streams are kept */
#endif
#define H2_DRAIN_MS 1000       /* for a client that does not answer the PING between both GOAWAYs */
#define H2_ACKS_MAX 200	       /* of PING and SETTINGS, waiting for a client that does not read */
#define H2_CONTINUATIONS_MAX 8 /* of 16 KiB: more than any head that is accepted */
#define H2_HEAD_MAX_BYTES (256u << 10) /* the arena's half */
#define H2_SPARE_STREAMS 32    /* kept for the next requests of a connection */

struct h2_down {
	struct down_conn d; /* the first member: down.c knows only this */
	nghttp2_session *session;
	struct list streams; /* struct h2_stream */
	struct list drained; /* those whose exchange is to be told that there is room */
	struct list lost;    /* closed by nghttp2, their exchanges not yet told */
	struct list spare;
	struct h2_mem *mem;	  /* the worker's, referenced */
	struct h2_stream *recent; /* the one that the last frame was about */
	size_t n_streams, n_spare;
	uint64_t n_requests, quiet_since_ms, number;
	size_t held_bytes; /* of request bodies, whose credit is withheld */
	size_t out_bytes;  /* of answers, waiting for windows */
	struct h2_bucket resets, control;
	struct defer flush, reap;
	struct timer timer;
	int32_t last_id, reset_id; /* the highest stream that was opened; that we reset */
	int32_t seen_id;	   /* of the HEADERS that arrived, whatever nghttp2 thought of them */
	size_t frame_left, n_head; /* of the frame that is arriving: bytes of it still to come, and of its head so far */
	uint8_t head[9];
	bool in_nghttp2; /* inside of one of its call-backs: only submissions are allowed */
	bool closed, broken, calmed;
	uint32_t max_header_bytes;
	struct addr peer; /* for requests to point to, once the first is there */
};

struct h2_stream {
	struct list link, drained_link;
	struct h2_down *c;
	struct exchange *x; /* NULL: over */
	int32_t id;
	bool begun;	    /* the exchange has got the request's head */
	bool request_ended, head_sent, ended, deferred, above_low;
	bool reset;	    /* nothing more may be sent */
	bool upgrade;	    /* extended CONNECT */
	bool paused;	    /* want_body(false) */
	uint8_t crumbs;	    /* Cookie fields seen, up to 2 */
	int refuse;	    /* the status that the head deserves; 0: none so far */
	size_t head_bytes, n_fields;
	struct header_list trailers; /* of the request; of x->arena */
	size_t held, held_connection; /* credit not given back, to the stream and to the connection */
	size_t dropped;
	struct buf out;
	size_t out_at;
	struct str lent;    /* the bytes of a call of body(), while it lasts: sent before or instead of being copied */
	nghttp2_nv *out_trailers; /* with their texts, one allocation */
	size_t n_out_trailers;
	uint64_t moved_ms, got_ms; /* when the client last took, or gave, something */
};

/* down_h2.c */
void h2_want_flush(struct h2_down *c);
void h2_pump(struct h2_down *c);
void h2_calm(struct h2_down *c); /* ends a connection that costs too much */
void h2_stream_reset(struct h2_stream *s, uint32_t code);
struct h2_stream *h2_stream_new(struct h2_down *c, int32_t id);
/* NULL: it has ended. nghttp2 looks for it in a map, and one head has many fields. */
static inline struct h2_stream *h2_stream_of(struct h2_down *c, int32_t id)
{
	if (!c->recent || c->recent->id != id)
		c->recent = id ? nghttp2_session_get_stream_user_data(c->session, id) : NULL;
	return c->recent;
}

void h2_ping_answered(struct h2_down *c, const uint8_t data[8]);

/* down_h2_frames.c: hands the bytes to nghttp2 */
void h2_receive(struct h2_down *c, const uint8_t *bytes, size_t len);

/* down_h2_request.c */
void h2_fill_request(struct h2_stream *s, struct exchange *x);
void h2_request_callbacks(nghttp2_session_callbacks *cb);
void h2_give_credit(struct h2_stream *s);

/* down_h2_answer.c */
extern const struct down_ops down_h2_ops;
void h2_answer_callbacks(nghttp2_session_callbacks *cb);
size_t h2_out_left(const struct h2_stream *s);
void h2_out_done(struct h2_stream *s);
