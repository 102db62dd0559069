#include "roles/node/object_cache.h"

#include "base/map.h"

struct entry {
	struct objects *objects;
	char *key, *ns, *name, *selector;
	struct informer *informer;
	struct list users;
	bool known;
};

struct object_user {
	struct entry *entry;
	struct list link;
	void (*changed)(void *ctx);
	void *ctx;
};

struct objects {
	struct kube_client *kube;
	struct map entries;
};

struct objects *objects_new(struct kube_client *k)
{
	struct objects *o = xcalloc(1, sizeof(*o));

	o->kube = k;
	map_init(&o->entries);
	return o;
}

static void entry_free(void *p)
{
	struct entry *en = p;

	informer_free(en->informer);
	free(en->key);
	free(en->ns);
	free(en->name);
	free(en->selector);
	free(en);
}

void objects_free(struct objects *o)
{
	if (!o)
		return;
	map_done(&o->entries, entry_free);
	free(o);
}

static void entry_changed(struct entry *en)
{
	if (!en->known)
		return;
	list_for(pos, tmp, &en->users)
	{
		struct object_user *u = list_entry(pos, struct object_user, link);
		u->changed(u->ctx);
	}
}

static void on_changed(void *ctx, const json_t *obj)
{
	(void)obj;
	entry_changed(ctx);
}

static void on_synced(void *ctx)
{
	struct entry *en = ctx;

	en->known = true;
	entry_changed(en);
}

static const struct informer_handlers handlers = { .put = on_changed, .deleted = on_changed, .synced = on_synced };

static struct entry *entry_new(struct objects *o, struct kube_gvr gvr, char *key, const char *ns,
			       const char *name)
{
	struct entry *en = xcalloc(1, sizeof(*en));
	struct informer_options options;

	*en = (struct entry){ .objects = o,
			      .key = key,
			      .ns = xstrdup(ns),
			      .name = xstrdup(name),
			      .selector = xasprintf("metadata.name=%s", name) };
	list_init(&en->users);
	options = (struct informer_options){ .ns = en->ns, .field_selector = en->selector };
	en->informer = informer_new(o->kube, gvr, &options, &handlers, en);
	map_put_c(&o->entries, key, en);
	return en;
}

struct object_user *object_use(struct objects *o, struct kube_gvr gvr, const char *ns,
			       const char *name, void (*changed)(void *ctx), void *ctx)
{
	char *key = xasprintf("%s/%s/%s", gvr.resource, ns, name);
	struct entry *en = map_get_c(&o->entries, key);
	struct object_user *u = xcalloc(1, sizeof(*u));

	if (en)
		free(key);
	else
		en = entry_new(o, gvr, key, ns, name);
	*u = (struct object_user){ .entry = en, .changed = changed, .ctx = ctx };
	list_append(&en->users, &u->link);
	return u;
}

void object_unuse(struct object_user *u)
{
	if (!u)
		return;
	struct entry *en = u->entry;
	list_del(&u->link);
	free(u);
	if (!list_empty(&en->users))
		return;
	map_del_c(&en->objects->entries, en->key);
	entry_free(en);
}

const json_t *object_value(const struct object_user *u, bool *ret_known)
{
	const struct entry *en = u->entry;

	*ret_known = en->known;
	return en->known ? informer_get(en->informer, en->ns, en->name) : NULL;
}
