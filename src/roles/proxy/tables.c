#include "roles/proxy/tables.h"

#include "roles/proxy/tables_int.h"

void tables_init(struct tables *t, const char *node_name)
{
	*t = (struct tables){ .node_name = node_name };
	map_init(&t->services);
	map_init(&t->slices);
	map_init(&t->owners);
	map_init(&t->adopted);
	list_init(&t->dirty);
	ranges_init(&t->ranges, DP_BACKENDS_MAX);
	ranges_init(&t->ids, DP_SERVICES_MAX);
	t->id_claimed = xcalloc(DP_SERVICES_MAX / 8, 1);
}

static void entry_free(void *p)
{
	struct tables_service *s = p;

	list_del(&s->dirty_link);
	for (size_t i = 0; i < s->n_lists; i++)
		free(s->lists[i].l.at);
	model_service_free(s->service);
	free(s->lists);
	free(s->frontends);
	free(s->sources);
	free(s->ids);
	free(s->slices);
	free(s->key);
	free(s);
}

static void slice_free_value(void *p)
{
	model_slice_free(p);
}

void tables_done(struct tables *t)
{
	map_done(&t->services, entry_free);
	map_done(&t->slices, slice_free_value);
	map_done(&t->owners, NULL);
	map_done(&t->adopted, free);
	ranges_done(&t->ranges);
	ranges_done(&t->ids);
	free(t->id_claimed);
	free(t->adopted_ranges);
	free(t->adopted_sources);
}

void tables_changes_done(struct tables_changes *c)
{
	free(c->backends);
	free(c->source_puts);
	free(c->source_dels);
	free(c->puts);
	free(c->dels);
	free(c->gone);
	*c = (struct tables_changes){ 0 };
}

void tables_service_mark(struct tables *t, struct tables_service *s)
{
	if (list_empty(&s->dirty_link))
		list_append(&t->dirty, &s->dirty_link);
}

static struct tables_service *entry_get(struct tables *t, const char *key)
{
	struct tables_service *s = map_get_c(&t->services, key);

	if (s)
		return s;
	s = xcalloc(1, sizeof(*s));
	s->key = xstrdup(key);
	list_init(&s->dirty_link);
	map_put_c(&t->services, key, s);
	return s;
}

static char *key_of(const json_t *obj)
{
	const char *ns = jx_namespace(obj), *name = jx_name(obj);

	return ns && name ? xasprintf("%s/%s", ns, name) : NULL;
}

static void service_set(struct tables *t, const json_t *obj, struct service *parsed)
{
	cleanup(freep) char *key = key_of(obj);

	if (!key || (!parsed && !map_get_c(&t->services, key))) {
		model_service_free(parsed);
		return;
	}
	struct tables_service *s = entry_get(t, key);
	model_service_free(s->service);
	s->service = parsed;
	tables_service_mark(t, s);
}

void tables_service_put(struct tables *t, const json_t *obj)
{
	service_set(t, obj, model_service_parse(obj));
}

void tables_service_del(struct tables *t, const json_t *obj)
{
	service_set(t, obj, NULL);
}

static void entry_slice_remove(struct tables *t, struct slice *slice)
{
	struct tables_service *s = slice ? map_get_c(&t->services, slice->service) : NULL;

	for (size_t i = 0; s && i < s->n_slices; i++)
		if (s->slices[i] == slice)
			s->slices[i--] = s->slices[--s->n_slices];
	if (s)
		tables_service_mark(t, s);
	model_slice_free(slice);
}

static void slice_set(struct tables *t, const json_t *obj, struct slice *parsed)
{
	cleanup(freep) char *key = key_of(obj);

	if (!key) {
		model_slice_free(parsed);
		return;
	}
	if (parsed) {
		struct tables_service *s = entry_get(t, parsed->service);

		s->slices = tables_grow(s->slices, s->n_slices, sizeof(*s->slices));
		s->slices[s->n_slices++] = parsed;
		tables_service_mark(t, s);
		entry_slice_remove(t, map_put_c(&t->slices, key, parsed));
	} else {
		entry_slice_remove(t, map_del_c(&t->slices, key));
	}
}

void tables_slice_put(struct tables *t, const json_t *obj)
{
	slice_set(t, obj, model_slice_parse(obj, t->node_name));
}

void tables_slice_del(struct tables *t, const json_t *obj)
{
	slice_set(t, obj, NULL);
}

/* What was given up in this flush may be what another service waits for. */
static void contested_mark(struct tables *t)
{
	struct map_iter it = { 0 };

	while (map_next(&t->services, &it)) {
		struct tables_service *s = it.value;

		if (s->contested)
			tables_service_mark(t, s);
	}
}

static void dirty_sync(struct tables_flush *f)
{
	struct tables *t = f->t;

	while (!list_empty(&t->dirty)) {
		struct tables_service *s = list_entry(t->dirty.next, struct tables_service, dirty_link);
		bool was_contested = s->contested;

		list_del(&s->dirty_link);
		tables_sync_service(f, s);
		t->contested += s->contested - was_contested;
		if (s->service || s->n_slices)
			continue;
		map_del_c(&t->services, s->key);
		entry_free(s);
	}
}

/* Leftovers from before the restart that no service wanted. */
static void adopted_drop(struct tables_flush *f)
{
	struct tables *t = f->t;
	struct map_iter it = { 0 };

	while (map_next(&t->adopted, &it)) {
		struct tables_frontend *fe = it.value;

		f->c->dels = tables_grow(f->c->dels, f->c->n_dels, sizeof(*f->c->dels));
		f->c->dels[f->c->n_dels++] = fe->key;
	}
	map_done(&t->adopted, free);
	map_init(&t->adopted);
	for (size_t i = 0; i < t->n_adopted_ranges; i++)
		ranges_give(&t->ranges, t->adopted_ranges[i].first, t->adopted_ranges[i].count, f->now_ms);
	free(TAKE_PTR(t->adopted_ranges));
	t->n_adopted_ranges = 0;
}

static bool source_wanted(const struct tables *t, const struct svc_source *src)
{
	struct map_iter it = { 0 };

	while (map_next(&t->services, &it)) {
		const struct tables_service *s = it.value;

		for (size_t id = 0; id < s->n_ids; id++)
			for (size_t i = 0; s->ids[id] == src->id && i < s->n_sources; i++)
				if (s->sources[i].addr == src->addr && s->sources[i].prefix_len + 32 == src->prefixlen)
					return true;
	}
	return false;
}

static void adopted_sources_drop(struct tables_flush *f)
{
	struct tables *t = f->t;

	for (size_t i = 0; i < t->n_adopted_sources; i++) {
		if (source_wanted(t, &t->adopted_sources[i]))
			continue;
		f->c->source_dels = tables_grow(f->c->source_dels, f->c->n_source_dels, sizeof(*f->c->source_dels));
		f->c->source_dels[f->c->n_source_dels++] = t->adopted_sources[i];
	}
	free(TAKE_PTR(t->adopted_sources));
	t->n_adopted_sources = 0;
}

void tables_flush(struct tables *t, uint64_t now_ms, struct tables_changes *ret_changes)
{
	*ret_changes = (struct tables_changes){ 0 };
	struct tables_flush f = { .t = t, .c = ret_changes, .now_ms = now_ms };

	map_init(&f.removed);
	t->refused = 0;
	dirty_sync(&f);
	if (f.removed.count && t->contested) {
		contested_mark(t);
		dirty_sync(&f);
	}
	if (t->drop_adopted) {
		adopted_drop(&f);
		adopted_sources_drop(&f);
		t->adopting = t->drop_adopted = false;
	}
	map_done(&f.removed, NULL);
}

static void ids_adopt(struct tables *t, const struct tables_frontend *frontends, size_t n)
{
	struct ranges_used *used = xcalloc(MAX(n, 1), sizeof(*used));
	size_t n_used = 0;

	for (size_t i = 0; i < n; i++)
		if (!(frontends[i].value.flags & SVC_ADDRESS) && frontends[i].value.id < DP_SERVICES_MAX)
			used[n_used++] = (struct ranges_used){ .first = frontends[i].value.id, .count = 1 };
	ranges_adopt(&t->ids, used, n_used);
	free(used);
}

static int used_compare(const void *va, const void *vb)
{
	const struct ranges_used *a = va, *b = vb;

	return a->first < b->first ? -1 : a->first > b->first;
}

/* A port's frontends share their list: each is to be given back once. */
static size_t ranges_unique(struct ranges_used *at, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(at, n, sizeof(*at), used_compare);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || at[kept - 1].first != at[i].first)
			at[kept++] = at[i];
	return kept;
}

void tables_adopt(struct tables *t, const struct tables_frontend *frontends, size_t n,
		  const struct svc_source *sources, size_t n_sources)
{
	struct ranges_used *used = xcalloc(MAX(n, 1), sizeof(*used));
	size_t n_used = 0;

	t->adopting = true;
	for (size_t i = 0; i < n; i++) {
		const struct tables_frontend *fe = &frontends[i];
		struct tables_frontend *copy = xmalloc(sizeof(*copy));

		*copy = *fe;
		free(map_put(&t->adopted, tables_key(&fe->key), copy));
		if (fe->value.count && fe->value.first + fe->value.count <= DP_BACKENDS_MAX)
			used[n_used++] = (struct ranges_used){ fe->value.first, fe->value.count };
	}
	ids_adopt(t, frontends, n);
	n_used = ranges_unique(used, n_used);
	ranges_adopt(&t->ranges, used, n_used);
	t->adopted_ranges = used;
	t->n_adopted_ranges = n_used;
	t->adopted_sources = xcalloc(MAX(n_sources, 1), sizeof(*sources));
	if (n_sources)
		memcpy(t->adopted_sources, sources, n_sources * sizeof(*sources));
	t->n_adopted_sources = n_sources;
}

void tables_adoption_end(struct tables *t)
{
	t->drop_adopted = true;
}
