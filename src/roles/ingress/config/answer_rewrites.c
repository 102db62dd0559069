#include "roles/ingress/config/answer_rewrites.h"

#include "roles/ingress/config/snippet_int.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/route/pattern.h"

#define EXPECTED "expected off, or two words: what is replaced, and by what"

static const char *const names[ANSWER_REWRITES] = { "proxy-cookie-domain", "proxy-cookie-path", "proxy-redirect-from" };

/* ---- one rule ---- */

static void rule_free(struct rewrite_rule *r)
{
	if (!r)
		return;
	regex_free(r->pattern);
	variable_text_free(r->from);
	variable_text_free(r->to);
	free(r);
}

/* nginx's words know \n: a header must not. */
static bool one_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

/* Domains never know case; elsewhere "~*" does not. */
static int take_pattern(struct rewrite_rule *r, enum answer_rewrite which, const char *text, struct err *e)
{
	bool caseless = which == ANSWER_COOKIE_DOMAIN;

	if (!caseless && text[0] == '*') {
		caseless = true;
		text++;
	}
	r->pattern = pattern_new(text, caseless, false, e);
	return r->pattern ? 0 : err_wrap(e, "\"%.120s\" is no regular expression", text);
}

static const char *without_dot(const char *domain)
{
	return domain + (domain[0] == '.');
}

static struct rewrite_rule *rule_new(enum answer_rewrite which, const char *from, const char *to, struct err *e)
{
	struct rewrite_rule *r = xcalloc(1, sizeof(*r));
	bool pattern = from[0] == '~';

	if (which == ANSWER_COOKIE_DOMAIN && !pattern) {
		from = without_dot(from);
		to = without_dot(to);
	}
	if (!one_line(to)) {
		err_set(e, ERR_INVALID, "control characters cannot stand in a header");
	} else if (pattern ? take_pattern(r, which, from + 1, e) == 0 : (r->from = variable_text_new(from, e)) != NULL) {
		r->to = variable_text_new(to, e);
		if (r->to)
			return r;
	}
	rule_free(r);
	return NULL;
}

/* "from to" in nginx's words, or "off", which is no rule. */
static int rule_of_text(enum answer_rewrite which, const char *text, struct rewrite_rule **ret, struct err *e)
{
	struct snippet_reader r = { .at = text, .end = text + strlen(text), .line = 1 };
	struct snippet_words w;

	*ret = NULL;
	if (c_eq(text, "off")) /* nearly always */
		return 0;
	int rc = snippet_read(&r, &w, e);
	if (rc == 0 && w.end == END_TEXT && w.n == 2) {
		*ret = rule_new(which, w.word[0], w.word[1], e);
		rc = *ret ? 0 : -1;
	} else if (rc == 0 && !(w.end == END_TEXT && w.n == 1 && c_eq(w.word[0], "off"))) {
		rc = err_set(e, ERR_INVALID, "\"%.120s\" is not valid: " EXPECTED, text);
	}
	snippet_words_done(&w);
	return rc;
}

/* ---- proxy_redirect ---- */

/* proxy_pass as ingress-nginx writes it, which is nobody's name. With "$scheme://" nginx has no default. */
static int rule_default(const struct settings *s, struct rewrite_rule **ret, struct err *e)
{
	static const char *const urls[] = {
		[PROTOCOL_HTTP] = "http://upstream_balancer/",
		[PROTOCOL_HTTPS] = "https://upstream_balancer/",
	};
	const char *url = s->backend_protocol < ARRAY_LEN(urls) ? urls[s->backend_protocol] : NULL;

	*ret = url ? rule_new(ANSWER_REDIRECT, url, "/", e) : NULL;
	return url && !*ret ? -1 : 0;
}

/* As the template does; where it writes nothing, nginx's own default is in force. */
static int rule_redirect(const struct settings *s, struct rewrite_rule **ret, struct err *e)
{
	const char *from = s->proxy_redirect_from, *to = s->proxy_redirect_to;

	*ret = NULL;
	if (c_eq(from, "off"))
		return 0;
	if (c_eq(from, "default") || c_eq(to, "off"))
		return rule_default(s, ret, e);
	cleanup(freep) char *both = xasprintf("%s %s", from, to);
	return rule_of_text(ANSWER_REDIRECT, both, ret, e);
}

/* ---- all of them ---- */

static int rule_make(const struct settings *s, enum answer_rewrite which, struct rewrite_rule **ret, struct err *e)
{
	if (which == ANSWER_REDIRECT)
		return rule_redirect(s, ret, e);
	return rule_of_text(which, which == ANSWER_COOKIE_DOMAIN ? s->proxy_cookie_domain : s->proxy_cookie_path, ret, e);
}

static void replace(char **at, const char *text)
{
	free(*at);
	*at = xstrdup(text);
}

/* Returns what is in force now. */
static const char *take_texts(struct settings *s, enum answer_rewrite which, const struct settings *from)
{
	static const char off[] = "off";

	switch (which) {
	case ANSWER_COOKIE_DOMAIN:
		replace(&s->proxy_cookie_domain, from ? from->proxy_cookie_domain : off);
		return s->proxy_cookie_domain;
	case ANSWER_COOKIE_PATH:
		replace(&s->proxy_cookie_path, from ? from->proxy_cookie_path : off);
		return s->proxy_cookie_path;
	default:
		replace(&s->proxy_redirect_from, from ? from->proxy_redirect_from : off);
		replace(&s->proxy_redirect_to, from ? from->proxy_redirect_to : off);
		return s->proxy_redirect_from;
	}
}

/* grpc_pass and fastcgi_pass know nothing of proxy_*. */
static bool is_proxy_pass(const struct settings *s)
{
	return s->backend_protocol == PROTOCOL_HTTP || s->backend_protocol == PROTOCOL_HTTPS ||
	       s->backend_protocol == PROTOCOL_AUTO_HTTP;
}

void answer_rewrites_make(struct settings *s, const struct settings *instead,
			  void (*bad)(void *ctx, const char *name, const char *instead, const struct err *e), void *ctx)
{
	struct answer_rewrites a = { 0 };
	bool any = false;
	struct err e, ignored;

	for (unsigned i = 0; i < ANSWER_REWRITES; i++) {
		if (rule_make(s, i, &a.rule[i], &e) < 0) {
			bad(ctx, names[i], take_texts(s, i, instead), &e);
			(void)!rule_make(s, i, &a.rule[i], &ignored);
		}
		if (a.rule[i] && !is_proxy_pass(s))
			rule_free(TAKE_PTR(a.rule[i]));
		any |= a.rule[i] != NULL;
	}
	if (!any)
		return;
	s->answer_rewrites = xmalloc(sizeof(a));
	*s->answer_rewrites = a;
}

void answer_rewrites_free(struct answer_rewrites *a)
{
	for (unsigned i = 0; a && i < ANSWER_REWRITES; i++)
		rule_free(a->rule[i]);
	free(a);
}
