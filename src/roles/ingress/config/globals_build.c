/* The global ConfigMap to struct globals. */
#include "roles/ingress/config/answer_rewrites.h"
#include "roles/ingress/config/builder.h"

#include "codec/base64.h"
#include "roles/ingress/config/snippet.h"
#include "roles/ingress/filter/block.h"
#include "roles/ingress/http/variable.h"

#include <stdio.h>
#include <strings.h>

#define HEAD_BYTES_MAX (1u << 20) /* of large-client-header-buffers altogether: no head needs more */

struct globals_builder {
	struct globals *g;
	struct globals_refs refs;
	const struct settings_source *src;
	const char *ns; /* of the ConfigMap */
};

static void problem(const struct globals_builder *b, const char *key, const char *reason, const char *fmt, ...)
	printf_like(4, 5);
static void problem(const struct globals_builder *b, const char *key, const char *reason, const char *fmt, ...)
{
	char message[1024];
	va_list ap;

	if (!b->src || !b->src->problem)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	b->src->problem(b->src->ctx, key, reason, message);
}

static void *home_of(struct globals_builder *b, const struct field *f)
{
	switch (f->home) {
	case HOME_GLOBALS:
		return b->g;
	case HOME_GLOBALS_REFS:
		return &b->refs;
	default:
		return b->g->defaults;
	}
}

/* ---- what several keys say together, or what they name ---- */

static void headers_named(struct globals_builder *b, const char *key, const char *reference, struct header_text **ret, size_t *ret_n)
{
	struct str name;
	struct str ns = str_cut(str_of(reference), '/', &name);
	cleanup(freep) char *ns_text = name.ptr ? str_dup(ns) : xstrdup(b->ns);
	cleanup(freep) char *name_text = name.ptr ? str_dup(name) : str_dup(ns);
	struct err e;

	if (!reference)
		return;
	const json_t *obj = b->src && b->src->get_configmap ? b->src->get_configmap(b->src->ctx, ns_text, name_text) : NULL;
	if (!obj)
		problem(b, key, REASON_SETTING, "%s: ConfigMap %s/%s does not exist", key, ns_text, name_text);
	else if (header_texts_of(obj, NULL, ret, ret_n, &e) < 0)
		problem(b, key, REASON_SETTING, "%s: %s", key, e.message);
}

/* ---- what keys of session tickets are made from: no message may show it ---- */

#define TICKET_KEY_TEXT (TICKET_SECRET_BYTES * 2) /* in base64, with line ends */

/* nginx's lengths: name, AES and HMAC keys of 16 bytes, or two of 32. */
static bool ticket_bytes(struct str bytes, struct ticket_secret *ret)
{
	if (bytes.len != 48 && bytes.len != 80)
		return false;
	ret->len = (uint8_t)bytes.len;
	memcpy(ret->bytes, bytes.ptr, bytes.len);
	return true;
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
}

static bool decode_ticket_key(struct str text, bool again, struct ticket_secret *ret)
{
	struct buf b;
	size_t bad;
	bool ok;

	buf_init(&b, TICKET_KEY_TEXT);
	ok = buf_reserve(&b, TICKET_KEY_TEXT - 1) == 0 && base64_decode(text, &b, &bad) == 0 &&
	     (ticket_bytes(buf_str(&b), ret) || (again && decode_ticket_key(str_trim(buf_str(&b)), false, ret)));
	if (b.ptr)
		explicit_bzero(b.ptr, b.cap);
	buf_done(&b);
	return ok;
}

/* `kubectl create secret` is given bytes in a file, or a literal in base64. */
static bool ticket_key_of(const json_t *secret, struct ticket_secret *ret)
{
	const char *data = json_string_value(json_object_get(json_object_get(secret, "data"), "tickets.key"));
	const char *text = json_string_value(json_object_get(json_object_get(secret, "stringData"), "tickets.key"));

	return text ? decode_ticket_key(str_trim(str_of(text)), false, ret) : data && decode_ticket_key(str_of(data), true, ret);
}

static bool named_ticket_key(struct globals_builder *b, const char *reference)
{
	struct str name, ns = str_cut(str_of(reference), '/', &name);
	cleanup(freep) char *ns_text = name.ptr ? str_dup(ns) : xstrdup(b->ns);
	cleanup(freep) char *name_text = name.ptr ? str_dup(name) : str_dup(ns);
	const json_t *secret = b->src && b->src->get_secret ? b->src->get_secret(b->src->ctx, ns_text, name_text) : NULL;

	if (secret && ticket_key_of(secret, &b->g->ticket_secret))
		return true;
	if (!secret)
		problem(b, "ssl-session-ticket-secret", REASON_NO_SECRET, "ssl-session-ticket-secret: Secret %s/%s does not exist; the key in force stays",
			ns_text, name_text);
	else
		problem(b, "ssl-session-ticket-secret", REASON_SETTING,
			"ssl-session-ticket-secret: Secret %s/%s: tickets.key is not 48 or 80 bytes, or these in base64; the key in force stays",
			ns_text, name_text);
	return false;
}

static void ticket_secret(struct globals_builder *b, const json_t *data)
{
	const char *named = json_string_value(json_object_get(data, "ssl-session-ticket-secret"));
	char *key = b->refs.ssl_session_ticket_key;

	if (b->refs.ssl_session_ticket_secret) {
		b->g->ticket_secret_bad = !named_ticket_key(b, b->refs.ssl_session_ticket_secret);
	} else if (named && named[strspn(named, " \t\r\n")]) {
		b->g->ticket_secret_bad = true; /* no reference at all: said already */
	} else if (key && !decode_ticket_key(str_of(key), false, &b->g->ticket_secret)) {
		b->g->ticket_secret_bad = true;
		problem(b, "ssl-session-ticket-key", REASON_SETTING,
			"ssl-session-ticket-key: it is not 48 or 80 bytes in base64 (openssl rand -base64 80); the key in force stays");
	}
	wipe(key);
}

/* "4 8k" */
static void head_sizes(struct globals_builder *b)
{
	static const struct field size = { .type = FIELD_SIZE };
	struct str rest, number = str_cut(str_of(b->refs.large_client_header_buffers), ' ', &rest);
	cleanup(freep) char *text = str_dup(str_trim(rest));
	uint64_t n, bytes = 0;
	struct err e;

	if (!str_to_u64(number, 1024, &n) || n == 0 || field_parse(&size, text, &bytes, &e) < 0 || bytes == 0 || n * bytes > HEAD_BYTES_MAX) {
		problem(b, "large-client-header-buffers", REASON_SETTING,
			"large-client-header-buffers: \"%s\" is not valid: expected a number and a size such as 4 8k, at most 1m altogether",
			b->refs.large_client_header_buffers);
		n = 4;
		bytes = 8 << 10;
	}
	b->g->client_header_buffer_bytes = MAX(b->refs.client_header_buffer_bytes, bytes);
	b->g->large_client_header_bytes = MAX(n * bytes, b->g->client_header_buffer_bytes);
}

#define OTLP_GRPC_PORT 4317
#define OTLP_HTTP_PORT 4318

static void tracing(struct globals_builder *b)
{
	static const unsigned shares[] = { [SAMPLER_ON] = 10000, [SAMPLER_OFF] = 0 };
	unsigned port = b->refs.otlp_port == OTLP_GRPC_PORT ? OTLP_HTTP_PORT : b->refs.otlp_port;

	b->g->trace_sample_per_10000 = b->refs.otel_sampler == SAMPLER_RATIO ? b->refs.otel_ratio : shares[b->refs.otel_sampler];
	if (b->refs.otlp_endpoint)
		b->g->otlp_endpoint = TAKE_PTR(b->refs.otlp_endpoint);
	else if (b->refs.otlp_host)
		b->g->otlp_endpoint = xasprintf("http://%s:%u", b->refs.otlp_host, port);
}

static void block_lists(struct globals_builder *b)
{
	size_t bad = 0;
	struct err e;

	b->g->block_rules = block_rules_new(&b->g->block_user_agents, &b->g->block_referers, &bad, &e);
	if (bad)
		problem(b, "block-user-agents", REASON_SETTING, "block-user-agents, block-referers: %zu left out: %s", bad, e.message);
}

static void request_filter(struct globals_builder *b)
{
	if (b->refs.modsecurity && b->refs.owasp_rules)
		b->g->defaults->waf = modsecurity_mode(b->refs.modsecurity_snippet);
}

/* Ingresses without annotations have the defaults' as it is; the others' builders join the text to theirs. */
static void one_snippet(struct globals_builder *b, const char *name, char **text, struct snippet **ret)
{
	struct err e;

	*ret = *text ? snippet_new(*text, &e) : NULL;
	if (!*text || *ret)
		return;
	problem(b, name, REASON_SETTING, "%s: %s; the snippet has no effect", name, e.message);
	free(TAKE_PTR(*text));
}

static void snippets(struct globals_builder *b)
{
	one_snippet(b, "location-snippet", &b->g->location_snippet, &b->g->defaults->configuration_snippet);
	one_snippet(b, "server-snippet", &b->g->server_snippet, &b->g->defaults->server_snippet);
}

/* The other log of ingress-nginx, of tcp-services, is none here. */
static void access_log(struct globals_builder *b)
{
	b->g->disable_access_log = b->g->disable_access_log || b->refs.disable_http_access_log;
	if (!b->refs.http_access_log_path)
		return;
	free(b->g->access_log_path);
	b->g->access_log_path = TAKE_PTR(b->refs.http_access_log_path);
}

static void bad_rewrite(void *ctx, const char *name, const char *instead, const struct err *e)
{
	problem(ctx, name, REASON_SETTING, "%s: %s; it stays %s", name, e->message, instead);
}

/* A format with a variable that does not exist would lose every line. */
static void log_format(struct globals_builder *b)
{
	struct err e;
	struct variable_text *t = variable_text_new(b->g->log_format_upstream, &e);

	if (!t) {
		const struct field *f = field_find(configmap_fields, STR("log-format-upstream"));
		problem(b, f->name, REASON_SETTING, "%s: %s; it stays the default", f->name, e.message);
		free(b->g->log_format_upstream);
		b->g->log_format_upstream = xstrdup(f->fallback);
	}
	variable_text_free(t);
}

/* ---- keys ---- */

static void unknown(const struct globals_builder *b, const char *key)
{
	const char *near = field_nearest(configmap_fields, str_of(key));

	problem(b, key, REASON_UNKNOWN, "unknown key %s%s%s%s", key, near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
}

/* A list that lets somebody in or is to be believed must not fall back to "all" by a slip. */
static void bad_guard(struct globals_builder *b, const struct field *f, const struct err *e)
{
	struct settings *s = b->g->defaults;

	if (f->home != HOME_SETTINGS) {
		field_clear(f, b->g);
		problem(b, f->name, REASON_SETTING, "%s: %s; it is taken for an empty list", f->name, e->message);
		return;
	}
	if (!s->denied)
		s->denied = xasprintf("%s: %s", f->name, e->message);
	problem(b, f->name, REASON_SETTING, "%s: %s; requests are answered with 503", f->name, e->message);
}

static void apply(struct globals_builder *b, const char *key, const char *value)
{
	const struct field *f = field_find(configmap_fields, str_of(key));
	struct err e;

	if (!f)
		unknown(b, key);
	else if (f->type == FIELD_NONE && !(f->flags & FIELD_SILENT))
		problem(b, key, REASON_NO_SETTING, "%s is not supported and has no effect", key);
	else if (f->type == FIELD_NONE || !value[strspn(value, " \t\r\n")] || field_parse(f, value, home_of(b, f), &e) == 0)
		return;
	else if (f->flags & FIELD_GUARDS)
		bad_guard(b, f, &e);
	else
		problem(b, key, REASON_SETTING, "%s: %s; %s%s", key, e.message, f->fallback ? "it stays " : "it has no effect",
			f->fallback ? f->fallback : "");
}

struct globals *globals_of_configmap(const json_t *configmap, const struct settings_source *src)
{
	const json_t *data = json_object_get(configmap, "data");
	const char *ns = jx_namespace(configmap), *key;
	struct globals_builder b = { .g = xcalloc(1, sizeof(*b.g)), .src = src, .ns = ns ? ns : "default" };
	json_t *value;

	b.g->defaults = settings_new();
	fields_default(configmap_fields, HOME_GLOBALS, b.g);
	fields_default(configmap_fields, HOME_GLOBALS_REFS, &b.refs);
	json_object_foreach((json_t *)(uintptr_t)data, key, value)
		if (json_string_value(value))
			apply(&b, key, json_string_value(value));
	ticket_secret(&b, data);
	head_sizes(&b);
	tracing(&b);
	block_lists(&b);
	request_filter(&b);
	snippets(&b);
	answer_rewrites_make(b.g->defaults, NULL, bad_rewrite, &b);
	log_format(&b);
	settings_remember_auth(b.g->defaults, b.g->defaults);
	access_log(&b);
	b.g->forwarded_for_other = strcasecmp(b.g->forwarded_for_header, "x-forwarded-for") != 0;
	headers_named(&b, "proxy-set-headers", b.refs.proxy_set_headers, &b.g->proxy_set_headers, &b.g->n_proxy_set_headers);
	headers_named(&b, "add-headers", b.refs.add_headers, &b.g->add_headers, &b.g->n_add_headers);
	fields_clear(configmap_fields, HOME_GLOBALS_REFS, &b.refs);
	return b.g;
}

void globals_unref(struct globals *g)
{
	if (!g)
		return;
	fields_clear(configmap_fields, HOME_GLOBALS, g);
	header_texts_free(g->proxy_set_headers, g->n_proxy_set_headers);
	header_texts_free(g->add_headers, g->n_add_headers);
	block_rules_free(g->block_rules);
	free(g->otlp_endpoint);
	free(g->custom_error_service);
	explicit_bzero(&g->ticket_secret, sizeof(g->ticket_secret));
	settings_unref(g->defaults);
	free(g);
}
