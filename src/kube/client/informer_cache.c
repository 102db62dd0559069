#include "kube/client/informer_int.h"

struct cached {
	json_t *obj;
	unsigned
		generation; /* of the list that last contained it, or that was current when it was watched */
};

static void cached_free(void *value)
{
	struct cached *c = value;

	json_decref(c->obj);
	free(c);
}

void cache_init(struct informer *i)
{
	map_init(&i->cache);
}

void cache_done(struct informer *i)
{
	map_done(&i->cache, cached_free);
}

static char *object_key(const json_t *obj)
{
	const char *ns = jx_namespace(obj), *name = jx_str_or(obj, "metadata.name", "");

	return ns && ns[0] ? xasprintf("%s/%s", ns, name) : xstrdup(name);
}

void cache_take_version(struct informer *i, const char *version)
{
	uint64_t n;

	if (!version || !version[0] || c_eq(version, i->version))
		return;
	free(i->version);
	i->version = xstrdup(version);
	if (str_to_u64(str_of(version), UINT64_MAX, &n))
		i->version_number = n;
}

static void item_prepare(struct informer *i, json_t *obj)
{
	json_t *meta = json_object_get(obj, "metadata");

	json_object_del(meta, "managedFields");
	if (i->kind && !json_object_get(obj, "kind"))
		json_object_set_new(obj, "kind", json_string(i->kind));
	if (i->api_version && !json_object_get(obj, "apiVersion"))
		json_object_set_new(obj, "apiVersion", json_string(i->api_version));
	if (i->on.transform)
		i->on.transform(obj);
}

static void remove_key(struct informer *i, const char *key)
{
	struct cached *c = map_del_c(&i->cache, key);

	if (!c)
		return;
	if (i->on.deleted)
		i->on.deleted(i->ctx, c->obj);
	json_decref(c->obj);
	free(c);
}

/* A tree of its own: what is deleted from an object leaves its tables as large as they were. */
static json_t *identity_of(const json_t *obj)
{
	static const char *const kept[] = { "name", "namespace", "uid", "resourceVersion" };
	const json_t *meta = json_object_get(obj, "metadata");
	json_t *cut = json_object(), *id = json_object();

	for (size_t k = 0; k < ARRAY_LEN(kept); k++)
		if (json_object_get(meta, kept[k]))
			json_object_set(id, kept[k], json_object_get(meta, kept[k]));
	json_object_set_new(cut, "metadata", id);
	return cut;
}

/* The handlers have seen it. They may have freed the informer: its cache lives until the turn's end. */
static void forget_body(struct informer *i, struct cached *c)
{
	json_t *whole = c->obj;

	if (!i->handlers_only)
		return;
	c->obj = identity_of(whole);
	json_decref(whole);
}

static void add(struct informer *i, const char *key, json_t *obj)
{
	struct cached *c = xcalloc(1, sizeof(*c));

	c->obj = json_incref(obj);
	c->generation = i->generation;
	map_put_c(&i->cache, key, c);
	if (i->on.added)
		i->on.added(i->ctx, obj);
	forget_body(i, c);
}

static void replace(struct informer *i, struct cached *c, json_t *obj)
{
	json_t *old = c->obj;

	c->obj = json_incref(obj);
	if (i->on.updated)
		i->on.updated(i->ctx, old, obj);
	json_decref(old);
	forget_body(i, c);
}

void cache_apply(struct informer *i, json_t *obj)
{
	cleanup(freep) char *key = object_key(obj);
	struct cached *c = map_get_c(&i->cache, key);

	if (c && !c_eq(jx_uid(c->obj), jx_uid(obj))) {
		remove_key(i, key); /* another object of the same name: consumers see both ends */
		c = NULL;
	}
	if (i->freed)
		return;
	if (!c) {
		item_prepare(i, obj);
		add(i, key, obj);
		return;
	}
	c->generation = i->generation;
	if (c_eq(jx_str(c->obj, "metadata.resourceVersion"),
		 jx_str(obj, "metadata.resourceVersion")))
		return;
	item_prepare(i, obj);
	replace(i, c, obj);
}

void cache_remove(struct informer *i, const json_t *obj)
{
	cleanup(freep) char *key = object_key(obj);

	remove_key(i, key);
}

void cache_sweep(struct informer *i)
{
	size_t n = 0;
	char **gone = xcalloc(i->cache.count + 1, sizeof(*gone));

	for (struct map_iter it = { 0 }; map_next(&i->cache, &it);)
		if (((struct cached *)it.value)->generation != i->generation)
			gone[n++] = str_dup(it.key);
	for (size_t k = 0; k < n; k++) {
		if (!i->freed)
			remove_key(i, gone[k]);
		free(gone[k]);
	}
	free(gone);
}

/* ---- public ---- */

bool informer_synced(const struct informer *i)
{
	return i->synced;
}

uint64_t informer_version(const struct informer *i)
{
	return i->version_number;
}

const char *informer_error(const struct informer *i)
{
	return i->failing ? i->last_error.message : NULL;
}

uint64_t informer_failed_ms(const struct informer *i)
{
	return i->failed_ms;
}

const json_t *informer_get(const struct informer *i, const char *ns, const char *name)
{
	cleanup(freep) char *key = ns ? xasprintf("%s/%s", ns, name) : NULL;
	const struct cached *c = map_get_c(&i->cache, key ? key : name);

	return c ? c->obj : NULL;
}

size_t informer_count(const struct informer *i)
{
	return i->cache.count;
}

void informer_each(const struct informer *i, const char *ns,
		   bool (*fn)(void *ctx, const json_t *obj), void *ctx)
{
	for (struct map_iter it = { 0 }; map_next(&i->cache, &it);) {
		const json_t *obj = ((const struct cached *)it.value)->obj;

		if (ns && !c_eq(jx_namespace(obj), ns))
			continue;
		if (!fn(ctx, obj))
			return;
	}
}
