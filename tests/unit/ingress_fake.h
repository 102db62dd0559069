/* ingress_fake.h - an exchange built by hand, for tests of filters and balancing without sockets.
 *
 *	struct fake f;
 *	fake_init(&f, "GET", "https://a.test/path?x=1");
 *	fake_header(&f, "authorization", "Basic ...");
 *	f.set.enable_cors = true;
 *	assert_int_equal(fake_request(&f, &filter_cors), FILTER_NEXT);
 *	fake_answer(&f, &filter_cors, 200);            // as if an upstream had answered
 *	assert_string_equal(fake_answer_header(&f, "vary"), "Origin");
 *	fake_done(&f);
 *
 * Its functions stand in for exchange.c's: weak, so that a test which links the real ones gets those.
 */
#pragma once

#include "net/addr.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/route/routes.h"
#include "roles/ingress/worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define FAKE_STATES 8

struct fake {
	struct settings set; /* all zero but what fake_init documents */
	struct globals globals;
	struct host host;
	struct location loc;
	struct location *locs[1];
	struct shared shared;
	struct worker worker;
	struct exchange x;
	struct addr peer;
	const struct filter *filters[FAKE_STATES]; /* whose state slot is at the same place */
	void *states[FAKE_STATES];
	size_t n_filters;

	/* what the filters asked for */
	int status;	       /* of exchange_answer*(), exchange_redirect(); 0: none */
	unsigned answers;      /* how often; more than 1 is a bug */
	struct str location;   /* exchange_redirect()'s */
	struct str body, type; /* exchange_answer()'s */
	unsigned resumed;      /* exchange_resume() calls */
};

#define fake_weak __attribute__((weak, unused))
#define fake_own static __attribute__((unused))
#define fake_of(xp) container_of(xp, struct fake, x)

/* ---- exchange.c's ---- */
fake_weak struct str x_dup(struct exchange *x, struct str s)
{
	char *p = arena_strndup(&x->arena, s.ptr, s.len);
	return p == NULL ? STR_NONE : (struct str){ p, s.len };
}

fake_weak struct str x_printf(struct exchange *x, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *text = NULL;
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	struct str s = x_dup(x, (struct str){ text, (size_t)n });
	free(text);
	return s;
}

fake_weak void header_add_str(struct exchange *x, struct header_list *l, struct str name, struct str value)
{
	if (l->n == l->cap) {
		size_t cap = l->cap == 0 ? 16 : 2 * l->cap;
		struct http_header *at = arena_alloc(&x->arena, cap * sizeof(*at));
		if (at == NULL)
			return;
		if (l->n > 0)
			memcpy(at, l->at, l->n * sizeof(*at));
		l->at = at;
		l->cap = cap;
	}
	l->at[l->n++] = (struct http_header){ name, value };
}

fake_weak void header_del(struct header_list *l, const char *name)
{
	size_t kept = 0;
	for (size_t i = 0; i < l->n; i++)
		if (!str_ieq(l->at[i].name, str_of(name)))
			l->at[kept++] = l->at[i];
	l->n = kept;
}

fake_weak void header_set(struct exchange *x, struct header_list *l, const char *name, struct str value)
{
	header_del(l, name);
	header_add(x, l, name, value);
}

fake_weak struct str header_get(const struct header_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_ieq(l->at[i].name, str_of(name)))
			return l->at[i].value;
	return STR_NONE;
}

fake_weak struct str request_cookie(const struct exchange *x, const char *name)
{
	for (size_t i = 0; i < x->req.headers.n; i++) {
		if (!str_eq_c(x->req.headers.at[i].name, "cookie"))
			continue;
		struct str rest = x->req.headers.at[i].value;
		while (rest.ptr != NULL) {
			struct str value, pair = str_trim(str_cut(rest, ';', &rest));
			struct str key = str_cut(pair, '=', &value);
			if (str_eq_c(key, name))
				return value;
		}
	}
	return STR_NONE;
}

fake_weak uint64_t x_now_us(const struct exchange *x)
{
	(void)x;
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

fake_own void fake_answered(struct fake *f, int status)
{
	f->status = f->x.ans.status = status;
	f->x.answer_own = true;
	f->answers++;
}

fake_weak void exchange_answer_error(struct exchange *x, int status)
{
	struct fake *f = fake_of(x);
	x->ans.headers.n = 0;
	fake_answered(f, status);
}

fake_weak void exchange_answer(struct exchange *x, int status, struct str type, struct str body)
{
	struct fake *f = fake_of(x);
	fake_answered(f, status);
	f->type = x_dup(x, type);
	f->body = x_dup(x, body);
	if (type.len > 0)
		header_set(x, &x->ans.headers, "content-type", f->type);
	x->ans.content_length = (int64_t)body.len;
}

fake_weak void exchange_redirect(struct exchange *x, int status, struct str location)
{
	struct fake *f = fake_of(x);
	fake_answered(f, status);
	f->location = x_dup(x, location);
}

fake_weak void exchange_resume(struct exchange *x)
{
	fake_of(x)->resumed++;
}

fake_weak const struct globals *globals_now(const struct shared *s)
{
	return s->globals;
}

/* The fake's settings live in the fake. */
fake_weak struct settings *settings_ref(const struct settings *s)
{
	return (struct settings *)(uintptr_t)s;
}

fake_weak void settings_unref(const struct settings *s)
{
	(void)s;
}

#ifdef FAKE_TEXTS
/* Instead of real texts with variables: a plain string, by fake_text_of("…"). */
#include "roles/ingress/http/variable.h"
#define fake_text_of(s) ((struct variable_text *)(uintptr_t)(s))
fake_weak int variable_text_write(const struct variable_text *t, struct exchange *x, enum variable_escape how, struct buf *out)
{
	(void)x, (void)how;
	return buf_puts(out, (const char *)t);
}
fake_weak struct str variable_text_value(const struct variable_text *t, struct exchange *x)
{
	(void)x;
	return str_of((const char *)t);
}
fake_weak void variable_text_free(struct variable_text *t)
{
	(void)t;
}
#endif

/* ---- for tests ---- */
fake_own void fake_header(struct fake *f, const char *name, const char *value)
{
	header_add(&f->x, &f->x.req.headers, name, str_of(value));
}

fake_own void fake_client(struct fake *f, const char *ip)
{
	struct err e;
	if (addr_from_ip(ip, 40000, &f->peer, &e) != 0)
		abort();
	f->x.req.peer = &f->peer;
	f->x.req.client = f->peer;
	snprintf(f->x.req.client_text, sizeof(f->x.req.client_text), "%s", ip);
}

/* `url`: "http://host[:port]/path[?query]"; the URI is the path as it is. The location is "/" (Prefix) of Ingress
 * default/web. f->x.worker has no loop until the test sets one. The client is 192.0.2.1. */
fake_own void fake_init(struct fake *f, const char *method, const char *url)
{
	memset(f, 0, sizeof(*f));
	struct exchange *x = &f->x;
	arena_init(&x->arena, EXCHANGE_ARENA_BYTES);
	f->shared.globals = &f->globals;
	f->globals.defaults = &f->set;
	f->worker.shared = &f->shared;
	list_init(&f->worker.downs);
	list_init(&f->worker.free_exchanges);
	x->worker = &f->worker;
	list_init(&x->tries_log);

	struct request *r = &x->req;
	r->method = str_of(method);
	r->protocol = STR("HTTP/1.1");
	r->https = strncmp(url, "https:", 6) == 0;
	r->scheme = r->https ? STR("https") : STR("http");
	const char *authority = url + r->scheme.len + 3;
	size_t n = strcspn(authority, "/?");
	r->authority = (struct str){ authority, n };
	r->host = (struct str){ authority, MIN(n, strcspn(authority, ":")) };
	r->target = authority[n] == '\0' ? STR("/") : str_of(authority + n);
	struct str query;
	r->path = r->uri = str_cut(r->target, '?', &query);
	r->query = query.ptr == NULL ? STR("") : query;
	r->content_length = -1;
	r->is_head = c_eq(method, "HEAD");
	fake_client(f, "192.0.2.1");

	char *name = arena_strndup(&x->arena, r->host.ptr, r->host.len);
	f->host = (struct host){ .refs_ = 1, .name = name, .all = f->locs, .n_all = 1 };
	f->locs[0] = &f->loc;
	f->loc = (struct location){ .host = &f->host, .path = (char *)(uintptr_t)"/", .type = PATH_PREFIX, .set = &f->set,
		.ns = (char *)(uintptr_t)"default", .ingress = (char *)(uintptr_t)"web", .rule_host = name };
	x->loc = &f->loc;
}

fake_own void **fake_state(struct fake *f, const struct filter *filter)
{
	for (size_t i = 0; i < f->n_filters; i++)
		if (f->filters[i] == filter)
			return &f->states[i];
	assert(f->n_filters < FAKE_STATES);
	f->filters[f->n_filters] = filter;
	return &f->states[f->n_filters++];
}

/* The filter's request call, when it has one and is wanted. */
fake_own enum filter_verdict fake_request(struct fake *f, const struct filter *filter)
{
	if (!filter->wanted(&f->loc, &f->globals) || filter->request == NULL)
		return FILTER_NEXT;
	return filter->request(&f->x, fake_state(f, filter));
}

fake_own enum filter_verdict fake_request_body(struct fake *f, const struct filter *filter, struct str *data, bool end)
{
	if (!filter->wanted(&f->loc, &f->globals) || filter->request_body == NULL)
		return FILTER_NEXT;
	return filter->request_body(&f->x, fake_state(f, filter), data, end);
}

/* The answer's head goes through the filter; status 0: the one answered with before. */
fake_own enum filter_verdict fake_answer(struct fake *f, const struct filter *filter, int status)
{
	if (status != 0) {
		f->x.ans.status = status;
		f->x.answer_own = false;
	}
	if (!filter->wanted(&f->loc, &f->globals) || filter->answer == NULL)
		return FILTER_NEXT;
	return filter->answer(&f->x, fake_state(f, filter));
}

fake_own void fake_upstream(struct fake *f, const struct filter *filter)
{
	if (filter->wanted(&f->loc, &f->globals) && filter->upstream != NULL)
		filter->upstream(&f->x, fake_state(f, filter));
}

/* Of the answer, or of the upstream's request; NULL when there is none. Of the arena. */
fake_own const char *fake_header_of(struct fake *f, const struct header_list *l, const char *name)
{
	struct str s = header_get(l, name);
	return s.ptr == NULL ? NULL : arena_strndup(&f->x.arena, s.ptr, s.len);
}
#define fake_answer_header(f, name) fake_header_of(f, &(f)->x.ans.headers, name)
#define fake_up_header(f, name) fake_header_of(f, &(f)->x.up_headers, name)
#define fake_text(f, s) arena_strndup(&(f)->x.arena, (s).ptr, (s).len)

fake_own void fake_done(struct fake *f)
{
	for (size_t i = 0; i < f->n_filters; i++)
		if (f->filters[i]->done != NULL)
			f->filters[i]->done(&f->x, &f->states[i]);
	arena_done(&f->x.arena);
}
