#include "roles/controllers/index.h"

struct set {
	struct objects objects;
	size_t cap;
};

static void set_free(void *value)
{
	struct set *s = value;

	free(s->objects.at);
	free(s);
}

void index_init(struct index *x)
{
	map_init(&x->sets_);
}

void index_done(struct index *x)
{
	map_done(&x->sets_, set_free);
}

void index_add(struct index *x, const char *key, const json_t *obj)
{
	struct set *s = map_get_c(&x->sets_, key);

	if (!s) {
		s = xcalloc(1, sizeof(*s));
		map_put_c(&x->sets_, key, s);
	}
	if (s->objects.n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 4;
		s->objects.at = xrealloc(s->objects.at, s->cap * sizeof(*s->objects.at));
	}
	s->objects.at[s->objects.n++] = obj;
}

void index_del(struct index *x, const char *key, const json_t *obj)
{
	struct set *s = map_get_c(&x->sets_, key);

	for (size_t i = 0; s && i < s->objects.n; i++) {
		if (s->objects.at[i] != obj)
			continue;
		s->objects.at[i] = s->objects.at[--s->objects.n];
		if (!s->objects.n)
			set_free(map_del_c(&x->sets_, key));
		return;
	}
}

struct objects index_get(const struct index *x, const char *key)
{
	const struct set *s = map_get_c(&x->sets_, key);

	return s ? s->objects : (struct objects){ 0 };
}
