#include "base/map.h"

#include "base/sip_round.h"

#include <sys/random.h>

#define MAP_FIRST_SLOTS 16

struct map_entry {
	struct map_entry *next;
	uint64_t hash;
	void *value;
	size_t key_len;
	char key[];
};

static uint64_t secret[2];

/* Filled before main, so that no lookup has to ask whether it is there. */
__attribute__((constructor)) static void secret_init(void)
{
	if (getrandom(secret, sizeof(secret), GRND_NONBLOCK) != sizeof(secret))
		abort();
}

uint64_t hash_keyed(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t v[4] = { secret[0] ^ 0x736f6d6570736575, secret[1] ^ 0x646f72616e646f6d,
			  secret[0] ^ 0x6c7967656e657261, secret[1] ^ 0x7465646279746573 };
	uint64_t m;

	for (size_t i = 0; i + 8 <= len; i += 8) {
		memcpy(&m, p + i, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	m = 0;
	if (len & 7)
		memcpy(&m, p + (len & ~(size_t)7), len & 7);
	m |= (uint64_t)len << 56;
	v[3] ^= m;
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void map_done(struct map *m, void (*free_value)(void *))
{
	for (size_t i = 0; i < m->n_slots; i++)
		for (struct map_entry *e = m->slots[i], *next; e; e = next) {
			next = e->next;
			if (free_value)
				free_value(e->value);
			free(e);
		}
	free(m->slots);
	*m = (struct map){ 0 };
}

/* The link that points at the entry, or the empty one where it would go. */
static struct map_entry **map_link(const struct map *m, struct str key, uint64_t hash)
{
	struct map_entry **link = &m->slots[hash & (m->n_slots - 1)];

	for (; *link; link = &(*link)->next)
		if ((*link)->hash == hash && (*link)->key_len == key.len &&
		    (key.len == 0 || memcmp((*link)->key, key.ptr, key.len) == 0))
			break;
	return link;
}

static void map_grow(struct map *m)
{
	size_t n = m->n_slots ? m->n_slots * 2 : MAP_FIRST_SLOTS;
	struct map_entry **slots = xcalloc(n, sizeof(*slots));

	for (size_t i = 0; i < m->n_slots; i++)
		for (struct map_entry *e = m->slots[i], *next; e; e = next) {
			next = e->next;
			e->next = slots[e->hash & (n - 1)];
			slots[e->hash & (n - 1)] = e;
		}
	free(m->slots);
	m->slots = slots;
	m->n_slots = n;
}

void *map_get(const struct map *m, struct str key)
{
	if (!m->count)
		return NULL;
	struct map_entry *e = *map_link(m, key, hash_keyed(key.ptr, key.len));
	return e ? e->value : NULL;
}

void *map_get_c(const struct map *m, const char *key)
{
	return map_get(m, str_of(key));
}

void *map_put(struct map *m, struct str key, void *value)
{
	if (m->count >= m->n_slots)
		map_grow(m);
	uint64_t hash = hash_keyed(key.ptr, key.len);
	struct map_entry **link = map_link(m, key, hash);

	if (*link) {
		void *old = (*link)->value;
		(*link)->value = value;
		return old;
	}
	struct map_entry *e = xmalloc(sizeof(*e) + key.len + 1);
	*e = (struct map_entry){ .hash = hash, .value = value, .key_len = key.len };
	if (key.len)
		memcpy(e->key, key.ptr, key.len);
	e->key[key.len] = '\0';
	*link = e;
	m->count++;
	return NULL;
}

void *map_put_c(struct map *m, const char *key, void *value)
{
	return map_put(m, str_of(key), value);
}

void *map_del(struct map *m, struct str key)
{
	if (!m->count)
		return NULL;
	struct map_entry **link = map_link(m, key, hash_keyed(key.ptr, key.len));
	struct map_entry *e = *link;

	if (!e)
		return NULL;
	void *value = e->value;
	*link = e->next;
	free(e);
	m->count--;
	return value;
}

void *map_del_c(struct map *m, const char *key)
{
	return map_del(m, str_of(key));
}

bool map_next(const struct map *m, struct map_iter *it)
{
	struct map_entry *e = it->next_;

	while (!e && it->slot_ < m->n_slots)
		e = m->slots[it->slot_++];
	if (!e)
		return false;
	it->key = (struct str){ e->key, e->key_len };
	it->value = e->value;
	it->next_ = e->next;
	return true;
}
