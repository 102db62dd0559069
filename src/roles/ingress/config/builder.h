/* builder.h - one settings record while it is made: shared by settings.c, resolve*.c and globals_build.c. */
#pragma once

#include "roles/ingress/config/annotations.h"
#include "roles/ingress/config/refs.h"
#include "roles/ingress/config/source.h"

struct builder {
	struct settings *s;
	struct settings_refs refs;
	const struct globals *g;
	const struct settings_source *src;
	const json_t *annotations; /* NULL while the defaults are made */
	const char *ns;
};
void builder_problem(const struct builder *b, const char *annotation, const char *reason, const char *fmt, ...) printf_like(4, 5);
/* Every request will be answered with 503; the first reason stays. */
void builder_deny_for(struct builder *b, const char *annotation, const char *reason, const char *fmt, ...) printf_like(4, 5);
#define builder_deny(b, annotation, ...) builder_deny_for(b, annotation, REASON_DENIED, __VA_ARGS__)
bool builder_has(const struct builder *b, const struct field *table, const char *name); /* is the annotation there? */

/* Turns b->refs into settings: Secrets, ConfigMaps, snippets, and what several annotations say together. */
void settings_resolve(struct builder *b);
void settings_refs_done(struct settings_refs *r);

/* What ModSecurity's directives ask for; `text` may be NULL. */
enum waf_mode modsecurity_mode(const char *text);
/* Headers of a ConfigMap; `allowed` NULL: all. -1 with the reason. */
int header_texts_of(const json_t *configmap, const struct str_list *allowed, struct header_text **ret, size_t *ret_n, struct err *e)
	must_check;
void header_texts_free(struct header_text *h, size_t n);

/* The fallbacks of rows of `home` in `table`, parsed; clearing them. */
void fields_default(const struct field *table, enum field_home home, void *record);
void fields_clear(const struct field *table, enum field_home home, void *record);

/* s->auth_cache, as auth_cache_key and auth_cache_duration of `from` ask for. */
void settings_remember_auth(struct settings *s, const struct settings *from);

/* All of them at their defaults. */
struct settings *settings_new(void);
struct settings *settings_copy(const struct settings *from);
