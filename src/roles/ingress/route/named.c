/* Single objects outside the one namespace that is watched: the settings' ConfigMap, what it refers to, the default
 * certificate. */
#include "roles/ingress/route/sync_int.h"

#include "base/log.h"

#define NAMED_MAX 500 /* each is a watch: half of the streams of a connection to the API server */

struct named {
	struct list link;
	struct informer *informer;
	int kind;
	char *ns, *selector, *key;
};

/* Whether one more may be watched. */
static bool has_room(const struct list *all, int kind, const char *key)
{
	size_t count = 0;

	list_for(at, tmp, (struct list *)(uintptr_t)all) {
		const struct named *n = list_entry(at, struct named, link);

		if (n->kind == kind && c_eq(n->key, key))
			return false;
		count++;
	}
	if (count == NAMED_MAX)
		log_warn("%s is not watched: %d objects outside --watch-namespace are", key, NAMED_MAX);
	return count < NAMED_MAX;
}

void named_start(struct list *all, struct kube_client *k, const struct named_options *o)
{
	struct str name, ns = str_cut(str_of(o->key), '/', &name);

	if (!o->watched_ns || !name.len || str_eq_c(ns, o->watched_ns) || str_eq_c(ns, SOURCE_URL_NAMESPACE) ||
	    !has_room(all, o->kind, o->key))
		return;
	bool slices = c_eq(o->gvr.resource, "endpointslices");
	struct named *n = xcalloc(1, sizeof(*n));
	n->kind = o->kind;
	n->key = xstrdup(o->key);
	n->ns = str_dup(ns);
	n->selector = xasprintf("%s=" STR_FMT, slices ? "kubernetes.io/service-name" : "metadata.name", STR_ARG(name));
	list_append(all, &n->link);
	struct informer_options io = { .ns = n->ns, .handlers_only = true, .unread = o->unread };
	*(slices ? &io.label_selector : &io.field_selector) = n->selector;
	n->informer = informer_new(k, o->gvr, &io, o->handlers, o->ctx);
}

bool named_synced(const struct list *all)
{
	list_for(at, tmp, (struct list *)(uintptr_t)all)
		if (!informer_synced(list_entry(at, struct named, link)->informer))
			return false;
	return true;
}

void named_complain(const struct list *all)
{
	list_for(at, tmp, (struct list *)(uintptr_t)all) {
		const struct named *n = list_entry(at, struct named, link);
		const char *why = informer_synced(n->informer) ? NULL : informer_error(n->informer);

		if (why)
			log_warn("going on without %s: %s", n->key, why);
	}
}

bool named_exists(const struct list *all, int kind, const char *ns, const char *name)
{
	list_for(at, tmp, (struct list *)(uintptr_t)all) {
		const struct named *n = list_entry(at, struct named, link);

		if (n->kind == kind && informer_get(n->informer, ns, name))
			return true;
	}
	return false;
}

void named_free(struct list *all)
{
	list_for(at, tmp, all) {
		struct named *n = list_entry(at, struct named, link);

		list_del(at);
		informer_free(n->informer);
		free(n->ns);
		free(n->selector);
		free(n->key);
		free(n);
	}
}
