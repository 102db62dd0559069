/* Kubernetes protobuf. What decodes must encode, and decode to the same again. */
#include "base/limits.h"
#include "kube/schema/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e;
	json_t *v = protobuf_decode((struct str){ (const char *)data, size }, &e);
	struct str version, group = str_cut(str_of(jx_str(v, "apiVersion")), '/', &version);
	const struct resource *r =
		version.ptr ? resource_find_kind(group, version, str_of(jx_str(v, "kind")))
			    : resource_find_kind(STR(""), group, str_of(jx_str(v, "kind")));

	if (v && r && object_check_types(r, v, FV_IGNORE, NULL, &e) == 0) {
		struct buf out;

		buf_init(&out, 64u << 20);
		if (protobuf_encode(r->type, jx_str(v, "apiVersion"), r->kind, v, &out, &e) < 0)
			abort();
		json_t *again = protobuf_decode(buf_str(&out), &e);
		if (!again && out.len < LIMIT_REQUEST_BODY_BYTES)
			abort();
		json_decref(again);
		buf_done(&out);
	}
	json_decref(v);
	return 0;
}
