#include "roles/ingress/http/exchange_int.h"

#include "roles/ingress/filter/redirect.h"
#include "roles/ingress/http/down.h"
#include "roles/ingress/http/pace.h"
#include "roles/ingress/observe/access_log.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/observe/trace.h"

#define METHOD_BYTES_MAX 32 /* as HTTP/1 takes them; the longest registered one has 18 */
#define FREE_EXCHANGES_MAX 256 /* kept by a worker for its next requests: half a megabyte */
#define MANY_HOSTS 256 /* what belongs to fewer stays in a core's cache */
#define HELD_KEPT_BYTES 16384  /* a larger body's memory is given back at once */

/* ---- life ---- */

uint64_t x_now_us(const struct exchange *x)
{
	return loop_now_us(x->worker->loop);
}

struct exchange *exchange_new(struct worker *w)
{
	struct exchange *x;

	if (list_empty(&w->free_exchanges)) {
		x = xmalloc(sizeof(*x));
		arena_init(&x->arena, EXCHANGE_ARENA_BYTES);
		buf_init(&x->held, EXCHANGE_HELD_MAX_BYTES);
	} else {
		x = list_entry(w->free_exchanges.next, struct exchange, link);
		list_del(&x->link);
		w->n_free_exchanges--;
	}
	struct arena arena = x->arena;
	struct buf held = x->held;
	*x = (struct exchange){ .worker = w, .arena = arena, .held = held, .timer = { .fire = attempt_timeout, .ctx = x },
				.started_us = loop_now_us(w->loop), .held_complete = true };
	x->req.content_length = x->ans.content_length = -1;
	list_init(&x->link);
	list_init(&x->tries_log);
	return x;
}

static void exchange_free(struct exchange *x)
{
	arena_done(&x->arena);
	buf_done(&x->held);
	free(x);
}

/* End of the turn: what ended in it is not on anybody's stack any more. */
void exchange_reap(struct defer *d)
{
	struct worker *w = container_of(d, struct worker, reap);

	down_h1_reap(w);
	list_for(at, tmp, &w->ended_exchanges) {
		struct exchange *x = list_entry(at, struct exchange, link);
		list_del(&x->link);
		if (x->pace)
			pace_free(x);
		if (w->n_free_exchanges >= FREE_EXCHANGES_MAX) {
			exchange_free(x);
			continue;
		}
		arena_clear(&x->arena);
		if (x->held.cap > HELD_KEPT_BYTES)
			buf_done(&x->held);
		else
			buf_clear(&x->held);
		x->held.max = EXCHANGE_HELD_MAX_BYTES;
		x->held.overflow = false;
		list_append(&w->free_exchanges, &x->link);
		w->n_free_exchanges++;
	}
}

void exchange_pool_done(struct worker *w)
{
	exchange_reap(&w->reap);
	list_for(at, tmp, &w->free_exchanges) {
		list_del(at);
		exchange_free(list_entry(at, struct exchange, link));
	}
}

static void filters_done(struct exchange *x)
{
	const struct filter_use *use = x->loc ? x->loc->filters : NULL;

	if (!x->filter_state)
		return;
	for (size_t i = 0; use[i].filter; i++)
		if (use[i].filter->done)
			use[i].filter->done(x, &x->filter_state[i]);
}

/* Everything about x is over: it is counted, logged, and its connection goes on without it. */
void exchange_end(struct exchange *x)
{
	struct worker *w = x->worker;

	if (x->closing)
		return;
	x->closing = true;
	if (!list_empty(&x->link)) { /* it has not begun */
		list_del(&x->link);
		client_address(x, globals_now(w->shared));
	}
	attempt_drop(x, false);
	timer_stop(&x->timer);
	if (x->pace)
		pace_stop(x);
	x->state = X_DONE;
	x->ended_us = loop_now_us(w->loop);
	metrics_exchange_done(x);
	if (w->shared->access_log)
		access_log_exchange(x);
	trace_exchange_done(w->shared->trace, x);
	filters_done(x);
	if (x->loc)
		host_unref(x->loc->host);
	x->loc = NULL;
	x->down_ops->done(x);
	list_append(&w->ended_exchanges, &x->link);
	loop_defer(w->loop, &w->reap);
}

/* ---- the request ---- */

static int set_uri(struct exchange *x)
{
	struct buf out;
	int rc;

	if (str_eq(x->req.path, STR("*"))) {
		x->req.uri = STR("/");
		return 0;
	}
	x->req.uri = x->req.path;
	if (uri_is_normal(x->req.path))
		return 0;
	buf_init(&out, x->req.path.len + 1);
	rc = uri_normalise(x->req.path, &out);
	if (rc == 0)
		x->req.uri = x_dup(x, buf_str(&out));
	buf_done(&out);
	return x->req.uri.ptr ? rc : -1;
}

static void set_host(struct exchange *x)
{
	struct str a = x->req.authority;

	if (a.len && a.ptr[0] == '[') {
		const char *end = memchr(a.ptr, ']', a.len);
		x->req.host = (struct str){ a.ptr, end ? (size_t)(end + 1 - a.ptr) : a.len };
		return;
	}
	const char *colon = memchr(a.ptr ? a.ptr : "", ':', a.len);
	x->req.host = (struct str){ a.ptr, colon ? (size_t)(colon - a.ptr) : a.len };
}

/* The state slots of the location's filters; the body filters among them. */
static bool prepare_filters(struct exchange *x)
{
	size_t n = 0;

	x->filter_at = x->loc->filters;
	for (const struct filter_use *use = x->loc->filters; use->filter; use++, n++)
		if (use->filter->request_body && n < 32)
			x->request_filters |= 1u << n;
	if (n == 0)
		return true;
	x->filter_state = arena_alloc(&x->arena, n * sizeof(*x->filter_state));
	return x->filter_state != NULL;
}

static void run_filters(struct exchange *x)
{
	while (x->filter_at->filter) {
		const struct filter_use *use = x->filter_at++;
		if (!use->filter->request)
			continue;
		if (use->filter->request(x, &x->filter_state[use - x->loc->filters]) != FILTER_NEXT)
			return;
	}
	attempt_first(x);
}

void exchange_resume(struct exchange *x)
{
	if (!x->closing && x->state == X_FILTERS)
		run_filters(x);
}

/* As nginx: methods are case-sensitive, and who sends "get" means GET to one upstream and nothing to another. Neither is
 * "|GET" one. */
static bool method_ok(struct str m)
{
	for (size_t i = 0; i < m.len; i++)
		if (!(m.ptr[i] >= 'A' && m.ptr[i] <= 'Z') && m.ptr[i] != '-' && m.ptr[i] != '_')
			return false;
	return m.len <= METHOD_BYTES_MAX;
}

void exchange_named(struct exchange *x)
{
	set_host(x);
	x->req.host_key = routes_key(x->worker->shared->routes, x->req.host);
}

int exchange_route(struct exchange *x, const struct globals *g)
{
	const struct routes *routes = x->worker->shared->routes;

	if (!method_ok(x->req.method) || set_uri(x) < 0)
		return 400;
	if (str_eq(x->req.method, STR("TRACE")))
		return 405; /* it would show a page's scripts what browsers hide from them; nginx has none, either */
	client_address(x, g);
	request_id(x, g);
	if (!__atomic_load_n(&x->worker->shared->synced, __ATOMIC_ACQUIRE))
		return 503;
	x->loc = routes_match_key(routes, x->req.host_key, x->req.host, x->req.uri);
	if (!x->loc)
		return 404;
	metrics_fetch_slot(x);
	if (x->loc->set->denied)
		return 503;
	uint64_t limit = x->loc->set->proxy_body_size_bytes;
	if (limit && x->req.content_length > 0 && (uint64_t)x->req.content_length > limit)
		return 413;
	return prepare_filters(x) ? 0 : 500;
}

/* Load balancers of clouds ask the port itself whether it serves: ingress-nginx answers for names that nobody has, and ahead of
 * a default backend. */
static bool is_health_check(struct exchange *x, int status)
{
	static const char path[] = "/healthz";

	if (!str_eq(x->req.uri, STR(path)) || (status && status != 404 && !x->loc))
		return false;
	if (x->loc)
		return !x->loc->rule_host[0] && !x->loc->regex && strlen(x->loc->path) < strlen(path);
	struct host *h = routes_host(x->worker->shared->routes, x->req.host);
	bool nobody = !h || !h->name[0];
	host_unref(h);
	return nobody;
}

static void begin(struct exchange *x)
{
	int status = exchange_route(x, globals_now(x->worker->shared));

	if (is_health_check(x, status)) {
		x->unlogged = true;
		exchange_answer(x, 200, STR("text/plain"), STR(""));
		return;
	}
	if (status == 404 && redirect_unrouted(x))
		return;
	if (status) {
		exchange_answer_error(x, status);
		return;
	}
	if (x->loc->set->request_timeout_s)
		x->total_deadline_ms = loop_now_ms(x->worker->loop) + x->loc->set->request_timeout_s * 1000ull;
	run_filters(x);
}

/* With many hosts what a request needs of its own is in no cache, and the worker would wait for memory several times, each
 * time longer than all its work on the request takes. So the requests that came in one turn are taken together: memory is asked
 * for what each needs next while the others have theirs. */
void exchange_begin_named(struct defer *d)
{
	struct worker *w = container_of(d, struct worker, begin);
	struct exchange *before = NULL;

	list_for(at, tmp, &w->named_exchanges)
		routes_fetch(w->shared->routes, list_entry(at, struct exchange, link)->req.host_key);
	while (!list_empty(&w->named_exchanges)) {
		struct exchange *x = list_entry(w->named_exchanges.next, struct exchange, link);
		list_del(&x->link);
		begin(x);
		if (before)
			metrics_fetch_cell(before);
		before = x;
	}
	if (before)
		metrics_fetch_cell(before);
}

void exchange_begin(struct exchange *x)
{
	struct worker *w = x->worker;

	if (x->req.has_body || routes_host_count(w->shared->routes) < MANY_HOSTS) {
		begin(x);
		return;
	}
	list_append(&w->named_exchanges, &x->link);
	loop_defer(w->loop, &w->begin);
}

void exchange_refuse(struct exchange *x, int status)
{
	set_host(x);
	client_address(x, globals_now(x->worker->shared));
	exchange_answer_error(x, status);
}

static bool filter_request_body(struct exchange *x, struct str *data, bool end)
{
	const struct filter_use *use = x->loc->filters;

	for (size_t i = 0; use[i].filter; i++)
		if (x->request_filters & 1u << i &&
		    use[i].filter->request_body(x, &x->filter_state[i], data, end) != FILTER_NEXT)
			return false;
	return true;
}

void exchange_request_body(struct exchange *x, struct str data, bool end)
{
	if (x->closing || x->answer_own)
		return; /* it was answered already: the rest is of no use */
	x->request_body_bytes += data.len;
	x->req.bytes += data.len;
	x->request_body_done = end;
	if (x->state != X_TUNNEL) {
		uint64_t limit = x->loc->set->proxy_body_size_bytes;
		if (limit && x->request_body_bytes > limit) {
			x->request_body_done = false;
			exchange_answer_error(x, 413);
			return;
		}
		if (x->request_filters && !filter_request_body(x, &data, end))
			return;
	}
	attempt_request_body(x, data, end);
}

void exchange_request_trailers(struct exchange *x, const struct header_list *h)
{
	if (x->closing || x->answer_own)
		return;
	x->request_body_done = true;
	/* The body has ended: filters that hold some of it back give it out now. */
	struct str rest = STR("");
	if (x->state != X_TUNNEL && x->request_filters) {
		if (!filter_request_body(x, &rest, true))
			return;
		if (rest.len)
			attempt_request_body(x, rest, false);
	}
	attempt_request_trailers(x, h);
}

void exchange_down_lost(struct exchange *x)
{
	x->client_gone = true;
	metrics_inc(x->worker->metrics, METRIC_CLIENT_ABORTS);
	exchange_end(x);
}

/* ---- the answer ---- */

/* In the reverse order of requests. False: a filter has replaced the answer, or will. */
static bool run_answer_filters(struct exchange *x)
{
	const struct filter_use *use = x->loc ? x->loc->filters : NULL;
	size_t n = 0;

	x->body_filters = 0;
	if (!x->filter_state)
		return true;
	while (use[n].filter)
		n++;
	while (n-- > 0) {
		const struct filter *f = use[n].filter;
		if (f->answer && f->answer(x, &x->filter_state[n]) != FILTER_NEXT)
			return false;
		if (n < BODY_FILTERS_MAX && f->body_wanted && !x->ans.no_body && f->body_wanted(x, &x->filter_state[n]))
			x->body_filters |= 1u << n;
	}
	return true;
}

/* Passes x->ans on. False: it was replaced, or x has ended. */
bool exchange_answer_begin(struct exchange *x)
{
	if (!run_answer_filters(x))
		return false;
	x->answered = true;
	if (x->state != X_TUNNEL)
		x->state = X_ANSWER;
	if (x->ans.no_body)
		x->answer_done = true;
	header_add_date(x, &x->ans.headers); /* RFC 9110 §6.6.1: whoever passes an answer on adds what is missing */
	x->down_ops->head(x, &x->ans);
	if (x->closing)
		return false;
	if (x->ans.no_body)
		exchange_end(x);
	return !x->ans.no_body;
}

/* Through the filters that change bodies, in the reverse order of requests. */
static int filter_body(struct exchange *x, struct str *data, bool end)
{
	const struct filter_use *use = x->loc->filters;

	for (int i = BODY_FILTERS_MAX - 1; i >= 0; i--) {
		struct str out = STR_NONE;
		if (!(x->body_filters & 1u << i))
			continue;
		if (use[i].filter->body(x, &x->filter_state[i], *data, end, &out) < 0)
			return -1;
		*data = out;
	}
	return 0;
}

/* Before the upstream has to wait, too (proxy-buffering). */
size_t exchange_read_ahead_bytes(const struct exchange *x)
{
	const struct settings *set = x->loc ? x->loc->set : NULL;

	if (!set || !set->proxy_buffering)
		return CONN_HIGH_WATER_BYTES;
	return MAX(CONN_HIGH_WATER_BYTES, MIN(set->proxy_buffer_bytes * set->proxy_buffers_number, READ_AHEAD_MAX_BYTES));
}

void exchange_answer_pass(struct exchange *x, struct str data, bool end)
{
	x->answer_body_bytes += data.len;
	if (data.len || end)
		x->down_ops->body(x, data, end);
	if (!end || x->closing)
		return;
	x->answer_done = true;
	if (x->state != X_TUNNEL || x->request_body_done)
		exchange_end(x);
}

void exchange_answer_trailers(struct exchange *x, const struct header_list *h)
{
	x->answer_done = true;
	x->down_ops->trailers(x, h);
	if (!x->closing)
		exchange_end(x);
}

void exchange_answer_body(struct exchange *x, struct str data, bool end)
{
	if (x->body_filters && filter_body(x, &data, end) < 0) {
		exchange_abort(x);
		return;
	}
	if (x->body_filters & BODY_PACED) {
		pace_body(x, data, end);
		return;
	}
	exchange_answer_pass(x, data, end);
	if (!end && !x->closing && x->up && x->down_ops->pending(x) > exchange_read_ahead_bytes(x)) {
		x->answer_paused = true;
		x->unread_seen = exchange_unread(x);
		x->up_ops->want_body(x, false);
	}
}

size_t exchange_unread(const struct exchange *x)
{
	return (x->down_ops->unread ? x->down_ops->unread : x->down_ops->pending)(x);
}

void exchange_down_drained(struct exchange *x)
{
	if (x->body_filters & BODY_PACED) {
		pace_drained(x);
		return;
	}
	if (!x->answer_paused || !x->up)
		return;
	x->answer_paused = false;
	if (x->state == X_ANSWER)
		attempt_answer_goes_on(x);
	x->up_ops->want_body(x, true);
}

/* Half an answer has gone out and the rest will not come: only a cut tells the client so. */
void exchange_abort(struct exchange *x)
{
	if (x->closing)
		return;
	x->down_ops->abort(x);
	exchange_end(x);
}

static bool bodiless(const struct exchange *x, int status)
{
	return x->req.is_head || status == 204 || status == 304;
}

void exchange_answer(struct exchange *x, int status, struct str content_type, struct str body)
{
	attempt_drop(x, false);
	if (x->answered) {
		exchange_abort(x);
		return;
	}
	x->answer_own = true;
	x->ans.status = status;
	x->ans.reason = STR_NONE;
	x->ans.content_length = (int64_t)body.len;
	x->ans.no_body = bodiless(x, status) || body.len == 0;
	if (content_type.len)
		header_add(x, &x->ans.headers, "Content-Type", content_type);
	if (exchange_answer_begin(x))
		exchange_answer_body(x, body, true);
}

void exchange_answer_error(struct exchange *x, int status)
{
	struct error_page page;

	if (x->closing)
		return;
	error_page_of(x, status, &page);
	x->ans.headers.n = 0;
	exchange_answer(x, page.status, STR("text/html"), page.body);
}

void exchange_redirect(struct exchange *x, int status, struct str location)
{
	header_add(x, &x->ans.headers, "Location", location);
	struct error_page page;
	error_page_of(x, status, &page);
	exchange_answer(x, status, STR("text/html"), page.body);
}
