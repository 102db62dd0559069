#include "roles/apiserver/store/snapshot.h"

struct undo {
	struct map
		first_prev; /* "ns/name" → the object before the first later change, or &absent */
	struct object absent;
};

static void key_of(const struct object *o, struct buf *key)
{
	buf_clear(key);
	buf_printf(key, "%s/%s", o->ns, o->name);
}

static void note_event(void *ctx, const struct event *ev)
{
	struct undo *u = ctx;
	struct buf key;

	buf_init(&key, SIZE_MAX / 2);
	key_of(ev->obj, &key);
	if (!map_get(&u->first_prev, buf_str(&key)))
		map_put(&u->first_prev, buf_str(&key), ev->prev ? ev->prev : &u->absent);
	buf_done(&key);
}

static int compare(const void *a, const void *b)
{
	const struct object *x = *(struct object *const *)a, *y = *(struct object *const *)b;
	int c = strcmp(x->ns, y->ns);

	return c ? c : strcmp(x->name, y->name);
}

/* What has not changed since. */
static void add_untouched(const struct table *t, const struct undo *u, struct snapshot *sn)
{
	struct buf key;

	buf_init(&key, SIZE_MAX / 2);
	for (size_t i = 0; i < t->n; i++) {
		if (u->first_prev.count) {
			key_of(t->at[i], &key);
			if (map_get(&u->first_prev, buf_str(&key)))
				continue;
		}
		sn->at[sn->n++] = object_ref(t->at[i]);
	}
	buf_done(&key);
}

void snapshot_take(const struct store *s, const struct table *t, uint64_t rv, struct snapshot *ret)
{
	struct undo u = { 0 };
	struct snapshot sn = { 0 };

	store_history(s, t, rv, note_event, &u);
	sn.at = xcalloc(t->n + u.first_prev.count + 1, sizeof(*sn.at));
	add_untouched(t, &u, &sn);
	for (struct map_iter it = { 0 }; map_next(&u.first_prev, &it);)
		if (it.value != &u.absent)
			sn.at[sn.n++] = object_ref(it.value);
	if (u.first_prev.count)
		qsort(sn.at, sn.n, sizeof(*sn.at), compare);
	map_done(&u.first_prev, NULL);
	*ret = sn;
}

void snapshot_done(struct snapshot *sn)
{
	for (size_t i = 0; i < sn->n; i++)
		object_unref(sn->at[i]);
	free(sn->at);
	*sn = (struct snapshot){ 0 };
}
