#include "roles/ingress/route/names.h"

#include "base/map.h"
#include "loop/quiesce.h"

#include <stdatomic.h>

#define SHARDS 256
#define SLOTS_FIRST 4
#define CACHE_LINE_BYTES 64
#define OBJECT_LINES 5 /* a host with one location: route/build.c */

enum { TAG_EMPTY, TAG_GONE, TAG_FIRST }; /* a slot that was given up stays so until the shard is made anew */

/* Linear probing; a tag is written after its object, and read before it. Of a hundred thousand names nothing is in a cache:
 * tag and object stand together, so that a look-up mostly waits for one line of a table and for the object. */
struct slot {
	_Atomic(void *) object;
	_Atomic uint32_t tag;
};
struct table {
	uint32_t mask, used; /* used: all slots but empty ones */
	_Alignas(16) struct slot slots[];
};

struct names {
	struct quiesce *quiesce;
	size_t name_at;
	bool inlined; /* the name itself is there, no pointer to it */
	_Atomic size_t count;
	size_t live[SHARDS];
	_Atomic(struct table *) shards[SHARDS];
};

static const char *name_of(const struct names *n, const void *obj)
{
	const char *at = (const char *)obj + n->name_at;

	return n->inlined ? at : *(char *const *)at;
}

struct place {
	size_t shard;
	uint32_t at, tag;
};

static struct place place_of(struct str name)
{
	uint64_t h = hash_keyed(name.ptr, name.len);
	uint32_t tag = (uint32_t)h;

	return (struct place){ h >> 56, (uint32_t)(h >> 24), tag < TAG_FIRST ? tag + TAG_FIRST : tag };
}

struct names *names_new(struct quiesce *q, size_t name_at)
{
	struct names *n = xcalloc(1, sizeof(*n));

	n->quiesce = q;
	n->name_at = name_at;
	return n;
}

struct names *names_new_inline(struct quiesce *q, size_t name_at)
{
	struct names *n = names_new(q, name_at);

	n->inlined = true;
	return n;
}

static struct table *table_new(size_t slots)
{
	struct table *t = xcalloc(1, sizeof(*t) + slots * sizeof(struct slot));

	t->mask = (uint32_t)slots - 1;
	return t;
}

static bool same_name(const struct names *n, const void *obj, struct str name)
{
	const char *have = name_of(n, obj);

	return strncmp(have, name.ptr, name.len) == 0 && have[name.len] == '\0';
}

/* What is read next is spread over an object: its lines are asked for at once, not one after the other. */
static void fetch_ahead(const void *obj)
{
	for (size_t line = 0; line < OBJECT_LINES; line++)
		__builtin_prefetch((const char *)obj + line * CACHE_LINE_BYTES);
}

/* The slot of a name, or -1. */
static ssize_t find(const struct names *n, const struct table *t, const struct place *p, struct str name, void **ret_obj)
{
	for (uint32_t i = p->at & t->mask;; i = (i + 1) & t->mask) {
		uint32_t tag = atomic_load_explicit(&t->slots[i].tag, memory_order_acquire);

		if (tag == TAG_EMPTY)
			return -1;
		if (tag != p->tag)
			continue;
		void *obj = atomic_load_explicit(&t->slots[i].object, memory_order_acquire);
		fetch_ahead(obj);
		if (obj && same_name(n, obj, name)) {
			*ret_obj = obj;
			return (ssize_t)i;
		}
	}
}

void *names_get(const struct names *n, struct str name)
{
	struct place p = place_of(name);
	const struct table *t = atomic_load_explicit(&n->shards[p.shard], memory_order_acquire);
	void *obj;

	if (!name.ptr)
		name = STR("");
	return t && find(n, t, &p, name, &obj) >= 0 ? obj : NULL;
}

static void table_insert(struct table *t, const struct place *p, void *obj)
{
	uint32_t i = p->at & t->mask;

	while (atomic_load_explicit(&t->slots[i].tag, memory_order_relaxed) != TAG_EMPTY)
		i = (i + 1) & t->mask;
	atomic_store_explicit(&t->slots[i].object, obj, memory_order_release);
	atomic_store_explicit(&t->slots[i].tag, p->tag, memory_order_release);
	t->used++;
}

/* Room for one more: at most three quarters are in use. */
static void shard_grow(struct names *n, size_t shard)
{
	struct table *old = atomic_load_explicit(&n->shards[shard], memory_order_relaxed);
	size_t slots = SLOTS_FIRST;

	if (old && (old->used + 1) * 4 <= (old->mask + 1) * 3)
		return;
	while ((n->live[shard] + 1) * 2 > slots)
		slots *= 2;
	struct table *t = table_new(slots);
	for (size_t i = 0; old && i <= old->mask; i++) {
		void *obj = atomic_load_explicit(&old->slots[i].object, memory_order_relaxed);
		struct place p;

		if (!obj)
			continue;
		p = place_of(str_of(name_of(n, obj)));
		table_insert(t, &p, obj);
	}
	atomic_store_explicit(&n->shards[shard], t, memory_order_release);
	if (old && n->quiesce)
		quiesce_retire(n->quiesce, free, old);
	else
		free(old);
}

void *names_put(struct names *n, void *obj)
{
	struct str name = str_of(name_of(n, obj));
	struct place p = place_of(name);
	struct table *t = atomic_load_explicit(&n->shards[p.shard], memory_order_relaxed);
	void *old = NULL;
	ssize_t at = t ? find(n, t, &p, name, &old) : -1;

	if (at >= 0) {
		atomic_store_explicit(&t->slots[at].object, obj, memory_order_release);
		return old;
	}
	shard_grow(n, p.shard);
	table_insert(atomic_load_explicit(&n->shards[p.shard], memory_order_relaxed), &p, obj);
	n->live[p.shard]++;
	atomic_fetch_add_explicit(&n->count, 1, memory_order_relaxed);
	return NULL;
}

void *names_del(struct names *n, struct str name)
{
	struct place p = place_of(name);
	struct table *t = atomic_load_explicit(&n->shards[p.shard], memory_order_relaxed);
	void *old = NULL;
	ssize_t at = t ? find(n, t, &p, name, &old) : -1;

	if (at < 0)
		return NULL;
	atomic_store_explicit(&t->slots[at].tag, TAG_GONE, memory_order_release);
	atomic_store_explicit(&t->slots[at].object, NULL, memory_order_release);
	n->live[p.shard]--;
	atomic_fetch_sub_explicit(&n->count, 1, memory_order_relaxed);
	return old;
}

size_t names_count(const struct names *n)
{
	return atomic_load_explicit(&n->count, memory_order_relaxed);
}

void names_each(const struct names *n, void (*fn)(void *ctx, void *obj), void *ctx)
{
	for (size_t s = 0; s < SHARDS; s++) {
		struct table *t = atomic_load_explicit(&n->shards[s], memory_order_relaxed);

		for (size_t i = 0; t && i <= t->mask; i++) {
			void *obj = atomic_load_explicit(&t->slots[i].object, memory_order_relaxed);
			if (obj)
				fn(ctx, obj);
		}
	}
}

void names_free(struct names *n, void (*free_object)(void *obj))
{
	if (!n)
		return;
	for (size_t s = 0; s < SHARDS; s++) {
		struct table *t = atomic_load_explicit(&n->shards[s], memory_order_relaxed);

		for (size_t i = 0; t && i <= t->mask; i++) {
			void *obj = atomic_load_explicit(&t->slots[i].object, memory_order_relaxed);
			if (obj && free_object)
				free_object(obj);
		}
		free(t);
	}
	free(n);
}
