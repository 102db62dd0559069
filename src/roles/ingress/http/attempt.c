/* From the request filters to an answer's head: which endpoint, how long, and whether another one is tried. */
#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/http/pace.h"

#include "roles/ingress/observe/access_log.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/upstream/up.h"

#define SEND_TIMEOUT_S 60 /* between two reads of a client: nginx's send_timeout, which ingress-nginx leaves alone */
#define STALE_MAX 2 /* kept connections found closed in a row, before a try is counted */

static void rearm(struct exchange *x, unsigned seconds)
{
	uint64_t ms = seconds * 1000ull, now = loop_now_ms(x->worker->loop);

	if (x->total_deadline_ms)
		ms = MIN(ms, x->total_deadline_ms > now ? x->total_deadline_ms - now : 1);
	timer_start(x->worker->loop, &x->timer, ms);
}

static void activity(struct exchange *x)
{
	x->slow_client = false;
	rearm(x, x->loc->set->proxy_read_timeout_s);
}

void attempt_answer_goes_on(struct exchange *x)
{
	activity(x);
}

/* ---- the end of an attempt ---- */

/* As nginx logs it: what an attempt without an answer would have been answered with. */
static int logged_status(const struct exchange *x, bool failed)
{
	if (x->head_us)
		return x->ans.status;
	return !failed ? 0 : x->last_failure == UP_TIMEOUT ? 504 : 502;
}

static void attempt_over(struct exchange *x, bool failed)
{
	struct endpoint *e = x->endpoint;
	uint64_t now = x_now_us(x);

	if (x->retrying) {
		x->retrying = false;
		balance_retry_done(x->backend);
	}
	if (!e)
		return;
	access_log_try_done(x, logged_status(x, failed));
	balance_done(x, e, failed, (x->head_us ? x->head_us : now) - x->try_us);
	x->endpoint = NULL;
	endpoint_unref(e);
}

void attempt_drop(struct exchange *x, bool failed)
{
	if (x->up)
		x->up_ops->cancel(x);
	x->up = NULL;
	attempt_over(x, failed);
}

/* ---- the start ---- */

/* Nothing to send to: the default backend, if there is one, else an error. */
static void no_endpoint(struct exchange *x, bool full)
{
	struct worker *w = x->worker;

	if (!x->n_tried && x->loc->default_backend && x->backend != x->loc->default_backend) {
		x->backend = x->loc->default_backend;
		forward_to_default(x);
		attempt_next(x);
		return;
	}
	if (x->n_tried) {
		exchange_answer_error(x, x->last_failure == UP_TIMEOUT ? 504 : 502);
		return;
	}
	metrics_inc(w->metrics, full ? METRIC_CIRCUIT_OPEN : METRIC_NO_ENDPOINT);
	exchange_answer_error(x, 503);
}

void attempt_next(struct exchange *x)
{
	bool full = false;

	if (!x->backend) {
		no_endpoint(x, false);
		return;
	}
	x->endpoint = balance_pick(x, x->backend, &full);
	if (!x->endpoint) {
		no_endpoint(x, full);
		return;
	}
	if (x->n_tried < EXCHANGE_TRIED_MAX)
		x->tried[x->n_tried] = x->endpoint->id;
	x->n_tried++;
	x->state = X_CONNECT;
	x->try_us = x_now_us(x);
	if (!x->first_try_us)
		x->first_try_us = x->try_us;
	x->connect_us = x->connected_us = x->head_us = 0;
	access_log_try(x);
	rearm(x, x->loc->set->proxy_connect_timeout_s);
	up_start(x);
}

static void want_request_body(struct exchange *x)
{
	if (x->req.expect_continue && !x->continued && !x->request_body_bytes) {
		x->continued = true;
		x->down_ops->interim(x, 100, NULL);
	}
}

/* client-body-buffer-size, as far as memory goes. */
static size_t hold_bytes(const struct exchange *x)
{
	size_t wanted = MAX(x->loc->set->client_body_buffer_bytes, (uint64_t)EXCHANGE_HOLD_BYTES);

	return MIN(wanted, (size_t)EXCHANGE_HELD_MAX_BYTES / 2); /* where hold() stops the client */
}

/* HTTP/1.0 knows no chunks, and a CGI program reads CONTENT_LENGTH bytes: a body of unknown length has to be here before its
 * head can be written. */
static bool needs_length(const struct exchange *x)
{
	return (x->loc->set->proxy_http_1_0 || x->loc->set->fastcgi) && x->req.has_body && x->req.content_length < 0;
}

/* nginx's proxy_request_buffering, as far as memory goes: an upstream is not kept waiting for a slow client, and another
 * endpoint can be tried with the same body. */
static bool waits_for_body(const struct exchange *x)
{
	const struct settings *set = x->loc->set;

	if (needs_length(x))
		return !x->request_body_done && x->held.len <= EXCHANGE_HELD_MAX_BYTES / 2;
	return x->req.has_body && !x->request_body_done && set->proxy_request_buffering && !x->req.upgrade.len &&
	       !x->req.is_grpc && x->held.len < hold_bytes(x);
}

/* From one read to the next, as nginx counts it. */
static void wait_for_client(struct exchange *x)
{
	rearm(x, globals_now(x->worker->shared)->client_body_timeout_s);
}

void attempt_first(struct exchange *x)
{
	if (waits_for_body(x)) {
		x->waiting_for_body = true;
		want_request_body(x);
		wait_for_client(x);
		return;
	}
	x->waiting_for_body = false;
	if (needs_length(x)) {
		if (!x->request_body_done) {
			exchange_answer_error(x, 411);
			return;
		}
		x->req.content_length = (int64_t)x->held.len;
	}
	x->backend = x->loc->n_canaries ? canary_choose(x, &x->canary_why) : x->loc->backend;
	if (forward_head(x) < 0) {
		exchange_answer_error(x, 500);
		return;
	}
	attempt_next(x);
}

/* ---- the request's body ---- */

static void hold(struct exchange *x, struct str data)
{
	/* The codec was told to stop at half of the maximum; what was under way fits into the other half. */
	if (buf_put_str(&x->held, data) < 0) {
		exchange_answer_error(x, 413);
		return;
	}
	if (x->held.len > EXCHANGE_HELD_MAX_BYTES / 2 && !x->request_paused) {
		x->request_paused = true;
		x->down_ops->want_body(x, false);
	}
}

static void send_body(struct exchange *x, struct str data, bool end)
{
	x->up_ops->body(x, data, end);
	if (x->closing || !x->up)
		return;
	activity(x);
	if (!end && x->up_ops->pending(x) > CONN_HIGH_WATER_BYTES && !x->request_paused) {
		x->request_paused = true;
		x->down_ops->want_body(x, false);
		rearm(x, x->loc->set->proxy_send_timeout_s);
	}
}

void attempt_request_body(struct exchange *x, struct str data, bool end)
{
	bool sending = x->up && (x->state == X_SENT || x->state == X_ANSWER || x->state == X_TUNNEL);

	if (!sending) {
		hold(x, data);
		if (x->closing || !x->waiting_for_body)
			return;
		if (waits_for_body(x))
			wait_for_client(x);
		else
			attempt_first(x);
		return;
	}
	if (x->state == X_TUNNEL && end && x->answer_done) {
		exchange_end(x);
		return;
	}
	/* Kept for another try as long as client-body-buffer-size lets it. */
	if (x->held_complete && x->state == X_SENT && x->held.len + data.len <= hold_bytes(x))
		buf_put_str(&x->held, data);
	else
		x->held_complete = false;
	send_body(x, data, end);
}

/* The end of the body, with those trailers that may be passed on. */
static void send_trailers(struct exchange *x)
{
	struct header_list passed = x->loc ? forward_trailers(x, &x->held_trailers) : (struct header_list){ 0 };

	if (passed.n)
		x->up_ops->trailers(x, &passed);
	else
		send_body(x, STR_NONE, true);
}

void attempt_request_trailers(struct exchange *x, const struct header_list *h)
{
	x->held_trailers = *h;
	if (x->up && (x->state == X_SENT || x->state == X_ANSWER))
		send_trailers(x);
	else
		attempt_request_body(x, STR_NONE, true); /* until an upstream can take them */
}

/* ---- what the codec reports ---- */

void exchange_up_ready(struct exchange *x)
{
	x->connected_us = x_now_us(x);
	x->state = X_SENT;
	activity(x);
	if (!x->req.has_body)
		return;
	want_request_body(x);
	bool trailers = x->request_body_done && x->held_trailers.n;
	if (x->held.len || x->request_body_done)
		send_body(x, buf_str(&x->held), x->request_body_done && !trailers);
	if (trailers && !x->closing && x->up)
		send_trailers(x);
	if (x->closing || !x->up)
		return;
	if (x->held.len > hold_bytes(x)) {
		x->held_complete = false;
		buf_done(&x->held);
	}
	if (x->request_paused && x->up_ops->pending(x) <= CONN_HIGH_WATER_BYTES) {
		x->request_paused = false;
		x->down_ops->want_body(x, true);
	}
}

void exchange_up_drained(struct exchange *x)
{
	activity(x);
	if (!x->request_paused)
		return;
	x->request_paused = false;
	x->down_ops->want_body(x, true);
}

void exchange_up_interim(struct exchange *x, int status, const struct header_list *h)
{
	/* Hints are not worth memory for a client that does not read them. */
	if (status == 103 && !x->answered && x->down_ops->pending(x) < CONN_LOW_WATER_BYTES)
		x->down_ops->interim(x, status, h);
}

static unsigned next_bit_of_status(int status)
{
	switch (status) {
	case 403: return NEXT_403;
	case 404: return NEXT_404;
	case 429: return NEXT_429;
	case 500: return NEXT_500;
	case 502: return NEXT_502;
	case 503: return NEXT_503;
	case 504: return NEXT_504;
	default: return 0;
	}
}

/* RFC 9110 §9.2.2 decides what may be sent twice; a user may overrule it. */
static bool may_try_again(struct exchange *x, unsigned bit, bool maybe_seen)
{
	const struct settings *set = x->loc->set;
	unsigned tries = set->next_upstream_tries ? set->next_upstream_tries : EXCHANGE_TRIED_MAX;

	if (x->answered || x->client_gone || !(set->next_upstream & bit))
		return false;
	if (x->req.has_body && !x->held_complete)
		return false;
	if (x->n_tried >= MIN(tries, (unsigned)EXCHANGE_TRIED_MAX))
		return false;
	if (set->next_upstream_timeout_s &&
	    x_now_us(x) - x->first_try_us > set->next_upstream_timeout_s * 1000000ull)
		return false;
	return !maybe_seen || x->req.idempotent || set->next_upstream & NEXT_NON_IDEMPOTENT;
}

/* True: another endpoint is being tried. False: nothing has changed. */
static bool try_again(struct exchange *x, unsigned bit, bool maybe_seen)
{
	if (!may_try_again(x, bit, maybe_seen))
		return false;
	if (!balance_retry_begin(x, x->backend)) {
		metrics_inc(x->worker->metrics, METRIC_RETRIES_DENIED);
		return false;
	}
	attempt_drop(x, true);
	x->retrying = true;
	x->ans.headers.n = 0;
	metrics_inc(x->worker->metrics, METRIC_RETRIES);
	attempt_next(x);
	return true;
}

void exchange_up_head(struct exchange *x)
{
	unsigned bit = next_bit_of_status(x->ans.status);

	x->head_us = x_now_us(x);
	balance_head(x, x->endpoint);
	activity(x);
	if (bit && try_again(x, bit, true))
		return;
	if (x->ans.status == 101 || (x->req.upgrade.len && x->ans.status / 100 == 2 && x->ans.tunnel))
		x->state = X_TUNNEL;
	x->ans.no_body = x->req.is_head || x->ans.status == 204 || x->ans.status == 304 || x->ans.no_body;
	if (x->sticky.len)
		affinity_set_cookie(x);
	if (!exchange_answer_begin(x) && !x->closing && !x->answer_own)
		attempt_drop(x, false); /* a filter makes another answer of it */
}

void exchange_up_body(struct exchange *x, struct str data, bool end)
{
	x->up_answer_bytes += data.len;
	if (x->answer_own || x->closing)
		return;
	if (!end)
		activity(x);
	exchange_answer_body(x, data, end);
}

bool exchange_may_splice(const struct exchange *x)
{
	return x->state == X_ANSWER && !x->body_filters && !x->answer_paused && x->down_ops->conn && !x->loc->set->proxy_buffering;
}

void exchange_up_moved(struct exchange *x, size_t n)
{
	x->up_answer_bytes += n;
	x->answer_body_bytes += n;
	activity(x);
}

void exchange_up_trailers(struct exchange *x, const struct header_list *h)
{
	if (x->answer_own || x->closing)
		return;
	if (x->body_filters & ~BODY_PACED)
		exchange_answer_body(x, STR_NONE, true); /* they described another body */
	else if (x->body_filters)
		pace_trailers(x, h);
	else
		exchange_answer_trailers(x, h);
}

void exchange_up_failed(struct exchange *x, enum up_failure how)
{
	static const unsigned bits[] = {
		[UP_REFUSED] = NEXT_ERROR, [UP_STALE] = NEXT_ERROR, [UP_RESET] = NEXT_ERROR,
		[UP_BAD] = NEXT_INVALID_HEADER | NEXT_ERROR, [UP_TIMEOUT] = NEXT_TIMEOUT,
	};
	/* An upstream that ends a kept connection mostly does so before it reads the request. Mostly. */
	bool maybe_seen = how != UP_REFUSED && !(how == UP_TIMEOUT && x->state == X_CONNECT);
	bool repeatable = x->req.idempotent || (x->loc && x->loc->set->next_upstream & NEXT_NON_IDEMPOTENT);

	x->up = NULL;
	x->last_failure = how;
	if (x->closing)
		return;
	if (x->answered) {
		attempt_over(x, true);
		exchange_abort(x);
		return;
	}
	if (how == UP_STALE && repeatable && x->n_stale++ < STALE_MAX && (!x->req.has_body || x->held_complete)) {
		/* Not the endpoint's fault, and no try of it: a new connection to it. */
		metrics_inc(x->worker->metrics, METRIC_UP_STALE);
		x->state = X_CONNECT;
		up_start(x);
		return;
	}
	if (try_again(x, bits[how], maybe_seen))
		return;
	attempt_over(x, true);
	exchange_answer_error(x, how == UP_TIMEOUT ? 504 : 502);
}

/* ---- time ---- */

/* The upstream is not to blame that nothing came from it: what it sent is still here. */
static bool waits_for_client(struct exchange *x)
{
	struct conn *down = x->down_ops->conn ? x->down_ops->conn(x) : NULL;

	return x->state == X_ANSWER && (x->answer_paused || (down && conn_blocked(down)) || (x->pace && pace_waits_for_client(x)));
}

/* Nor is the client, that it gets nothing: limit-rate. */
static bool waits_for_time(const struct exchange *x)
{
	return x->pace && pace_waits_for_time(x) &&
	       (!x->total_deadline_ms || loop_now_ms(x->worker->loop) < x->total_deadline_ms);
}

/* Slowly, but it does: who still reads is not cut. */
static bool client_reads(struct exchange *x)
{
	size_t before = x->unread_seen;

	x->unread_seen = exchange_unread(x);
	return !x->slow_client || x->unread_seen < before;
}

void attempt_timeout(struct timer *t)
{
	struct exchange *x = t->ctx;

	if (x->closing)
		return;
	if (x->waiting_for_body || (x->state == X_SENT && x->req.has_body && !x->request_body_done && !x->request_paused)) {
		metrics_inc(x->worker->metrics, METRIC_CLIENT_TIMEOUTS);
		exchange_answer_error(x, 408); /* the client is the one who is waited for */
	} else if (x->state == X_CONNECT || x->state == X_SENT) {
		if (x->up)
			x->up_ops->cancel(x);
		exchange_up_failed(x, UP_TIMEOUT);
	} else if (x->state == X_FILTERS) {
		exchange_answer_error(x, 504);
	} else if (waits_for_time(x)) {
		x->slow_client = false;
		rearm(x, SEND_TIMEOUT_S);
	} else if (waits_for_client(x) && client_reads(x)) {
		x->slow_client = true;
		rearm(x, SEND_TIMEOUT_S);
	} else {
		exchange_abort(x);
	}
}
