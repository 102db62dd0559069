/* gc_graph.h - who owns whom, and what that means for one object. Pure: no I/O, no clock.
 *
 * Owners are known by uid only; an owner that was never seen is not a node but a reference. The rules are
 * those of kubernetes pkg/controller/garbagecollector: background, foreground and orphan deletion.
 */
#pragma once

#include "base/map.h"
#include "codec/jx.h"

struct gc_owner {
	char *uid, *api_version, *kind, *name;
	bool block; /* blockOwnerDeletion */
};
struct gc_node {
	char *uid, *ns, *name; /* ns NULL: cluster-scoped */
	void *source;	       /* the watch it came from; the graph does not look at it */
	struct gc_owner *owners;
	size_t n_owners;
	bool deleting, foreground, orphan; /* deletionTimestamp; finalizers foregroundDeletion, orphan */
};
struct gc_graph {
	struct map nodes;      /* uid → struct gc_node */
	struct map dependents; /* uid of an owner → struct gc_set */
	struct map absent;     /* uids known not to exist (any more) */
	struct map present;    /* uids that exist, though no watch shows them */
};
struct gc_set { /* borrowed nodes */
	struct gc_node **at;
	size_t n, cap;
};

void gc_graph_init(struct gc_graph *g);
void gc_graph_done(struct gc_graph *g);
/* Adds or changes the node of `obj`; borrowed. */
struct gc_node *gc_graph_put(struct gc_graph *g, const json_t *obj, void *source);
void gc_graph_remove(struct gc_graph *g, const char *uid); /* and remembers that it is absent */
void gc_graph_absent(struct gc_graph *g, const char *uid);
void gc_graph_present(struct gc_graph *g, const char *uid);
struct gc_node *gc_graph_get(const struct gc_graph *g, const char *uid);
const struct gc_set *gc_graph_dependents(const struct gc_graph *g, const char *uid); /* never NULL */

enum gc_verdict {
	GC_KEEP,	   /* nothing to do */
	GC_ASK_OWNER,	   /* does owners[index] exist? */
	GC_DROP_OWNERS,	   /* remove the references to owners that are gone or wait for it */
	GC_DELETE,	   /* with `policy` */
	GC_DEPENDENTS,	   /* its dependents are to be looked at first */
	GC_DROP_FINALIZER, /* remove `finalizer` */
	GC_RELEASE	   /* orphan: take its reference out of every dependent */
};
struct gc_decision {
	enum gc_verdict verdict;
	size_t index;
	const char *policy, *finalizer;
};
struct gc_decision gc_decide(const struct gc_graph *g, const struct gc_node *n);
/* ownerReferences of `obj` without those of `uid`s that `drop` says; new reference. */
json_t *gc_owners_without(const json_t *obj, bool (*drop)(void *ctx, const char *uid), void *ctx);
/* Whether owner `uid` is absent, or is being deleted and waits for its dependents. */
bool gc_owner_drops(const struct gc_graph *g, const char *uid);
