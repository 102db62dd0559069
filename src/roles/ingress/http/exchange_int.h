/* exchange_int.h - what the files behind exchange.h share: exchange.c (request and answer), attempt.c (upstreams),
 * forward.c (what the upstream is told), error_page.c.
 */
#pragma once

#include "net/conn.h"
#include "roles/ingress/http/filter.h"
#include "roles/ingress/worker.h"

/* A body that is held, for want of an upstream or for another try. nginx spools to disk; a worker has none, so what is
 * larger is streamed, and cannot be sent twice. */
#define EXCHANGE_HELD_MAX_BYTES (1u << 20)
#define READ_AHEAD_MAX_BYTES (32u << 20) /* whatever proxy-buffers-number says: each slow client may cost as much */
#define BODY_FILTERS_MAX 31
#define BODY_PACED (1u << BODY_FILTERS_MAX) /* of x->body_filters: behind all of them */
#define EXCHANGE_HOLD_BYTES (64u << 10) /* what is kept for another try; a larger client-body-buffer-size holds more first */

/* exchange.c */
void exchange_reap(struct defer *d);
void exchange_begin_named(struct defer *d);
void exchange_pool_done(struct worker *w);
/* Finds x's location; else the status of the refusal. */
int exchange_route(struct exchange *x, const struct globals *g) must_check;
void exchange_end(struct exchange *x);
size_t exchange_unread(const struct exchange *x); /* bytes of the answer that the client has not acknowledged */
void exchange_abort(struct exchange *x);
bool exchange_answer_begin(struct exchange *x) must_check;
void exchange_answer_body(struct exchange *x, struct str data, bool end);
/* To the client, as it is: behind filters and pace. */
void exchange_answer_pass(struct exchange *x, struct str data, bool end);
void exchange_answer_trailers(struct exchange *x, const struct header_list *h);
size_t exchange_read_ahead_bytes(const struct exchange *x); /* how much may wait for a slow client */

/* attempt.c */
void attempt_first(struct exchange *x); /* the request filters are through */
void attempt_next(struct exchange *x);
void attempt_drop(struct exchange *x, bool failed); /* ends the one under way, if any */
void attempt_request_body(struct exchange *x, struct str data, bool end);
void attempt_request_trailers(struct exchange *x, const struct header_list *h);
void attempt_answer_goes_on(struct exchange *x); /* a slow client has read: the upstream has its time again */
void attempt_timeout(struct timer *t);

/* forward.c */
void client_address(struct exchange *x, const struct globals *g);
int forward_rewrite(struct exchange *x) must_check; /* x->up_target by rewrite-target; -1: it has none */
struct str front_port(struct exchange *x); /* where the client went: $pass_server_port */
struct str forwarded_port(struct exchange *x, const struct globals *g); /* the same, or what a believed proxy says: X-Forwarded-Port, $pass_port */
void request_id(struct exchange *x, const struct globals *g);
int forward_head(struct exchange *x) must_check; /* up_method, up_target, up_host, up_headers */
void forward_to_default(struct exchange *x); /* what the annotation's default backend is told of a Service without endpoints */
struct header_list forward_trailers(struct exchange *x, const struct header_list *from); /* those that may go on */

/* error_page.c */
struct error_page {
	int status; /* 431 is sent as one of nginx's kinds of 400 */
	struct str body;
};
void error_page_of(struct exchange *x, int status, struct error_page *ret);
const char *status_text(int status); /* nginx's words, where they differ from the RFC's; "" when unknown */
