#include "roles/ingress/http/subrequest.h"

#include "roles/ingress/http/origin.h"
#include "roles/ingress/worker.h"

#include <errno.h>

#define TRIES_MAX 3
#define METHOD_BYTES 32
#define TARGET_BYTES_MAX (32u << 10) /* what servers take as a request line */

struct subrequest {
	struct list link; /* in the set's open, or among those that wait for their origin's name */
	struct subrequests *set;
	struct origin *origin;
	struct target *target;
	struct subrequest_ask ask;
	const struct subrequest_ops *ops;
	void *ctx;
	struct http_call *call;
	char method[METHOD_BYTES];
	char *path;
	uint64_t body_bytes;
	unsigned tries;
	bool headed, unwanted, ended;
	struct timer timer; /* of all of it */
	struct defer fail, reap;
	struct err error;
};

struct subrequests *subrequests_new(struct loop *l)
{
	struct subrequests *s = xcalloc(1, sizeof(*s));

	s->loop = l;
	list_init(&s->origins);
	list_init(&s->open);
	map_init(&s->by_key);
	return s;
}

struct subrequests *worker_subrequests(struct worker *w)
{
	if (!w->subrequests)
		w->subrequests = subrequests_new(w->loop);
	return w->subrequests;
}

size_t subrequests_open(const struct subrequests *s)
{
	return s ? s->n_open : 0;
}

static void reap(struct defer *d)
{
	struct subrequest *r = container_of(d, struct subrequest, reap);

	free(r->path);
	free(r);
}

/* Out of every list and timer; the memory goes at the end of the turn, as callers may stand on it. */
static void end(struct subrequest *r)
{
	r->ended = true;
	list_del(&r->link);
	timer_stop(&r->timer);
	defer_cancel(&r->fail);
	http_call_cancel(TAKE_PTR(r->call));
	if (r->origin)
		r->origin->n_open--;
	r->set->n_open--;
	loop_defer(r->set->loop, &r->reap);
}

static void finish(struct subrequest *r, const struct err *e)
{
	if (r->ended)
		return;
	end(r);
	r->ops->done(r->ctx, e);
}

void subrequest_cancel(struct subrequest *r)
{
	if (r && !r->ended)
		end(r);
}

void subrequests_free(struct subrequests *s)
{
	if (!s)
		return;
	while (!list_empty(&s->open))
		end(list_entry(s->open.next, struct subrequest, link));
	list_for(n, tmp, &s->origins)
	{
		struct origin *o = list_entry(n, struct origin, link);

		while (!list_empty(&o->waiting))
			end(list_entry(o->waiting.next, struct subrequest, link));
		origin_free(o);
	}
	map_done(&s->by_key, NULL);
	free(s);
}

/* ---- the call ---- */

static void start(struct subrequest *r);

static void on_response(void *ctx, int status, struct http_headers headers)
{
	struct subrequest *r = ctx;

	r->headed = true;
	if (r->ops->head)
		r->ops->head(r->ctx, status, headers);
}

static void on_data(void *ctx, struct str bytes)
{
	struct subrequest *r = ctx;
	struct err e;

	r->body_bytes += bytes.len;
	if (r->ask.answer_body_max && r->body_bytes > r->ask.answer_body_max) {
		err_set(&e, ERR_TOO_LARGE, "the answer is longer than %llu bytes",
			(unsigned long long)r->ask.answer_body_max);
		finish(r, &e);
	} else if (r->ops->data) {
		r->ops->data(r->ctx, bytes);
	}
}

/* Whether the server can have seen nothing of it, or does not mind to see it twice. */
static bool may_try_again(const struct subrequest *r, const struct err *e)
{
	static const char *const safe[] = {"GET", "HEAD", "OPTIONS"};

	if (r->headed || r->tries >= TRIES_MAX)
		return false;
	if (e->sys_errno == ECONNREFUSED || e->sys_errno == EHOSTUNREACH || e->sys_errno == ENETUNREACH)
		return r->origin->n_targets > 1;
	for (size_t i = 0; i < ARRAY_LEN(safe); i++)
		if (strcmp(r->method, safe[i]) == 0)
			return r->ask.body.len == 0;
	return false;
}

static void on_done(void *ctx, const struct err *e, struct http_headers trailers)
{
	struct subrequest *r = ctx;

	(void)trailers;
	r->call = NULL;
	if (!e) {
		r->target->bad_until_ms = 0;
		finish(r, NULL);
		return;
	}
	if (!r->headed)
		target_failed(r->origin, r->target);
	if (may_try_again(r, e))
		start(r);
	else
		finish(r, e);
}

static const struct http_call_ops call_ops = {on_response, on_data, on_done};

static void start(struct subrequest *r)
{
	const struct subrequest_ask *a = &r->ask;
	struct http_call_request q = {.method = r->method,
				      .path = r->path,
				      .headers = a->headers.at,
				      .n_headers = a->headers.n,
				      .host = a->host,
				      .body = a->body};

	r->tries++;
	r->target = origin_pick(r->origin, r->target);
	r->call = http_client_send(r->target->client, &q, &call_ops, r);
	if (r->unwanted)
		http_call_want_body(r->call, false);
}

/* The origin's name is known, or not: all who waited go on. */
static void on_resolved(struct origin *o, const struct err *e)
{
	struct list waiting;

	list_init(&waiting);
	list_for(n, tmp, &o->waiting)
	{
		list_del(n);
		list_append(&waiting, n);
	}
	while (!list_empty(&waiting)) {
		struct subrequest *r = list_entry(waiting.next, struct subrequest, link);

		if (e) {
			finish(r, e);
			continue;
		}
		list_del(&r->link);
		list_append(&r->set->open, &r->link);
		start(r);
	}
}

/* ---- what is asked ---- */

static void on_timeout(struct timer *t)
{
	struct subrequest *r = t->ctx;
	struct err e;

	err_set(&e, ERR_TIMEOUT, "no answer in time");
	finish(r, &e);
}

static void on_fail(struct defer *d)
{
	struct subrequest *r = container_of(d, struct subrequest, fail);
	struct err e = r->error;

	finish(r, &e);
}

static int take_method(struct subrequest *r, struct err *e)
{
	struct str m = r->ask.method;

	if (m.len == 0 || m.len >= sizeof(r->method))
		return err_set(e, ERR_INVALID, "no method");
	for (size_t i = 0; i < m.len; i++)
		if ((m.ptr[i] < 'A' || m.ptr[i] > 'Z') && m.ptr[i] != '-' && m.ptr[i] != '_')
			return err_set(e, ERR_INVALID, "no method");
	memcpy(r->method, m.ptr, m.len);
	return 0;
}

static int prepare(struct subrequest *r, struct err *e)
{
	struct url u;

	if (take_method(r, e) < 0 || url_parse(r->ask.url, &u, e) < 0)
		return -1;
	if (u.target.len > TARGET_BYTES_MAX)
		return err_set(e, ERR_TOO_LARGE, "URL: longer than %u bytes", TARGET_BYTES_MAX);
	if (r->set->n_open > SUBREQUESTS_MAX)
		return err_set(e, ERR_UNAVAILABLE, "%d requests are under way", SUBREQUESTS_MAX);
	if (r->ask.host.len == 0)
		r->ask.host = u.authority;
	r->path = u.target.len && u.target.ptr[0] == '/' ? str_dup(u.target)
							 : xasprintf("/" STR_FMT, STR_ARG(u.target));
	struct origin *o = origin_get(r->set, &u, r->ask.tls, e);
	if (!o)
		return -1;
	o->resolved = on_resolved;
	o->n_open++;
	r->origin = o;
	return 0;
}

struct subrequest *subrequest_send(struct subrequests *s, const struct subrequest_ask *ask, const struct subrequest_ops *ops,
				   void *ctx)
{
	struct subrequest *r = xcalloc(1, sizeof(*r));

	*r = (struct subrequest){.set = s,
				 .ask = *ask,
				 .ops = ops,
				 .ctx = ctx,
				 .timer = {.fire = on_timeout, .ctx = r},
				 .fail.run = on_fail,
				 .reap.run = reap};
	list_append(&s->open, &r->link);
	s->n_open++;
	if (ask->timeout_ms)
		timer_start(s->loop, &r->timer, ask->timeout_ms);
	if (prepare(r, &r->error) < 0) {
		loop_defer(s->loop, &r->fail);
	} else if (origin_ready(r->origin)) {
		start(r);
	} else {
		list_del(&r->link);
		list_append(&r->origin->waiting, &r->link);
	}
	return r;
}

void subrequest_want_body(struct subrequest *r, bool on)
{
	if (r->ended)
		return;
	r->unwanted = !on;
	if (r->call)
		http_call_want_body(r->call, on);
}
