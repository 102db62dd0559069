/* Request bodies as JSON: the first byte chooses the kind. What decodes must default, decode again
 * and dump. */
#include "kube/schema/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	const struct resource *r = &resources[data[0] % n_resources];
	struct str body = { (const char *)data + 1, size - 1 };
	struct err e;
	json_t *warnings = NULL;
	json_t *strict = object_decode(r, BODY_JSON, body, FV_STRICT, NULL, &e);
	json_t *v = object_decode(r, BODY_JSON, body, FV_WARN, &warnings, &e);

	if (strict && (!v || warnings))
		abort();
	if (v) {
		object_default(r, v);
		/* What we made ourselves must pass our own checks. */
		if (object_check_types(r, v, FV_STRICT, NULL, &e) < 0)
			abort();
		free(jx_dump_text(v));
	}
	json_decref(warnings);
	json_decref(strict);
	json_decref(v);
	return 0;
}
