/* Which block serves a name: a hash of all zones, asked for as many labels as there are zones of. */
#include "roles/dns/config/config_int.h"

#include "base/fnv.h"

#define LABELS_MAX (DNS_NAME_BYTES_MAX / 2 + 1)
#define FEW 8 /* so many are compared one by one, the longest first */

struct entry {
	const struct dns_name *zone;
	const struct dns_block *block;
	uint64_t hash;
	struct entry *next;
};

struct block_index {
	struct entry *entries; /* longest zones first */
	size_t n;
	struct entry **slots;
	size_t mask;
	uint8_t depths[LABELS_MAX]; /* the numbers of labels that zones have, from many to few */
	size_t n_depths;
};

static uint64_t hash(const uint8_t *wire, size_t len, enum dns_transport t, uint16_t port)
{
	uint64_t h = fnv1a_64(FNV1A_64 ^ (uint64_t)port << 8 ^ (uint64_t)t, wire, len);

	return h ^ h >> 32;
}

static bool same(const struct entry *en, const uint8_t *wire, size_t len, enum dns_transport t, uint16_t port)
{
	return en->zone->len == len && en->block->port == port && en->block->transport == t && memcmp(en->zone->wire, wire, len) == 0;
}

static const struct entry *find(const struct block_index *x, const uint8_t *wire, size_t len, enum dns_transport t, uint16_t port)
{
	uint64_t h = hash(wire, len, t, port);

	for (const struct entry *en = x->slots[h & x->mask]; en; en = en->next)
		if (en->hash == h && same(en, wire, len, t, port))
			return en;
	return NULL;
}

static int add(struct block_index *x, struct entry *en, struct err *e)
{
	const struct dns_block *b = en->block;
	const struct entry *other = find(x, en->zone->wire, en->zone->len, b->transport, b->port);
	char text[DNS_NAME_TEXT_BYTES];

	if (other)
		return directive_error(e, &b->at, NULL, "%s on port %u is served by the block in %s:%u already%s", dns_name_text(en->zone, text), b->port,
				       other->block->at.file, other->block->at.line,
				       b->bind ? "; blocks are told apart by zone and port, not by what they bind" : "");
	en->hash = hash(en->zone->wire, en->zone->len, b->transport, b->port);
	struct entry **slot = &x->slots[en->hash & x->mask];
	en->next = *slot;
	*slot = en;
	return 0;
}

static int longest_first(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->zone->labels != y->zone->labels)
		return y->zone->labels - x->zone->labels;
	return x->block == y->block ? (x->zone > y->zone) - (x->zone < y->zone) : (x->block > y->block) - (x->block < y->block);
}

static void note_depths(struct block_index *x)
{
	for (size_t i = 0; i < x->n; i++)
		if (i == 0 || x->entries[i].zone->labels != x->entries[i - 1].zone->labels)
			x->depths[x->n_depths++] = x->entries[i].zone->labels;
}

struct block_index *block_index_new(const struct dns_config *c, struct err *e)
{
	struct block_index *x = xcalloc(1, sizeof(*x));
	size_t n = 0, slots = 8;

	for (size_t b = 0; b < c->n_blocks; b++)
		n += c->blocks[b].n_zones;
	while (slots < 2 * n)
		slots *= 2;
	x->entries = xcalloc(n + 1, sizeof(*x->entries));
	x->slots = xcalloc(slots, sizeof(*x->slots));
	x->mask = slots - 1;
	for (size_t b = 0; b < c->n_blocks; b++)
		for (size_t z = 0; z < c->blocks[b].n_zones; z++)
			x->entries[x->n++] = (struct entry){ .zone = &c->blocks[b].zones[z], .block = &c->blocks[b] };
	qsort(x->entries, x->n, sizeof(*x->entries), longest_first);
	note_depths(x);
	for (size_t i = 0; i < x->n; i++)
		if (add(x, &x->entries[i], e) < 0) {
			block_index_free(x);
			return NULL;
		}
	return x;
}

void block_index_free(struct block_index *x)
{
	if (!x)
		return;
	free(x->entries);
	free(x->slots);
	free(x);
}

static const struct dns_block *find_among_few(const struct block_index *x, enum dns_transport t, uint16_t port, const struct dns_name *name)
{
	for (size_t i = 0; i < x->n; i++) {
		const struct entry *en = &x->entries[i];
		if (en->block->port == port && en->block->transport == t && dns_name_under(name, en->zone))
			return en->block;
	}
	return NULL;
}

const struct dns_block *block_index_find(const struct block_index *x, enum dns_transport t, uint16_t port, const struct dns_name *name)
{
	size_t at = 0, labels = name->labels;

	if (x->n <= FEW)
		return find_among_few(x, t, port, name);
	for (size_t i = 0; i < x->n_depths; i++) {
		if (x->depths[i] > labels)
			continue;
		for (; labels > x->depths[i]; labels--)
			at += 1 + (size_t)name->wire[at];
		const struct entry *en = find(x, name->wire + at, name->len - at, t, port);
		if (en)
			return en->block;
	}
	return NULL;
}
