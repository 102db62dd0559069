#include "net/tls_record.h"

#include <assert.h>

/* A peer that has the keys: the input chooses contents, types, lengths and changes of what it sealed. Whatever it does, what
 * is opened is what was sealed, or the connection is over. */
static struct tls_secret secret(uint8_t fill)
{
	struct tls_secret s = { .secret_len = 32, .key_len = 16, .iv_len = TLS_IV_BYTES };

	memset(s.secret, fill, 32);
	memset(s.key, fill + 1, 16);
	memset(s.iv, fill + 2, TLS_IV_BYTES);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_secret a = secret(1), b = secret(7);
	struct tls_record us, peer;
	uint8_t wire[2048], answer[TLS_RECORD_REKEY_BYTES];
	struct tls_opened got;
	struct err e;

	if (tls_record_init(&us, 0x1301, &a, &b, 0) < 0 || tls_record_init(&peer, 0x1301, &b, &a, 0) < 0)
		abort();
	while (size >= 4) {
		uint8_t type = data[0], flip = data[1];
		size_t len = MIN((size_t)data[2], size - 4), at = data[3];
		struct iovec iov = { (void *)(data + 4), len };
		struct tls_pieces from = { &iov, 1, 0 };
		size_t n = tls_record_seal(&peer, type, &from, len, wire);

		assert(n == len + TLS_RECORD_ADDED_BYTES);
		wire[at % n] ^= flip;
		ssize_t r = tls_record_open(&us, wire, n, &got, &e);
		assert(r <= (ssize_t)n);
		if (r <= 0)
			break;
		assert(flip == 0 && r == (ssize_t)n);
		assert(type != TLS_RECORD_DATA || (got.len == len && memcmp(got.data, data + 4, len) == 0));
		if (us.update_owed)
			assert(tls_record_rekey(&us, answer) == TLS_RECORD_REKEY_BYTES && !us.update_owed);
		if (type == TLS_RECORD_HANDSHAKE || got.closed)
			break; /* the peer's own keys have not changed */
		data += 4 + len;
		size -= 4 + len;
	}
	/* And bytes of somebody who has none. */
	uint8_t *copy = xmalloc(size + 1);
	memcpy(copy, data, size);
	assert(tls_record_open(&us, copy, size, &got, &e) <= 0);
	free(copy);
	tls_record_done(&us);
	tls_record_done(&peer);
	tls_record_thread_done();
	return 0;
}
