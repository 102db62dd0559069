/* store.h - every object of the cluster in memory, made durable by group commit.
 *
 * The loop decides and applies writes at once, in order, each with the next resourceVersion (one
 * sequence over all kinds). Their bytes go to SQLite in the background, everything that came
 * meanwhile in one transaction. What a client is told must wait for that: a reply that shows
 * resourceVersion N leaves through store_wait(N), watch events through ops->durable. When a
 * commit fails, memory goes back to what is durable and the waiting replies get the error.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "loop/loop.h"
#include "roles/apiserver/store/object.h"

struct store;

/* All objects of one resource in its storage version, sorted by namespace and name. */
struct table {
	const struct resource *res;
	struct object **at; /* owned references */
	size_t n, cap;
	uint64_t last_rv; /* of its latest change: reads of a quiet kind need not wait for others'
			     writes */
	struct list watchers; /* the watch handlers' */
	char *name;	      /* "pods", "deployments.apps": the key's prefix */
};

enum event_type { EVENT_ADDED, EVENT_MODIFIED, EVENT_DELETED };
struct event {
	uint64_t rv;
	struct table *table;
	enum event_type type;
	struct object *obj; /* the new state; of a deletion: the last one, with the deletion's rv */
	struct object *prev; /* NULL when added */
};

struct store_ops {
	/* Memory has changed (old NULL: added, new NULL: deleted); also when a failed commit is
	 * taken back. */
	void (*changed)(void *ctx, struct table *t, struct object *old, struct object *new);
	/* The event may be told. In order of rv. */
	void (*durable)(void *ctx, const struct event *ev);
	/* A commit failed and what it held is gone from memory. */
	void (*failed)(void *ctx, const struct err *e);
	/* A row of the file cannot be read; it stays there and is not served. */
	void (*damaged)(void *ctx, struct str key, const struct err *e);
};

/* Reads the whole file. `ops` and `ctx` are borrowed for the store's life. */
struct store *store_new(struct loop *l, const char *path, const struct store_ops *ops, void *ctx,
			struct err *e) must_check;
/* Writes what is queued first, for which it runs the loop until that is done. NULL is nothing. */
void store_free(struct store *s);

/* The table where objects of `r` are kept: its storage version's. */
struct table *store_table(struct store *s, const struct resource *r);
/* NULL when absent; borrowed until the next write. */
struct object *table_get(const struct table *t, const char *ns, const char *name);
/* Index of the first object that is not before (ns, name); ns NULL is before all. */
size_t table_lower(const struct table *t, const char *ns, const char *name);

uint64_t store_rv(const struct store *s); /* of the state in memory */
uint64_t store_durable_rv(const struct store *s);
uint64_t store_next_rv(const struct store *s); /* what the next write must carry */
/* Both take over the reference; its rv is store_next_rv(). */
void store_put(struct store *s, struct table *t, struct object *o);
void store_remove(struct store *s, struct table *t, struct object *last_state);

/* Runs `done` once rv is durable (e NULL), or was lost (e says why). At once if it is durable
 * already. */
struct store_wait {
	void (*done)(struct store_wait *w, const struct err *e);
	uint64_t rv_;
	struct list link_;
};
void store_wait(struct store *s, struct store_wait *w, uint64_t rv);
void store_wait_cancel(struct store_wait *w); /* a finished or zeroed one is nothing */

/* The oldest rv from which a watch can be resumed; anything older is 410. */
uint64_t store_oldest_rv(const struct store *s);
/* Calls fn for each durable event of `t` behind `after_rv`, in order. */
void store_replay(const struct store *s, const struct table *t, uint64_t after_rv,
		  void (*fn)(void *ctx, const struct event *ev), void *ctx);
/* As store_replay, with those that are not durable yet. */
void store_history(const struct store *s, const struct table *t, uint64_t after_rv,
		   void (*fn)(void *ctx, const struct event *ev), void *ctx);
