/* kit.h - what every controller stands on: shared informers, indexes, a queue each, execution of actions.
 *
 * A controller is a row (struct controller). Its `seen` names the keys that a change concerns; its `sync`
 * reads the caches into a view, calls a pure reconcile function and leaves the actions. The kit executes
 * them, retries with back-off, and does not call `sync` for that key again before the caches show what
 * the actions wrote: no controller acts twice on the same observation.
 */
#pragma once

#include "kube/client/informer.h"
#include "roles/config.h"
#include "roles/controllers/actions.h"
#include "roles/controllers/objects.h"

enum kit_index {
	KI_NAMESPACE, /* "ns" */
	KI_CONTROLLER, /* uid of the controlling owner; "/ns" holds the namespace's objects without one */
	KI_NODE,      /* pods: spec.nodeName, "" while unbound */
	KI_SERVICE,   /* endpoint slices: "ns/service" */
	KI_COUNT
};

struct kit;
struct controller_run;
struct controller {
	const char *component; /* of its events */
	unsigned kinds;	       /* 1 << KK_x: whose changes `seen` gets */
	/* old NULL: added. obj NULL: deleted. Calls controller_add. May be NULL. */
	void (*seen)(struct controller_run *c, enum kit_kind kind, const json_t *old, const json_t *obj);
	/* Once, when every informer of the kit has its first list. May be NULL. */
	void (*synced)(struct controller_run *c);
	/* NULL: the controller works on its own in `seen` and `synced`. */
	void (*sync)(struct controller_run *c, const char *key, struct actions *out);
	int (*start)(struct controller_run *c, struct err *e); /* makes c->state; may be NULL */
	void (*stop)(struct controller_run *c);		       /* may be NULL */
};
struct controller_run {
	const struct controller *def;
	struct kit *kit;
	void *state;
	struct workqueue *queue;
	struct map *keys_; /* run.c: key → struct key_run */
};
void controller_add(struct controller_run *c, const char *key);
void controller_add_object(struct controller_run *c, const json_t *obj); /* "ns/name", or "name" */
void controller_add_after(struct controller_run *c, const char *key, uint64_t after_ms);
/* The error of the last create that failed for this key; NULL once a run succeeded. */
const struct err *controller_create_error(const struct controller_run *c, const char *key);

struct kit *kit_new(struct loop *l, const struct config *config, struct kube_client *kube,
		    const struct controller *const *controllers, size_t n, void (*synced)(void *ctx), void *ctx,
		    struct err *e) must_check;
void kit_free(struct kit *k);
struct loop *kit_loop(const struct kit *k);
const struct config *kit_config(const struct kit *k);
struct kube_client *kit_kube(const struct kit *k);
bool kit_synced(const struct kit *k);
uint64_t kit_failed_ms(const struct kit *k, enum kit_kind kind); /* when its informer last failed; 0: never */

/* All borrowed, and valid until the loop goes on. */
const json_t *kit_get(const struct kit *k, enum kit_kind kind, const char *ns, const char *name);
const json_t *kit_get_key(const struct kit *k, enum kit_kind kind, const char *key);
struct objects kit_lookup(const struct kit *k, enum kit_kind kind, enum kit_index index, const char *key);
void kit_each(const struct kit *k, enum kit_kind kind, bool (*fn)(void *ctx, const json_t *obj), void *ctx);
size_t kit_count(const struct kit *k, enum kit_kind kind);
