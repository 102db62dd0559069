/* What settings take from Secrets and ConfigMaps, and what several annotations say together. */
#include "roles/ingress/config/answer_rewrites.h"
#include "roles/ingress/config/fastcgi.h"
#include "roles/ingress/config/resolve_int.h"
#include "roles/ingress/config/snippet.h"

#include "codec/base64.h"
#include "roles/ingress/http/variable.h"

#include <openssl/crypto.h>
#include <strings.h>

#define SECRET_BYTES_MAX (1u << 20) /* MaxSecretSize */
#define HEADERS_MAX 64		    /* of a ConfigMap; requests and answers have room for 128 */

/* ---- references ---- */

/* The object that "name" or "ns/name" means; NULL and why there is none. */
static const json_t *look(const struct builder *b, const char *kind, const char *reference,
			  const json_t *(*get)(void *ctx, const char *ns, const char *name), struct err *e)
{
	struct str name;
	struct str ns = str_cut(str_of(reference), '/', &name);
	cleanup(freep) char *ns_text = name.ptr ? str_dup(ns) : xstrdup(b->ns);
	cleanup(freep) char *name_text = name.ptr ? str_dup(name) : str_dup(ns);

	if (strcmp(ns_text, b->ns) != 0 && !b->g->allow_cross_namespace) {
		err_set(e, ERR_FORBIDDEN, "cross namespace usage of secrets is not allowed");
		return NULL;
	}
	const json_t *obj = b->src && get ? get(b->src->ctx, ns_text, name_text) : NULL;
	if (!obj)
		err_set(e, ERR_NOT_FOUND, "%s %s/%s does not exist", kind, ns_text, name_text);
	return obj;
}

static const char *reason_of(const struct err *e, const char *missing)
{
	return e->reason == ERR_NOT_FOUND ? missing : REASON_DENIED;
}

/* NULL: the location is denied. */
static const json_t *find(struct builder *b, const char *annotation, const char *kind, const char *missing, const char *reference,
			  const json_t *(*get)(void *ctx, const char *ns, const char *name))
{
	struct err e;
	const json_t *obj = look(b, kind, reference, get, &e);

	if (!obj)
		builder_deny_for(b, annotation, reason_of(&e, missing), "%s: %s", annotation, e.message);
	return obj;
}

const json_t *resolve_look(const struct builder *b, const char *reference, const char **ret_reason, struct err *e)
{
	const json_t *secret = look(b, "Secret", reference, b->src ? b->src->get_secret : NULL, e);

	if (!secret)
		*ret_reason = reason_of(e, REASON_NO_SECRET);
	return secret;
}

const json_t *resolve_secret(struct builder *b, const char *annotation, const char *reference)
{
	return find(b, annotation, "Secret", REASON_NO_SECRET, reference, b->src ? b->src->get_secret : NULL);
}

const json_t *resolve_configmap(struct builder *b, const char *annotation, const char *reference)
{
	return find(b, annotation, "ConfigMap", REASON_NO_CONFIGMAP, reference, b->src ? b->src->get_configmap : NULL);
}

struct str secret_bytes(const json_t *secret, const char *key)
{
	const char *text = json_string_value(json_object_get(json_object_get(secret, "data"), key));
	struct buf b;
	size_t bad;

	if (!text)
		return STR_NONE;
	buf_init(&b, SECRET_BYTES_MAX);
	if (base64_decode(str_of(text), &b, &bad) < 0) {
		buf_done(&b);
		return STR_NONE;
	}
	size_t len = b.len;
	return (struct str){ len ? buf_take(&b) : xstrdup(""), len };
}

void secret_wipe(struct str *s)
{
	if (s->ptr)
		OPENSSL_cleanse((char *)(uintptr_t)s->ptr, s->len);
	free((char *)(uintptr_t)s->ptr);
}

/* ---- headers of ConfigMaps ---- */

static bool name_ok(const char *name)
{
	return form_header_name.ok(str_of(name));
}

/* No line ends: a value cannot become another header. */
static bool value_ok(const char *value)
{
	for (const char *c = value; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return false;
	return true;
}

static bool is_allowed(const struct str_list *allowed, const char *name)
{
	for (size_t i = 0; allowed && i < allowed->n; i++)
		if (strcasecmp(allowed->at[i], name) == 0)
			return true;
	return !allowed;
}

static int add_header_text(struct header_text *at, const char *name, const char *value, const struct str_list *allowed, struct err *e)
{
	if (!name_ok(name))
		return err_set(e, ERR_INVALID, "invalid header name \"%.100s\" in ConfigMap", name);
	if (!value || !value_ok(value))
		return err_set(e, ERR_INVALID, "invalid value of header %.100s in ConfigMap", name);
	if (!is_allowed(allowed, name))
		return err_set(e, ERR_INVALID, "header %.100s is not allowed: global-allowed-response-headers does not have it", name);
	/* custom-headers is literal: ingress-nginx quotes each '$' of it. */
	at->value = allowed ? variable_text_literal(value) : variable_text_new(value, e);
	if (!at->value)
		return err_wrap(e, "header %.100s", name);
	at->name = (struct str){ xstrdup(name), strlen(name) };
	return 0;
}

int header_texts_of(const json_t *configmap, const struct str_list *allowed, struct header_text **ret, size_t *ret_n, struct err *e)
{
	const json_t *data = json_object_get(configmap, "data");
	struct header_text *at = xcalloc(json_object_size(data) + 1, sizeof(*at));
	size_t n = 0;
	const char *name;
	json_t *value;

	if (json_object_size(data) > HEADERS_MAX) {
		free(at);
		return err_set(e, ERR_INVALID, "more than %d headers in ConfigMap", HEADERS_MAX);
	}
	json_object_foreach((json_t *)(uintptr_t)data, name, value) {
		if (add_header_text(&at[n], name, json_string_value(value), allowed, e) < 0) {
			header_texts_free(at, n);
			return -1;
		}
		n++;
	}
	*ret = at;
	*ret_n = n;
	return 0;
}

void header_texts_free(struct header_text *h, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free((char *)(uintptr_t)h[i].name.ptr);
		variable_text_free(h[i].value);
	}
	free(h);
}

void resolve_headers(struct builder *b, const char *annotation, const char *reference, const struct str_list *allowed,
		     struct header_text **ret, size_t *ret_n)
{
	const json_t *configmap = resolve_configmap(b, annotation, reference);
	struct header_text *at;
	size_t n;
	struct err e;

	if (!configmap)
		return;
	if (header_texts_of(configmap, allowed, &at, &n, &e) < 0) {
		builder_deny(b, annotation, "%s: %s", annotation, e.message);
		return;
	}
	header_texts_free(*ret, *ret_n);
	*ret = at;
	*ret_n = n;
}

static void custom_headers(struct builder *b)
{
	if (b->refs.custom_headers)
		resolve_headers(b, "custom-headers", b->refs.custom_headers, &b->g->global_allowed_response_headers, &b->s->custom_headers,
			     &b->s->n_custom_headers);
}

/* ---- FastCGI ---- */

/* ingress-nginx reads the ConfigMap of the Ingress's own namespace, whatever another namespace before the name is allowed to be.
 * One that is not allowed to be there leaves the location without ConfigMap and index. */
static const json_t *fastcgi_configmap(struct builder *b, const char *reference)
{
	struct str name, ns = str_cut(str_of(reference), '/', &name);

	if (name.ptr && !str_eq_c(ns, b->ns) && !b->g->allow_cross_namespace) {
		free(b->s->fastcgi_index);
		b->s->fastcgi_index = NULL;
		builder_problem(b, "fastcgi-params-configmap", REASON_PARSING,
				"fastcgi-params-configmap: different namespace is not supported on fast_cgi param configmap; it and "
				"fastcgi-index have no effect");
		return NULL;
	}
	cleanup(freep) char *own = str_dup(name.ptr ? name : ns);
	return resolve_configmap(b, "fastcgi-params-configmap", own);
}

static void fastcgi(struct builder *b)
{
	struct settings *s = b->s;
	struct err e;

	if (s->backend_protocol != PROTOCOL_FCGI) {
		if (s->fastcgi_params || s->fastcgi_index)
			builder_problem(b, "backend-protocol", REASON_IGNORED,
					"fastcgi-index and fastcgi-params-configmap have no effect without backend-protocol: FCGI");
		return;
	}
	const json_t *configmap = s->fastcgi_params ? fastcgi_configmap(b, s->fastcgi_params) : NULL;
	s->fastcgi = fastcgi_new(configmap, &e);
	if (!s->fastcgi)
		builder_deny(b, "fastcgi-params-configmap", "fastcgi-params-configmap: %s", e.message);
	if (!s->health_check_path)
		return;
	builder_problem(b, "health-check-path", REASON_IGNORED, "health-check-path has no effect with backend-protocol: FCGI");
	free(s->health_check_path);
	s->health_check_path = NULL;
}

/* ---- headers of answers ---- */

static void bad_rewrite(void *ctx, const char *name, const char *instead, const struct err *e)
{
	builder_problem(ctx, name, REASON_PARSING, "%s: %s; it stays %s", name, e->message, instead);
}

static void answer_rewrites(struct builder *b)
{
	static const char *const annotations[] = { "proxy-cookie-domain", "proxy-cookie-path", "proxy-redirect-from", "proxy-redirect-to" };
	struct settings *s = b->s;
	bool redirects = !c_eq(s->proxy_redirect_from, "off"), named = redirects && !c_eq(s->proxy_redirect_from, "default");
	bool others = s->backend_protocol >= PROTOCOL_GRPC;

	answer_rewrites_make(s, b->g->defaults, bad_rewrite, b);
	for (size_t i = 0; others && i < ARRAY_LEN(annotations); i++)
		if (builder_has(b, nginx_annotations, annotations[i]))
			builder_problem(b, annotations[i], REASON_IGNORED, "%s has no effect: backend-protocol is not HTTP or HTTPS",
					annotations[i]);
	if (named && c_eq(s->proxy_redirect_to, "off") && builder_has(b, nginx_annotations, "proxy-redirect-from"))
		builder_problem(b, "proxy-redirect-from", REASON_IGNORED, "proxy-redirect-from has no effect without proxy-redirect-to");
	if (!named && !c_eq(s->proxy_redirect_to, "off") && builder_has(b, nginx_annotations, "proxy-redirect-to"))
		builder_problem(b, "proxy-redirect-to", REASON_IGNORED, "proxy-redirect-to has no effect while proxy-redirect-from is %s",
				s->proxy_redirect_from);
}

/* nginx says nothing: limit_rate is its own only where it buffers (filter/pace.c). */
static void limit_rate(struct builder *b)
{
	const struct settings *s = b->s;

	if (!settings_buffer_answers(s) && s->limit_rate_kib && builder_has(b, nginx_annotations, "limit-rate"))
		builder_problem(b, "limit-rate", REASON_IGNORED, "limit-rate has no effect without proxy-buffering: \"on\"");
}

/* ---- snippets ---- */

/* Leaving out a snippet that guards something would open it. */
static bool guards(const char *text)
{
	static const char *const words[] = { "deny", "return", "auth_basic", "auth_request", "satisfy", "limit_req", "limit_conn",
					     "valid_referers", "internal" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strstr(text, words[i]))
			return true;
	return false;
}

/* `all`: the ConfigMap's, which is known to be good. It stands behind the annotation's, as in nginx, so that lines are counted as written. */
static void one_snippet(struct builder *b, const char *annotation, const char *text, const char *all, struct snippet **ret)
{
	cleanup(freep) char *both = text && all ? xasprintf("%s\n%s", text, all) : NULL;
	struct err e, ignored;

	if (!text && !all)
		return;
	*ret = snippet_new(both ? both : text ? text : all, &e);
	if (*ret)
		return;
	if (all)
		*ret = snippet_new(all, &ignored);
	if (guards(text))
		builder_deny(b, annotation, "%s: %s", annotation, e.message);
	else
		builder_problem(b, annotation, REASON_PARSING, "%s: %s; the snippet has no effect", annotation, e.message);
}

static void snippets(struct builder *b)
{
	one_snippet(b, "configuration-snippet", b->refs.configuration_snippet, b->g->location_snippet,
		    &b->s->configuration_snippet);
	one_snippet(b, "server-snippet", b->refs.server_snippet, b->g->server_snippet, &b->s->server_snippet);
}

/* ---- several annotations together ---- */

/* The value of the last SecRuleEngine line; its default is DetectionOnly (modsecurity.conf-recommended). */
enum waf_mode modsecurity_mode(const char *text)
{
	static const struct {
		const char *word;
		enum waf_mode mode;
	} words[] = { { "On", WAF_BLOCK }, { "DetectionOnly", WAF_DETECT }, { "Off", WAF_OFF } };
	struct str rest = str_of(text);
	enum waf_mode mode = WAF_DETECT;

	while (rest.len) {
		struct str value, line = str_trim(str_cut(rest, '\n', &rest));
		struct str word = str_cut(line, ' ', &value);
		value = str_trim(value);
		for (size_t i = 0; str_ieq(word, STR("SecRuleEngine")) && i < ARRAY_LEN(words); i++)
			if (str_ieq(value, str_of(words[i].word)))
				mode = words[i].mode;
	}
	return mode;
}

static void request_filter(struct builder *b)
{
	if (b->refs.modsecurity && b->refs.owasp_rules && !builder_has(b, our_annotations, "waf"))
		b->s->waf = modsecurity_mode(b->refs.modsecurity_snippet);
}

static void canaries(struct builder *b)
{
	struct settings *s = b->s;

	if (!s->canary && (s->canary_weight || s->canary_by_header || s->canary_by_header_value || s->canary_by_cookie || s->canary_by_header_pattern))
		builder_problem(b, "canary", REASON_PARSING, "canary is configured but not enabled: canary: \"true\" is missing");
	s->canary_pattern_bad = !s->canary_by_header_pattern && builder_has(b, nginx_annotations, "canary-by-header-pattern");
	if (s->canary_weight > s->canary_weight_total) {
		builder_problem(b, "canary-weight", REASON_PARSING, "canary-weight: %u is more than canary-weight-total, %u",
				s->canary_weight, s->canary_weight_total);
		s->canary_weight = s->canary_weight_total;
	}
}

static void upstreams(struct builder *b)
{
	struct settings *s = b->s;

	if (b->g->retry_non_idempotent)
		s->next_upstream |= NEXT_NON_IDEMPOTENT;
	if (s->affinity_cookie && (s->use_regex || s->rewrite_target) && !s->session_cookie_path)
		builder_problem(b, "session-cookie-path", REASON_PARSING,
				"affinity on paths that are regular expressions needs session-cookie-path: browsers would not send the cookie back");
}

void settings_resolve(struct builder *b)
{
	static void (*const steps[])(struct builder *b) = {
		resolve_passwords, resolve_external_auth, resolve_tokens, resolve_client_certificates, resolve_upstream_tls,
		resolve_host_ciphers, custom_headers, fastcgi, answer_rewrites, limit_rate, snippets, request_filter, canaries, upstreams,
	};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		steps[i](b);
}
