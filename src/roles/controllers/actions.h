/* actions.h - what a controller wants done, as data: the outcome of a pure reconcile function.
 *
 * Nothing here talks to the API; run.c executes. Actions of one stage run side by side; a stage starts
 * when the one before it has succeeded whole, and what follows a failed stage is dropped (the key is
 * reconciled again). Strings and trees in an action are its own.
 */
#pragma once

#include "kube/client/client.h"

/* The kinds that have a shared informer; a row each in kinds.c. */
enum kit_kind {
	KK_POD, KK_NODE, KK_SERVICE, KK_DEPLOYMENT, KK_REPLICASET, KK_ENDPOINTSLICE, KK_ENDPOINTS,
	KK_NAMESPACE, KK_SERVICEACCOUNT, KK_CONFIGMAP, KK_LEASE, KK_COUNT
};
struct kit_kind_row {
	struct kube_gvr gvr;
	const char *api_version, *kind;
	const char *ns, *field_selector; /* of the informer; NULL: all */
	void (*transform)(json_t *obj);	 /* drops what no controller reads; NULL: keeps all */
};
extern const struct kit_kind_row kit_kinds[KK_COUNT];

enum action_verb { ACT_CREATE, ACT_UPDATE, ACT_PATCH, ACT_DELETE, ACT_EVENT };

struct action_note { /* an event to record about `about`, or nothing if reason is NULL */
	const char *reason;
	char *text; /* "%name" stands for the name that the server gave */
};
struct action {
	enum action_verb verb;
	enum kit_kind kind;
	unsigned stage;
	char *ns, *name;	/* of the object; name is NULL for a create */
	const char *sub;	/* subresource or NULL; borrowed for ever */
	const char *patch_type; /* ACT_PATCH */
	json_t *body;		/* object, patch or DeleteOptions; NULL for an event */
	char *uid;		/* ACT_DELETE: of whom */
	const char *type;	/* ACT_EVENT: "Normal" or "Warning" */
	struct action_note done; /* recorded when it succeeded; ACT_EVENT: the event itself */
	struct action_note failed; /* recorded when it failed, followed by the error's message */
	json_t *about;		/* what the notes are about; a reference of ours */
};
struct actions {
	struct action *at;
	size_t n, cap;
	unsigned stage;		   /* of the actions that are added next */
	uint64_t requeue_after_ms; /* 0: not */
};
void actions_init(struct actions *as);
void actions_done(struct actions *as);
void actions_requeue(struct actions *as, uint64_t after_ms); /* the soonest wins */

/* `obj`, `patch` are stolen. The result is borrowed until the next action is added. */
struct action *act_create(struct actions *as, enum kit_kind kind, json_t *obj);
struct action *act_create_sub(struct actions *as, enum kit_kind kind, const json_t *parent, const char *sub,
			      json_t *obj);
struct action *act_update(struct actions *as, enum kit_kind kind, const char *sub, json_t *obj);
struct action *act_patch(struct actions *as, enum kit_kind kind, const json_t *target, const char *sub,
			 const char *patch_type, json_t *patch);
/* With the uid as precondition; grace_s < 0: the object's own grace period. */
struct action *act_delete(struct actions *as, enum kit_kind kind, const json_t *target, int64_t grace_s);
void act_event(struct actions *as, const json_t *about, const char *type, const char *reason,
	       const char *fmt, ...) printf_like(5, 6);
void act_note_done(struct action *a, const json_t *about, const char *reason, const char *fmt, ...)
	printf_like(4, 5);
void act_note_failed(struct action *a, const json_t *about, const char *reason, const char *fmt, ...)
	printf_like(4, 5);

/* For tests: the i-th action of a verb and kind, or NULL. */
const struct action *actions_find(const struct actions *as, enum action_verb verb, enum kit_kind kind, size_t i);
