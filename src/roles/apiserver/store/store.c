#include "roles/apiserver/store/store.h"

#include "base/limits.h"
#include "roles/apiserver/store/disk.h"

#include <stdio.h>

#define HISTORY_BYTES                                                                              \
	(8u << 20) /* a sixth of what all roles together may use; the count limits small objects   \
		    */

struct batch {
	struct disk_op *ops;
	struct object **held; /* keeps the bytes of ops alive; NULL for deletions */
	size_t n, cap;
};

struct store {
	struct loop *loop;
	struct disk *disk;
	const struct store_ops *ops;
	void *ctx;
	struct table **tables; /* one per row of resources[]; NULL where another version is the
				  stored one */
	struct map by_name;    /* table name → table */
	uint64_t given_rv, applied_rv, durable_rv;
	struct event *events; /* a ring of n_slots (a power of two); first..first+n are valid */
	size_t n_slots, first, n, bytes;
	uint64_t oldest_rv;
	struct list waits;
	struct batch queued, flying;
	uint64_t flying_rv;
	bool busy, ending;
	struct work work;
	int work_result;
	struct err work_err;
};

/* Tables */

static int key_compare(const char *ns_a, const char *name_a, const char *ns_b, const char *name_b)
{
	int c = strcmp(ns_a, ns_b);

	return c ? c : strcmp(name_a, name_b);
}

size_t table_lower(const struct table *t, const char *ns, const char *name)
{
	size_t low = 0, high = ns ? t->n : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (key_compare(t->at[mid]->ns, t->at[mid]->name, ns, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool table_find(const struct table *t, const char *ns, const char *name, size_t *ret_at)
{
	*ret_at = table_lower(t, ns, name);
	return *ret_at < t->n &&
	       key_compare(t->at[*ret_at]->ns, t->at[*ret_at]->name, ns, name) == 0;
}

struct object *table_get(const struct table *t, const char *ns, const char *name)
{
	size_t at;

	return table_find(t, ns ? ns : "", name, &at) ? t->at[at] : NULL;
}

/* Takes a reference of its own; the one it replaces is given back to the caller's event. */
static void table_set(struct table *t, struct object *o)
{
	size_t at;

	if (table_find(t, o->ns, o->name, &at)) {
		object_unref(t->at[at]);
	} else {
		if (t->n == t->cap) {
			t->cap = t->cap ? t->cap * 2 : 8;
			t->at = xrealloc(t->at, t->cap * sizeof(*t->at));
		}
		memmove(t->at + at + 1, t->at + at, (t->n - at) * sizeof(*t->at));
		t->n++;
	}
	t->at[at] = object_ref(o);
}

static void table_del(struct table *t, const char *ns, const char *name)
{
	size_t at;

	if (!table_find(t, ns, name, &at))
		return;
	object_unref(t->at[at]);
	t->n--;
	memmove(t->at + at, t->at + at + 1, (t->n - at) * sizeof(*t->at));
}

static struct table *table_new(const struct resource *r)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->res = r;
	t->name = xasprintf("%s%s%s", r->plural, r->group[0] ? "." : "", r->group);
	list_init(&t->watchers);
	return t;
}

static void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		object_unref(t->at[i]);
	free(t->at);
	free(t->name);
	free(t);
}

struct table *store_table(struct store *s, const struct resource *r)
{
	const struct resource *stored = r->storage ? r->storage : r;

	return s->tables[stored - resources];
}

/* History */

static struct event *event_at(const struct store *s, size_t i)
{
	return &s->events[(s->first + i) & (s->n_slots - 1)];
}

static size_t event_bytes(const struct event *ev)
{
	return sizeof(*ev) + object_bytes(ev->obj);
}

static void history_drop_oldest(struct store *s)
{
	struct event *ev = event_at(s, 0);

	s->oldest_rv = ev->rv;
	s->bytes -= event_bytes(ev);
	object_unref(ev->obj);
	object_unref(ev->prev);
	s->first = (s->first + 1) & (s->n_slots - 1);
	s->n--;
}

/* Events that are not durable yet stay: a failed commit is undone with their help. */
static void history_trim(struct store *s)
{
	while (s->n && (s->n > LIMIT_WATCH_HISTORY_EVENTS || s->bytes > HISTORY_BYTES) &&
	       event_at(s, 0)->rv <= s->durable_rv)
		history_drop_oldest(s);
}

static void history_grow(struct store *s)
{
	size_t n_slots = s->n_slots ? s->n_slots * 2 : 64;
	struct event *events = xcalloc(n_slots, sizeof(*events));

	for (size_t i = 0; i < s->n; i++)
		events[i] = *event_at(s, i);
	free(s->events);
	s->events = events;
	s->n_slots = n_slots;
	s->first = 0;
}

/* Takes over both references. */
static void history_append(struct store *s, struct event ev)
{
	if (s->n == s->n_slots)
		history_grow(s);
	s->n++;
	*event_at(s, s->n - 1) = ev;
	s->bytes += event_bytes(&ev);
}

/* Index of the first event with a larger rv. */
static size_t history_after(const struct store *s, uint64_t rv)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (event_at(s, mid)->rv <= rv)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

uint64_t store_oldest_rv(const struct store *s)
{
	return s->oldest_rv;
}

static void history_each(const struct store *s, const struct table *t, uint64_t after_rv,
			 uint64_t last_rv, void (*fn)(void *ctx, const struct event *ev), void *ctx)
{
	for (size_t i = history_after(s, after_rv); i < s->n && event_at(s, i)->rv <= last_rv; i++)
		if (event_at(s, i)->table == t)
			fn(ctx, event_at(s, i));
}

void store_replay(const struct store *s, const struct table *t, uint64_t after_rv,
		  void (*fn)(void *ctx, const struct event *ev), void *ctx)
{
	history_each(s, t, after_rv, s->durable_rv, fn, ctx);
}

void store_history(const struct store *s, const struct table *t, uint64_t after_rv,
		   void (*fn)(void *ctx, const struct event *ev), void *ctx)
{
	history_each(s, t, after_rv, UINT64_MAX, fn, ctx);
}

/* Commits */

static void batch_clear(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free(b->ops[i].key);
		object_unref(b->held[i]);
	}
	b->n = 0;
}

static void batch_done(struct batch *b)
{
	batch_clear(b);
	free(b->ops);
	free(b->held);
	*b = (struct batch){ 0 };
}

static void batch_add(struct batch *b, const struct table *t, struct object *o, bool deleted)
{
	if (b->n == b->cap) {
		b->cap = b->cap ? b->cap * 2 : 64;
		b->ops = xrealloc(b->ops, b->cap * sizeof(*b->ops));
		b->held = xrealloc(b->held, b->cap * sizeof(struct object *));
	}
	b->ops[b->n] = (struct disk_op){
		.key = xasprintf("%s/%s/%s", t->name, o->ns, o->name),
		.json = deleted ? STR_NONE : (struct str){ o->json, o->json_len },
		.rv = o->rv,
	};
	b->held[b->n++] = object_ref(o);
}

/* Runs on a worker thread. Only `flying`, `flying_rv`, `disk` and the result are touched there. */
static void commit_run(struct work *w)
{
	struct store *s = container_of(w, struct store, work);

	s->work_result =
		disk_commit(s->disk, s->flying.ops, s->flying.n, s->flying_rv, &s->work_err);
}

static void commit_start(struct store *s)
{
	if (s->busy || !s->queued.n)
		return;
	struct batch empty = s->flying;
	s->flying = s->queued;
	s->queued = empty;
	s->flying_rv = s->applied_rv;
	s->busy = true;
	loop_work(s->loop, &s->work);
}

static void waits_run(struct store *s, const struct err *e)
{
	struct list due;

	list_init(&due);
	list_for(l, tmp, &s->waits)
	{
		struct store_wait *w = list_entry(l, struct store_wait, link_);
		if (!e && w->rv_ > s->durable_rv)
			continue;
		list_del(l);
		list_append(&due, l);
	}
	while (!list_empty(&due)) {
		struct store_wait *w = list_entry(due.next, struct store_wait, link_);
		list_del(&w->link_);
		w->done(w, e);
	}
}

static void undo_newest(struct store *s)
{
	struct event ev = *event_at(s, s->n - 1);

	s->n--;
	s->bytes -= event_bytes(&ev);
	if (ev.prev)
		table_set(ev.table, ev.prev);
	else
		table_del(ev.table, ev.obj->ns, ev.obj->name);
	ev.table->last_rv = s->durable_rv;
	s->ops->changed(s->ctx, ev.table, ev.type == EVENT_DELETED ? NULL : ev.obj, ev.prev);
	object_unref(ev.obj);
	object_unref(ev.prev);
}

static void commit_failed(struct store *s, const struct err *e)
{
	while (s->n && event_at(s, s->n - 1)->rv > s->durable_rv)
		undo_newest(s);
	s->applied_rv = s->durable_rv;
	batch_clear(&s->queued);
	s->ops->failed(s->ctx, e);
	waits_run(s, e);
}

static void commit_succeeded(struct store *s)
{
	size_t i = history_after(s, s->durable_rv);

	s->durable_rv = s->flying_rv;
	for (; i < s->n && event_at(s, i)->rv <= s->durable_rv; i++) {
		struct event ev = *event_at(s, i);
		s->ops->durable(s->ctx, &ev);
	}
	history_trim(s);
	waits_run(s, NULL);
}

static void commit_done(struct work *w)
{
	struct store *s = container_of(w, struct store, work);

	s->busy = false;
	batch_clear(&s->flying);
	if (s->work_result < 0)
		commit_failed(s, &s->work_err);
	else
		commit_succeeded(s);
	commit_start(s);
	if (s->ending && !s->busy)
		loop_stop(s->loop);
}

static void commit_queue(struct store *s, struct table *t, struct object *o, bool deleted)
{
	assert(o->rv == s->given_rv + 1);
	s->given_rv = s->applied_rv = t->last_rv = o->rv;
	batch_add(&s->queued, t, o, deleted);
}

void store_put(struct store *s, struct table *t, struct object *o)
{
	struct object *prev = object_ref(table_get(t, o->ns, o->name));

	commit_queue(s, t, o, false);
	table_set(t, o);
	history_append(s, (struct event){ .rv = o->rv,
					  .table = t,
					  .type = prev ? EVENT_MODIFIED : EVENT_ADDED,
					  .obj = o,
					  .prev = prev });
	s->ops->changed(s->ctx, t, prev, o);
	commit_start(s);
}

void store_remove(struct store *s, struct table *t, struct object *last_state)
{
	struct object *prev = object_ref(table_get(t, last_state->ns, last_state->name));

	assert(prev);
	commit_queue(s, t, last_state, true);
	table_del(t, last_state->ns, last_state->name);
	history_append(s, (struct event){ .rv = last_state->rv,
					  .table = t,
					  .type = EVENT_DELETED,
					  .obj = last_state,
					  .prev = prev });
	s->ops->changed(s->ctx, t, prev, NULL);
	commit_start(s);
}

void store_wait(struct store *s, struct store_wait *w, uint64_t rv)
{
	w->rv_ = rv;
	list_init(&w->link_);
	if (rv <= s->durable_rv)
		w->done(w, NULL);
	else
		list_append(&s->waits, &w->link_);
}

void store_wait_cancel(struct store_wait *w)
{
	if (w->link_.next)
		list_del(&w->link_);
}

uint64_t store_rv(const struct store *s)
{
	return s->applied_rv;
}

uint64_t store_durable_rv(const struct store *s)
{
	return s->durable_rv;
}

uint64_t store_next_rv(const struct store *s)
{
	return s->given_rv + 1;
}

/* Start and end */

static struct object *row_object(const struct table *t, struct str key, struct str json,
				 struct err *e)
{
	cleanup(json_decrefp) json_t *tree = jx_parse(json, LIMIT_OBJECT_BYTES, e);

	if (!tree)
		return NULL;
	if (!json_is_object(json_object_get(tree, "metadata")) || !jx_name(tree)) {
		err_set(e, ERR_INTERNAL, "no metadata");
		return NULL;
	}
	struct object *o = object_new(t->res, tree, e);
	cleanup(freep) char *want = o ? xasprintf("%s/%s/%s", t->name, o->ns, o->name) : NULL;
	if (o && !str_eq_c(key, want)) {
		err_set(e, ERR_INTERNAL, "it holds %s", want);
		object_unref(o);
		return NULL;
	}
	return o;
}

static void load_row(void *ctx, struct str key, struct str json, uint64_t rv)
{
	struct store *s = ctx;
	struct str rest, name = str_cut(key, '/', &rest);
	struct table *t = map_get(&s->by_name, name);
	struct err e = { 0 };
	struct object *o = NULL;

	if (!t)
		err_set(&e, ERR_INTERNAL, "this portico does not serve " STR_FMT, STR_ARG(name));
	else
		o = row_object(t, key, json, &e);
	if (!o) {
		s->ops->damaged(s->ctx, key, &e);
		return;
	}
	table_set(t, o);
	t->last_rv = MAX(t->last_rv, rv);
	s->given_rv = MAX(s->given_rv, rv);
	s->ops->changed(s->ctx, t, NULL, o);
	object_unref(o);
}

static void tables_make(struct store *s)
{
	s->tables = xcalloc(n_resources, sizeof(struct table *));
	map_init(&s->by_name);
	for (size_t i = 0; i < n_resources; i++) {
		if (resources[i].storage)
			continue;
		s->tables[i] = table_new(&resources[i]);
		/* One group's kind kept in two versions: the later one is told apart. */
		if (map_get_c(&s->by_name, s->tables[i]->name)) {
			free(s->tables[i]->name);
			s->tables[i]->name = xasprintf("%s.%s.%s", resources[i].plural,
						       resources[i].version, resources[i].group);
		}
		map_put_c(&s->by_name, s->tables[i]->name, s->tables[i]);
	}
}

struct store *store_new(struct loop *l, const char *path, const struct store_ops *ops, void *ctx,
			struct err *e)
{
	struct store *s = xcalloc(1, sizeof(*s));
	uint64_t rv = 0;

	s->loop = l;
	s->ops = ops;
	s->ctx = ctx;
	s->work = (struct work){ .run = commit_run, .done = commit_done };
	list_init(&s->waits);
	tables_make(s);
	s->disk = disk_open(path, e);
	if (!s->disk || disk_load(s->disk, load_row, s, &rv, e) < 0) {
		store_free(s);
		return NULL;
	}
	/* Informers treat rv 0 as "any": the first state must have another one. */
	s->given_rv = MAX(MAX(s->given_rv, rv), 1);
	s->applied_rv = s->durable_rv = s->oldest_rv = s->given_rv;
	return s;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	/* What was taken on is finished: a commit under way cannot be called back. */
	if (s->busy) {
		s->ending = true;
		loop_run(s->loop);
	}
	while (s->n)
		history_drop_oldest(s);
	free(s->events);
	batch_done(&s->queued);
	batch_done(&s->flying);
	for (size_t i = 0; s->tables && i < n_resources; i++)
		table_free(s->tables[i]);
	free(s->tables);
	map_done(&s->by_name, NULL);
	disk_close(s->disk);
	free(s);
}
