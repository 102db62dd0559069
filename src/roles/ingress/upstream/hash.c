#include "roles/ingress/upstream/hash.h"

#include <openssl/evp.h>
#include <zlib.h>

struct point {
	uint32_t hash, index;
};
struct node {
	char name[HASH_NODE_TEXT];
	uint32_t index;
};

struct hash_ring {
	char backend_name[HASH_NODE_TEXT + 1];
	size_t n_points, n_nodes;
	struct node *nodes;    /* sorted by name */
	uint32_t *node_of;     /* endpoint → place in nodes */
	struct point points[]; /* sorted by hash */
};

static void md5_hex(const char *a, const char *b, char out[HASH_NODE_TEXT + 1])
{
	static const char digits[] = "0123456789abcdef";
	cleanup(freep) char *text = xasprintf("%s%s", a, b);
	unsigned char sum[EVP_MAX_MD_SIZE];

	/* A provider without MD5 leaves zeros: names are then equal, and sessions are not found again. */
	memset(sum, 0, sizeof(sum));
	EVP_Digest(text, strlen(text), sum, NULL, EVP_md5(), NULL);
	for (size_t i = 0; i < HASH_NODE_TEXT / 2; i++) {
		out[2 * i] = digits[sum[i] >> 4];
		out[2 * i + 1] = digits[sum[i] & 15];
	}
	out[HASH_NODE_TEXT] = '\0';
}

/* Each point's hash goes on from the address' and takes the one before as four more bytes, lowest first. */
static void put_points(struct point *at, const char *text, uint32_t index)
{
	uint32_t base = (uint32_t)crc32(0, (const Bytef *)text, (uInt)strlen(text)), prev = 0;

	for (size_t i = 0; i < HASH_POINTS; i++) {
		Bytef more[4] = { (Bytef)prev, (Bytef)(prev >> 8), (Bytef)(prev >> 16), (Bytef)(prev >> 24) };
		prev = (uint32_t)crc32(base, more, sizeof(more));
		at[i] = (struct point){ prev, index };
	}
}

static int point_order(const void *a, const void *b)
{
	const struct point *p = a, *q = b;

	if (p->hash != q->hash)
		return p->hash < q->hash ? -1 : 1;
	return (p->index > q->index) - (p->index < q->index);
}

static int node_order(const void *a, const void *b)
{
	return memcmp(((const struct node *)a)->name, ((const struct node *)b)->name, HASH_NODE_TEXT);
}

static struct hash_ring *ring_new(const struct backend *b, const struct endpoints *es)
{
	struct hash_ring *r = xcalloc(1, sizeof(*r) + es->n * HASH_POINTS * sizeof(*r->points));
	char name[HASH_NODE_TEXT + 1];

	md5_hex(b->name, "", name);
	md5_hex(name, b->name, r->backend_name);
	r->n_points = es->n * HASH_POINTS;
	r->n_nodes = es->n;
	r->nodes = xcalloc(es->n + 1, sizeof(*r->nodes));
	r->node_of = xcalloc(es->n + 1, sizeof(*r->node_of));
	for (uint32_t i = 0; i < es->n; i++) {
		put_points(&r->points[i * HASH_POINTS], es->at[i]->text, i);
		md5_hex(b->name, es->at[i]->text, name);
		memcpy(r->nodes[i].name, name, HASH_NODE_TEXT);
		r->nodes[i].index = i;
	}
	qsort(r->points, r->n_points, sizeof(*r->points), point_order);
	qsort(r->nodes, r->n_nodes, sizeof(*r->nodes), node_order);
	for (uint32_t i = 0; i < es->n; i++)
		r->node_of[r->nodes[i].index] = i;
	return r;
}

struct hash_ring *hash_ring_of(struct backend *b, struct endpoints *es)
{
	void *r = __atomic_load_n(&es->ring, __ATOMIC_ACQUIRE), *none = NULL;

	if (r)
		return r;
	__atomic_store_n(&b->hashes, 1, __ATOMIC_RELAXED);
	r = ring_new(b, es);
	if (__atomic_compare_exchange_n(&es->ring, &none, r, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return r;
	hash_ring_free(r); /* another worker was first */
	return none;
}

void hash_ring_prepare(struct backend *b, struct endpoints *es)
{
	if (__atomic_load_n(&b->hashes, __ATOMIC_RELAXED))
		hash_ring_of(b, es);
}

void hash_ring_free(void *ring)
{
	struct hash_ring *r = ring;

	if (!r)
		return;
	free(r->nodes);
	free(r->node_of);
	free(r);
}

/* The first point at or behind `hash`; the ring closes behind the last. */
static size_t ring_at(const struct hash_ring *r, uint32_t hash)
{
	size_t low = 0, high = r->n_points;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (r->points[mid].hash < hash)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->n_points ? low : 0;
}

void hash_walk_begin(struct hash_walk *w, const struct hash_ring *r, struct str key)
{
	uint32_t hash = key.len ? (uint32_t)crc32(0, (const Bytef *)key.ptr, (uInt)MIN(key.len, HASH_KEY_BYTES_MAX)) : 0;

	*w = (struct hash_walk){ .ring_ = r, .at_ = ring_at(r, hash), .left_ = MIN(r->n_points, HASH_WALK_MAX) };
}

bool hash_walk_next(struct hash_walk *w, size_t *ret_index)
{
	if (!w->left_)
		return false;
	*ret_index = w->ring_->points[w->at_].index;
	w->left_--;
	if (++w->at_ == w->ring_->n_points)
		w->at_ = 0;
	return true;
}

void hash_node_name(const struct hash_ring *r, size_t index, char out[HASH_NODE_TEXT + 1])
{
	memcpy(out, r->nodes[r->node_of[index]].name, HASH_NODE_TEXT);
	out[HASH_NODE_TEXT] = '\0';
}

bool hash_node_find(const struct hash_ring *r, struct str name, size_t *ret_index)
{
	struct node want;

	if (name.len != HASH_NODE_TEXT)
		return false;
	memcpy(want.name, name.ptr, HASH_NODE_TEXT);
	const struct node *found = bsearch(&want, r->nodes, r->n_nodes, sizeof(*r->nodes), node_order);
	if (found)
		*ret_index = found->index;
	return found;
}

const char *hash_backend_name(const struct hash_ring *r)
{
	return r->backend_name;
}
