#include "kube/object/env.h"

void env_init(struct env *v)
{
	*v = (struct env){ 0 };
	map_init(&v->by_name);
}

static void origin_ref(struct env_origin *o, struct env_origin from)
{
	json_incref((json_t *)from.object);
	json_incref((json_t *)from.part);
	*o = from;
}

static void origin_unref(struct env_origin *o)
{
	json_decref((json_t *)o->object);
	json_decref((json_t *)o->part);
	*o = (struct env_origin){ 0 };
}

void env_done(struct env *v)
{
	for (size_t i = 0; i < v->n; i++) {
		free(v->at[i].name);
		free(v->at[i].value);
		origin_unref(&v->at[i].origin);
		origin_unref(&v->at[i].hides);
	}
	free(v->at);
	map_done(&v->by_name, NULL);
	*v = (struct env){ 0 };
}

static struct env_var *find(const struct env *v, const char *name)
{
	uintptr_t known = (uintptr_t)map_get_c(&v->by_name, name);

	return known ? &v->at[known - 1] : NULL;
}

static void replace(struct env_var *var, const char *value, struct env_origin from)
{
	free(var->value);
	var->value = xstrdup(value);
	origin_unref(&var->hides);
	var->hides = var->origin;
	origin_ref(&var->origin, from);
}

void env_put(struct env *v, const char *name, const char *value, struct env_origin from)
{
	struct env_var *known = find(v, name);

	if (known) {
		replace(known, value, from);
		return;
	}
	if (v->n == v->cap) {
		v->cap = v->cap ? v->cap * 2 : 16;
		v->at = xrealloc(v->at, v->cap * sizeof(*v->at));
	}
	v->at[v->n] = (struct env_var){ .name = xstrdup(name), .value = xstrdup(value) };
	origin_ref(&v->at[v->n++].origin, from);
	map_put_c(&v->by_name, name, (void *)(uintptr_t)v->n);
}

void env_set(struct env *v, const char *name, const char *value)
{
	env_put(v, name, value, (struct env_origin){ ENV_VALUE, NULL, NULL });
}

const struct env_var *env_find(const struct env *v, const char *name)
{
	return find(v, name);
}

const char *env_get(const struct env *v, const char *name)
{
	const struct env_var *var = find(v, name);

	return var ? var->value : NULL;
}

void env_hide(struct env *v, const char *name, struct env_origin what)
{
	struct env_var *var = find(v, name);

	if (!var)
		return;
	origin_unref(&var->hides);
	origin_ref(&var->hides, what);
}

static const char *lookup(struct str name, const struct env *first, const struct env *second)
{
	cleanup(freep) char *key = str_dup(name);
	const char *value = env_get(first, key);

	return value || !second ? value : env_get(second, key);
}

/* `at` stands behind a '$'. Returns how much of it was used. */
static size_t expand_one(const char *at, struct buf *out, const struct env *first,
			 const struct env *second)
{
	const char *end = *at == '(' ? strchr(at, ')') : NULL;

	if (*at == '$') {
		buf_putc(out, '$');
		return 1;
	}
	if (!end) {
		buf_putc(out, '$');
		return 0;
	}
	struct str name = { at + 1, (size_t)(end - at - 1) };
	const char *value = lookup(name, first, second);
	if (value)
		buf_puts(out, value);
	else
		buf_printf(out, "$(" STR_FMT ")", STR_ARG(name));
	return name.len + 2;
}

char *env_expand(const char *text, const struct env *first, const struct env *second)
{
	struct buf out;

	buf_init(&out, ENV_BYTES_MAX);
	buf_puts(&out, "");
	while (*text) {
		size_t plain = strcspn(text, "$");
		buf_put(&out, text, plain);
		text += plain;
		if (*text == '$')
			text += 1 + expand_one(text + 1, &out, first, second);
	}
	if (out.overflow) {
		buf_done(&out);
		return NULL;
	}
	return out.ptr ? buf_take(&out) : xstrdup("");
}

bool env_refers(const char *text, const char *name)
{
	size_t n = strlen(name);

	while ((text = strchr(text, '$'))) {
		const char *end = text[1] == '(' ? strchr(text, ')') : NULL;
		if (end && (size_t)(end - text - 2) == n && memcmp(text + 2, name, n) == 0)
			return true;
		text += end ? end - text + 1 : text[1] == '$' ? 2 : 1;
	}
	return false;
}

bool env_name_valid(const char *name)
{
	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '=')
			return false;
	return name[0] != '\0';
}
