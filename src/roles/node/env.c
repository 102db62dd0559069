#include "roles/node/env.h"

void env_init(struct env *v)
{
	*v = (struct env){ 0 };
	map_init(&v->by_name);
}

void env_done(struct env *v)
{
	for (size_t i = 0; i < v->n; i++) {
		free(v->at[i].name);
		free(v->at[i].value);
	}
	free(v->at);
	map_done(&v->by_name, NULL);
	*v = (struct env){ 0 };
}

void env_set(struct env *v, const char *name, const char *value)
{
	uintptr_t known = (uintptr_t)map_get_c(&v->by_name, name);

	if (known) {
		free(v->at[known - 1].value);
		v->at[known - 1].value = xstrdup(value);
		return;
	}
	if (v->n == v->cap) {
		v->cap = v->cap ? v->cap * 2 : 16;
		v->at = xrealloc(v->at, v->cap * sizeof(*v->at));
	}
	v->at[v->n++] = (struct env_var){ xstrdup(name), xstrdup(value) };
	map_put_c(&v->by_name, name, (void *)(uintptr_t)v->n);
}

const char *env_get(const struct env *v, const char *name)
{
	uintptr_t known = (uintptr_t)map_get_c(&v->by_name, name);

	return known ? v->at[known - 1].value : NULL;
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

bool env_name_valid(const char *name)
{
	for (const char *p = name; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '=')
			return false;
	return name[0] != '\0';
}
