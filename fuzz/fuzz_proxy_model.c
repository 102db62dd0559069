/* Services and EndpointSlices of any shape become a plan, or nothing. */
#include "roles/proxy/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e;
	json_t *obj = jx_parse((struct str){ (const char *)data, size }, 1 << 16, &e);
	struct service *svc = model_service_parse(json_array_get(obj, 0));
	struct slice *slice = model_slice_parse(json_array_get(obj, 1), "n1");
	const struct slice *slices[] = { slice };
	struct plan p;

	proxy_plan_build(svc, slices, slice != NULL, &p);
	proxy_plan_done(&p);
	model_service_free(svc);
	model_slice_free(slice);
	json_decref(obj);
	return 0;
}
