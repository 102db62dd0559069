#include "roles/ingress/tls/client_hello.h"

#include <assert.h>

/* Whatever was said of all the bytes may not be contradicted by fewer of them: those are the same, or incomplete. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client_hello whole, part;
	uint8_t *copy = xmalloc(size + 1);

	memcpy(copy, data, size);
	int r = client_hello_parse(copy, size, &whole);
	assert(strlen(whole.server_name) <= CLIENT_HELLO_NAME_MAX && whole.alpn_len <= sizeof(whole.alpn));
	if (size) {
		int half = client_hello_parse(copy, size / 2, &part);

		assert(half == 0 || half == r);
		assert(half <= 0 || strcmp(part.server_name, whole.server_name) == 0);
	}
	free(copy);
	return 0;
}
