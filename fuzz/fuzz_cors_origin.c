/* A pattern and an origin, with a line between them. */
#include "roles/ingress/filter/cors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str origin, pattern = str_cut((struct str){ (const char *)data, size }, '\n', &origin);
	/* Only a pattern with a star matches anything but itself. */
	if (cors_origin_matches(pattern, origin) && pattern.len > 0 && memchr(pattern.ptr, '*', pattern.len) == NULL && !str_ieq(pattern, origin))
		abort();
	return 0;
}
