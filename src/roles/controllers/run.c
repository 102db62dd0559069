/* run.c - one reconciliation of one key: its actions, stage by stage, until the caches show them. */
#include "base/log.h"
#include "roles/controllers/kit_int.h"

#include <stdio.h>
#include <string.h>

#define LOST_ANSWER_MS                                                                             \
	250 /* after a broken connection: informers resume within 50-100 ms and show what was done */

struct key_run {
	struct controller_run *c;
	char *key;
	bool busy;  /* acting, or waiting for the caches */
	bool dirty; /* added again meanwhile */
	struct actions actions;
	size_t next; /* first action not yet sent */
	struct list calls;
	bool failed, lost; /* lost: an answer never came */
	bool create_failed;
	struct err create_error;
	uint64_t version[KK_COUNT]; /* what the caches must reach; 0: nothing was written */
	struct list waiting;	    /* in kit.waiting */
};

struct action_call {
	struct list link;
	struct key_run *run;
	struct action *action;
	struct kube_call *call;
};

static void run_go_on(struct key_run *r);

/* ---- keys ---- */

static struct key_run *run_get(struct controller_run *c, const char *key)
{
	struct key_run *r = map_get_c(c->keys_, key);

	if (r)
		return r;
	r = xcalloc(1, sizeof(*r));
	r->c = c;
	r->key = xstrdup(key);
	list_init(&r->calls);
	list_init(&r->waiting);
	map_put_c(c->keys_, key, r);
	return r;
}

static void run_free(void *value)
{
	struct key_run *r = value;

	list_for(pos, tmp, &r->calls) {
		struct action_call *ac = list_entry(pos, struct action_call, link);
		kube_cancel(ac->call);
		free(ac);
	}
	list_del(&r->waiting);
	actions_done(&r->actions);
	free(r->key);
	free(r);
}

void controller_add(struct controller_run *c, const char *key)
{
	workqueue_add(c->queue, key);
}

void controller_add_object(struct controller_run *c, const json_t *obj)
{
	const char *ns = jx_namespace(obj), *name = jx_str_or(obj, "metadata.name", "");
	cleanup(freep) char *key = ns ? xasprintf("%s/%s", ns, name) : NULL;

	workqueue_add(c->queue, key ? key : name);
}

void controller_add_after(struct controller_run *c, const char *key, uint64_t after_ms)
{
	workqueue_add_after(c->queue, key, after_ms);
}

const struct err *controller_create_error(const struct controller_run *c, const char *key)
{
	const struct key_run *r = map_get_c(c->keys_, key);

	return r && r->create_failed ? &r->create_error : NULL;
}

/* ---- the end of a run ---- */

static bool delete_visible(const struct kit *k, const struct action *a)
{
	const json_t *obj = kit_get(k, a->kind, a->ns, a->name);

	return !obj || !c_eq(jx_uid(obj), a->uid) || being_deleted(obj);
}

static bool run_visible(const struct key_run *r)
{
	const struct kit *k = r->c->kit;

	for (int kind = 0; kind < KK_COUNT; kind++)
		if (r->version[kind] > informer_version(k->cache[kind].informer))
			return false;
	for (size_t i = 0; i < r->next; i++)
		if (r->actions.at[i].verb == ACT_DELETE && r->actions.at[i].uid &&
		    !delete_visible(k, &r->actions.at[i]))
			return false;
	return true;
}

static void run_end(struct key_run *r)
{
	struct controller_run *c = r->c;
	uint64_t requeue_ms = r->actions.requeue_after_ms;

	list_del(&r->waiting);
	r->busy = false;
	actions_done(&r->actions);
	if (r->lost) {
		workqueue_add_after(c->queue, r->key, LOST_ANSWER_MS);
	} else if (r->failed) {
		workqueue_retry(c->queue, r->key);
	} else {
		workqueue_forget(c->queue, r->key);
		if (requeue_ms)
			workqueue_add_after(c->queue, r->key, requeue_ms);
	}
	if (r->dirty && !r->lost)
		workqueue_add(c->queue, r->key);
	r->dirty = false;
	if (!r->failed)
		r->create_failed = false;
	if (!r->create_failed) {
		map_del_c(c->keys_, r->key);
		run_free(r);
	}
}

static void run_finish(struct key_run *r)
{
	if (run_visible(r))
		run_end(r);
	else
		list_append(&r->c->kit->waiting, &r->waiting);
}

void run_progress(struct kit *k, enum kit_kind kind)
{
	(void)kind;
	list_for(pos, tmp, &k->waiting) {
		struct key_run *r = list_entry(pos, struct key_run, waiting);
		if (run_visible(r))
			run_end(r);
	}
}

/* ---- actions ---- */

static void note_record(struct key_run *r, const struct action *a, const char *type,
			const struct action_note *note, const char *name, const char *suffix)
{
	const char *hole = note->text ? strstr(note->text, "%name") : NULL;

	if (!note->reason)
		return;
	if (hole)
		kube_event(r->c->kit->kube, a->about, r->c->def->component, type, note->reason,
			   "%.*s%s%s%s", (int)(hole - note->text), note->text, name ? name : "",
			   hole + 5, suffix);
	else
		kube_event(r->c->kit->kube, a->about, r->c->def->component, type, note->reason,
			   "%s%s", note->text, suffix);
}

/* Nothing is wrong, and nothing will help: the namespace and all that is in it are going away. */
static bool namespace_ends(const struct err *e)
{
	return e->reason == ERR_FORBIDDEN && strstr(e->message, "because it is being terminated");
}

static void action_failed(struct key_run *r, struct action *a, int status, const struct err *e)
{
	if ((a->verb == ACT_DELETE && status == 404) || (status && namespace_ends(e)))
		return;
	r->failed = true;
	if (status != 409)
		free(TAKE_PTR(a->uid)); /* no deletion that the cache could show */
	r->lost = r->lost || status == 0;
	log_write(e->reason == ERR_CONFLICT || status == 404 ? LOG_DEBUG : LOG_WARN,
		  "%s: key=%s %s/%s: %s, retrying", r->c->def->component, r->key,
		  kit_kinds[a->kind].gvr.resource, a->name ? a->name : "", e->message);
	if (a->verb == ACT_CREATE) {
		r->create_failed = true;
		r->create_error = *e;
	}
	if (status)
		note_record(r, a, "Warning", &a->failed, NULL, e->message);
}

static void action_succeeded(struct key_run *r, const struct action *a, const json_t *obj)
{
	uint64_t version;

	note_record(r, a, "Normal", &a->done, jx_name(obj), "");
	if (a->verb != ACT_DELETE && !(a->verb == ACT_CREATE && a->sub) &&
	    str_to_u64(str_of(jx_str(obj, "metadata.resourceVersion")), UINT64_MAX, &version))
		r->version[a->kind] = MAX(r->version[a->kind], version);
}

static void action_answered(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct action_call *ac = ctx;
	struct key_run *r = ac->run;
	struct action *a = ac->action;

	list_del(&ac->link);
	free(ac);
	if (e)
		action_failed(r, a, status, e);
	else
		action_succeeded(r, a, obj);
	if (list_empty(&r->calls))
		run_go_on(r);
}

static void action_send(struct key_run *r, struct action *a)
{
	static const char *const methods[] = { "POST", "PUT", "PATCH", "DELETE" };
	struct action_call *ac;

	if (a->verb == ACT_EVENT) {
		note_record(r, a, a->type, &a->done, NULL, "");
		return;
	}
	ac = xcalloc(1, sizeof(*ac));
	ac->run = r;
	ac->action = a;
	list_append(&r->calls, &ac->link);
	cleanup(freep) char *path = kube_path(kit_kinds[a->kind].gvr, a->ns, a->name, a->sub);
	ac->call = kube_request(r->c->kit->kube, methods[a->verb], path, a->patch_type, a->body,
				action_answered, ac);
}

static void run_go_on(struct key_run *r)
{
	struct actions *as = &r->actions;

	while (list_empty(&r->calls) && !r->failed && r->next < as->n) {
		unsigned stage = as->at[r->next].stage;

		while (r->next < as->n && as->at[r->next].stage == stage)
			action_send(r, &as->at[r->next++]);
	}
	if (list_empty(&r->calls))
		run_finish(r);
}

static void run_key(void *ctx, const char *key)
{
	struct controller_run *c = ctx;
	struct key_run *r = run_get(c, key);

	if (r->busy || !c->kit->synced) {
		r->dirty = true;
		return;
	}
	r->busy = true;
	r->dirty = r->failed = r->lost = false;
	r->next = 0;
	memset(r->version, 0, sizeof(r->version));
	actions_init(&r->actions);
	c->def->sync(c, key, &r->actions);
	run_go_on(r);
}

/* ---- life ---- */

int run_start(struct controller_run *c, struct err *e)
{
	c->keys_ = xcalloc(1, sizeof(*c->keys_));
	map_init(c->keys_);
	if (c->def->sync)
		c->queue = workqueue_new(c->kit->loop, run_key, c);
	return c->def->start ? c->def->start(c, e) : 0;
}

void run_stop(struct controller_run *c)
{
	if (c->def->stop)
		c->def->stop(c);
	workqueue_free(c->queue);
	if (c->keys_)
		map_done(c->keys_, run_free);
	free(c->keys_);
}

void run_synced(struct controller_run *c)
{
	for (struct map_iter it = { 0 }; map_next(c->keys_, &it);) {
		struct key_run *r = it.value;
		if (r->dirty && !r->busy)
			workqueue_add(c->queue, r->key);
	}
	if (c->def->synced)
		c->def->synced(c);
}
