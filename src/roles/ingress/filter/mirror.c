/* Mirroring (mirror-target, mirror-host, mirror-request-body): as ingress-nginx's `mirror` location, which passes the client's
 * method, headers and body on and sets Host alone. */
#include "roles/ingress/filter/mirror.h"

#include "roles/ingress/filter/filters.h"
#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/worker.h"

#define MIRROR_TIMEOUT_MS 60000		/* nginx's proxy_read_timeout */
#define MIRROR_HEAD_BYTES_MAX (64u << 10) /* as much as a client may send */
#define MIRROR_ANSWER_MAX (4u << 20)	/* read and dropped, so that the connection can be kept */

struct mirrors {
	struct list open; /* copies */
	size_t n, bytes;  /* bytes: bodies of copies and of requests still being read */
};

/* A request of its own: the one it was copied from may be over. */
struct copy {
	struct list link;
	struct mirrors *set;
	struct subrequest *call;
	struct arena arena;
	struct buf body;
};

/* The request's body as it comes. */
struct mirror {
	struct buf body;
	bool passed;  /* the filters before this one have let the request through */
	bool over;    /* too much of it */
	bool settled; /* copied or dropped */
};

static struct mirrors *mirrors_of(struct worker *w)
{
	if (!w->mirrors) {
		w->mirrors = xcalloc(1, sizeof(*w->mirrors));
		list_init(&w->mirrors->open);
	}
	return w->mirrors;
}

static void copy_free(struct copy *c)
{
	list_del(&c->link);
	c->set->n--;
	c->set->bytes -= c->body.len;
	arena_done(&c->arena);
	buf_done(&c->body);
	free(c);
}

void mirrors_free(struct mirrors *m)
{
	if (!m)
		return;
	list_for(n, tmp, &m->open)
	{
		struct copy *c = list_entry(n, struct copy, link);

		subrequest_cancel(c->call);
		copy_free(c);
	}
	free(m);
}

static bool wanted(const struct location *loc, const struct globals *g)
{
	(void)g;
	return loc->set->mirror_target != NULL;
}

/* ---- the copy ---- */

static void on_done(void *ctx, const struct err *e)
{
	(void)e;
	copy_free(ctx);
}

static struct str copy_text(struct copy *c, struct str s)
{
	char *text = arena_strndup(&c->arena, s.ptr ? s.ptr : "", s.len);

	return text ? (struct str){text, s.len} : STR_NONE;
}

/* A target that is a plain origin gets the request's own path, as with nginx's proxy_pass. */
static struct str mirror_url(struct copy *c, struct exchange *x)
{
	const struct variable_text *t = x->loc->set->mirror_target;
	struct str url = variable_text_value(t, x);
	struct url u;
	struct err e;

	if (!variable_text_constant(t) || url_parse(url, &u, &e) < 0 || u.target.len)
		return copy_text(c, url);
	char *text = arena_printf(&c->arena, STR_FMT STR_FMT, STR_ARG(url), STR_ARG(x->req.target));
	return str_of(text);
}

static bool copied_header(struct str name)
{
	static const char *const not_ours[] = {"content-length", "expect", "proxy"};

	for (size_t i = 0; i < ARRAY_LEN(not_ours); i++)
		if (str_ieq(name, str_of(not_ours[i])))
			return false;
	return true;
}

static int copy_head(struct copy *c, struct exchange *x, struct subrequest_ask *ask)
{
	struct http_header *at = arena_alloc(&c->arena, MAX(x->req.headers.n, (size_t)1) * sizeof(*at));
	const struct settings *set = x->loc->set;
	size_t n = 0;

	for (size_t i = 0; at && i < x->req.headers.n; i++) {
		const struct http_header *h = &x->req.headers.at[i];

		if (!copied_header(h->name))
			continue;
		at[n] = (struct http_header){copy_text(c, h->name), copy_text(c, h->value)};
		if (!at[n].name.ptr || !at[n].value.ptr)
			return -1;
		n++;
	}
	*ask = (struct subrequest_ask){.method = copy_text(c, x->req.method),
				       .url = mirror_url(c, x),
				       .headers = {at, n},
				       .body = buf_str(&c->body),
				       .timeout_ms = MIRROR_TIMEOUT_MS,
				       .answer_body_max = MIRROR_ANSWER_MAX,
				       .tls = set->proxy_ssl_verify ? NULL : x->worker->shared->upstream_tls};
	if (set->mirror_host)
		ask->host = copy_text(c, str_of(set->mirror_host));
	return at && ask->method.ptr && ask->url.ptr ? 0 : -1;
}

/* Takes over `body`, whose bytes are counted already. */
static void copy_send(struct exchange *x, struct buf *body)
{
	static const struct subrequest_ops ops = {.done = on_done};
	struct mirrors *m = mirrors_of(x->worker);
	struct copy *c = xcalloc(1, sizeof(*c));
	struct subrequest_ask ask;

	*c = (struct copy){.set = m, .body = *body};
	buf_init(body, 0);
	arena_init(&c->arena, MIRROR_HEAD_BYTES_MAX * 2);
	list_append(&m->open, &c->link);
	if (m->n++ >= MIRRORS_MAX || copy_head(c, x, &ask) < 0) {
		metrics_inc(x->worker->metrics, METRIC_MIRRORS_DROPPED);
		copy_free(c);
		return;
	}
	metrics_inc(x->worker->metrics, METRIC_MIRRORED);
	c->call = subrequest_send(worker_subrequests(x->worker), &ask, &ops, c);
}

/* ---- the request ---- */

static void give_up(struct exchange *x, struct mirror *s)
{
	s->over = true;
	mirrors_of(x->worker)->bytes -= s->body.len;
	buf_done(&s->body);
}

static void settle(struct exchange *x, struct mirror *s)
{
	s->settled = true;
	if (s->over)
		metrics_inc(x->worker->metrics, METRIC_MIRRORS_DROPPED);
	else
		copy_send(x, &s->body);
}

static struct mirror *state_of(struct exchange *x, void **state)
{
	struct mirror *s = *state;

	if (s)
		return s;
	s = *state = arena_alloc(&x->arena, sizeof(*s));
	if (s)
		buf_init(&s->body, MIRROR_BODY_MAX);
	return s;
}

static bool copies_body(const struct exchange *x)
{
	return x->req.has_body && x->loc->set->mirror_request_body;
}

static enum filter_verdict request(struct exchange *x, void **state)
{
	struct mirror *s = state_of(x, state);

	if (!s)
		return FILTER_NEXT;
	s->passed = true;
	if (!copies_body(x) || x->request_body_done)
		settle(x, s);
	return FILTER_NEXT;
}

/* The body may come before the request has passed: it is only collected then. */
static enum filter_verdict request_body(struct exchange *x, void **state, struct str *data, bool end)
{
	struct mirror *s = copies_body(x) ? state_of(x, state) : NULL;

	if (!s || s->settled)
		return FILTER_NEXT;
	if (!s->over) {
		struct mirrors *m = mirrors_of(x->worker);

		if (m->bytes + data->len > MIRROR_BYTES_MAX || buf_put_str(&s->body, *data) < 0)
			give_up(x, s);
		else
			m->bytes += data->len;
	}
	if (end && s->passed)
		settle(x, s);
	return FILTER_NEXT;
}

static void done(struct exchange *x, void **state)
{
	struct mirror *s = *state;

	if (!s)
		return;
	/* Bodies that ended with trailers: those are told to nobody. */
	if (!s->settled && s->passed && x->request_body_done)
		settle(x, s);
	if (!s->settled && !s->over)
		give_up(x, s);
	buf_done(&s->body);
}

const struct filter filter_mirror = {
	.name = "mirror",
	.wanted = wanted,
	.request = request,
	.request_body = request_body,
	.done = done,
};
