/* index.h - objects by a key that is not their name: sets of borrowed pointers. */
#pragma once

#include "base/map.h"
#include "roles/controllers/objects.h"

struct index {
	struct map sets_;
};
void index_init(struct index *x);
void index_done(struct index *x);
void index_add(struct index *x, const char *key, const json_t *obj);
void index_del(struct index *x, const char *key, const json_t *obj); /* not there: nothing */
struct objects index_get(const struct index *x, const char *key);    /* until the index changes */
