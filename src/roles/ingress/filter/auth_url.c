/* External authentication (auth-url, global-auth-url): a request without body to a service that decides, as nginx's
 * auth_request module asks it and with the headers of ingress-nginx's template. 2xx passes, 401 and 403 refuse (401 may lead
 * to a sign-in page), anything else is a 500. With auth-cache-key, answers are remembered. */
#include "roles/ingress/filter/access.h"
#include "roles/ingress/filter/auth_cache.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/filter/told.h"
#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/worker.h"

#include <pthread.h>

#define AUTH_TIMEOUT_MS 60000	       /* nginx's proxy_read_timeout */
#define AUTH_ANSWER_BODY_MAX (1u << 20) /* read and dropped, so that the connection can be kept */

enum when { ALWAYS, WITH_METHOD, WITH_CLIENT_CERT, PASS_CLIENT_CERT };

/* What the service is told. */
static struct told_row rows[] = {
	{"X-Request-ID", "$req_id", ALWAYS, NULL},
	{"X-Original-URL", "$scheme://$http_host$request_uri", ALWAYS, NULL},
	{"X-Original-Method", "$request_method", ALWAYS, NULL},
	{"X-Sent-From", "nginx-ingress-controller", ALWAYS, NULL},
	{"X-Real-IP", "$remote_addr", ALWAYS, NULL},
	{"X-Forwarded-Proto", "", ALWAYS, NULL},
	{"Proxy", "", ALWAYS, NULL},
	{"X-Original-URI", "$request_uri", WITH_METHOD, NULL},
	{"X-Scheme", "$pass_access_scheme", WITH_METHOD, NULL},
	{"ssl-client-verify", "$ssl_client_verify", WITH_CLIENT_CERT, NULL},
	{"ssl-client-subject-dn", "$ssl_client_s_dn", WITH_CLIENT_CERT, NULL},
	{"ssl-client-issuer-dn", "$ssl_client_i_dn", WITH_CLIENT_CERT, NULL},
	{"ssl-client-cert", "$ssl_client_escaped_cert", PASS_CLIENT_CERT, NULL},
};
static struct variable_text *request_uri, *signin_return;

/* The answer will be remembered for those that ask with the same key. */
struct memory {
	struct auth_cache_key key;
	uint64_t life_ms; /* 0: it will not */
	char vary[AUTH_CACHE_VARY_BYTES_MAX + 1];
};
struct auth {
	struct exchange *x;
	const struct settings *set; /* who asks: the location's, or the global ones (then referenced) */
	struct subrequest *call;    /* NULL: not under way */
	struct memory *memory;	    /* NULL: nothing is remembered */
	int status;		    /* 0: no answer yet */
	struct header_list cookies, www_authenticate, forward;
};

/* Whose auth-url is in force; NULL: nobody's. */
static const struct settings *auth_settings(const struct location *loc, const struct globals *g)
{
	if (location_is_listed(loc, &g->no_auth_locations))
		return NULL;
	if (loc->set->auth_url)
		return loc->set;
	return loc->set->enable_global_auth && g->defaults->auth_url ? g->defaults : NULL;
}

static struct variable_text *parsed(const char *text)
{
	struct err e;
	struct variable_text *t = variable_text_new(text, &e);

	assert(t); /* our own text */
	return t;
}

static void parse_texts(void)
{
	told_parse(rows, ARRAY_LEN(rows));
	request_uri = parsed("$request_uri");
	signin_return = parsed("$pass_access_scheme://$http_host$escaped_request_uri");
}

static bool wanted(const struct location *loc, const struct globals *g)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (!auth_settings(loc, g))
		return false;
	pthread_once(&once, parse_texts);
	return true;
}

/* ---- the question ---- */

static struct str forwarded_for(struct exchange *x, const struct globals *g)
{
	struct str before = header_get(&x->req.headers, "x-forwarded-for");

	if (before.len && g->use_forwarded_headers && g->compute_full_forwarded_for)
		return x_printf(x, STR_FMT ", %s", STR_ARG(before), x->req.client_text);
	return str_of(x->req.client_text);
}

static bool applies(const struct told_row *row, const struct auth *a, const struct settings *location)
{
	switch ((enum when)row->when) {
	case WITH_METHOD:
		return a->set->auth_method != NULL;
	case WITH_CLIENT_CERT:
		return location->auth_tls_ca != NULL;
	case PASS_CLIENT_CERT:
		return location->auth_tls_ca && location->auth_tls_pass_certificate;
	default:
		return true;
	}
}

static void tell(struct told *t, const struct auth *a, const struct globals *g)
{
	const struct variable_text *redirect = a->set->auth_request_redirect ? a->set->auth_request_redirect : request_uri;
	struct exchange *x = t->x;

	/* A client must not speak for our TLS. */
	if (x->loc->set->auth_tls_ca)
		told_set(t, STR("ssl-client-cert"), STR_NONE);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (applies(&rows[i], a, x->loc->set))
			told_row(t, &rows[i]);
	told_set(t, STR("X-Forwarded-For"), forwarded_for(x, g));
	told_set(t, STR("X-Auth-Request-Redirect"), variable_text_value(redirect, x));
	for (size_t i = 0; i < a->set->n_auth_proxy_set_headers; i++)
		told_set(t, a->set->auth_proxy_set_headers[i].name,
			 variable_text_value(a->set->auth_proxy_set_headers[i].value, x));
}

/* As nginx where a cache stands in between: for its answer to be another's as well, it must be a whole one. */
static void ask_for_all(struct told *t)
{
	static const char *const partial[] = {"If-Modified-Since", "If-Unmodified-Since", "If-None-Match", "If-Match", "Range", "If-Range"};

	for (size_t i = 0; i < ARRAY_LEN(partial); i++)
		told_set(t, str_of(partial[i]), STR_NONE);
}

/* ---- the answer ---- */

static void keep_one(struct auth *a, struct header_list *l, const char *name, struct str value)
{
	struct str own = x_dup(a->x, value);
	size_t before = l->n;

	header_add(a->x, l, name, own);
	if (!own.ptr || l->n == before) /* no memory left: a part of an answer is nobody else's */
		a->memory = NULL;
}

static void keep(struct auth *a, struct header_list *l, const char *name, struct http_headers from)
{
	for (size_t i = 0; i < from.n; i++)
		if (str_ieq(from.at[i].name, str_of(name)))
			keep_one(a, l, name, from.at[i].value);
}

/* Whatever a client says under this name, the service is told something else, or by us as well. */
static bool is_ours(const struct auth *a, struct str name)
{
	static const char *const others[] = {"X-Forwarded-For", "X-Auth-Request-Redirect"};
	bool found = false;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		found |= str_ieq(name, str_of(rows[i].name));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		found |= str_ieq(name, str_of(others[i]));
	for (size_t i = 0; i < a->set->n_auth_proxy_set_headers; i++)
		found |= str_ieq(name, a->set->auth_proxy_set_headers[i].name);
	return found;
}

/* Requests are told apart by what clients say. nginx remembers such an answer, and a DELETE gets that to a GET. */
static bool varies_by_ours(const struct auth *a, const char *vary)
{
	struct str rest = str_of(vary);

	while (rest.len)
		if (is_ours(a, str_trim(str_cut(rest, ',', &rest))))
			return true;
	return false;
}

static void on_head(void *ctx, int status, struct http_headers headers)
{
	struct auth *a = ctx;

	a->status = status;
	keep(a, &a->cookies, "Set-Cookie", headers);
	if (status == 401)
		keep(a, &a->www_authenticate, "WWW-Authenticate", headers);
	for (size_t i = 0; status / 100 == 2 && i < a->set->auth_response_headers.n; i++)
		keep(a, &a->forward, a->set->auth_response_headers.at[i], headers);
	if (a->memory)
		a->memory->life_ms = auth_cache_life_ms(a->set->auth_cache, status, headers, time(NULL), a->memory->vary);
	if (a->memory && varies_by_ours(a, a->memory->vary))
		a->memory->life_ms = 0;
}

static enum filter_verdict verdict(struct auth *a)
{
	struct exchange *x = a->x;

	if (a->status / 100 == 2)
		return access_grant(x);
	metrics_inc(x->worker->metrics, METRIC_DENIED_AUTH);
	if (a->status == 401 || a->status == 403)
		return access_refuse(x, a->status);
	exchange_answer_error(x, 500);
	return FILTER_ANSWERED;
}

/* ---- answers that are remembered ---- */

static uint64_t now_ms(const struct exchange *x)
{
	return loop_now_ms(x->worker->loop);
}

static struct http_headers headers_of(const struct header_list *l)
{
	return (struct http_headers){l->at, l->n};
}

/* Of all workers; made by the first that needs it. */
static struct auth_cache *cache_of(const struct exchange *x)
{
	struct auth_cache **at = &x->worker->shared->auth_cache, *c = __atomic_load_n(at, __ATOMIC_ACQUIRE);

	if (c)
		return c;
	struct auth_cache *own = auth_cache_new();
	if (__atomic_compare_exchange_n(at, &c, own, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return own;
	auth_cache_free(own);
	return c;
}

static struct header_list list_of(struct http_headers h)
{
	return (struct header_list){(struct http_header *)(uintptr_t)h.at, h.n, h.n};
}

/* true: the verdict is known. */
static bool recall(struct auth *a)
{
	struct memory *m = arena_alloc(&a->x->arena, sizeof(*m));
	struct auth_answer known;

	if (!m || !auth_cache_key_of(a->x, a->set->auth_cache, &m->key))
		return false;
	if (!auth_cache_find(cache_of(a->x), &m->key, a->x, now_ms(a->x), &known)) {
		m->life_ms = 0;
		a->memory = m;
		return false;
	}
	a->status = known.status;
	a->forward = list_of(known.forward);
	a->www_authenticate = list_of(known.www_authenticate);
	return true;
}

static void remember(const struct auth *a)
{
	const struct memory *m = a->memory;
	struct auth_answer answer = {a->status, headers_of(&a->forward), headers_of(&a->www_authenticate)};

	if (m)
		auth_cache_put(cache_of(a->x), &m->key, a->x, &answer, m->vary, now_ms(a->x), m->life_ms);
}

/* Nobody has answered, or the body is not whole, which only matters to others. A gateway's answer has a time of its own. */
static void failed(struct auth *a, const struct err *e)
{
	bool answered = a->status;

	if (!answered)
		a->status = e->reason == ERR_TIMEOUT ? 504 : 502;
	if (a->memory)
		a->memory->life_ms = answered ? 0 : auth_cache_life_ms(a->set->auth_cache, a->status, (struct http_headers){0}, 0,
								       a->memory->vary);
}

static void on_done(void *ctx, const struct err *e)
{
	struct auth *a = ctx;

	a->call = NULL;
	if (e)
		failed(a, e);
	remember(a);
	if (a->x->answer_own)
		return; /* refused for another reason meanwhile: its body was too large */
	access_resume(a->x, verdict(a));
}

static enum filter_verdict request(struct exchange *x, void **state)
{
	static const struct subrequest_ops ops = {.head = on_head, .done = on_done};
	const struct globals *g = globals_now(x->worker->shared);
	struct auth *a = arena_alloc(&x->arena, sizeof(*a));
	struct url u;
	struct err e;

	if (a)
		*a = (struct auth){.x = x, .set = auth_settings(x->loc, g)};
	if (a && a->set && a->set != x->loc->set)
		settings_ref(a->set); /* the globals may be replaced while we wait */
	*state = a;
	if (access_settled(x) || (a && !a->set))
		return FILTER_NEXT;
	if (a && a->set->auth_cache && recall(a))
		return verdict(a);
	struct told *t = told_new(x);
	struct str url = a && t ? variable_text_value(a->set->auth_url, x) : STR_NONE;
	if (!t || url_parse(url, &u, &e) < 0) {
		exchange_answer_error(x, 500);
		return FILTER_ANSWERED;
	}
	tell(t, a, g);
	if (a->set->auth_cache)
		ask_for_all(t);
	struct subrequest_ask ask = {
		.method = a->set->auth_method ? str_of(a->set->auth_method) : STR("GET"),
		.url = url,
		.host = u.host, /* ingress-nginx: without the port */
		.headers = told_headers(t),
		.timeout_ms = AUTH_TIMEOUT_MS,
		.answer_body_max = AUTH_ANSWER_BODY_MAX,
		/* As nginx: a certificate is checked where the location's own upstream's is. */
		.tls = x->loc->set->proxy_ssl_verify ? NULL : x->worker->shared->upstream_tls,
	};
	/* That we have too much under way is nothing to remember. */
	if (subrequests_open(worker_subrequests(x->worker)) >= SUBREQUESTS_MAX)
		a->memory = NULL;
	a->call = subrequest_send(worker_subrequests(x->worker), &ask, &ops, a);
	return FILTER_WAIT;
}

/* Every name on the list is the service's alone: a client's own is never passed on. */
static void upstream(struct exchange *x, void **state)
{
	const struct auth *a = *state;

	if (!a || !a->set)
		return;
	for (size_t i = 0; i < a->set->auth_response_headers.n; i++)
		header_del(&x->up_headers, a->set->auth_response_headers.at[i]);
	for (size_t i = 0; i < a->forward.n; i++)
		header_add_str(x, &x->up_headers, a->forward.at[i].name, a->forward.at[i].value);
}

/* ---- what the client sees ---- */

/* The statuses of nginx's add_header without "always". */
static bool add_header_status(int status)
{
	switch (status) {
	case 200: case 201: case 204: case 206: case 301: case 302: case 303: case 304: case 307: case 308:
		return true;
	default:
		return false;
	}
}

static bool query_has(struct str query, const char *name)
{
	while (query.ptr) {
		struct str value, key = str_cut(str_cut(query, '&', &query), '=', &value);

		if (value.len && str_eq_c(key, name))
			return true;
	}
	return false;
}

/* The sign-in page with the address to come back to, unless its own URL says where. */
static struct str signin_url(struct exchange *x, const struct settings *set)
{
	const char *param = set->auth_signin_redirect_param && set->auth_signin_redirect_param[0]
				    ? set->auth_signin_redirect_param
				    : "rd";
	struct str url = variable_text_value(set->auth_signin, x);
	struct str query, back = variable_text_value(signin_return, x);

	str_cut(str_of(variable_text_source(set->auth_signin)), '?', &query);
	if (query_has(query, param))
		return url;
	return x_printf(x, STR_FMT "%c%s=" STR_FMT, STR_ARG(url), query.len ? '&' : '?', param, STR_ARG(back));
}

static enum filter_verdict answer(struct exchange *x, void **state)
{
	struct auth *a = *state;

	if (!a || !a->set)
		return FILTER_NEXT;
	if (x->answer_own && x->ans.status == 401 && a->status == 401) {
		a->status = 302; /* only once: the redirect comes by here too */
		if (a->set->auth_signin) {
			x->ans.headers.n = 0; /* they are the error page's */
			exchange_redirect(x, 302, signin_url(x, a->set));
			return FILTER_ANSWERED;
		}
		header_del(&x->ans.headers, "www-authenticate");
		for (size_t i = 0; i < a->www_authenticate.n; i++)
			header_add_str(x, &x->ans.headers, a->www_authenticate.at[i].name, a->www_authenticate.at[i].value);
	}
	if (a->set->auth_always_set_cookie || add_header_status(x->ans.status))
		for (size_t i = 0; i < a->cookies.n; i++)
			header_add_str(x, &x->ans.headers, a->cookies.at[i].name, a->cookies.at[i].value);
	return FILTER_NEXT;
}

static void done(struct exchange *x, void **state)
{
	struct auth *a = *state;

	if (!a)
		return;
	subrequest_cancel(TAKE_PTR(a->call));
	if (a->set != x->loc->set)
		settings_unref(a->set);
	a->set = NULL;
}

const struct filter filter_auth_url = {
	.name = "auth_url",
	.wanted = wanted,
	.request = request,
	.upstream = upstream,
	.answer = answer,
	.done = done,
};
