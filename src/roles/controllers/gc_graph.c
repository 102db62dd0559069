#include "roles/controllers/gc_graph.h"

#include <string.h>

#define REMEMBERED_MAX 20000 /* uids without a node; forgetting one costs a request */

static void owners_free(struct gc_node *n)
{
	for (size_t i = 0; i < n->n_owners; i++) {
		free(n->owners[i].uid);
		free(n->owners[i].api_version);
		free(n->owners[i].kind);
		free(n->owners[i].name);
	}
	free(n->owners);
	n->owners = NULL;
	n->n_owners = 0;
}

static void node_free(void *value)
{
	struct gc_node *n = value;

	owners_free(n);
	free(n->uid);
	free(n->ns);
	free(n->name);
	free(n);
}

static void set_free(void *value)
{
	struct gc_set *s = value;

	free(s->at);
	free(s);
}

void gc_graph_init(struct gc_graph *g)
{
	map_init(&g->nodes);
	map_init(&g->dependents);
	map_init(&g->absent);
	map_init(&g->present);
}

void gc_graph_done(struct gc_graph *g)
{
	map_done(&g->nodes, node_free);
	map_done(&g->dependents, set_free);
	map_done(&g->absent, NULL);
	map_done(&g->present, NULL);
}

static void dependent_add(struct gc_graph *g, const char *owner, struct gc_node *n)
{
	struct gc_set *s = map_get_c(&g->dependents, owner);

	if (!s) {
		s = xcalloc(1, sizeof(*s));
		map_put_c(&g->dependents, owner, s);
	}
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 2;
		s->at = xrealloc(s->at, s->cap * sizeof(struct gc_node *));
	}
	s->at[s->n++] = n;
}

static void dependent_del(struct gc_graph *g, const char *owner, const struct gc_node *n)
{
	struct gc_set *s = map_get_c(&g->dependents, owner);

	for (size_t i = 0; s && i < s->n; i++) {
		if (s->at[i] != n)
			continue;
		s->at[i] = s->at[--s->n];
		if (!s->n)
			set_free(map_del_c(&g->dependents, owner));
		return;
	}
}

static bool has_finalizer(const json_t *obj, const char *name)
{
	const json_t *f;
	size_t i;

	json_array_foreach(jx_at(obj, "metadata.finalizers"), i, f)
		if (c_eq(json_string_value(f), name))
			return true;
	return false;
}

static void owners_set(struct gc_graph *g, struct gc_node *n, const json_t *refs)
{
	const json_t *ref;
	size_t i;

	for (i = 0; i < n->n_owners; i++)
		dependent_del(g, n->owners[i].uid, n);
	owners_free(n);
	if (!json_array_size(refs))
		return;
	n->owners = xcalloc(json_array_size(refs), sizeof(*n->owners));
	json_array_foreach(refs, i, ref) {
		const char *uid = jx_str(ref, "uid");
		if (!uid)
			continue;
		n->owners[n->n_owners++] =
			(struct gc_owner){ .uid = xstrdup(uid),
					   .api_version = xstrdup(jx_str(ref, "apiVersion")),
					   .kind = xstrdup(jx_str(ref, "kind")),
					   .name = xstrdup(jx_str(ref, "name")),
					   .block = jx_bool(ref, "blockOwnerDeletion", false) };
		dependent_add(g, uid, n);
	}
}

struct gc_node *gc_graph_put(struct gc_graph *g, const json_t *obj, void *source)
{
	const char *uid = jx_str_or(obj, "metadata.uid", "");
	struct gc_node *n = map_get_c(&g->nodes, uid);

	if (!n) {
		n = xcalloc(1, sizeof(*n));
		n->uid = xstrdup(uid);
		n->ns = xstrdup(jx_namespace(obj));
		n->name = xstrdup(jx_name(obj));
		map_put_c(&g->nodes, uid, n);
		map_del_c(&g->absent, uid);
		map_del_c(&g->present, uid);
	}
	n->source = source;
	n->deleting = jx_str(obj, "metadata.deletionTimestamp");
	n->foreground = has_finalizer(obj, "foregroundDeletion");
	n->orphan = has_finalizer(obj, "orphan");
	owners_set(g, n, jx_at(obj, "metadata.ownerReferences"));
	return n;
}

static void remember(struct map *m, const char *uid)
{
	if (m->count >= REMEMBERED_MAX)
		map_done(m, NULL);
	map_put_c(m, uid, m);
}

void gc_graph_absent(struct gc_graph *g, const char *uid)
{
	map_del_c(&g->present, uid);
	remember(&g->absent, uid);
}

void gc_graph_present(struct gc_graph *g, const char *uid)
{
	map_del_c(&g->absent, uid);
	remember(&g->present, uid);
}

void gc_graph_remove(struct gc_graph *g, const char *uid)
{
	struct gc_node *n = map_del_c(&g->nodes, uid);

	if (!n)
		return;
	owners_set(g, n, NULL);
	gc_graph_absent(g, uid);
	node_free(n);
}

struct gc_node *gc_graph_get(const struct gc_graph *g, const char *uid)
{
	return map_get_c(&g->nodes, uid);
}

const struct gc_set *gc_graph_dependents(const struct gc_graph *g, const char *uid)
{
	static const struct gc_set none;
	const struct gc_set *s = map_get_c(&g->dependents, uid);

	return s ? s : &none;
}

/* ---- decisions ---- */

static bool waits_for_dependents(const struct gc_node *n)
{
	return n->deleting && n->foreground;
}

bool gc_owner_drops(const struct gc_graph *g, const char *uid)
{
	const struct gc_node *owner = gc_graph_get(g, uid);

	return owner ? waits_for_dependents(owner) : map_get_c(&g->absent, uid) != NULL;
}

static bool blocks(const struct gc_node *dependent, const char *owner)
{
	for (size_t i = 0; i < dependent->n_owners; i++)
		if (dependent->owners[i].block && c_eq(dependent->owners[i].uid, owner))
			return true;
	return false;
}

static struct gc_decision decide_deleting(const struct gc_graph *g, const struct gc_node *n)
{
	const struct gc_set *deps = gc_graph_dependents(g, n->uid);

	if (n->orphan)
		return (struct gc_decision){ .verdict = deps->n ? GC_RELEASE : GC_DROP_FINALIZER,
					     .finalizer = "orphan" };
	if (!n->foreground)
		return (struct gc_decision){ .verdict = GC_KEEP };
	for (size_t i = 0; i < deps->n; i++)
		if (blocks(deps->at[i], n->uid))
			return (struct gc_decision){ .verdict = GC_DEPENDENTS };
	return (struct gc_decision){ .verdict = GC_DROP_FINALIZER,
				     .finalizer = "foregroundDeletion" };
}

static const char *policy_of(const struct gc_node *n)
{
	return n->orphan ? "Orphan" : n->foreground ? "Foreground" : "Background";
}

struct gc_decision gc_decide(const struct gc_graph *g, const struct gc_node *n)
{
	size_t solid = 0, waiting = 0;

	if (n->deleting)
		return decide_deleting(g, n);
	for (size_t i = 0; i < n->n_owners; i++) {
		const char *uid = n->owners[i].uid;
		const struct gc_node *owner = gc_graph_get(g, uid);
		bool unseen = !owner && map_get_c(&g->present, uid);

		if (!owner && !unseen && !map_get_c(&g->absent, uid))
			return (struct gc_decision){ .verdict = GC_ASK_OWNER, .index = i };
		solid += unseen || (owner && !waits_for_dependents(owner));
		waiting += owner && waits_for_dependents(owner);
	}
	if (solid == n->n_owners)
		return (struct gc_decision){ .verdict = GC_KEEP };
	if (solid)
		return (struct gc_decision){ .verdict = GC_DROP_OWNERS };
	if (waiting && gc_graph_dependents(g, n->uid)->n)
		return (struct gc_decision){ .verdict = GC_DELETE, .policy = "Foreground" };
	return (struct gc_decision){ .verdict = GC_DELETE, .policy = policy_of(n) };
}

json_t *gc_owners_without(const json_t *obj, bool (*drop)(void *ctx, const char *uid), void *ctx)
{
	json_t *kept = json_array();
	const json_t *ref;
	size_t i;

	json_array_foreach(jx_at(obj, "metadata.ownerReferences"), i, ref)
		if (!drop(ctx, jx_str_or(ref, "uid", "")))
			json_array_append(kept, (json_t *)ref);
	return kept;
}
