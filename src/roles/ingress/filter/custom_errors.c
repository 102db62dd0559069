/* Error pages of the user's own (custom-http-errors): an answer with one of these statuses, the upstream's or ours, is replaced by
 * what the default backend answers at "/", whose status counts too. As ingress-nginx's `location @custom_…`.
 *
 * While its page is passed on, this filter stands where an attempt at an upstream would: back-pressure and the client's
 * going away reach it as struct up_ops. */
#include "net/conn.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/filter/told.h"
#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/http/header.h"
#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/worker.h"

#include <pthread.h>

#define PAGE_TIMEOUT_MS 60000 /* nginx's proxy_read_timeout */

/* X-Forwarded-For and X-Code are made by hand. The others' own values would speak of another request. */
static struct told_row rows[] = {
	{"X-Format", "$http_accept", 0, NULL},
	{"X-Original-URI", "$request_uri", 0, NULL},
	{"X-Namespace", "$namespace", 0, NULL},
	{"X-Ingress-Name", "$ingress_name", 0, NULL},
	{"X-Service-Name", "$service_name", 0, NULL},
	{"X-Service-Port", "$service_port", 0, NULL},
	{"X-Request-ID", "$req_id", 0, NULL},
	{"X-Forwarded-For", "$remote_addr", 0, NULL},
	{"Proxy", "", 0, NULL},
	/* they concern the page that was asked for */
	{"Content-Type", "", 0, NULL},
	{"If-None-Match", "", 0, NULL},
	{"If-Modified-Since", "", 0, NULL},
	{"If-Match", "", 0, NULL},
	{"If-Unmodified-Since", "", 0, NULL},
	{"If-Range", "", 0, NULL},
	{"Range", "", 0, NULL},
};

struct page {
	struct exchange *x;
	struct subrequest *call; /* NULL: not under way */
	int status;		 /* that was to be replaced */
	bool begun;
};

static void parse_rows(void)
{
	told_parse(rows, ARRAY_LEN(rows));
}

static bool wanted(const struct location *loc, const struct globals *g)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)g;
	if (loc->set->n_custom_http_errors == 0 || !loc->default_backend)
		return false;
	pthread_once(&once, parse_rows);
	return true;
}

static bool intercepted(const struct exchange *x)
{
	const struct settings *set = x->loc->set;

	/* What the default backend itself answers stays as it is. */
	if (x->state == X_TUNNEL || (x->backend == x->loc->default_backend && !x->answer_own))
		return false;
	if (set->disable_intercept && !x->answer_own)
		return false;
	for (size_t i = 0; i < set->n_custom_http_errors; i++)
		if ((int)set->custom_http_errors[i] == x->ans.status)
			return true;
	return false;
}

/* Of those that take requests now, in turn: pages are too few for more than that. */
static const struct endpoint *pick(struct exchange *x, struct backend *b)
{
	const struct endpoints *all = backend_endpoints(b);
	uint32_t start = __atomic_fetch_add(&b->next, 1, __ATOMIC_RELAXED);
	uint64_t now = loop_now_ms(x->worker->loop);
	const struct endpoint *second = NULL;

	for (size_t i = 0; i < all->n; i++) {
		size_t at = (start + i) % all->n;
		const struct endpoint *e = all->at[at];

		if (!all->draining[at] && __atomic_load_n(&e->health, __ATOMIC_RELAXED) != HEALTH_DOWN &&
		    __atomic_load_n(&e->ejected_until_ms, __ATOMIC_RELAXED) <= now)
			return e;
		second = e;
	}
	return second;
}

/* ---- the page, in place of an upstream ---- */

static void page_request_body(struct exchange *x, struct str data, bool end)
{
	(void)x, (void)data, (void)end;
}

static void page_request_trailers(struct exchange *x, const struct header_list *h)
{
	(void)x, (void)h;
}

static void page_want_body(struct exchange *x, bool on)
{
	struct page *p = x->up;

	if (p->call)
		subrequest_want_body(p->call, on);
}

static size_t page_pending(const struct exchange *x)
{
	(void)x;
	return 0;
}

static void page_cancel(struct exchange *x)
{
	struct page *p = x->up;

	x->up = NULL;
	subrequest_cancel(TAKE_PTR(p->call));
}

static const struct up_ops page_ops = {
	.body = page_request_body,
	.trailers = page_request_trailers,
	.want_body = page_want_body,
	.pending = page_pending,
	.cancel = page_cancel,
};

static void take_head(struct exchange *x, int status, struct http_headers headers)
{
	uint64_t length;

	x->ans.headers.n = 0;
	x->ans.status = status;
	x->ans.reason = STR_NONE;
	x->ans.content_length = -1;
	for (size_t i = 0; i < headers.n; i++) {
		enum header_id id = header_id(headers.at[i].name);

		if (id == H_LENGTH && str_to_u64(headers.at[i].value, INT64_MAX, &length))
			x->ans.content_length = (int64_t)length;
		if (id == H_OTHER || id == H_CONTENT_TYPE || id == H_REQUEST_ID)
			header_add_str(x, &x->ans.headers, x_dup(x, headers.at[i].name), x_dup(x, headers.at[i].value));
	}
	x->ans.no_body = x->req.is_head || status == 204 || status == 304 || x->ans.content_length == 0;
}

static void on_head(void *ctx, int status, struct http_headers headers)
{
	struct page *p = ctx;
	struct exchange *x = p->x;

	p->begun = true;
	x->up = p;
	x->up_ops = &page_ops;
	take_head(x, status, headers);
	/* Without a body the exchange is over now, and all of this cancelled. */
	if (!exchange_answer_begin(x) && !x->closing && x->up == p)
		page_cancel(x);
}

static void on_data(void *ctx, struct str bytes)
{
	struct page *p = ctx;

	exchange_answer_body(p->x, bytes, false);
}

static void on_done(void *ctx, const struct err *e)
{
	struct page *p = ctx;
	struct exchange *x = p->x;

	p->call = NULL;
	if (!p->begun)
		exchange_answer_error(x, p->status); /* our own page of that status */
	else if (e)
		exchange_abort(x);
	else
		exchange_answer_body(x, STR_NONE, true);
}

/* ---- the answer that is replaced ---- */

static bool ask(struct page *p, struct backend *b)
{
	static const struct subrequest_ops ops = {on_head, on_data, on_done};
	struct exchange *x = p->x;
	const struct endpoint *e = pick(x, b);
	struct told *t = e ? told_new(x) : NULL;

	if (!t)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		told_row(t, &rows[i]);
	told_set(t, STR("X-Code"), x_printf(x, "%d", p->status));
	struct subrequest_ask a = {
		.method = STR("GET"),
		.url = x_printf(x, "http://%s/", e->text),
		.host = x->req.authority,
		.headers = told_headers(t),
		.timeout_ms = PAGE_TIMEOUT_MS,
	};
	p->call = subrequest_send(worker_subrequests(x->worker), &a, &ops, p);
	return true;
}

static enum filter_verdict answer(struct exchange *x, void **state)
{
	struct page *p = *state;

	if (p) {
		/* Its own answer passes; so does one that came in between (a time-out), and then the page is not wanted. */
		if (!p->begun)
			subrequest_cancel(TAKE_PTR(p->call));
		return FILTER_NEXT;
	}
	if (!intercepted(x))
		return FILTER_NEXT;
	p = arena_alloc(&x->arena, sizeof(*p));
	if (!p)
		return FILTER_NEXT;
	*p = (struct page){.x = x, .status = x->ans.status};
	if (!ask(p, x->loc->default_backend))
		return FILTER_NEXT;
	*state = p;
	attempt_drop(x, false);
	timer_stop(&x->timer);
	x->state = X_SENT;    /* no filter that still waits may send the request on */
	x->answer_own = true; /* what is left of its body is of no use */
	return FILTER_WAIT;
}

static void done(struct exchange *x, void **state)
{
	struct page *p = *state;

	(void)x;
	if (p)
		subrequest_cancel(TAKE_PTR(p->call));
}

const struct filter filter_custom_errors = {
	.name = "custom_errors",
	.wanted = wanted,
	.answer = answer,
	.done = done,
};
