/* informer.h - a local, always-current copy of one kind: list, then watch, resumed for ever.
 *
 * The words are client-go's. Handlers run on the loop, after the cache has changed. A watch that
 * ended goes on from its last resourceVersion; 410 Gone relists, and the difference to the cache
 * arrives as ordinary adds, updates and deletes.
 */
#pragma once

#include "kube/client/client.h"

struct informer;
struct informer_handlers {
	void (*added)(void *ctx, const json_t *obj);
	void (*updated)(void *ctx, const json_t *old_obj, const json_t *obj);
	void (*put)(void *ctx, const json_t *obj); /* in place of added and updated, for those to whom they are the same */
	void (*deleted)(void *ctx, const json_t *obj); /* the last state that was seen */
	void (*synced)(void *ctx);		       /* once: the first list is in the cache */
	/* informer_version() moved on without a change: a list has ended, or a bookmark came. May be NULL. */
	void (*progressed)(void *ctx);
	/* Before caching: drop what the role never reads (it may change `obj` in place). May be NULL:
	 * metadata.managedFields is dropped in any case. */
	void (*transform)(json_t *obj);
};
struct informer_options {
	const char *ns;		    /* NULL: all */
	const char *label_selector; /* NULL: none */
	const char *field_selector; /* NULL: none */
	bool metadata_only;	    /* kind PartialObjectMetadata, if the server can: for garbage collection */
	/* For a role that keeps what it reads in tables of its own: once `added` or `updated` has run, an object is
	 * cut to its name, namespace, uid and resourceVersion. That is all `old_obj` and `deleted` then hold. */
	bool handlers_only;
	/* What the role never reads: it may be left out before there is a tree of it. Begins with INFORMER_UNREAD; the whole
	 * object is "" in a list, and "object" in a watch. NULL: INFORMER_UNREAD alone. */
	const struct jx_unread *unread;
};
/* Written by servers for servers: half of an object's text, where it is kept. */
#define INFORMER_UNREAD { STR("metadata"), STR("managedFields") }
#define INFORMER_UNREAD_END { STR_NONE, STR_NONE }
/* All strings and tables are borrowed until informer_free. Objects in the cache carry kind and apiVersion. */
struct informer *informer_new(struct kube_client *k, struct kube_gvr gvr, const struct informer_options *o,
			      const struct informer_handlers *h, void *ctx);
void informer_free(struct informer *i);
bool informer_synced(const struct informer *i);
/* The newest resourceVersion the cache reflects (0: none yet): a write whose answer carried that version or an
 * older one is visible. */
uint64_t informer_version(const struct informer *i);
/* Why the last list or watch failed; NULL while one is under way or running. */
const char *informer_error(const struct informer *i);
bool informer_forbidden(const struct informer *i); /* that it failed for want of the right to */
uint64_t informer_failed_ms(const struct informer *i); /* loop_now_ms of the last failure; 0: never */
const json_t *informer_get(const struct informer *i, const char *ns, const char *name); /* ns NULL: cluster-scoped */
size_t informer_count(const struct informer *i);
/* Calls fn for each cached object until it returns false; ns NULL: all. The cache may not change meanwhile. */
void informer_each(const struct informer *i, const char *ns, bool (*fn)(void *ctx, const json_t *obj), void *ctx);

/* A de-duplicating queue of keys ("ns/name") with per-key exponential back-off, as client-go's workqueue.
 * `reconcile` runs on the loop, one key after another; a key added while it is reconciled runs once more. */
struct workqueue;
struct workqueue *workqueue_new(struct loop *l, void (*reconcile)(void *ctx, const char *key), void *ctx);
void workqueue_free(struct workqueue *q);
void workqueue_add(struct workqueue *q, const char *key);
void workqueue_add_after(struct workqueue *q, const char *key, uint64_t after_ms);
void workqueue_retry(struct workqueue *q, const char *key);  /* with back-off: 5 ms doubling to 60 s */
void workqueue_forget(struct workqueue *q, const char *key); /* succeeded: back-off starts anew */
