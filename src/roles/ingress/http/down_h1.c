/* HTTP/1 clients: reading requests. What a head says is in down_h1_head.c, writing answers in down_h1_answer.c. */
#include "roles/ingress/http/down_h1_int.h"

#include "roles/ingress/observe/metrics.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" /* RFC 9113 §3.4 */
#define TEXT_KEPT_BYTES 8192
#define FREE_REQUESTS_MAX 512 /* kept by a worker: each has up to a dozen KiB */
#define ENDED_MS 10000 /* who will send nothing more may still wait for an answer, or be gone: nginx does not wait at all */
#define UNHEEDED_MS 20 /* so late is noticed that a client, whose connection was for one request, has gone */

static const struct conn_ops h1_ops;

/* ---- memory that only a connection at work needs ---- */

static void request_acquire(struct down_h1 *d)
{
	struct worker *w = d->d.worker;

	if (list_empty(&w->free_h1)) {
		d->now = xmalloc(sizeof(*d->now));
		d->now->text = (struct buf){ 0 };
	} else {
		d->now = list_entry(w->free_h1.next, struct h1_request, link);
		list_del(&d->now->link);
		w->n_free_h1--;
	}
	struct buf text = d->now->text;
	const struct globals *g = globals_now(w->shared);
	memset(d->now, 0, offsetof(struct h1_request, table));
	d->now->text = text;
	list_init(&d->now->link);
	if (!d->now->text.ptr)
		buf_init(&d->now->text, 0);
	d->now->text.max = g->large_client_header_bytes;
	http1_head_init(&d->now->head, HTTP1_REQUEST, d->now->table, EXCHANGE_HEADERS_MAX);
	d->now->head.keep_case = true;
	worker_count(&w->n_idle_downs, -1);
}

static void request_release(struct down_h1 *d)
{
	struct h1_request *r = d->now;

	if (!r)
		return;
	d->now = NULL;
	buf_done(&r->trailers);
	if (r->text.cap > TEXT_KEPT_BYTES)
		buf_done(&r->text);
	else
		buf_clear(&r->text);
	list_append(&d->d.worker->free_h1, &r->link);
	d->d.worker->n_free_h1++;
	worker_count(&d->d.worker->n_idle_downs, 1);
}

static void pool_trim(struct worker *w, size_t max)
{
	while (w->n_free_h1 > max) {
		struct h1_request *r = list_entry(w->free_h1.next, struct h1_request, link);

		list_del(&r->link);
		w->n_free_h1--;
		buf_done(&r->text);
		free(r);
	}
}

void down_h1_pool_done(struct worker *w)
{
	pool_trim(w, 0);
}

/* ---- the end of a connection ---- */

static void unlink_down(struct down_h1 *d)
{
	struct worker *w = d->d.worker;

	d->d.closing = true;
	timer_stop(&d->timer);
	request_release(d);
	worker_count(&w->n_idle_downs, -1);
	d->d.conn = NULL;
	down_forget(&d->d);
	list_append(&w->ended_h1, &d->d.link);
	loop_defer(w->loop, &w->reap);
}

void down_h1_reap(struct worker *w)
{
	pool_trim(w, FREE_REQUESTS_MAX);
	list_for(at, tmp, &w->ended_h1) {
		list_del(at);
		free(list_entry(at, struct down_h1, d.link));
	}
}

void down_h1_next(struct down_h1 *d)
{
	d->state = H1_HEAD;
	request_release(d);
}

void down_h1_close(struct down_h1 *d)
{
	if (d->d.closing)
		return;
	conn_close(d->d.conn);
	unlink_down(d);
}

/* `unread`: the client may still be sending; closing under it would reset the answer away. */
void down_h1_finish(struct down_h1 *d, bool unread)
{
	if (d->d.closing)
		return;
	if (unread)
		conn_close_after_write(d->d.conn);
	else
		conn_finish(d->d.conn);
	unlink_down(d);
}

void down_h1_drain(struct down_conn *dc)
{
	struct down_h1 *d = container_of(dc, struct down_h1, d);

	/* Closed now, an idle connection would meet the request that is just being sent on it. The next one is told to
	 * close; only who is quiet for a while is closed without a word. */
	if (!d->x && !d->now)
		timer_start(dc->worker->loop, &d->timer, H1_DRAIN_IDLE_MS);
}

bool down_h1_close_idle(struct down_conn *dc)
{
	struct down_h1 *d = container_of(dc, struct down_h1, d);

	if (d->x || d->now || conn_pending(d->d.conn))
		return false;
	down_h1_close(d);
	return true;
}

void down_h1_close_now(struct down_conn *dc)
{
	struct down_h1 *d = container_of(dc, struct down_h1, d);

	d->aborted = true;
	if (d->x)
		exchange_down_lost(d->x);
	down_h1_close(d);
}

/* ---- a request's head ---- */

static struct exchange *exchange_for(struct down_h1 *d)
{
	struct exchange *x = exchange_new(d->d.worker);
	struct http1_head *h = &d->now->head;
	struct request *q = &x->req;

	q->authority = h->authority;
	exchange_named(x);
	x->down = d;
	x->down_ops = &down_h1_ops;
	d->x = x;
	q->peer = down_peer(&d->d, &d->now->peer);
	q->local = d->d.local;
	q->tls = conn_tls_info(d->d.conn);
	down_h1_take_line(x, h, d->d.https);
	return x;
}

/* A connection for one request is mostly over before it would matter that the client has gone. */
static void leave_unheeded(struct down_h1 *d)
{
	conn_leave_unheeded(d->d.conn);
	timer_start(d->d.worker->loop, &d->timer, UNHEEDED_MS);
}

static void start_request(struct down_h1 *d, size_t head_bytes)
{
	struct http1_head *h = &d->now->head;
	struct exchange *x = exchange_for(d);

	down_h1_take_fields(x, h, head_bytes);
	d->now->keep_alive = h->keep_alive;
	http1_body_init(&d->now->body, h->framing, h->content_length);
	buf_init(&d->now->trailers, H1_TRAILER_BYTES_MAX);
	d->now->body.trailers = &d->now->trailers;
	d->requests++;
	d->state = x->req.has_body ? H1_BODY : H1_WAIT;
	if (d->state == H1_WAIT && !d->now->keep_alive)
		leave_unheeded(d);
	exchange_begin(x);
}

static void refuse(struct down_h1 *d, int status)
{
	struct exchange *x = exchange_for(d);

	metrics_inc(d->d.worker->metrics, METRIC_BAD_REQUESTS);
	d->now->keep_alive = false;
	d->state = H1_BODY; /* what follows cannot be told from a next request */
	exchange_refuse(x, status);
}

/* A whole head usually comes at once; only one that does not has a time limit of its own. */
static void head_incomplete(struct down_h1 *d)
{
	if (!d->now->timed)
		timer_start(d->d.worker->loop, &d->timer, globals_now(d->d.worker->shared)->client_header_timeout_s * 1000ull);
	d->now->timed = true;
}

/* nginx's limit of a line, which has its place in one buffer. 0, or what to answer. */
static int long_line(const struct http1_head *h, size_t head_bytes, uint64_t max)
{
	if (head_bytes <= max)
		return 0;
	if (h->method.len + h->target.len + sizeof("  HTTP/1.1\r\n") - 1 > max)
		return 414;
	for (size_t i = 0; i < h->n_headers; i++)
		if (h->headers[i].name.len + h->headers[i].value.len + sizeof(": \r\n") - 1 > max)
			return 431;
	return 0;
}

static int refused_head(const struct down_h1 *d, size_t head_bytes)
{
	if (d->d.plain_to_tls)
		return 497;
	return long_line(&d->now->head, head_bytes, globals_now(d->d.worker->shared)->client_header_buffer_bytes);
}

/* Bytes used; 0: more are needed. */
static size_t take_head(struct down_h1 *d, const uint8_t *bytes, size_t len)
{
	struct err e;

	if (!d->now)
		request_acquire(d);
	struct h1_request *r = d->now;
	size_t look = MIN(len, r->text.max);
	buf_clear(&r->text);
	if (buf_put(&r->text, bytes, look) < 0)
		return 0;
	ssize_t n = http1_head_parse(&r->head, r->text.ptr, look, &e);
	int refused = n > 0 ? refused_head(d, (size_t)n) : 0;
	if (refused) {
		refuse(d, refused);
		return len;
	}
	if (n > 0) {
		start_request(d, (size_t)n);
		return (size_t)n;
	}
	if (n == 0 && look < r->text.max) {
		head_incomplete(d);
		return 0;
	}
	refuse(d, n < 0 && r->head.refuse_status ? r->head.refuse_status : n < 0 ? 400 : r->head.target.len ? 431 : 414);
	return len;
}

/* 1: this is HTTP/2; 0: it may be, more is needed; -1: it is not. */
static int preface(const struct down_h1 *d, const uint8_t *bytes, size_t len)
{
	if (d->requests || d->now || d->d.plain_to_tls || bytes[0] != 'P' || !globals_now(d->d.worker->shared)->http2)
		return -1;
	size_t n = MIN(len, sizeof(PREFACE) - 1);
	if (memcmp(bytes, PREFACE, n) != 0)
		return -1;
	return n == sizeof(PREFACE) - 1;
}

static void become_h2(struct down_h1 *d)
{
	struct worker *w = d->d.worker;
	struct conn *c = d->d.conn;
	bool https = d->d.https;

	struct down_conn from = d->d;

	d->d.peer = d->d.local = NULL;
	d->handed_over = true;
	unlink_down(d);
	down_h2_start(w, c, https, &from);
}

/* ---- bytes ---- */

static void body_ends_with_trailers(struct down_h1 *d, struct str data)
{
	struct exchange *x = d->x;
	struct header_list l = trailers_of(x, buf_str(&d->now->trailers));

	if (data.len)
		exchange_request_body(x, data, false);
	if (d->x == x)
		exchange_request_trailers(x, &l);
}

/* Bytes used. */
static size_t take_body(struct down_h1 *d, const uint8_t *bytes, size_t len)
{
	struct exchange *x = d->x;
	size_t used = 0;
	struct err e;

	while (used < len && !d->now->body.done) {
		struct str data = STR_NONE;
		ssize_t n = http1_body_next(&d->now->body, (const char *)bytes + used, len - used, &data, &e);
		if (n < 0) {
			d->now->keep_alive = false;
			metrics_inc(d->d.worker->metrics, METRIC_BAD_REQUESTS);
			exchange_answer_error(x, 400);
			return len;
		}
		if (n == 0)
			break;
		used += (size_t)n;
		if (d->now->body.done)
			d->state = H1_WAIT;
		if (d->now->body.done && d->now->trailers.len)
			body_ends_with_trailers(d, data);
		else if (data.len || d->now->body.done)
			exchange_request_body(x, data, d->now->body.done);
		if (d->x != x || d->d.closing)
			break;
	}
	return used;
}

/* Blank lines before a request line are forgiven (RFC 9112 §2.2). */
static size_t blank_lines(const uint8_t *bytes, size_t len)
{
	size_t n = 0;

	while (len - n >= 2 && bytes[n] == '\r' && bytes[n + 1] == '\n' && n < H1_BLANK_BYTES_MAX)
		n += 2;
	return n;
}

static size_t take(struct down_h1 *d, const uint8_t *bytes, size_t len)
{
	size_t skip;
	int is_h2;

	switch (d->state) {
	case H1_HEAD:
		if (!d->now && (skip = blank_lines(bytes, len)))
			return skip;
		is_h2 = preface(d, bytes, len);
		if (is_h2 == 1)
			become_h2(d);
		return is_h2 >= 0 ? 0 : take_head(d, bytes, len);
	case H1_BODY:
		return take_body(d, bytes, len);
	case H1_TUNNEL:
		exchange_request_body(d->x, (struct str){ (const char *)bytes, len }, false);
		return len;
	case H1_WAIT: /* the next request was sent ahead: it waits in the connection */
		conn_pause(d->d.conn);
		return 0;
	}
	return 0;
}

static size_t on_bytes(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct down_h1 *d = ctx;
	size_t used = 0;

	(void)c;
	while (!d->d.closing && used < len) {
		size_t n = take(d, bytes + used, len - used);
		if (n == 0)
			break;
		used += n;
	}
	if (d->d.closing)
		return d->handed_over ? used : len;
	return used;
}

static void on_eof(struct conn *c, void *ctx)
{
	struct down_h1 *d = ctx;

	d->client_eof = true;
	if (d->state == H1_TUNNEL)
		exchange_request_body(d->x, STR_NONE, true);
	else if (d->state == H1_BODY && d->x)
		exchange_down_lost(d->x);
	else if (d->x && !d->x->answered)
		timer_start(d->d.worker->loop, &d->timer, ENDED_MS);
	else if (d->state == H1_HEAD && conn_pending(c))
		down_h1_finish(d, false); /* its last answer was written in this very turn */
	else if (d->state == H1_HEAD)
		down_h1_close(d);
}

static void on_drained(struct conn *c, void *ctx)
{
	struct down_h1 *d = ctx;

	(void)c;
	if (d->x)
		exchange_down_drained(d->x);
}

static void on_failed(struct conn *c, void *ctx, const struct err *e)
{
	struct down_h1 *d = ctx;

	(void)c, (void)e;
	if (d->x) {
				d->failed = true;
		exchange_down_lost(d->x);
	}
	if (!d->d.closing)
		unlink_down(d);
}

static const struct conn_ops h1_ops = {
	.data = on_bytes, .eof = on_eof, .drained = on_drained, .failed = on_failed,
};

/* keep-alive: 0 is about what comes after the first answer. */
static uint64_t first_head_ms(const struct globals *g)
{
	return 1000ull * (g->keep_alive_s ? MIN(g->client_header_timeout_s, g->keep_alive_s) : g->client_header_timeout_s);
}

static void on_timeout(struct timer *t)
{
	struct down_h1 *d = t->ctx;

	if (d->x && d->client_eof && !d->x->answered) {
		exchange_down_lost(d->x);
	} else if (d->x) { /* the exchange has time-outs of its own */
		conn_heed(d->d.conn);
		timer_start(d->d.worker->loop, t, first_head_ms(globals_now(d->d.worker->shared)));
	} else if (d->now) {
		metrics_inc(d->d.worker->metrics, METRIC_CLIENT_TIMEOUTS);
		refuse(d, 408);
	} else { /* idle; but the client may still be taking the last answer */
		down_h1_finish(d, false);
	}
}

void down_h1_start(struct worker *w, struct conn *conn, bool https, struct down_conn *from)
{
	struct down_h1 *d = xcalloc(1, sizeof(*d));
	const struct globals *g = globals_now(w->shared);

	d->d = *from;
	from->peer = from->local = NULL;
	d->d.worker = w;
	d->d.conn = conn;
	d->d.https = https;
	d->timer = (struct timer){ .fire = on_timeout, .ctx = d };
	down_remember(&d->d);
	worker_count(&w->n_idle_downs, 1);
	timer_start(w->loop, &d->timer, first_head_ms(g));
	conn_set_ops(conn, &h1_ops, d);
}
