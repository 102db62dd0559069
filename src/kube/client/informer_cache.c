#include "kube/client/informer_int.h"

struct cached {
	json_t *obj; /* NULL when the body was forgotten and nobody has asked since: see whole_of */
	unsigned
		generation; /* of the list that last contained it, or that was current when it was watched */
	unsigned uid_bytes; /* with its NUL */
	char left[];	    /* when obj is NULL: uid and resourceVersion, all that is kept of it */
};

static void cached_free(void *value)
{
	struct cached *c = value;

	json_decref(c->obj);
	free(c);
}

static const char *uid_of(const struct cached *c)
{
	return c->obj ? jx_uid(c->obj) : c->left[0] ? c->left : NULL;
}

static const char *version_of(const struct cached *c)
{
	const char *version = c->left + c->uid_bytes;

	return c->obj ? jx_str(c->obj, "metadata.resourceVersion") : version[0] ? version : NULL;
}

/* A tree of a forgotten body has a dozen allocations: it is made only for who asks. */
static json_t *whole_of(struct cached *c, struct str key)
{
	struct str name, ns;
	json_t *obj;

	if (c->obj)
		return c->obj;
	ns = str_cut(key, '/', &name);
	obj = json_object();
	cleanup(freep) char *ns_text = name.ptr ? str_dup(ns) : NULL;
	cleanup(freep) char *name_text = str_dup(name.ptr ? name : key);
	jx_set_str(obj, "metadata.name", name_text);
	jx_set_str(obj, "metadata.namespace", ns_text);
	jx_set_str(obj, "metadata.uid", uid_of(c));
	jx_set_str(obj, "metadata.resourceVersion", version_of(c));
	c->obj = obj;
	return obj;
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
		i->on.deleted(i->ctx, whole_of(c, str_of(key)));
	cached_free(c);
}

/* The handlers have seen it. They may have freed the informer: its cache lives until the turn's end. */
static void forget_body(struct informer *i, const char *key, struct cached *c)
{
	cleanup(json_decrefp) json_t *obj = c->obj;
	const char *uid = jx_uid(obj) ? jx_uid(obj) : "", *version = jx_str_or(obj, "metadata.resourceVersion", "");
	size_t u = strlen(uid) + 1, v = strlen(version) + 1;

	if (!i->handlers_only) {
		obj = NULL;
		return;
	}
	c = xrealloc(c, sizeof(*c) + u + v);
	c->obj = NULL;
	c->uid_bytes = (unsigned)u;
	memcpy(c->left, uid, u);
	memcpy(c->left + u, version, v);
	map_put_c(&i->cache, key, c);
}

static void add(struct informer *i, const char *key, json_t *obj)
{
	struct cached *c = xcalloc(1, sizeof(*c));

	c->obj = json_incref(obj);
	c->generation = i->generation;
	map_put_c(&i->cache, key, c);
	if (i->on.put)
		i->on.put(i->ctx, obj);
	else if (i->on.added)
		i->on.added(i->ctx, obj);
	forget_body(i, key, c);
}

static void replace(struct informer *i, const char *key, struct cached *c, json_t *obj)
{
	json_t *old = whole_of(c, str_of(key));

	c->obj = json_incref(obj);
	if (i->on.put)
		i->on.put(i->ctx, obj);
	else if (i->on.updated)
		i->on.updated(i->ctx, old, obj);
	json_decref(old);
	forget_body(i, key, c);
}

void cache_apply(struct informer *i, json_t *obj)
{
	cleanup(freep) char *key = object_key(obj);
	struct cached *c = map_get_c(&i->cache, key);

	if (c && !c_eq(uid_of(c), jx_uid(obj))) {
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
	if (c_eq(version_of(c), jx_str(obj, "metadata.resourceVersion")))
		return;
	item_prepare(i, obj);
	replace(i, key, c, obj);
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

bool informer_forbidden(const struct informer *i)
{
	return i->failing && i->last_error.reason == ERR_FORBIDDEN;
}

uint64_t informer_failed_ms(const struct informer *i)
{
	return i->failed_ms;
}

const json_t *informer_get(const struct informer *i, const char *ns, const char *name)
{
	cleanup(freep) char *key = ns ? xasprintf("%s/%s", ns, name) : NULL;
	struct cached *c = map_get_c(&i->cache, key ? key : name);

	return c ? whole_of(c, key ? str_of(key) : str_of(name)) : NULL;
}

size_t informer_count(const struct informer *i)
{
	return i->cache.count;
}

void informer_each(const struct informer *i, const char *ns,
		   bool (*fn)(void *ctx, const json_t *obj), void *ctx)
{
	for (struct map_iter it = { 0 }; map_next(&i->cache, &it);) {
		const json_t *obj = whole_of(it.value, it.key);

		if (ns && !c_eq(jx_namespace(obj), ns))
			continue;
		if (!fn(ctx, obj))
			return;
	}
}
