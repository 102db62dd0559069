#include "roles/node/cni_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cni_conf c;
	struct buf out;
	struct err e;

	if (cni_conf_parse((struct str){ (const char *)data, size }, &c, &e) < 0)
		return 0;
	buf_init(&out, CNI_CONF_BYTES);
	if (c.kind == CNI_POD && cni_conf_print(&c, &out) < 0)
		__builtin_trap();
	buf_done(&out);
	return 0;
}
