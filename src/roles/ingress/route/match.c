#include "roles/ingress/route/match.h"

#include "base/map.h"

#include <stdio.h>

/* Up to this many paths are compared one by one, longest first: nearly every host, and faster than hashing. */
#define LINEAR_MAX 8

/* What lengths of paths there are. A prefix of the request's path is looked up for each of them that it could match. */
struct path_length {
	uint32_t len;
	bool exact, prefix, implementation;
};

/* A hash of (path, type). The hash of a prefix is a step on the way to that of the whole path, so all of them together cost
 * one pass; it is a polynomial modulo 2^61-1 at a secret point (Carter and Wegman 1979). */
struct path_index {
	uint64_t point;
	size_t n_lengths, mask;
	struct path_length *lengths; /* ascending */
	struct location **slots;
};

#define HASH_PRIME ((UINT64_C(1) << 61) - 1)

static uint64_t hash_step(uint64_t h, uint64_t point, unsigned char c)
{
	unsigned __int128 product = (unsigned __int128)(h + c + 1) * point;
	uint64_t folded = (uint64_t)(product & HASH_PRIME) + (uint64_t)(product >> 61);

	return folded >= HASH_PRIME ? folded - HASH_PRIME : folded;
}

static size_t slot_of(const struct path_index *ix, uint64_t h, enum path_type type)
{
	return (size_t)((h + (uint64_t)type) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & ix->mask;
}

/* ---- making ---- */

/* A Prefix path's last slash does not count: "/a/" matches "/a". "" is the root. */
static void set_match_len(const struct host *h, struct location *l)
{
	size_t len = strlen(l->path);

	if (l->type == PATH_PREFIX && !h->regex && len && l->path[len - 1] == '/')
		len--;
	l->match_len_ = (unsigned)len;
}

/* Plain hosts: what has to be tried first. Of the same length Exact comes before Prefix, Prefix before the rest. */
static int by_length_and_type(const void *pa, const void *pb)
{
	const struct location *a = *(struct location *const *)pa, *b = *(struct location *const *)pb;

	if (a->match_len_ != b->match_len_)
		return a->match_len_ < b->match_len_ ? 1 : -1;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	return -strcmp(a->path, b->path);
}

/* Hosts of regular expressions: longest first, then the reverse of the alphabet, as ingress-nginx sorts them. */
static int by_length_of_text(const void *pa, const void *pb)
{
	const struct location *a = *(struct location *const *)pa, *b = *(struct location *const *)pb;

	if (a->match_len_ != b->match_len_)
		return a->match_len_ < b->match_len_ ? 1 : -1;
	return -strcmp(a->path, b->path);
}

static void note_length(struct path_index *ix, const struct location *l)
{
	struct path_length *last = ix->n_lengths ? &ix->lengths[ix->n_lengths - 1] : NULL;

	if (!last || last->len != l->match_len_) {
		last = &ix->lengths[ix->n_lengths++];
		last->len = l->match_len_;
	}
	*(l->type == PATH_EXACT ? &last->exact : l->type == PATH_PREFIX ? &last->prefix : &last->implementation) = true;
}

static void put(struct path_index *ix, struct location *l)
{
	uint64_t h = 0;

	for (size_t i = 0; i < l->match_len_; i++)
		h = hash_step(h, ix->point, (unsigned char)l->path[i]);
	size_t at = slot_of(ix, h, l->type);
	while (ix->slots[at])
		at = (at + 1) & ix->mask;
	ix->slots[at] = l;
}

static struct path_index *index_new(const struct host *h)
{
	static uint64_t secret_seed = 0x706f696e74;
	struct path_index *ix = xcalloc(1, sizeof(*ix));
	size_t slots = 16;

	while (slots < 2 * h->n_all)
		slots *= 2;
	ix->mask = slots - 1;
	ix->point = hash_keyed(&secret_seed, sizeof(secret_seed)) % (HASH_PRIME - 2) + 2;
	ix->slots = xcalloc(slots, sizeof(struct location *));
	ix->lengths = xcalloc(h->n_all, sizeof(*ix->lengths));
	for (size_t i = h->n_all; i-- > 0;) {
		note_length(ix, h->all[i]);
		put(ix, h->all[i]);
	}
	ix->lengths = xrealloc(ix->lengths, ix->n_lengths * sizeof(*ix->lengths));
	return ix;
}

void host_index(struct host *h)
{
	for (size_t i = 0; i < h->n_all; i++)
		set_match_len(h, h->all[i]);
	if (h->n_all > 1)
		qsort(h->all, h->n_all, sizeof(struct location *), h->regex ? by_length_of_text : by_length_and_type);
	if (!h->regex && h->n_all > LINEAR_MAX)
		h->index_ = index_new(h);
}

void host_index_free(struct host *h)
{
	struct path_index *ix = h->index_;

	if (!ix)
		return;
	free(ix->slots);
	free(ix->lengths);
	free(ix);
	h->index_ = NULL;
}

/* ---- matching ---- */

/* Does a path of this type and length end where the request's may be cut? */
static bool cut_fits(enum path_type type, size_t len, struct str path)
{
	switch (type) {
	case PATH_EXACT:
		return path.len == len;
	case PATH_PREFIX:
		return path.len == len || path.ptr[len] == '/';
	case PATH_IMPLEMENTATION:
		break;
	}
	return true;
}

static const struct location *match_linear(const struct host *h, struct str path)
{
	for (size_t i = 0; i < h->n_all; i++) {
		const struct location *l = h->all[i];
		size_t len = l->match_len_;

		if (len <= path.len && cut_fits(l->type, len, path) && memcmp(l->path, path.ptr, len) == 0)
			return l;
	}
	return NULL;
}

static const struct location *look_up(const struct path_index *ix, uint64_t h, enum path_type type, struct str prefix)
{
	for (size_t at = slot_of(ix, h, type); ix->slots[at]; at = (at + 1) & ix->mask) {
		const struct location *l = ix->slots[at];

		if (l->type == type && l->match_len_ == prefix.len && memcmp(l->path, prefix.ptr, prefix.len) == 0)
			return l;
	}
	return NULL;
}

/* Of one length: Exact, then Prefix, then ImplementationSpecific. */
static const struct location *look_up_length(const struct path_index *ix, uint64_t h, const struct path_length *n, struct str path)
{
	struct str prefix = { path.ptr, n->len };
	const struct location *l = NULL;

	if (n->exact && cut_fits(PATH_EXACT, n->len, path))
		l = look_up(ix, h, PATH_EXACT, prefix);
	if (!l && n->prefix && cut_fits(PATH_PREFIX, n->len, path))
		l = look_up(ix, h, PATH_PREFIX, prefix);
	if (!l && n->implementation)
		l = look_up(ix, h, PATH_IMPLEMENTATION, prefix);
	return l;
}

static const struct location *match_index(const struct path_index *ix, struct str path)
{
	const struct location *best = NULL, *l;
	uint64_t h = 0;
	size_t at = 0;

	for (size_t i = 0; i < ix->n_lengths && ix->lengths[i].len <= path.len; i++) {
		for (; at < ix->lengths[i].len; at++)
			h = hash_step(h, ix->point, (unsigned char)path.ptr[at]);
		l = look_up_length(ix, h, &ix->lengths[i], path);
		best = l ? l : best;
	}
	return best;
}

static const struct location *match_regex(const struct host *h, struct str path)
{
	for (size_t i = 0; i < h->n_all; i++) {
		enum regex_result r = h->all[i]->regex ? pattern_try(h->all[i]->regex, path, NULL) : REGEX_NO;

		/* Not the next one's: that may ask for less than the one which could not be decided. */
		if (r != REGEX_NO)
			return r == REGEX_YES ? h->all[i] : NULL;
	}
	return NULL;
}

const struct location *host_match(const struct host *h, struct str path)
{
	if (h->regex)
		return match_regex(h, path);
	return h->index_ ? match_index(h->index_, path) : match_linear(h, path);
}
