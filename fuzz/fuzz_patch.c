/* Two JSON texts parted by a zero byte: an object and a patch, applied in all three ways. */
#include "base/limits.h"
#include "kube/schema/patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest, first = str_cut((struct str){ (const char *)data, size }, '\0', &rest);
	const struct schema_type *t = schema_type_find("apps.v1.Deployment");
	struct err e;
	json_t *obj = rest.ptr ? jx_parse(first, LIMIT_OBJECT_BYTES, &e) : NULL;
	json_t *patch = obj ? jx_parse(rest, LIMIT_OBJECT_BYTES, &e) : NULL;

	if (json_is_object(obj) && patch) {
		json_t *results[] = { patch_merge(obj, patch, &e), patch_json(obj, patch, &e),
				      patch_strategic(t, obj, patch, &e) };

		for (size_t i = 0; i < ARRAY_LEN(results); i++) {
			if (results[i])
				free(jx_dump_text(results[i]));
			json_decref(results[i]);
		}
	}
	json_decref(obj);
	json_decref(patch);
	return 0;
}
