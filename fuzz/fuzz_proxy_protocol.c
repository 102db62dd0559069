#include "codec/proxy_protocol.h"

#include <assert.h>

/* A header that is read, written and read again says the same; every prefix of one is incomplete, not broken. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header h, again;
	char out[PROXY_HEADER_WRITE_BYTES];
	struct err e;
	ssize_t n = proxy_header_parse(data, size, &h, &e);

	assert(n <= (ssize_t)size);
	for (size_t i = 0; n > 0 && i < (size_t)n; i++)
		assert(proxy_header_parse(data, i, &again, &e) == 0);
	if (n <= 0)
		return 0;
	for (unsigned version = 1; version <= 2; version++) {
		size_t len = proxy_header_write(version, h.local ? NULL : &h.source, &h.destination, out);

		assert(len <= sizeof(out));
		assert(proxy_header_parse(out, len, &again, &e) == (ssize_t)len);
		assert(again.local == h.local);
		/* IPv4 in IPv6 is written as what it is. */
		if (!h.local && again.addr_len == h.addr_len)
			assert(memcmp(&again.source, &h.source, sizeof(h.source)) == 0);
	}
	return 0;
}
