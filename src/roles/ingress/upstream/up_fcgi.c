/* FastCGI to an endpoint: a connection for each request, as nginx without fastcgi_keep_conn. */
#include "roles/ingress/upstream/up_fcgi_int.h"

#include "base/log.h"
#include "codec/cgi_head.h"
#include "codec/fcgi.h"
#include "roles/ingress/http/header.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/upstream/up_h1_int.h"

#define PARAMS_BYTES_MAX (256u << 10) /* nginx takes 64 KiB: more than the heads that our own limits let pass */
#define STDERR_LINES_PER_S_MAX 10     /* of a worker: a program that warns in a loop must not fill a disk */
#define STDERR_LINE_BYTES_MAX 1024

struct up_fcgi {
	struct worker *worker;
	struct conn *conn;
	struct exchange *x; /* NULL: over */
	struct endpoint *endpoint;
	struct fcgi_reader in;
	struct buf head;
	size_t head_seen;
	int64_t left; /* of Content-Length; -1: not said */
	struct defer reap;
	uint8_t state; /* enum up_state */
	bool ready;
};

/* ---- life ---- */

static void fcgi_reap(struct defer *d)
{
	struct up_fcgi *u = container_of(d, struct up_fcgi, reap);

	endpoint_unref(u->endpoint);
	buf_done(&u->head);
	free(u);
}

/* x goes on without the connection, which ends. */
static struct exchange *detach(struct up_fcgi *u)
{
	struct exchange *x = u->x;

	u->x = NULL;
	x->up = NULL;
	conn_close(u->conn);
	u->conn = NULL;
	loop_defer(u->worker->loop, &u->reap);
	return x;
}

static void lost(struct up_fcgi *u, enum up_failure how)
{
	exchange_up_failed(detach(u), how);
}

/* ---- what the program complains of ---- */

static struct str trim_end(struct str s)
{
	while (s.len && strchr("\r\n. ", s.ptr[s.len - 1]))
		s.len--;
	return s;
}

/* nginx logs it as an error, as it comes. */
static void tell_stderr(const struct up_fcgi *u, struct str text)
{
	static _Thread_local struct {
		uint64_t second, lost;
		unsigned lines;
	} told;
	const struct location *loc = u->x->loc;
	uint64_t now = loop_now_ms(u->worker->loop) / 1000;

	metrics_inc(u->worker->metrics, METRIC_FCGI_STDERR);
	if (told.second != now) {
		if (told.lost)
			log_warn("fastcgi stderr: %llu more messages were not logged", (unsigned long long)told.lost);
		told.second = now;
		told.lines = 0;
		told.lost = 0;
	}
	if (told.lines++ >= STDERR_LINES_PER_S_MAX) {
		told.lost++;
		return;
	}
	text = trim_end(text);
	text.len = MIN(text.len, (size_t)STDERR_LINE_BYTES_MAX);
	log_warn("fastcgi stderr endpoint=%s ingress=%s/%s: " STR_FMT, u->endpoint->text, loc->ns, loc->ingress, STR_ARG(text));
}

/* ---- the answer ---- */

static bool take_headers(struct exchange *x, const struct cgi_head *h)
{
	struct header_list *l = &x->ans.headers;

	l->cap = h->n_headers + 8; /* room for what filters add */
	l->n = 0;
	l->at = arena_alloc(&x->arena, l->cap * sizeof(*l->at));
	for (size_t i = 0; l->at && i < h->n_headers; i++)
		switch (header_id(h->headers[i].name)) {
		case H_HOP: case H_CONNECTION: case H_UPGRADE:
			continue;
		default:
			l->at[l->n++] = h->headers[i];
		}
	return l->at;
}

static int start_answer(struct up_fcgi *u, size_t head_bytes)
{
	static _Thread_local struct http_header table[EXCHANGE_HEADERS_MAX];
	struct exchange *x = u->x;
	char *own = arena_strndup(&x->arena, u->head.ptr, head_bytes);
	struct cgi_head h;
	struct err e;

	buf_done(&u->head);
	if (!own || cgi_head_parse(&h, own, head_bytes, table, EXCHANGE_HEADERS_MAX, &e) < 0 || !take_headers(x, &h))
		return -1;
	x->ans.status = h.status;
	x->ans.reason = h.reason;
	x->ans.content_length = u->left = h.has_length ? (int64_t)h.content_length : -1;
	x->ans.no_body = x->req.is_head || h.status == 204 || h.status == 304;
	if (x->ans.no_body && !x->req.is_head)
		x->ans.content_length = -1;
	u->state = UP_BODY;
	return 0;
}

static void complete(struct up_fcgi *u)
{
	if (u->left > 0)
		lost(u, UP_RESET);
	else
		exchange_up_body(detach(u), STR_NONE, true);
}

/* After the last byte that Content-Length spoke of the program may go on with its work, until it ends its request. */
static void take_body(struct up_fcgi *u, struct str data)
{
	if (u->left < 0 || data.len <= (uint64_t)u->left) {
		u->left -= u->left < 0 ? 0 : (int64_t)data.len;
		exchange_up_body(u->x, data, false);
		return;
	}
	data.len = (size_t)u->left;
	exchange_up_body(detach(u), data, true);
}

/* -1: no CGI. */
static int take_head(struct up_fcgi *u, struct str data)
{
	struct exchange *x = u->x;
	size_t before = u->head.len, fits = MIN(data.len, UP_HEAD_BYTES_MAX - before);

	if (buf_put(&u->head, data.ptr, fits) < 0)
		return -1;
	size_t end = cgi_head_end(u->head.ptr, u->head.len, &u->head_seen);
	if (!end)
		return u->head.len == UP_HEAD_BYTES_MAX ? -1 : 0;
	if (start_answer(u, end) < 0)
		return -1;
	struct str rest = { data.ptr + (end - before), data.len - (end - before) };
	if (x->ans.no_body)
		detach(u);
	exchange_up_head(x);
	if (u->x && rest.len)
		take_body(u, rest);
	return 0;
}

static int take_stdout(struct up_fcgi *u, const struct fcgi_piece *p)
{
	if (u->state == UP_HEAD)
		return p->end ? -1 : take_head(u, p->data);
	if (p->end)
		complete(u);
	else
		take_body(u, p->data);
	return 0;
}

/* A program that is overloaded, or cannot do it at all, has not begun: another one may. */
static int take_end(struct up_fcgi *u, const struct fcgi_piece *p)
{
	if (p->status > FCGI_UNKNOWN_ROLE)
		return -1;
	if (u->state == UP_HEAD && p->status == FCGI_REQUEST_COMPLETE)
		return -1;
	if (u->state == UP_HEAD)
		lost(u, UP_REFUSED);
	else if (p->status == FCGI_REQUEST_COMPLETE || u->left == 0)
		complete(u);
	else
		lost(u, UP_RESET);
	return 0;
}

static int take_piece(struct up_fcgi *u, const struct fcgi_piece *p)
{
	switch (p->type) {
	case FCGI_STDOUT:
		return take_stdout(u, p);
	case FCGI_END_REQUEST:
		return take_end(u, p);
	case FCGI_STDERR:
		if (p->data.len)
			tell_stderr(u, p->data);
		exchange_up_moved(u->x, 0); /* it is alive */
		return 0;
	default:
		return 0;
	}
}

static size_t on_bytes(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct up_fcgi *u = ctx;
	struct fcgi_piece piece;
	size_t used = 0;
	struct err e;

	(void)c;
	while (u->x && used < len) {
		ssize_t n = fcgi_next(&u->in, bytes + used, len - used, &piece, &e);
		if (n == 0)
			break;
		if (n > 0)
			used += (size_t)n;
		if (n < 0 || take_piece(u, &piece) < 0)
			lost(u, UP_BAD);
	}
	return u->x ? used : len;
}

static void on_eof(struct conn *c, void *ctx)
{
	struct up_fcgi *u = ctx;

	(void)c;
	if (u->x && u->state == UP_BODY && u->left == 0)
		complete(u);
	else if (u->x)
		lost(u, UP_RESET);
}

static void on_failed(struct conn *c, void *ctx, const struct err *e)
{
	struct up_fcgi *u = ctx;
	struct exchange *x = u->x;

	(void)c;
	if (!u->ready)
		metrics_inc(u->worker->metrics, METRIC_UP_CONNECT_FAILURES);
	u->x = NULL;
	u->conn = NULL;
	loop_defer(u->worker->loop, &u->reap);
	x->up = NULL;
	exchange_up_failed(x, e->reason == ERR_TIMEOUT ? UP_TIMEOUT : u->ready ? UP_RESET : UP_REFUSED);
}

static void on_ready(struct conn *c, void *ctx)
{
	struct up_fcgi *u = ctx;

	(void)c;
	u->ready = true;
	exchange_up_ready(u->x);
}

static void on_drained(struct conn *c, void *ctx)
{
	struct up_fcgi *u = ctx;

	(void)c;
	exchange_up_drained(u->x);
}

static const struct conn_ops fcgi_conn_ops = {
	.ready = on_ready, .data = on_bytes, .eof = on_eof, .drained = on_drained, .failed = on_failed,
};

/* ---- what the exchange asks for ---- */

static void write_stdin(struct conn *c, struct str data)
{
	uint8_t *to = (uint8_t *)conn_reserve(c, FCGI_HEADER_BYTES + data.len);

	fcgi_header(to, FCGI_STDIN, data.len);
	if (data.len)
		memcpy(to + FCGI_HEADER_BYTES, data.ptr, data.len);
	conn_commit(c, FCGI_HEADER_BYTES + data.len);
}

static void fcgi_body(struct exchange *x, struct str data, bool end)
{
	struct up_fcgi *u = x->up;

	while (data.len) {
		size_t n = MIN(data.len, (size_t)FCGI_BODY_RECORD_BYTES_MAX);
		write_stdin(u->conn, (struct str){ data.ptr, n });
		data = (struct str){ data.ptr + n, data.len - n };
	}
	if (end)
		write_stdin(u->conn, STR_NONE);
}

/* CGI has no place for them. */
static void fcgi_trailers(struct exchange *x, const struct header_list *h)
{
	(void)h;
	fcgi_body(x, STR_NONE, true);
}

static void fcgi_want_body(struct exchange *x, bool on)
{
	struct up_fcgi *u = x->up;

	(on ? conn_resume : conn_pause)(u->conn);
}

static size_t fcgi_pending(const struct exchange *x)
{
	const struct up_fcgi *u = x->up;

	return conn_pending(u->conn);
}

static void fcgi_cancel(struct exchange *x)
{
	detach(x->up);
}

static const struct up_ops up_fcgi_ops = {
	.body = fcgi_body, .trailers = fcgi_trailers, .want_body = fcgi_want_body, .pending = fcgi_pending, .cancel = fcgi_cancel,
};

/* ---- the start ---- */

static int put_param(void *ctx, struct str name, struct str value)
{
	return fcgi_params_put(ctx, name, value);
}

/* The request up to its body. */
static int write_request(struct exchange *x, struct buf *out)
{
	struct fcgi_params p;

	if (fcgi_begin(out) < 0 || fcgi_params_begin(&p, out) < 0 || up_fcgi_params(x, put_param, &p) < 0)
		return -1;
	return fcgi_params_end(&p);
}

static struct up_fcgi *connect_new(struct exchange *x)
{
	struct up_fcgi *u = xcalloc(1, sizeof(*u));
	struct err e;

	u->worker = x->worker;
	u->state = UP_HEAD;
	u->reap.run = fcgi_reap;
	u->endpoint = endpoint_ref(x->endpoint);
	buf_init(&u->head, UP_HEAD_BYTES_MAX);
	u->conn = conn_connect(x->worker->loop, &x->endpoint->addr, NULL, NULL, &fcgi_conn_ops, u, &e);
	metrics_inc(x->worker->metrics, METRIC_UP_CONNECTS);
	if (u->conn)
		return u;
	metrics_inc(x->worker->metrics, METRIC_UP_CONNECT_FAILURES);
	loop_defer(x->worker->loop, &u->reap);
	return NULL;
}

void up_fcgi_start(struct exchange *x, const struct up_kind *kind)
{
	struct up_fcgi *u;
	struct buf request;

	buf_init(&request, PARAMS_BYTES_MAX);
	if (write_request(x, &request) < 0) {
		buf_done(&request);
		exchange_answer_error(x, 500); /* as nginx: it would be too long anywhere */
		return;
	}
	u = connect_new(x);
	if (u) {
		u->x = x;
		x->up = u;
		x->up_ops = &up_fcgi_ops;
		if (kind->proxy_protocol)
			up_h1_write_proxy_header(u->conn, x);
		conn_write(u->conn, request.ptr, request.len);
		if (!x->req.has_body)
			write_stdin(u->conn, STR_NONE);
	}
	buf_done(&request);
	if (!u)
		exchange_up_failed(x, UP_REFUSED);
}
