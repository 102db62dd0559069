#include "roles/ingress/l4/spec.h"

#include <assert.h>

/* What is taken can be written down again and means the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *value = xstrndup((const char *)data, size);
	struct l4_spec one, two;
	struct err e;

	if (l4_spec_parse("9000", value, &one, &e) == 0) {
		char *again = xasprintf("%s/%s:%s:%s:%s", one.ns, one.service, one.service_port, one.decode ? "PROXY" : "",
					one.encode ? "PROXY" : "");

		assert(l4_spec_parse("9000", again, &two, &e) == 0);
		assert(memcmp(&one, &two, sizeof(one)) == 0);
		free(again);
	}
	free(value);
	return 0;
}
