#include "roles/proxy/ranges.h"

static unsigned class_of(uint32_t count)
{
	unsigned c = 0;

	while (1u << c < count)
		c++;
	return c;
}

void ranges_init(struct ranges *r, uint32_t limit)
{
	*r = (struct ranges){ .limit = limit };
}

void ranges_done(struct ranges *r)
{
	for (size_t i = 0; i < RANGES_CLASSES; i++)
		free(r->classes[i].at);
	*r = (struct ranges){ 0 };
}

static void class_put(struct ranges_class *c, uint32_t first, uint64_t now_ms)
{
	if (c->head > 0 && c->head + c->n == c->cap) {
		memmove(c->at, c->at + c->head, c->n * sizeof(*c->at));
		c->head = 0;
	}
	if (c->n == c->cap) {
		c->cap = MAX(c->cap * 2, 16);
		c->at = xrealloc(c->at, c->cap * sizeof(*c->at));
	}
	c->at[c->head + c->n++] = (struct ranges_free){ .first = first, .since_ms = now_ms };
}

static bool class_get(struct ranges_class *c, uint64_t now_ms, uint32_t *ret_first)
{
	if (c->n == 0 || now_ms - c->at[c->head].since_ms < RANGES_QUARANTINE_MS)
		return false;
	*ret_first = c->at[c->head++].first;
	if (--c->n == 0)
		c->head = 0;
	return true;
}

/* Halves a larger free run until it fits; the other halves stay free. */
static bool split_get(struct ranges *r, unsigned want, uint64_t now_ms, uint32_t *ret_first)
{
	for (unsigned c = want + 1; c < RANGES_CLASSES; c++) {
		if (!class_get(&r->classes[c], now_ms, ret_first))
			continue;
		while (c-- > want)
			class_put(&r->classes[c], *ret_first + (1u << c), now_ms - RANGES_QUARANTINE_MS);
		return true;
	}
	return false;
}

int ranges_take(struct ranges *r, uint32_t count, uint64_t now_ms, uint32_t *ret_first)
{
	if (count == 0 || count > 1u << (RANGES_CLASSES - 1))
		return -1;
	unsigned c = class_of(count);
	if (class_get(&r->classes[c], now_ms, ret_first))
		return 0;
	if (r->limit - r->next >= 1u << c) {
		*ret_first = r->next;
		r->next += 1u << c;
		return 0;
	}
	return split_get(r, c, now_ms, ret_first) ? 0 : -1;
}

void ranges_give(struct ranges *r, uint32_t first, uint32_t count, uint64_t now_ms)
{
	class_put(&r->classes[class_of(count)], first, now_ms);
}

static int used_compare(const void *va, const void *vb)
{
	const struct ranges_used *a = va, *b = vb;

	return a->first < b->first ? -1 : a->first > b->first;
}

static void gap_free(struct ranges *r, uint32_t first, uint32_t end)
{
	for (unsigned c = RANGES_CLASSES; c-- > 0;)
		for (; end - first >= 1u << c; first += 1u << c)
			class_put(&r->classes[c], first, 0);
}

void ranges_adopt(struct ranges *r, struct ranges_used *used, size_t n)
{
	uint32_t end = 0;

	qsort(used, n, sizeof(*used), used_compare);
	for (size_t i = 0; i < n; i++) {
		uint64_t stop = (uint64_t)used[i].first + (1u << class_of(used[i].count));

		if (used[i].first > end)
			gap_free(r, end, used[i].first);
		end = MAX(end, MIN(stop, r->limit));
	}
	r->next = end;
}
