#include "roles/ingress/observe/explain.h"

#include "codec/http1.h"
#include "roles/ingress/filter/coding.h"
#include "roles/ingress/filter/redirect.h"
#include "roles/ingress/http/down_h1_int.h"
#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/observe/explain_int.h"

#include <limits.h>

/* A worker that serves nobody: its exchanges are neither counted nor logged. */
struct explainer {
	struct shared *real;
	struct shared shared; /* the real one, without what records */
	struct worker worker;
};

struct dry {
	json_t *doc;
	const char *filter; /* whose turn it is */
	struct location loc; /* as the real one, with pure filters only */
	struct addr peer;
};

struct explainer *explainer_new(struct shared *s)
{
	struct explainer *ex = xcalloc(1, sizeof(*ex));
	struct worker *w = &ex->worker;

	ex->real = s;
	w->shared = &ex->shared;
	w->loop = s->main_loop;
	w->number = UINT_MAX; /* its X-Request-IDs are nobody else's */
	list_init(&w->downs);
	list_init(&w->free_exchanges);
	list_init(&w->ended_exchanges);
	list_init(&w->free_h1);
	list_init(&w->ended_h1);
	w->reap.run = exchange_reap;
	return ex;
}

void explainer_free(struct explainer *ex)
{
	if (!ex)
		return;
	defer_cancel(&ex->worker.reap);
	exchange_pool_done(&ex->worker);
	coders_free(ex->worker.coders);
	free(ex);
}

/* ---- the client's side of a dry exchange: what is answered is written down ---- */
static void dry_head(struct exchange *x, const struct answer *a)
{
	struct dry *d = x->down;
	json_t *v = json_pack("{s:i, s:o}", "status", a->status, "headers", explain_headers(&a->headers));

	jx_set_str(v, "by", d->filter);
	json_object_set_new(d->doc, "answer", v);
}

static void dry_interim(struct exchange *x, int status, const struct header_list *h)
{
	(void)x, (void)status, (void)h;
}

static void dry_body(struct exchange *x, struct str data, bool end)
{
	(void)x, (void)data, (void)end;
}

static void dry_trailers(struct exchange *x, const struct header_list *h)
{
	(void)x, (void)h;
}

static void dry_nothing(struct exchange *x)
{
	(void)x;
}

static void dry_want_body(struct exchange *x, bool on)
{
	(void)x, (void)on;
}

static size_t dry_pending(const struct exchange *x)
{
	(void)x;
	return 0;
}

static struct conn *dry_conn(struct exchange *x)
{
	(void)x;
	return NULL;
}

static const struct down_ops dry_ops = {
	.interim = dry_interim, .head = dry_head, .body = dry_body, .trailers = dry_trailers, .abort = dry_nothing,
	.want_body = dry_want_body, .pending = dry_pending, .done = dry_nothing, .conn = dry_conn,
};

/* ---- the request ---- */
static int put_field(struct buf *text, struct str name, struct str value, struct err *e)
{
	if (memchr(value.ptr ? value.ptr : "", '\n', value.len) || memchr(name.ptr, '\n', name.len))
		return err_set(e, ERR_BAD_REQUEST, "a header must not have line ends");
	return buf_printf(text, STR_FMT ": " STR_FMT "\r\n", STR_ARG(name), STR_ARG(value));
}

static int put_head(const struct explain_request *r, const struct url *u, struct buf *text, struct err *e)
{
	struct str method = r->method.len ? r->method : STR("GET");
	bool host = false;

	buf_printf(text, STR_FMT " %s" STR_FMT " HTTP/1.1\r\n", STR_ARG(method), u->target.len && u->target.ptr[0] == '/' ? "" : "/",
		   STR_ARG(u->target));
	for (size_t i = 0; i < r->n_headers; i++) {
		host = host || str_ieq(r->headers[i].name, STR("host"));
		if (put_field(text, r->headers[i].name, r->headers[i].value, e) < 0)
			return -1;
	}
	if (!host && put_field(text, STR("Host"), u->authority, e) < 0)
		return -1;
	if (buf_puts(text, "\r\n") < 0 || text->overflow)
		return err_set(e, ERR_BAD_REQUEST, "the request is longer than %u bytes", EXPLAIN_HEAD_BYTES);
	return 0;
}

/* ---- its way ---- */
static const struct filter_use *pure_filters(struct exchange *x)
{
	const struct filter_use *all = x->loc->filters;
	size_t n = 0, kept = 0;

	while (all[n].filter)
		n++;
	struct filter_use *out = arena_alloc(&x->arena, (n + 1) * sizeof(*out));
	for (size_t i = 0; out && i < n; i++)
		if (all[i].filter->pure)
			out[kept++] = all[i];
	return out;
}

/* True when one of them has answered. */
static bool run_filters(struct dry *d, struct exchange *x)
{
	const struct filter_use *all = x->loc->filters, *pure = pure_filters(x);
	json_t *list = json_array();
	size_t at = 0;

	json_object_set_new(d->doc, "filters", list);
	if (!pure)
		return false;
	d->loc = *x->loc;
	d->loc.filters = (struct filter_use *)(uintptr_t)pure;
	x->loc = &d->loc;
	for (; all->filter; all++) {
		const struct filter *f = all->filter;
		enum filter_verdict verdict = FILTER_NEXT;
		json_t *v = json_pack("{s:s, s:b}", "name", f->name, "run", f->pure && f->request);

		json_array_append_new(list, v);
		if (!f->pure)
			continue;
		d->filter = f->name;
		if (f->request)
			verdict = f->request(x, &x->filter_state[at]);
		at++;
		jx_set_bool(v, "answered", verdict == FILTER_ANSWERED);
		if (verdict == FILTER_ANSWERED || x->closing)
			return true;
	}
	d->filter = NULL;
	return false;
}

static void choose(struct dry *d, struct exchange *x)
{
	bool full = false;

	x->backend = x->loc->n_canaries ? canary_choose(x, &x->canary_why) : x->loc->backend;
	explain_canary(d->doc, x);
	if (!x->backend || forward_head(x) < 0)
		return;
	explain_upstream(d->doc, x);
	struct endpoint *e = balance_pick(x, x->backend, &full);
	if (e)
		balance_undo(x, e); /* the snapshot keeps it until the turn ends */
	explain_endpoints(d->doc, x, e, full);
	if (!e && x->loc->default_backend)
		jx_set_str(d->doc, "upstream.defaultBackend", x->loc->default_backend->name);
}

static void go(struct dry *d, struct exchange *x, const struct globals *g)
{
	int status = exchange_route(x, g);

	json_object_set_new(jx_at(d->doc, "request"), "uri", explain_str(x->req.uri));
	if (x->loc) {
		explain_location(d->doc, x);
		explain_annotations(d->doc, x->loc, g);
	} else if (status == 404) {
		explain_host(d->doc, x->worker->shared, x->req.host);
	}
	d->filter = status == 404 ? "redirect" : NULL;
	if (status == 404 && redirect_unrouted(x))
		return;
	d->filter = NULL;
	if (status)
		exchange_answer_error(x, status);
	else if (!run_filters(d, x))
		choose(d, x);
}

static int client_of(struct str text, struct addr *ret, struct err *e)
{
	cleanup(freep) char *ip = str_dup(text.len ? text : STR("127.0.0.1"));

	return addr_from_ip(ip, 40000, ret, e);
}

static json_t *run(struct explainer *ex, struct http1_head *h, size_t head_bytes, const struct url *u, struct dry *d)
{
	struct exchange *x = exchange_new(&ex->worker);

	d->doc = json_pack("{s:{s:o, s:s, s:o, s:o}}", "request", "method", explain_str(h->method), "scheme", u->https ? "https" : "http",
			   "host", explain_str(h->authority), "target", explain_str(h->target));
	x->down = d;
	x->down_ops = &dry_ops;
	x->req.peer = &d->peer;
	down_h1_take_head(x, h, head_bytes, u->https);
	exchange_named(x);
	if (u->https)
		explain_certificate(d->doc, &ex->shared, u->host);
	go(d, x, globals_now(&ex->shared));
	exchange_end(x);
	return d->doc;
}

json_t *explain(struct explainer *ex, const struct explain_request *r, struct err *e)
{
	static struct http_header table[EXCHANGE_HEADERS_MAX];
	struct dry d = { 0 };
	struct http1_head h;
	struct buf text;
	struct url u;
	json_t *doc = NULL;

	if (url_parse(r->url, &u, e) < 0 || client_of(r->client, &d.peer, e) < 0)
		return NULL;
	ex->shared = *ex->real;
	ex->shared.access_log = NULL;
	ex->shared.trace = NULL;
	ex->shared.metrics = NULL;
	buf_init(&text, EXPLAIN_HEAD_BYTES);
	http1_head_init(&h, HTTP1_REQUEST, table, ARRAY_LEN(table));
	if (put_head(r, &u, &text, e) == 0) {
		ssize_t n = http1_head_parse(&h, text.ptr, text.len, e);
		if (n > 0)
			doc = run(ex, &h, (size_t)n, &u, &d);
		else if (n == 0)
			err_set(e, ERR_BAD_REQUEST, "the request is not complete");
	}
	/* The exchange ends with the turn and looks at its head no more. */
	buf_done(&text);
	return doc;
}
