/* Headers of answers: what of the backend's is hidden, custom-headers, add-headers, HSTS, Server. */
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/worker.h"

/* What nginx never passes on (ngx_http_proxy_hide_headers): its own, and words meant for it. Date is written anew. */
static bool is_hidden_always(struct str name, bool pass_server)
{
	char first = (char)(name.ptr[0] | 0x20);
	if (first == 's')
		return !pass_server && str_ieq(name, STR("server"));
	if (first != 'x' || name.len < 5)
		return false;
	return str_ieq(name, STR("x-pad")) ||
	       (name.len > 8 && str_ieq((struct str){ name.ptr, 8 }, STR("x-accel-")));
}

static bool is_hidden(struct str name, const struct str_list *more, bool pass_server)
{
	if (name.len > 0 && is_hidden_always(name, pass_server))
		return true;
	for (size_t i = 0; i < more->n; i++)
		if (str_ieq(name, str_of(more->at[i])))
			return true;
	return false;
}

static void hide(struct header_list *l, const struct str_list *more, bool pass_server)
{
	size_t kept = 0;
	for (size_t i = 0; i < l->n; i++)
		if (!is_hidden(l->at[i].name, more, pass_server)) {
			if (kept != i)
				l->at[kept] = l->at[i];
			kept++;
		}
	l->n = kept;
}

static void set_texts(struct exchange *x, const struct header_text *at, size_t n)
{
	struct header_list *l = &x->ans.headers;
	for (size_t i = 0; i < n; i++) {
		struct str value = variable_text_value(at[i].value, x);
		size_t kept = 0;
		for (size_t k = 0; k < l->n; k++)
			if (!str_ieq(l->at[k].name, at[i].name))
				l->at[kept++] = l->at[k];
		l->n = kept;
		/* headers-more sets no header to nothing */
		if (value.len > 0)
			header_add_str(x, l, at[i].name, value);
	}
}

static struct str hsts(struct exchange *x, const struct globals *g)
{
	if (g->hsts_max_age_s == 31536000 && g->hsts_include_subdomains && !g->hsts_preload)
		return STR("max-age=31536000; includeSubDomains");
	return x_printf(x, "max-age=%u%s%s", g->hsts_max_age_s, g->hsts_include_subdomains ? "; includeSubDomains" : "",
			g->hsts_preload ? "; preload" : "");
}

static bool headers_wanted(const struct location *loc, const struct globals *g)
{
	(void)loc, (void)g;
	return true;
}

static enum filter_verdict headers_answer(struct exchange *x, void **state)
{
	(void)state;
	const struct globals *g = globals_now(x->worker->shared);
	const struct settings *set = x->loc->set;
	bool theirs = g->server_tokens && g->allow_backend_server_header && !x->answer_own;
	if (!x->answer_own)
		hide(&x->ans.headers, &g->hide_headers, theirs);
	if (g->server_tokens && !(theirs && header_get(&x->ans.headers, "server").ptr))
		header_add(x, &x->ans.headers, "Server", STR("portico"));
	set_texts(x, g->add_headers, g->n_add_headers);
	set_texts(x, set->custom_headers, set->n_custom_headers);
	if (g->hsts && x->loc->tls && str_eq(x->req.scheme, STR("https")))
		header_set(x, &x->ans.headers, "Strict-Transport-Security", hsts(x, g));
	return FILTER_NEXT;
}

const struct filter filter_headers = {
	.name = "headers",
	.pure = true,
	.wanted = headers_wanted,
	.answer = headers_answer,
};
