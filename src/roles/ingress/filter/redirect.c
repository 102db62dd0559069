/* Redirects: app-root, temporal-redirect, permanent-redirect, ssl-redirect, force-ssl-redirect, from-to-www-redirect. */
#include "roles/ingress/filter/redirect.h"

#include "roles/ingress/filter/access.h"
#include "roles/ingress/filter/block.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/http/exchange_int.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/worker.h"

#include <netinet/in.h>

#define HTTP_REDIRECT_CODE 308 /* ingress-nginx's default of http-redirect-code */

static int code_or(unsigned code, int otherwise)
{
	return code == 0 ? otherwise : (int)code;
}

/* nginx's $pass_access_scheme: with use-forwarded-headers the proxy before us knows better what the client did. */
static struct str access_scheme(const struct exchange *x)
{
	if (globals_now(x->worker->shared)->use_forwarded_headers) {
		struct str told = header_get(&x->req.headers, "x-forwarded-proto");
		if (told.len > 0)
			return told;
	}
	return x->req.https ? STR("https") : x->req.scheme;
}

static struct str forwarded_host(const struct exchange *x)
{
	if (!globals_now(x->worker->shared)->use_forwarded_headers)
		return x->req.authority;
	struct str rest, told = header_get(&x->req.headers, "x-forwarded-host");
	told = str_trim(str_cut(told, ',', &rest));
	return told.len > 0 ? told : x->req.authority;
}

static struct str without_port(struct str authority)
{
	if (authority.len > 0 && authority.ptr[0] == '[') {
		struct str rest, inner = str_cut(authority, ']', &rest);
		return (struct str){ authority.ptr, rest.ptr == NULL ? inner.len : inner.len + 1 };
	}
	struct str port;
	return str_cut(authority, ':', &port);
}

static struct str without_last_slash(struct str target)
{
	if (str_ends(target, STR("/")))
		target.len--;
	return target;
}

/* ---- "/" ---- */

const char *host_app_root(const struct host *h)
{
	for (size_t i = 0; i < h->n_all; i++)
		if (h->all[i]->set->app_root != NULL)
			return h->all[i]->set->app_root;
	return NULL;
}

static void redirect_to_app_root(struct exchange *x, const char *app_root)
{
	exchange_redirect(x, 302, x_printf(x, STR_FMT "://" STR_FMT "%s", STR_ARG(x->req.scheme), STR_ARG(x->req.authority), app_root));
}

static bool app_root_wanted(const struct location *loc, const struct globals *g)
{
	(void)g;
	bool matches = loc->regex != NULL ? pattern_match(loc->regex, STR("/"), NULL) : c_eq(loc->path, "/");
	return matches && host_app_root(loc->host) != NULL;
}

static enum filter_verdict app_root_request(struct exchange *x, void **state)
{
	(void)state;
	if (x->req.uri.len != 1)
		return FILTER_NEXT;
	redirect_to_app_root(x, host_app_root(x->loc->host));
	return FILTER_ANSWERED;
}

const struct filter filter_app_root = {
	.name = "app_root",
	.pure = true,
	.wanted = app_root_wanted,
	.request = app_root_request,
};

/* ---- other names ---- */

static unsigned local_port(const struct exchange *x)
{
	/* A name without a port is on its scheme's. */
	struct str port, rest = x->req.authority;
	uint64_t n;
	if (rest.len > 0 && rest.ptr[0] == '[')
		str_cut(rest, ']', &rest);
	str_cut(rest, ':', &port);
	if (str_to_u64(port, 65535, &n) && n > 0)
		return (unsigned)n;
	return str_eq(x->req.scheme, STR("https")) ? 443 : 80;
}

void redirect_to_name(struct exchange *x, const char *to)
{
	const struct globals *g = globals_now(x->worker->shared);
	struct str target = without_last_slash(x->req.target);
	struct str port = STR_NONE;
	if (g->use_forwarded_headers)
		port = header_get(&x->req.headers, "x-forwarded-port");
	if (port.len == 0)
		port = x_printf(x, "%u", local_port(x));
	int code = code_or(g->defaults->http_redirect_code, HTTP_REDIRECT_CODE);
	struct str scheme = access_scheme(x);
	exchange_redirect(x, code, x_printf(x, STR_FMT "://%s:" STR_FMT STR_FMT, STR_ARG(scheme), to, STR_ARG(port), STR_ARG(target)));
}

bool redirect_unrouted(struct exchange *x)
{
	struct host *h = routes_host(x->worker->shared->routes, x->req.host);
	if (h == NULL)
		return false;
	const char *app_root = str_eq(x->req.uri, STR("/")) ? host_app_root(h) : NULL;
	bool redirects = h->redirect_to != NULL || app_root != NULL;
	if (redirects && block_refuses(x))
		exchange_answer_error(x, 403);
	else if (h->redirect_to != NULL)
		redirect_to_name(x, h->redirect_to);
	else if (app_root != NULL)
		redirect_to_app_root(x, app_root);
	host_unref(h);
	return redirects;
}

/* ---- a location ---- */

static bool https_wanted(const struct location *loc, const struct globals *g)
{
	return (loc->set->force_ssl_redirect || (loc->set->ssl_redirect && loc->tls)) &&
	       !location_is_listed(loc, &g->no_tls_redirect_locations);
}

/* nginx' rewrite answers with a redirect when its replacement is another server's. */
static bool rewrites_away(const struct location *loc)
{
	struct str to = str_of(loc->set->rewrite_target);
	return loc->rewrite != NULL && (str_starts(to, STR("http://")) || str_starts(to, STR("https://")));
}

static enum filter_verdict redirect_rewritten(struct exchange *x)
{
	if (forward_rewrite(x) < 0)
		exchange_answer_error(x, 400);
	else
		exchange_redirect(x, 302, x->up_target);
	return FILTER_ANSWERED;
}

static bool redirect_wanted(const struct location *loc, const struct globals *g)
{
	return rewrites_away(loc) || loc->set->temporal_redirect != NULL || loc->set->permanent_redirect != NULL || https_wanted(loc, g);
}

static enum filter_verdict redirect_text(struct exchange *x, const struct variable_text *to, int code)
{
	struct str location = variable_text_value(to, x);
	/* nginx makes paths absolute, with the name that was asked for and without its port. */
	if (str_starts(location, STR("/")) && !str_starts(location, STR("//")) && !x->loc->set->relative_redirects)
		location = x_printf(x, STR_FMT "://" STR_FMT STR_FMT, STR_ARG(x->req.scheme), STR_ARG(x->req.host), STR_ARG(location));
	exchange_redirect(x, code, location);
	return FILTER_ANSWERED;
}

static enum filter_verdict redirect_https(struct exchange *x)
{
	const struct settings *set = x->loc->set;
	struct str target = set->preserve_trailing_slash ? x->req.target : without_last_slash(x->req.target);
	struct str host = without_port(forwarded_host(x));
	exchange_redirect(x, code_or(set->http_redirect_code, HTTP_REDIRECT_CODE),
			  x_printf(x, "https://" STR_FMT STR_FMT, STR_ARG(host), STR_ARG(target)));
	return FILTER_ANSWERED;
}

static enum filter_verdict redirect_request(struct exchange *x, void **state)
{
	(void)state;
	const struct settings *set = x->loc->set;
	if (set->temporal_redirect != NULL)
		return redirect_text(x, set->temporal_redirect, code_or(set->temporal_redirect_code, 302));
	if (set->permanent_redirect != NULL)
		return redirect_text(x, set->permanent_redirect, code_or(set->permanent_redirect_code, 301));
	if (rewrites_away(x->loc))
		return redirect_rewritten(x);
	if (!str_eq(access_scheme(x), STR("http")) || !https_wanted(x->loc, globals_now(x->worker->shared)))
		return FILTER_NEXT;
	return redirect_https(x);
}

const struct filter filter_redirect = {
	.name = "redirect",
	.pure = true,
	.wanted = redirect_wanted,
	.request = redirect_request,
};
