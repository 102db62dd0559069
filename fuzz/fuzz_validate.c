#include "kube/schema/table.h"
#include "kube/schema/validate.h"
#include "roles/apiserver/convert.h"

#define INPUT_BYTES_MAX 65536

/* The first byte names the resource, the rest is an object: the rules must stand any shape of it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct field_errors fe = { 0 };
	struct err e;

	if (size < 1)
		return 0;
	const struct resource *r = &resources[data[0] % n_resources];
	cleanup(json_decrefp) json_t *obj = jx_parse((struct str){ (const char *)data + 1, size - 1 }, INPUT_BYTES_MAX, &e);
	if (!json_is_object(obj))
		return 0;
	object_validate(r, obj, NULL, &fe);
	object_validate(r, obj, obj, &fe);
	object_validate_status(r, obj, obj, &fe);
	field_errors_done(&fe);
	cleanup(json_decrefp) json_t *cells = table_cells(r, obj, 0);
	cleanup(json_decrefp) json_t *converted = object_convert(r, r->storage ? r->storage : r, obj);
	return 0;
}
