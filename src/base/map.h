/* map.h - a hash map from string keys to pointers; keys are copied, values are borrowed.
 *
 * The hash is keyed with a per-process secret (SipHash-1-3, Aumasson & Bernstein 2012), because
 * keys come from the network. Iteration order is unspecified; a map may not change while iterated.
 */
#pragma once

#include "base/base.h"

struct map_entry;
struct map {
	struct map_entry **slots;
	size_t n_slots, count;
};

void map_init(struct map *m);
/* `free_value` may be NULL. */
void map_done(struct map *m, void (*free_value)(void *));
void *map_get(const struct map *m, struct str key);  /* NULL when absent */
void *map_get_c(const struct map *m, const char *key);
void *map_put(struct map *m, struct str key, void *value); /* returns the value replaced, or NULL */
void *map_put_c(struct map *m, const char *key, void *value);
void *map_del(struct map *m, struct str key);        /* returns the value removed, or NULL */
void *map_del_c(struct map *m, const char *key);

/* for (struct map_iter it = { 0 }; map_next(m, &it);) use(it.key, it.value); */
struct map_iter {
	struct str key;
	void *value;
	size_t slot_;
	struct map_entry *next_;
};
bool map_next(const struct map *m, struct map_iter *it);

uint64_t hash_keyed(const void *data, size_t len);
