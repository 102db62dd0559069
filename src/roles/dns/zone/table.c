#include "roles/dns/zone/table.h"

#define EMPTY 0
#define GONE 1 /* something was here: a search goes on behind it */
#define FIRST_SLOTS 16

static struct table_slots *slots_new(size_t n)
{
	struct table_slots *s = xcalloc(1, sizeof(*s) + n * sizeof(s->word[0]));

	s->mask = n - 1;
	return s;
}

static uint64_t word_of(uint64_t hash, uint64_t payload)
{
	return hash >> 32 << TABLE_PAYLOAD_BITS | payload;
}

void table_init(struct table *t, struct quiesce *q)
{
	*t = (struct table){ .slots = slots_new(FIRST_SLOTS), .quiesce = q };
}

void table_done(struct table *t)
{
	free(t->slots);
	t->slots = NULL;
}

void table_fill(struct table_slots *to, uint64_t hash, uint64_t payload)
{
	uint64_t at = hash & UINT32_MAX;

	while (to->word[at & to->mask] != EMPTY)
		at++;
	to->word[at & to->mask] = word_of(hash, payload);
}

/* At most three quarters are taken, and no more than 3/8 right after growing. */
void table_reserve(struct table *t, size_t n, table_fill_fn *fill, void *ctx)
{
	struct table_slots *old = t->slots;
	size_t size = (size_t)old->mask + 1, want = t->live + n;

	if ((want + t->gone) * 4 <= size * 3)
		return;
	for (size = FIRST_SLOTS; want * 8 > size * 5; size *= 2)
		;
	struct table_slots *s = slots_new(size);
	fill(ctx, s);
	t->gone = 0;
	__atomic_store_n(&t->slots, s, __ATOMIC_RELEASE);
	quiesce_retire(t->quiesce, free, old);
}

static uint64_t *find(const struct table *t, uint64_t hash, uint64_t word)
{
	struct table_slots *s = t->slots;

	for (uint64_t at = hash & UINT32_MAX;; at++) {
		uint64_t *w = &s->word[at & s->mask];
		if (*w == word || *w == EMPTY)
			return w;
	}
}

static void store(uint64_t *w, uint64_t value)
{
	__atomic_store_n(w, value, __ATOMIC_RELEASE);
}

void table_add(struct table *t, uint64_t hash, uint64_t payload)
{
	struct table_slots *s = t->slots;
	uint64_t at = hash & UINT32_MAX;

	while (s->word[at & s->mask] > GONE)
		at++;
	t->gone -= s->word[at & s->mask] == GONE;
	t->live++;
	store(&s->word[at & s->mask], word_of(hash, payload));
}

void table_replace(struct table *t, uint64_t hash, uint64_t old_payload, uint64_t payload)
{
	uint64_t *w = find(t, hash, word_of(hash, old_payload));

	assert(*w != EMPTY);
	store(w, word_of(hash, payload));
}

void table_remove(struct table *t, uint64_t hash, uint64_t payload)
{
	struct table_slots *s = t->slots;
	uint64_t *w = find(t, hash, word_of(hash, payload));
	uint64_t at = (uint64_t)(w - s->word);

	assert(*w != EMPTY);
	t->live--;
	/* Searches that pass here would end at the next place all the same. */
	if (s->word[(at + 1) & s->mask] == EMPTY) {
		store(w, EMPTY);
		return;
	}
	t->gone++;
	store(w, GONE);
}
