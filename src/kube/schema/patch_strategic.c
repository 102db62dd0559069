/* Strategic merge patch: maps merge, and so do lists whose items have a merge key. The result's
 * order of a list is: $setElementOrder before the patch's order before the order of what was there;
 * what only the server has keeps its place among its neighbours. Kubernetes:
 * sig-api-machinery/strategic-merge-patch.md, cli/preserve-order-in-strategic-merge-patch.md. */
#include "kube/schema/patch.h"

#include "base/map.h"
#include "kube/schema/patch_int.h"

#define DIRECTIVE "$patch"
#define RETAIN_KEYS "$retainKeys"
#define DELETE_PREFIX "$deleteFromPrimitiveList"
#define ORDER_PREFIX "$setElementOrder"

static const char bad_order_list[] = "invalid patch format of setElementOrder list";

static json_t *merge_map(const struct schema_type *t, json_t *original, json_t *patch,
			 struct err *e);
static json_t *merge_list(const struct schema_field *f, json_t *original, json_t *patch,
			  bool deletes, struct err *e);

static int bad_directive(const char *directive, const json_t *map, struct err *e)
{
	char *text = go_value_text(map);

	err_set(e, ERR_BAD_REQUEST, "unknown patch type: %s in map: %s", directive, text);
	free(text);
	return -1;
}

/* The name behind "prefix/"; NULL when `key` does not start so. */
static const char *behind(const char *key, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(key, prefix, len) == 0 && key[len] == '/' ? key + len + 1 : NULL;
}

static void discard_nulls(json_t *v)
{
	const char *key;
	json_t *member;
	void *tmp;
	size_t i;

	json_object_foreach_safe(v, tmp, key, member)
	{
		if (json_is_null(member))
			json_object_del(v, key);
		else
			discard_nulls(member);
	}
	json_array_foreach(v, i, member) discard_nulls(member);
}

/* Values that are taken over whole: what they say about merging has nothing to work on. False: drop
 * the value itself. */
static bool remove_directives(json_t *v)
{
	const char *key;
	json_t *member;
	void *tmp;

	if (json_object_get(v, DIRECTIVE))
		return false;
	json_object_foreach_safe(v, tmp, key, member) if (!remove_directives(member))
		json_object_del(v, key);
	for (size_t i = json_array_size(v); json_is_array(v) && i-- > 0;)
		if (!remove_directives(json_array_get(v, i)))
			json_array_remove(v, i);
	return true;
}

static void take_over(json_t *original, const char *key, json_t *v)
{
	discard_nulls(v);
	if (remove_directives(v))
		json_object_set(original, key, v);
	else
		json_object_del(original, key);
}

/* $retainKeys: what is not listed goes. */
static int retain_keys(json_t *original, json_t *patch, struct err *e)
{
	static const char message[] = "invalid patch format of retainKeys";
	json_t *list = json_object_get(patch, RETAIN_KEYS), *value, *kept;
	const char *key;
	void *tmp;
	size_t i;

	if (!list)
		return 0;
	if (!json_is_array(list))
		return err_set(e, ERR_BAD_REQUEST, message);
	kept = json_object();
	json_array_foreach(list, i, value) if (json_is_string(value))
		json_object_set_new(kept, json_string_value(value), json_true());
	json_object_del(patch, RETAIN_KEYS);
	json_object_foreach(patch, key,
			    value) if (!json_is_null(value) && !behind(key, DELETE_PREFIX) &&
				       !behind(key, ORDER_PREFIX) && !json_object_get(kept, key))
	{
		json_decref(kept);
		return err_set(e, ERR_BAD_REQUEST, message);
	}
	json_object_foreach_safe(original, tmp, key, value) if (!json_object_get(kept, key))
		json_object_del(original, key);
	json_decref(kept);
	return 0;
}

/* ---- lists ---- */

/* Both lists together, items of `current` that are in `unwanted` left out, and of equal ones the
 * first. */
static json_t *merge_scalars(const json_t *current, const json_t *more, const json_t *unwanted)
{
	const json_t *parts[] = { current, more };
	json_t *out = json_array();
	struct map seen;
	struct err e;

	if (positions(&seen, unwanted, NULL, &e) < 0)
		return out; /* scalars always have an id */
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < json_array_size(parts[k]); i++) {
			char *id = jx_dump_text(json_array_get(parts[k], i));
			if (!map_get_c(&seen, id)) {
				json_array_append(out, json_array_get(parts[k], i));
				if (!unwanted)
					map_put_c(&seen, id, out);
			}
			free(id);
		}
	map_done(&seen, NULL);
	return out;
}

static int delete_item(json_t *list, const json_t *id, const char *merge_key)
{
	for (size_t i = json_array_size(list); i-- > 0;)
		if (json_equal(json_object_get(json_array_get(list, i), merge_key), (json_t *)id))
			json_array_remove(list, i);
	return 0;
}

#define DELETIONS_MAX                                                                              \
	1000 /* each walks the whole list; kubectl sends one per item that a user took out */

/* Takes the items with "$patch" out of `patch` and acts on them. *ret_replace: the patch is the
 * whole list. */
static int special_items(json_t *original, json_t *patch, const char *merge_key, bool *ret_replace,
			 struct err *e)
{
	unsigned deletions = 0;

	*ret_replace = false;
	for (size_t i = json_array_size(patch); i-- > 0;) {
		json_t *item = json_array_get(patch, i), *marker = json_object_get(item, DIRECTIVE);
		const char *directive = json_is_string(marker) ? json_string_value(marker) : "?";

		if (!marker)
			continue;
		if (strcmp(directive, "delete") == 0) {
			cleanup(freep) char *id = item_id(item, merge_key, e);
			if (!id)
				return -1;
			if (++deletions > DELETIONS_MAX)
				return err_set(e, ERR_BAD_REQUEST,
					       "more than %d deletions in one list", DELETIONS_MAX);
			delete_item(original, json_object_get(item, merge_key), merge_key);
		} else if (strcmp(directive, "replace") == 0) {
			*ret_replace = true;
		} else if (strcmp(directive, "merge") == 0) {
			return err_set(e, ERR_BAD_REQUEST,
				       "merging lists cannot yet be specified in the patch");
		} else {
			return bad_directive(directive, item, e);
		}
		json_array_remove(patch, i);
	}
	return 0;
}

/* `merged` starts as a copy of the list that was there. */
static int merge_items(const struct schema_type *t, json_t *merged, json_t *patch,
		       const char *merge_key, struct err *e)
{
	struct map where;
	size_t i;
	json_t *item;
	int r = 0;

	if (positions(&where, merged, merge_key, e) < 0)
		return -1;
	json_array_foreach(patch, i, item)
	{
		cleanup(freep) char *id = item_id(item, merge_key, e);
		if (!id) {
			r = -1;
			break;
		}
		size_t at = (uintptr_t)map_get_c(&where, id);
		if (!at) {
			json_array_append(merged, item);
			map_put_c(&where, id, (void *)(uintptr_t)json_array_size(merged));
			continue;
		}
		json_t *both = merge_map(t, json_incref(json_array_get(merged, at - 1)), item, e);
		if (!both) {
			r = -1;
			break;
		}
		json_array_set_new(merged, at - 1, both);
	}
	map_done(&where, NULL);
	return r;
}

static json_t *merge_objects(const struct schema_field *f, json_t *original, json_t *patch,
			     struct err *e)
{
	bool replace;

	if (!f || !f->merge_key) {
		err_set(e, ERR_BAD_REQUEST, "cannot merge lists without merge key for %s",
			f && f->sub ? "struct" : "map");
		return NULL;
	}
	if (special_items(original, patch, f->merge_key, &replace, e) < 0)
		return NULL;
	if (replace)
		return json_incref(patch);
	json_t *merged = json_copy(original);
	json_t *out = merge_items(f->sub, merged, patch, f->merge_key, e) < 0
			      ? NULL
			      : order_items(merged, patch, original, f->merge_key, e);
	json_decref(merged);
	return out;
}

/* Are all items objects, or none? -1: neither, or lists of lists. */
static int objects_or_not(const json_t *a, const json_t *b, struct err *e)
{
	const json_t *lists[] = { a, b };
	size_t objects = 0, n = 0;

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < json_array_size(lists[k]); i++, n++) {
			const json_t *v = json_array_get(lists[k], i);
			objects += json_is_object(v);
			if (json_is_array(v))
				return err_set(
					e, ERR_INVALID,
					"the server rejected our request due to an error in our request");
		}
	if (objects && objects != n)
		return err_set(e, ERR_BAD_REQUEST, "list element types are not identical");
	return objects > 0;
}

/* New reference. Both arguments may be changed. */
static json_t *merge_list(const struct schema_field *f, json_t *original, json_t *patch,
			  bool deletes, struct err *e)
{
	if (!deletes && !(f && (f->patch & SP_MERGE)))
		return json_incref(patch);
	if (!json_array_size(original) && !json_array_size(patch))
		return json_incref(original);
	int objects = objects_or_not(original, patch, e);
	if (objects < 0)
		return NULL;
	if (objects)
		return merge_objects(f, original, patch, e);
	if (deletes)
		return merge_scalars(original, NULL, patch);
	json_t *merged = merge_scalars(original, patch, NULL);
	json_t *out = order_items(merged, patch, original, NULL, e);
	json_decref(merged);
	return out;
}

/* The items of the patch stand in the same order as in $setElementOrder, which names all that are
 * not deleted. */
static int check_order(const json_t *patch, const json_t *order, const char *merge_key,
		       struct err *e)
{
	size_t at = 0, n = json_array_size(order);

	if (!n)
		return 0;
	for (size_t i = 0; i < json_array_size(patch); i++) {
		const json_t *item = json_array_get(patch, i);
		if (json_object_get(item, DIRECTIVE))
			continue;
		cleanup(freep) char *id = item_id(item, merge_key, e);
		bool found = false;
		if (!id)
			return -1;
		for (; !found && at < n; at++) {
			cleanup(freep) char *other =
				item_id(json_array_get(order, at), merge_key, e);
			if (!other)
				return -1;
			found = strcmp(id, other) == 0;
		}
		if (!found) {
			cleanup(freep) char *list = go_value_text(patch),
					    *want = go_value_text(order);
			return err_set(e, ERR_BAD_REQUEST,
				       "The order in patch list:\n%s\n doesn't match " ORDER_PREFIX
				       " list:\n%s\n",
				       list, want);
		}
	}
	return 0;
}

/* Upstream's order of what was on the server counts new items that took the places of deleted ones,
 * behind the rest. */
static int fill_deleted_places(json_t *server_order, const json_t *patch, size_t places,
			       const char *merge_key, struct err *e)
{
	struct map known;
	size_t i;
	json_t *item;

	if (positions(&known, server_order, merge_key, e) < 0)
		return -1;
	json_array_foreach((json_t *)patch, i, item)
	{
		cleanup(freep) char *id = places ? item_id(item, merge_key, e) : NULL;
		if (id && !map_get_c(&known, id)) {
			json_array_append(server_order, item);
			places--;
		}
	}
	map_done(&known, NULL);
	return 0;
}

/* The list that was there and the patch's, merged and in `order`. New reference. */
static json_t *merge_both(const struct schema_field *f, const json_t *here, json_t *there,
			  const json_t *order, struct err *e)
{
	cleanup(json_decrefp) json_t *left = json_copy((json_t *)here);
	cleanup(json_decrefp) json_t *merged = merge_list(f, left, there, false, e);

	if (!merged ||
	    fill_deleted_places(left, there, json_array_size(here) - json_array_size(left),
				f->merge_key, e) < 0)
		return NULL;
	return order_items(merged, order, left, f->merge_key, e);
}

/* One "$setElementOrder/key" with the list it is about. */
static int merge_ordered(const struct schema_type *t, json_t *original, json_t *patch,
			 const char *key, const json_t *order, struct err *e)
{
	const struct schema_field *f = t ? schema_field_find(t, str_of(key)) : NULL;
	json_t *here = json_object_get(original, key), *there = json_object_get(patch, key),
	       *ordered;
	const json_t *odd = !json_is_array(order)	     ? order
			    : here && !json_is_array(here)   ? here
			    : there && !json_is_array(there) ? there
							     : NULL;

	if (odd)
		return err_set(e, ERR_BAD_REQUEST, "expected a []interface {}, but received a %s",
			       go_value_type(odd));
	if (!f)
		return err_set(e, ERR_BAD_REQUEST,
			       "unable to find api field in struct %s for the json field \"%s\"",
			       t ? strrchr(t->name, '.') + 1 : "map", key);
	if (there && check_order(there, order, f->merge_key, e) < 0)
		return -1;
	if (!here && !there)
		return 0;
	if (!here)
		remove_directives(there);
	ordered = here && there ? merge_both(f, here, there, order, e)
				: order_items(here ? here : there, order, here, f->merge_key, e);
	if (!ordered)
		return -1;
	json_object_set_new(original, key, ordered);
	json_object_del(patch, key);
	return 0;
}

/* The first order in the patch; NULL when there is none (any more). */
static const char *find_order(json_t *patch)
{
	const char *key;
	json_t *value;

	json_object_foreach(patch, key,
			    value) if (strncmp(key, ORDER_PREFIX, sizeof(ORDER_PREFIX) - 1) ==
				       0) return key;
	return NULL;
}

/* Each takes itself and its list out of the patch. There are no more than the type has lists:
 * others are errors. */
static int apply_orders(const struct schema_type *t, json_t *original, json_t *patch, struct err *e)
{
	for (const char *found; (found = find_order(patch));) {
		cleanup(freep) char *key = xstrdup(found);
		cleanup(json_decrefp) json_t *order = json_incref(json_object_get(patch, key));
		const char *list = behind(key, ORDER_PREFIX);

		if (!list)
			return err_set(e, ERR_BAD_REQUEST, bad_order_list);
		json_object_del(patch, key);
		if (merge_ordered(t, original, patch, list, order, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- maps ---- */

static int merge_member(const struct schema_type *t, json_t *original, const char *key, json_t *v,
			bool deletes, struct err *e)
{
	const struct schema_field *f = t ? schema_field_find(t, str_of(key)) : NULL;
	json_t *here = json_object_get(original, key), *merged;
	bool maps = json_is_object(here) && json_is_object(v),
	     lists = json_is_array(here) && json_is_array(v);

	if (json_is_null(v)) {
		json_object_del(original, key);
		return 0;
	}
	if (!maps && !lists) {
		if (!deletes)
			take_over(original, key, v);
		return 0;
	}
	if (lists)
		merged = merge_list(f, here, v, deletes, e);
	else if (f && (f->patch & SP_REPLACE))
		merged = json_incref(v);
	else
		merged =
			merge_map(f && f->shape == SS_ONE ? f->sub : NULL, json_incref(here), v, e);
	return merged ? json_object_set_new(original, key, merged) : -1;
}

/* Takes the reference to `original`; new reference, or NULL. `patch` may be changed. */
static json_t *merge_map(const struct schema_type *t, json_t *original, json_t *patch,
			 struct err *e)
{
	json_t *marker = json_object_get(patch, DIRECTIVE), *v;
	const char *directive = json_is_string(marker) ? json_string_value(marker) : "?", *key;

	if (marker) {
		json_decref(original);
		if (strcmp(directive, "delete") == 0)
			return json_object();
		if (strcmp(directive, "replace") != 0) {
			bad_directive(directive, patch, e);
			return NULL;
		}
		json_object_del(patch, DIRECTIVE);
		return json_incref(patch);
	}
	if (retain_keys(original, patch, e) < 0 || apply_orders(t, original, patch, e) < 0)
		goto failed;
	json_object_foreach(patch, key, v)
	{
		const char *list = behind(key, DELETE_PREFIX);

		if (!list && strncmp(key, DELETE_PREFIX, sizeof(DELETE_PREFIX) - 1) == 0) {
			err_set(e, ERR_BAD_REQUEST, "invalid patch format of primitive list");
			goto failed;
		}
		if (merge_member(t, original, list ? list : key, v, list, e) < 0)
			goto failed;
	}
	return original;
failed:
	json_decref(original);
	return NULL;
}

json_t *patch_strategic(const struct schema_type *t, const json_t *obj, const json_t *patch,
			struct err *e)
{
	if (!json_is_object(patch)) {
		err_set(e, ERR_BAD_REQUEST, "invalid JSON document");
		return NULL;
	}
	json_t *mutable_patch = json_deep_copy(patch);
	json_t *out = merge_map(t, json_deep_copy(obj), mutable_patch, e);
	json_decref(mutable_patch);
	return out;
}
