#include "roles/ingress/http/subrequest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size};
	struct url u;
	struct err e;

	if (url_parse(text, &u, &e) < 0)
		return 0;
	assert(u.port != 0 && u.host.len > 0 && u.host.len <= SUBREQUEST_HOST_BYTES_MAX);
	assert(u.authority.len + u.target.len + (u.https ? 8 : 7) == size);
	assert(!memchr(text.ptr, '\r', size) && !memchr(text.ptr, '\n', size) && !memchr(text.ptr, ' ', size));
	return 0;
}
