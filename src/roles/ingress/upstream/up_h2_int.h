/* up_h2_int.h - what up_h2.c (connections and the choice among them) and up_h2_stream.c (requests and answers) share.
 *
 * A struct up_stream outlives its exchange when that gives up, until nghttp2 has closed the stream; `x` is NULL then.
 */
#pragma once

#include "base/buf.h"
#include "roles/ingress/upstream/up.h"

#include <nghttp2/nghttp2.h>

#define UP_H2_STREAM_WINDOW_BYTES (256 << 10) /* what may arrive of an answer that its client does not take */
#define UP_H2_CONNECTION_WINDOW_BYTES (8 << 20)
#define UP_H2_STREAMS_MAX 256	       /* of one connection, should the peer allow more */
#define UP_H2_HEAD_MAX_BYTES (64u << 10) /* of an answer: nginx's grpc_buffer_size is one page, Envoy's limit 60 KiB */
#define UP_H2_OUT_LOW_BYTES CONN_LOW_WATER_BYTES
#define UP_H2_OUT_MAX_BYTES (64u << 20) /* a bug's end, not a limit that back-pressure lets anyone reach */

struct up_h2 {
	struct list link; /* in its pool's slot, while it takes new streams */
	struct list all_link;
	struct worker *worker;
	struct endpoint *endpoint; /* referenced */
	struct up_kind kind;	   /* server_name is our copy */
	struct conn *conn;
	nghttp2_session *session;
	struct list streams;
	struct list drained; /* those whose exchange is to be told that there is room */
	size_t n_streams;
	uint64_t n_requests, n_reads;
	struct defer flush, reap;
	struct timer timer; /* connecting, then idle */
	bool ready, closed, broken, retired;
};

struct up_stream {
	struct list link, drained_link;
	struct up_h2 *c;
	struct exchange *x; /* NULL: nobody waits for the answer any more */
	int32_t id;	    /* 0: not submitted */
	/* ended: the exchange has nothing more to send; fin: nghttp2 has got the last of it */
	bool head_got, ended, fin, deferred, above_low, paused, kept;
	int status;
	size_t head_bytes, n_fields;
	uint64_t reads_before; /* the connection's count when the request was submitted */
	struct header_list trailers;
	size_t held; /* bytes whose credit is withheld */
	struct buf out;
	size_t out_at;
	nghttp2_nv *out_trailers; /* with their texts, one allocation */
	size_t n_out_trailers;
};

/* up_h2.c */
void up_h2_want_flush(struct up_h2 *c);
void up_h2_retire(struct up_h2 *c); /* no new streams; closed when the last one has ended */

/* up_h2_stream.c */
extern const struct up_ops up_h2_ops;
void up_h2_callbacks(nghttp2_session_callbacks *cb);
struct up_stream *up_stream_new(struct up_h2 *c, struct exchange *x);
/* Sends the head, and tells the exchange that it may send the rest. */
void up_stream_submit(struct up_stream *s);
void up_stream_fail(struct up_stream *s, enum up_failure how); /* frees it */
size_t up_stream_out_left(const struct up_stream *s);
