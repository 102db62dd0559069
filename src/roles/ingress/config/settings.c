/* Settings records: defaults, copies, annotations, lifetime. */
#include "roles/ingress/config/answer_rewrites.h"
#include "roles/ingress/config/builder.h"
#include "roles/ingress/config/fastcgi.h"
#include "roles/ingress/config/snippet.h"
#include "roles/ingress/filter/auth_cache.h"
#include "roles/ingress/filter/htdigest.h"
#include "roles/ingress/filter/htpasswd.h"
#include "roles/ingress/filter/jwt.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/route/pattern.h"

#include <stdio.h>

#define MESSAGE_BYTES 1024

static const struct field *const tables[] = { nginx_annotations, our_annotations };

/* ---- rows ---- */

void fields_default(const struct field *table, enum field_home home, void *record)
{
	struct err e;

	for (const struct field *f = table; f->name; f++) {
		if (f->home != home || f->type == FIELD_NONE)
			continue;
		if (f->type == FIELD_TRISTATE)
			*(int *)((char *)record + f->offset) = -1;
		/* A table that contradicts itself is a mistake of ours. */
		if (f->fallback && field_parse(f, f->fallback, record, &e) < 0)
			abort();
	}
}

void fields_clear(const struct field *table, enum field_home home, void *record)
{
	for (const struct field *f = table; f->name; f++)
		if (f->home == home)
			field_clear(f, record);
}

/* ---- lifetime ---- */

struct settings *settings_new(void)
{
	struct settings *s = xcalloc(1, sizeof(*s));

	s->refs_ = 1;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		fields_default(tables[i], HOME_SETTINGS, s);
	fields_default(configmap_fields, HOME_SETTINGS, s); /* those that no annotation has */
	return s;
}

/* Defaults have none of what Secrets, snippets and patterns give. */
struct settings *settings_copy(const struct settings *from)
{
	struct settings *s = xmalloc(sizeof(*s));

	*s = *from;
	s->refs_ = 1;
	s->denied = xstrdup(from->denied);
	s->htpasswd = NULL;
	s->htdigest = NULL;
	s->jwt_jwks = NULL;
	s->auth_cache = NULL;
	s->auth_tls_ca = s->auth_tls_crl = NULL;
	s->proxy_ssl = NULL;
	s->fastcgi = NULL;
	s->answer_rewrites = NULL;
	s->configuration_snippet = s->server_snippet = NULL;
	s->custom_headers = s->auth_proxy_set_headers = NULL;
	s->n_custom_headers = s->n_auth_proxy_set_headers = 0;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		for (const struct field *f = tables[i]; f->name; f++)
			if (f->home == HOME_SETTINGS)
				field_own(f, s);
	return s;
}

static void settings_free(struct settings *s)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		fields_clear(tables[i], HOME_SETTINGS, s);
	free(s->denied);
	htpasswd_free(s->htpasswd);
	htdigest_free(s->htdigest);
	jwks_free(s->jwt_jwks);
	auth_cache_policy_free(s->auth_cache);
	free(s->auth_tls_ca);
	free(s->auth_tls_crl);
	tls_unref(s->proxy_ssl);
	fastcgi_free(s->fastcgi);
	answer_rewrites_free(s->answer_rewrites);
	snippet_free(s->configuration_snippet);
	snippet_free(s->server_snippet);
	header_texts_free(s->custom_headers, s->n_custom_headers);
	header_texts_free(s->auth_proxy_set_headers, s->n_auth_proxy_set_headers);
	free(s);
}

struct settings *settings_ref(const struct settings *s)
{
	struct settings *own = (struct settings *)(uintptr_t)s;

	__atomic_add_fetch(&own->refs_, 1, __ATOMIC_RELAXED);
	return own;
}

void settings_unref(const struct settings *s)
{
	struct settings *own = (struct settings *)(uintptr_t)s;

	if (own && __atomic_sub_fetch(&own->refs_, 1, __ATOMIC_ACQ_REL) == 0)
		settings_free(own);
}

/* ---- problems ---- */

void builder_problem(const struct builder *b, const char *annotation, const char *reason, const char *fmt, ...)
{
	char message[MESSAGE_BYTES];
	va_list ap;

	if (!b->src || !b->src->problem)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	b->src->problem(b->src->ctx, annotation, reason, message);
}

void builder_deny_for(struct builder *b, const char *annotation, const char *reason, const char *fmt, ...)
{
	char why[MESSAGE_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (!b->s->denied)
		b->s->denied = xstrdup(why);
	builder_problem(b, annotation, reason, "%s; requests are answered with 503", why);
}

bool builder_has(const struct builder *b, const struct field *table, const char *name)
{
	char key[128];

	snprintf(key, sizeof(key), "%s%s", table == our_annotations ? OUR_PREFIX : NGINX_PREFIX, name);
	const char *value = json_string_value(json_object_get(b->annotations, key));
	return value && *value;
}

/* ---- annotations ---- */

static bool is_snippet(const struct field *f)
{
	return c_eq(f->acts, "snippets") || (f->flags & FIELD_MULTILINE);
}

static void bad_value(struct builder *b, const struct field *f, const char *key, const struct err *e)
{
	if (f->flags & FIELD_GUARDS)
		builder_deny(b, f->name, "%s: %s", key, e->message);
	else
		builder_problem(b, f->name, REASON_PARSING, "%s: %s; %s%s", key, e->message,
				f->fallback ? "it stays " : "it has no effect", f->fallback ? f->fallback : "");
}

static void apply(struct builder *b, const struct field *table, const struct field *f, struct str name, const char *key,
		  const char *value)
{
	struct err e;

	/* The alias counts only where the name itself is not there. */
	if (f->type == FIELD_NONE || (!str_eq_c(name, f->name) && builder_has(b, table, f->name)))
		return;
	if (is_snippet(f) && !b->g->allow_snippets) {
		builder_problem(b, f->name, REASON_PARSING, SNIPPETS_OFF, key);
		return;
	}
	int rc = field_parse(f, value, f->home == HOME_SETTINGS ? (void *)b->s : (void *)&b->refs, &e);
	if (rc < 0)
		bad_value(b, f, key, &e);
	else if (rc > 0)
		builder_problem(b, f->name, REASON_PARSING, "%s: %s; it is passed over, and the others count", key, e.message);
}

/* Values with words that the administrator does not want to see anywhere (CVE-2021-25742). */
static void refuse_blocked_words(struct builder *b, const char *key, const char *value)
{
	const struct str_list *l = &b->g->annotation_value_word_blocklist;

	for (size_t i = 0; i < l->n; i++)
		if (strstr(value, l->at[i]))
			builder_deny(b, NULL, "%s annotation contains invalid word %s", key, l->at[i]);
}

static void unknown(struct builder *b, const struct field *table, struct str name, const char *key)
{
	const char *near = field_nearest(table, name);

	builder_problem(b, key, REASON_UNKNOWN, "unknown annotation %s%s%s%s", key, near ? ": did you mean " : "", near ? near : "",
			near ? "?" : "");
}

/* All that have no effect in one warning. */
static void ignored(const struct builder *b)
{
	struct buf names;
	const char *key;
	json_t *value;
	size_t left_out = 0;

	buf_init(&names, MESSAGE_BYTES - 80);
	json_object_foreach((json_t *)(uintptr_t)b->annotations, key, value) {
		struct str name;
		const struct field *table = annotation_table(str_of(key), &name);
		const struct field *f = table ? field_find(table, name) : NULL;
		if (f && f->type == FIELD_NONE && !(f->flags & FIELD_SILENT))
			left_out += buf_printf(&names, "%s%s", names.len ? ", " : "", f->name) < 0;
	}
	names.max += 40;
	if (left_out)
		buf_printf(&names, " and %zu more", left_out);
	if (names.len)
		builder_problem(b, names.ptr, REASON_UNSUPPORTED, "not supported, without effect: %s", names.ptr);
	buf_done(&names);
}

static void apply_all(struct builder *b)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)b->annotations, key, value) {
		struct str name;
		const struct field *table = annotation_table(str_of(key), &name);
		const struct field *f = table ? field_find(table, name) : NULL;
		const char *text = json_string_value(value);

		if (!table || !text)
			continue;
		refuse_blocked_words(b, key, text);
		if (!f)
			unknown(b, table, name, key);
		else if (text[strspn(text, " \t\r\n")]) /* an empty value is none, as in ingress-nginx */
			apply(b, table, f, name, key, text);
	}
}

static bool any_of_ours(const json_t *annotations)
{
	const char *key;
	json_t *value;
	struct str name;

	json_object_foreach((json_t *)(uintptr_t)annotations, key, value)
		if (annotation_table(str_of(key), &name))
			return true;
	return false;
}

const struct settings *settings_of_ingress(const json_t *ingress, const struct globals *g, const struct settings_source *src)
{
	const json_t *annotations = jx_at(ingress, "metadata.annotations");
	const char *ns = jx_namespace(ingress);

	if (!any_of_ours(annotations))
		return settings_ref(g->defaults);
	struct builder b = { .s = settings_copy(g->defaults), .g = g, .src = src, .annotations = annotations, .ns = ns ? ns : "default" };
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		fields_default(tables[i], HOME_SETTINGS_REFS, &b.refs);
	/* An auth-url of its own shares nothing with the global one. */
	if (builder_has(&b, nginx_annotations, "auth-url"))
		for (const struct field *f = nginx_annotations; f->name; f++)
			if (c_eq(f->acts, "external auth") && f->home == HOME_SETTINGS) {
				struct err e;
				field_clear(f, b.s);
				(void)!(f->fallback && field_parse(f, f->fallback, b.s, &e));
			}
	apply_all(&b);
	ignored(&b);
	settings_resolve(&b);
	settings_refs_done(&b.refs);
	return b.s;
}

void settings_refs_done(struct settings_refs *r)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		fields_clear(tables[i], HOME_SETTINGS_REFS, r);
}

/* ---- for `explain` ---- */

void settings_each_set(const struct settings *s, const struct settings *defaults,
		       void (*fn)(void *ctx, const char *annotation, const char *value, const struct field *f), void *ctx)
{
	struct buf now, before;

	buf_init(&now, 1 << 16);
	buf_init(&before, 1 << 16);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		for (const struct field *f = tables[i]; f->name; f++) {
			if (f->home != HOME_SETTINGS || f->type == FIELD_NONE)
				continue;
			buf_clear(&now);
			buf_clear(&before);
			field_print(f, s, &now);
			field_print(f, defaults, &before);
			if (!str_eq(buf_str(&now), buf_str(&before)))
				fn(ctx, f->name, now.ptr ? now.ptr : "", f);
		}
	buf_done(&now);
	buf_done(&before);
}
