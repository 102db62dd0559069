#include "roles/ingress/filter/told.h"

#include "roles/ingress/http/variable.h"

void told_parse(struct told_row *rows, size_t n)
{
	struct err e;

	for (size_t i = 0; i < n; i++) {
		rows[i].value = variable_text_new(rows[i].text, &e);
		assert(rows[i].value);
	}
}

struct told *told_new(struct exchange *x)
{
	struct told *t = arena_alloc(&x->arena, sizeof(*t));

	if (!t)
		return NULL;
	t->x = x;
	for (size_t i = 0; i < x->req.headers.n && t->n < TOLD_HEADERS_MAX; i++)
		t->at[t->n++] = x->req.headers.at[i];
	told_set(t, STR("Content-Length"), STR_NONE);
	told_set(t, STR("Expect"), STR_NONE);
	return t;
}

void told_set(struct told *t, struct str name, struct str value)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++)
		if (!str_ieq(t->at[i].name, name))
			t->at[kept++] = t->at[i];
	t->n = kept;
	if (value.len && t->n < TOLD_HEADERS_MAX)
		t->at[t->n++] = (struct http_header){name, value};
}

void told_row(struct told *t, const struct told_row *row)
{
	told_set(t, str_of(row->name), variable_text_value(row->value, t->x));
}

struct http_headers told_headers(const struct told *t)
{
	return (struct http_headers){t->at, t->n};
}
