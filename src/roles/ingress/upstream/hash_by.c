/* upstream-hash-by: the endpoint that owns a key; with -subset one of the few next to it, by chance. */
#include "roles/ingress/http/variable.h"
#include "roles/ingress/upstream/balance_int.h"
#include "roles/ingress/upstream/hash.h"

static size_t any(struct pick *p)
{
	size_t out[2];

	return pick_sample(p, 1, out) ? out[0] : PICK_NONE;
}

/* Round the ring from the key's place: the first that can be used, so that what one endpoint cannot take spreads over many. */
static size_t first_good(struct pick *p, struct hash_walk *w)
{
	size_t at, last = PICK_NONE;

	while (hash_walk_next(w, &at)) {
		if (at == last)
			continue;
		if (rank_of(p, at) == RANK_GOOD)
			return at;
		last = at;
	}
	return any(p);
}

static bool among(const size_t *list, size_t n, size_t at)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == at)
			return true;
	return false;
}

/* ingress-nginx cuts its endpoints into fixed groups, which all change with one endpoint; the next few on the ring are a
 * group that changes by one. */
static size_t pick_subset(struct pick *p, struct hash_walk *w)
{
	size_t list[HASH_SUBSET_MAX], n = 0, good = 0, at;
	size_t want = MIN(MAX(p->how->upstream_hash_by_subset_size, 1u), HASH_SUBSET_MAX);

	want = MIN(want, p->es->n);
	while (n < want && hash_walk_next(w, &at))
		if (!among(list, n, at))
			list[n++] = at;
	for (size_t i = 0; i < n; i++)
		if (rank_of(p, list[i]) == RANK_GOOD)
			list[good++] = list[i];
	return good ? list[random_below((uint32_t)good)] : first_good(p, w);
}

size_t hash_pick(struct pick *p)
{
	char space[HASH_KEY_BYTES_MAX + 1];
	struct buf key = { .ptr = space, .cap = sizeof(space), .max = sizeof(space) - 1 };
	struct hash_walk w;

	space[0] = '\0';
	if (variable_text_write(p->how->upstream_hash_by, p->x, ESCAPE_NONE, &key) < 0)
		return any(p); /* longer than any key that is worth one */
	hash_walk_begin(&w, hash_ring_of(p->b, p->es), buf_str(&key));
	return p->how->upstream_hash_by_subset ? pick_subset(p, &w) : first_good(p, &w);
}
