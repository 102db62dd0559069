/* JSON merge patch, RFC 7386. */
#include "kube/schema/patch.h"

/* `target` is changed in place; both are objects. */
static void merge(json_t *target, const json_t *patch)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)patch, key, value)
	{
		if (json_is_null(value)) {
			json_object_del(target, key);
			continue;
		}
		if (!json_is_object(value)) {
			json_object_set_new(target, key, json_deep_copy(value));
			continue;
		}
		if (!json_is_object(json_object_get(target, key)))
			json_object_set_new(target, key, json_object());
		merge(json_object_get(target, key), value);
	}
}

json_t *patch_merge(const json_t *obj, const json_t *patch, struct err *e)
{
	if (!json_is_object(patch)) {
		err_set(e, ERR_BAD_REQUEST, "Invalid JSON Patch");
		return NULL;
	}
	json_t *out = json_is_object(obj) ? json_deep_copy(obj) : json_object();
	merge(out, patch);
	return out;
}
