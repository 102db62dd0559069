#include "roles/controllers/kit_int.h"

#include <stdio.h>
#include <string.h>

/* ---- indexes ---- */

struct index_key {
	char *text; /* NULL: not in this index */
};

static char *key_controller(const json_t *obj)
{
	const char *uid = controller_uid(obj);

	return uid ? xstrdup(uid) : xasprintf("/%s", jx_str_or(obj, "metadata.namespace", ""));
}

static char *key_namespace(const json_t *obj)
{
	return xstrdup(jx_namespace(obj));
}

static char *key_node(const json_t *obj)
{
	return xstrdup(jx_str_or(obj, "spec.nodeName", ""));
}

static char *key_service(const json_t *obj)
{
	const char *service = jx_label(obj, "kubernetes.io/service-name");

	return service ? xasprintf("%s/%s", jx_str_or(obj, "metadata.namespace", ""), service)
		       : NULL;
}

static const struct {
	char *(*key)(const json_t *obj);
	unsigned kinds;
} index_rows[KI_COUNT] = {
	[KI_NAMESPACE] = { key_namespace, 1 << KK_POD | 1 << KK_SERVICE | 1 << KK_DEPLOYMENT |
						  1 << KK_REPLICASET },
	[KI_CONTROLLER] = { key_controller, 1 << KK_POD | 1 << KK_REPLICASET },
	[KI_NODE] = { key_node, 1 << KK_POD },
	[KI_SERVICE] = { key_service, 1 << KK_ENDPOINTSLICE },
};

static void cache_index(struct kit_cache *c, const json_t *obj,
			void (*apply)(struct index *x, const char *key, const json_t *obj))
{
	for (int i = 0; i < KI_COUNT; i++) {
		if (!(index_rows[i].kinds & 1u << c->kind))
			continue;
		cleanup(freep) char *key = index_rows[i].key(obj);
		if (key)
			apply(&c->index[i], key, obj);
	}
}

/* ---- changes ---- */

static void kit_changed(struct kit_cache *c, const json_t *old, const json_t *obj)
{
	struct kit *k = c->kit;

	if (old)
		cache_index(c, old, index_del);
	if (obj)
		cache_index(c, obj, index_add);
	for (size_t i = 0; i < k->n_runs; i++)
		if (k->runs[i].def->seen && k->runs[i].def->kinds & 1u << c->kind)
			k->runs[i].def->seen(&k->runs[i], c->kind, old, obj);
	run_progress(k, c->kind);
}

static void on_added(void *ctx, const json_t *obj)
{
	kit_changed(ctx, NULL, obj);
}

static void on_updated(void *ctx, const json_t *old, const json_t *obj)
{
	kit_changed(ctx, old, obj);
}

static void on_deleted(void *ctx, const json_t *obj)
{
	kit_changed(ctx, obj, NULL);
}

static void on_progressed(void *ctx)
{
	struct kit_cache *c = ctx;

	run_progress(c->kit, c->kind);
}

static void on_synced(void *ctx)
{
	struct kit *k = ((struct kit_cache *)ctx)->kit;

	for (int i = 0; i < KK_COUNT; i++)
		if (!informer_synced(k->cache[i].informer))
			return;
	k->synced = true;
	for (size_t i = 0; i < k->n_runs; i++)
		run_synced(&k->runs[i]);
	if (k->on_synced)
		k->on_synced(k->ctx);
}

static void cache_start(struct kit *k, enum kit_kind kind)
{
	const struct kit_kind_row *row = &kit_kinds[kind];
	struct kit_cache *c = &k->cache[kind];

	c->informer = informer_new(
		k->kube, row->gvr,
		&(struct informer_options){ .ns = row->ns, .field_selector = row->field_selector },
		&(struct informer_handlers){ .added = on_added,
					     .updated = on_updated,
					     .deleted = on_deleted,
					     .synced = on_synced,
					     .progressed = on_progressed,
					     .transform = row->transform },
		c);
}

/* ---- public ---- */

struct kit *kit_new(struct loop *l, const struct config *config, struct kube_client *kube,
		    const struct controller *const *controllers, size_t n,
		    void (*synced)(void *ctx), void *ctx, struct err *e)
{
	struct kit *k = xcalloc(1, sizeof(*k));

	k->loop = l;
	k->config = config;
	k->kube = kube;
	k->on_synced = synced;
	k->ctx = ctx;
	list_init(&k->waiting);
	for (int kind = 0; kind < KK_COUNT; kind++) {
		k->cache[kind].kit = k;
		k->cache[kind].kind = (enum kit_kind)kind;
		for (int i = 0; i < KI_COUNT; i++)
			index_init(&k->cache[kind].index[i]);
	}
	k->runs = xcalloc(n, sizeof(*k->runs));
	for (; k->n_runs < n; k->n_runs++) {
		k->runs[k->n_runs] =
			(struct controller_run){ .def = controllers[k->n_runs], .kit = k };
		if (run_start(&k->runs[k->n_runs], e) < 0) {
			kit_free(k);
			return NULL;
		}
	}
	for (int kind = 0; kind < KK_COUNT; kind++)
		cache_start(k, (enum kit_kind)kind);
	return k;
}

void kit_free(struct kit *k)
{
	if (!k)
		return;
	for (int kind = 0; kind < KK_COUNT; kind++)
		informer_free(k->cache[kind].informer);
	for (size_t i = 0; i < k->n_runs; i++)
		run_stop(&k->runs[i]);
	for (int kind = 0; kind < KK_COUNT; kind++)
		for (int i = 0; i < KI_COUNT; i++)
			index_done(&k->cache[kind].index[i]);
	free(k->runs);
	free(k);
}

struct loop *kit_loop(const struct kit *k)
{
	return k->loop;
}

const struct config *kit_config(const struct kit *k)
{
	return k->config;
}

struct kube_client *kit_kube(const struct kit *k)
{
	return k->kube;
}

bool kit_synced(const struct kit *k)
{
	return k->synced;
}

uint64_t kit_failed_ms(const struct kit *k, enum kit_kind kind)
{
	return informer_failed_ms(k->cache[kind].informer);
}

const json_t *kit_get(const struct kit *k, enum kit_kind kind, const char *ns, const char *name)
{
	return informer_get(k->cache[kind].informer, ns, name);
}

const json_t *kit_get_key(const struct kit *k, enum kit_kind kind, const char *key)
{
	return informer_get(k->cache[kind].informer, NULL,
			    key); /* the cache's key is the same text */
}

struct objects kit_lookup(const struct kit *k, enum kit_kind kind, enum kit_index index,
			  const char *key)
{
	assert(index_rows[index].kinds & 1u << kind);
	return index_get(&k->cache[kind].index[index], key);
}

void kit_each(const struct kit *k, enum kit_kind kind, bool (*fn)(void *ctx, const json_t *obj),
	      void *ctx)
{
	informer_each(k->cache[kind].informer, NULL, fn, ctx);
}

size_t kit_count(const struct kit *k, enum kit_kind kind)
{
	return informer_count(k->cache[kind].informer);
}
