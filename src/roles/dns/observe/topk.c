#include "roles/dns/observe/topk.h"

#include "base/map.h"

void topk_init(struct topk *t, uint32_t capacity)
{
	*t = (struct topk){ .cap = capacity, .n_slots = 64 };
	while (t->n_slots < 2 * capacity)
		t->n_slots *= 2;
	t->at = xcalloc(capacity, sizeof(*t->at));
	t->heap = xcalloc(capacity, sizeof(*t->heap));
	t->slots = xcalloc(t->n_slots, sizeof(*t->slots));
}

void topk_done(struct topk *t)
{
	free(t->at);
	free(t->heap);
	free(t->slots);
}

/* ---- by key ---- */
static uint32_t *slot_of(struct topk *t, const void *key, size_t len)
{
	return &t->slots[hash_keyed(key, len) & (t->n_slots - 1)];
}

static struct topk_entry *find(struct topk *t, const void *key, size_t len)
{
	for (uint32_t i = *slot_of(t, key, len); i; i = t->at[i - 1].next)
		if (t->at[i - 1].len == len && memcmp(t->at[i - 1].key, key, len) == 0)
			return &t->at[i - 1];
	return NULL;
}

static void forget(struct topk *t, const struct topk_entry *e)
{
	uint32_t number = (uint32_t)(e - t->at) + 1, *at = slot_of(t, e->key, e->len);

	while (*at != number)
		at = &t->at[*at - 1].next;
	*at = e->next;
}

static void name_it(struct topk *t, struct topk_entry *e, const void *key, size_t len)
{
	uint32_t *slot = slot_of(t, key, len);

	memcpy(e->key, key, len);
	e->len = (uint16_t)len;
	e->next = *slot;
	*slot = (uint32_t)(e - t->at) + 1;
}

/* ---- by count ---- */
static void place(struct topk *t, uint32_t heap_at, uint32_t number)
{
	t->heap[heap_at] = number;
	t->at[number].heap_at = heap_at;
}

static void sink(struct topk *t, uint32_t i)
{
	uint32_t number = t->heap[i];

	for (uint32_t child; (child = 2 * i + 1) < t->n; i = child) {
		if (child + 1 < t->n && t->at[t->heap[child + 1]].count < t->at[t->heap[child]].count)
			child++;
		if (t->at[t->heap[child]].count >= t->at[number].count)
			break;
		place(t, i, t->heap[child]);
	}
	place(t, i, number);
}

/* A new one has the count 1: nothing is rarer. */
static void add_rarest(struct topk *t, uint32_t number)
{
	uint32_t i = t->n++;

	for (; i > 0; i = (i - 1) / 2)
		place(t, i, t->heap[(i - 1) / 2]);
	place(t, 0, number);
}

struct topk_entry *topk_count(struct topk *t, const void *key, size_t len)
{
	struct topk_entry *e;

	len = MIN(len, (size_t)TOPK_KEY_BYTES);
	e = find(t, key, len);
	t->total++;
	if (!e && t->n < t->cap) {
		e = &t->at[t->n];
		name_it(t, e, key, len);
		e->count = 1;
		add_rarest(t, t->n);
		return e;
	}
	if (!e) {
		e = &t->at[t->heap[0]];
		forget(t, e);
		e->over = e->count;
		e->extra[0] = e->extra[1] = 0;
		name_it(t, e, key, len);
	}
	e->count++;
	sink(t, e->heap_at);
	return e;
}

static int more(const void *a, const void *b)
{
	const struct topk_entry *x = *(const struct topk_entry *const *)a, *y = *(const struct topk_entry *const *)b;

	if (topk_sure(x) != topk_sure(y))
		return topk_sure(x) < topk_sure(y) ? 1 : -1;
	size_t n = MIN(x->len, y->len);
	int c = memcmp(x->key, y->key, n);
	return c ? c : (int)x->len - (int)y->len;
}

void topk_sorted(const struct topk *t, const struct topk_entry **ret)
{
	for (uint32_t i = 0; i < t->n; i++)
		ret[i] = &t->at[i];
	qsort(ret, t->n, sizeof(*ret), more);
}
