/* Any bytes as YAML documents, and as a request body. */
#include "base/limits.h"
#include "kube/schema/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct err e;
	json_t *all = yaml_documents(text, LIMIT_REQUEST_BODY_BYTES, &e);
	json_t *v = object_decode(resource_find_kind(STR(""), STR("v1"), STR("Pod")), BODY_YAML,
				  text, FV_STRICT, NULL, &e);

	if (all)
		free(jx_dump_text(all));
	json_decref(all);
	json_decref(v);
	return 0;
}
