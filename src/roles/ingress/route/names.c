#include "roles/ingress/route/names.h"

#include "base/map.h"
#include "loop/quiesce.h"

#include <stdatomic.h>

#define SHARDS 256
#define SLOTS_FIRST_LOG 2
#define CACHE_LINE_BYTES 64
#define OBJECT_LINES 6 /* a host with one location: route/build.c */

enum { TAG_EMPTY, TAG_GONE, TAG_FIRST }; /* a slot that was given up stays so until the shard is made anew */

/* Linear probing; a tag is written after its object, and read before it. Of a hundred thousand names nothing is in a cache:
 * tag and object stand together, and a table's size is told by whoever points to it, so that a look-up mostly waits for one line
 * of a table and for the object. */
struct slot {
	_Atomic(void *) object;
	_Atomic uint32_t tag;
};
/* A table as one word that is swapped at once: its slots stand at a multiple of 64, below is the logarithm of their number. 0:
 * there is none yet. */
#define LOG_MASK ((uintptr_t)CACHE_LINE_BYTES - 1)
struct table {
	struct slot *slots;
	uint32_t mask;
};

/* What the writer alone needs of a table. */
struct shard {
	size_t live;
	size_t used; /* all slots but empty ones */
};

struct names {
	struct quiesce *quiesce;
	size_t name_at;
	bool inlined; /* the name itself is there, no pointer to it */
	_Atomic size_t count;
	struct shard shards[SHARDS];
	_Atomic uintptr_t tables[SHARDS];
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

static struct place place_at(uint64_t hash)
{
	uint32_t tag = (uint32_t)hash;

	return (struct place){ hash >> 56, (uint32_t)(hash >> 24), tag < TAG_FIRST ? tag + TAG_FIRST : tag };
}

static struct place place_of(struct str name)
{
	return place_at(hash_keyed(name.ptr, name.len));
}

/* Without slots: nothing was put there yet. */
static struct table table_at(const struct names *n, size_t shard)
{
	uintptr_t word = atomic_load_explicit(&n->tables[shard], memory_order_acquire);

	return (struct table){ (struct slot *)(word & ~LOG_MASK), (UINT32_C(1) << (word & LOG_MASK)) - 1 };
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

/* The slot of a name; NULL: it is not there. */
static struct slot *find(const struct names *n, const struct place *p, struct str name, void **ret_obj)
{
	struct table t = table_at(n, p->shard);

	for (uint32_t i = p->at & t.mask; t.slots; i = (i + 1) & t.mask) {
		uint32_t tag = atomic_load_explicit(&t.slots[i].tag, memory_order_acquire);

		if (tag == TAG_EMPTY)
			break;
		if (tag != p->tag)
			continue;
		void *obj = atomic_load_explicit(&t.slots[i].object, memory_order_acquire);
		fetch_ahead(obj);
		if (obj && same_name(n, obj, name)) {
			*ret_obj = obj;
			return &t.slots[i];
		}
	}
	return NULL;
}

uint64_t names_hash(const struct names *n, struct str name)
{
	uint64_t hash = hash_keyed(name.ptr, name.len);
	struct place p = place_at(hash);
	struct table t = table_at(n, p.shard);

	if (t.slots)
		__builtin_prefetch(&t.slots[p.at & t.mask]);
	return hash;
}

/* Only where the name belongs: what had to go further is waited for. */
void names_fetch(const struct names *n, uint64_t hash)
{
	struct place p = place_at(hash);
	struct table t = table_at(n, p.shard);
	const struct slot *s = t.slots ? &t.slots[p.at & t.mask] : NULL;

	if (s && atomic_load_explicit(&s->tag, memory_order_acquire) == p.tag)
		fetch_ahead(atomic_load_explicit(&s->object, memory_order_relaxed));
}

void *names_get_hashed(const struct names *n, struct str name, uint64_t hash)
{
	struct place p = place_at(hash);
	void *obj;

	if (!name.ptr)
		name = STR("");
	return find(n, &p, name, &obj) ? obj : NULL;
}

void *names_get(const struct names *n, struct str name)
{
	return names_get_hashed(n, name, hash_keyed(name.ptr, name.len));
}

static void table_insert(const struct table *t, const struct place *p, void *obj)
{
	uint32_t i = p->at & t->mask;

	while (atomic_load_explicit(&t->slots[i].tag, memory_order_relaxed) != TAG_EMPTY)
		i = (i + 1) & t->mask;
	atomic_store_explicit(&t->slots[i].object, obj, memory_order_release);
	atomic_store_explicit(&t->slots[i].tag, p->tag, memory_order_release);
}

static struct table table_new(unsigned log)
{
	size_t bytes = sizeof(struct slot) << log;
	struct slot *slots = aligned_alloc(CACHE_LINE_BYTES, bytes);

	if (!slots)
		abort(); /* as xmalloc does */
	return (struct table){ memset(slots, 0, bytes), (UINT32_C(1) << log) - 1 };
}

/* Room for one more: at most three quarters are in use. */
static void shard_grow(struct names *n, size_t shard)
{
	struct table old = table_at(n, shard), t;
	struct shard *s = &n->shards[shard];
	unsigned log = SLOTS_FIRST_LOG;

	if (old.slots && (s->used + 1) * 4 <= ((size_t)old.mask + 1) * 3)
		return;
	while ((s->live + 1) * 2 > (size_t)1 << log)
		log++;
	t = table_new(log);
	for (size_t i = 0; old.slots && i <= old.mask; i++) {
		void *obj = atomic_load_explicit(&old.slots[i].object, memory_order_relaxed);
		struct place p;

		if (!obj)
			continue;
		p = place_of(str_of(name_of(n, obj)));
		table_insert(&t, &p, obj);
	}
	s->used = s->live;
	atomic_store_explicit(&n->tables[shard], (uintptr_t)t.slots | log, memory_order_release);
	if (old.slots && n->quiesce)
		quiesce_retire(n->quiesce, free, old.slots);
	else
		free(old.slots);
}

void *names_put(struct names *n, void *obj)
{
	struct str name = str_of(name_of(n, obj));
	struct place p = place_of(name);
	void *old = NULL;
	struct slot *at = find(n, &p, name, &old);

	if (at) {
		atomic_store_explicit(&at->object, obj, memory_order_release);
		return old;
	}
	shard_grow(n, p.shard);
	struct table t = table_at(n, p.shard);
	table_insert(&t, &p, obj);
	n->shards[p.shard].used++;
	n->shards[p.shard].live++;
	atomic_fetch_add_explicit(&n->count, 1, memory_order_relaxed);
	return NULL;
}

void *names_del(struct names *n, struct str name)
{
	struct place p = place_of(name);
	void *old = NULL;
	struct slot *at = find(n, &p, name, &old);

	if (!at)
		return NULL;
	atomic_store_explicit(&at->tag, TAG_GONE, memory_order_release);
	atomic_store_explicit(&at->object, NULL, memory_order_release);
	n->shards[p.shard].live--;
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
		struct table t = table_at(n, s);

		for (size_t i = 0; t.slots && i <= t.mask; i++) {
			void *obj = atomic_load_explicit(&t.slots[i].object, memory_order_relaxed);
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
		struct table t = table_at(n, s);

		for (size_t i = 0; t.slots && free_object && i <= t.mask; i++) {
			void *obj = atomic_load_explicit(&t.slots[i].object, memory_order_relaxed);
			if (obj)
				free_object(obj);
		}
		free(t.slots);
	}
	free(n);
}
