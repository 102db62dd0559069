/* Differences become what a list and a watch would have told the informers. */
#include "kube/client/files_int.h"
#include "kube/client/informer_int.h"

#include <inttypes.h>
#include <stdio.h>

#define FIRST_LOOK_MS 1 /* the informers of one start are all there by then */

static bool fields_match(const struct field_selector *s, const json_t *obj)
{
	for (size_t i = 0; s && i < s->n; i++) {
		cleanup(freep) char *path = str_dup(s->at[i].path);
		if (str_eq_c(s->at[i].value, jx_str_or(obj, path, "")) == s->at[i].not_equal)
			return false;
	}
	return true;
}

static bool is_kind_of(const struct informer *i, const struct resource *res)
{
	return c_eq(i->plural, res->plural) && c_eq(i->group, res->group);
}

bool files_selects(const char *ns, const struct selector *labels, const struct field_selector *fields, const json_t *obj)
{
	return (!ns || c_eq(ns, jx_namespace(obj))) && (!labels || selector_matches(labels, jx_at(obj, "metadata.labels"))) &&
	       fields_match(fields, obj);
}

static bool selects(const struct informer *i, const json_t *obj)
{
	return files_selects(i->ns, i->labels, &i->fields, obj);
}

static void take_version(struct informer *i, uint64_t version)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, version);
	cache_take_version(i, text);
}

/* An informer may change what it is given: each gets a tree of its own, the last one the tree itself. */
void files_tell(struct kube_files *f, const struct resource *res, json_t *obj, bool fresh_only)
{
	struct informer *last = NULL;

	list_for(pos, tmp, &f->informers) {
		struct informer *i = list_entry(pos, struct informer, files_link);
		if (i->freed || !is_kind_of(i, res) || (fresh_only && !i->files_fresh))
			continue;
		if (!selects(i, obj)) {
			cache_remove(i, obj);
			continue;
		}
		if (last && !last->freed) {
			cleanup(json_decrefp) json_t *copy = json_deep_copy(obj);
			cache_apply(last, copy);
		}
		last = i;
		if (!i->files_fresh)
			take_version(i, f->version);
	}
	if (last && !last->freed)
		cache_apply(last, obj);
}

void files_tell_gone(struct kube_files *f, const struct known *k)
{
	const char *ns = strchr(k->key, '/') + 1, *name = strchr(ns, '/') + 1;
	cleanup(json_decrefp) json_t *id = json_object();

	jx_set_str(id, "metadata.name", name);
	if (name - ns > 1)
		jx_set(id, "metadata.namespace", json_stringn(ns, (size_t)(name - ns) - 1));
	list_for(pos, tmp, &f->informers) {
		struct informer *i = list_entry(pos, struct informer, files_link);
		if (i->freed || !is_kind_of(i, k->res))
			continue;
		take_version(i, f->version);
		cache_remove(i, id);
	}
}

bool files_any_fresh(const struct kube_files *f)
{
	list_for(pos, tmp, (struct list *)&f->informers)
		if (list_entry(pos, struct informer, files_link)->files_fresh)
			return true;
	return false;
}

void files_tell_events(struct kube_files *f)
{
	list_for(pos, tmp, &f->events) {
		struct known *k = list_entry(pos, struct known, of_source);
		cleanup(json_decrefp) json_t *copy = json_deep_copy(k->whole);
		files_tell(f, k->res, copy, true);
	}
}

static void list_ended(struct kube_files *f, struct informer *i)
{
	i->files_fresh = false;
	take_version(i, f->version);
	cache_sweep(i);
	if (i->freed || i->synced)
		return;
	i->synced = true;
	if (i->on.synced)
		i->on.synced(i->ctx);
}

void files_pass_ended(struct kube_files *f, uint64_t version_before)
{
	list_for(pos, tmp, &f->informers) {
		struct informer *i = list_entry(pos, struct informer, files_link);
		bool listed = !i->freed && i->files_fresh;
		if (listed)
			list_ended(f, i);
		if (i->freed || (!listed && f->version == version_before))
			continue;
		take_version(i, f->version);
		if (i->on.progressed)
			i->on.progressed(i->ctx);
	}
}

void files_subscribe(struct kube_files *f, struct informer *i)
{
	i->files_fresh = true;
	i->generation++;
	if (list_empty(&i->files_link))
		list_append(&f->informers, &i->files_link);
	files_look_after(f, FIRST_LOOK_MS);
}
