#include "codec/spdy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct spdy *s = spdy_new();
	struct spdy_event ev;
	struct err e;

	for (ssize_t n; (n = spdy_parse(s, in, &ev, &e)) > 0; in.len -= (size_t)n)
		in.ptr += n;
	spdy_free(s);
	return 0;
}
