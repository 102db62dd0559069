/* patch_int.h - shared by the strategic merge's files; not for anyone else. */
#pragma once

#include "codec/jx.h"

/* Values as Go's fmt prints them, for error texts.
 * %v: "map[a:1 b:[x y]]"; cut when long; on the heap. */
char *go_value_text(const json_t *v);
/* %T of a decoded JSON value: "map[string]interface {}". */
const char *go_value_type(const json_t *v);

/* Lists whose items are told apart by a merge key, or by themselves when it is NULL. */
struct map;
/* What tells an item apart, as text on the heap; NULL: it has no merge key. */
char *item_id(const json_t *item, const char *merge_key, struct err *e);
/* Where each item first stands in a list, as index + 1. The caller ends the map. */
int positions(struct map *m, const json_t *list, const char *merge_key, struct err *e) must_check;
/* A new list with `merged`'s items: those of patch_order in that order; each of the others before
 * the first of them that stood behind it in server_order. */
json_t *order_items(const json_t *merged, const json_t *patch_order, const json_t *server_order,
		    const char *merge_key, struct err *e) must_check;
