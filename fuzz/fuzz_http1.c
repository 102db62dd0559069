#include "codec/http1.h"

/* The first byte chooses request or response and where the input is split: whatever the split,
 * the answer must be the same. */
static ssize_t parse(struct http1_head *h, enum http1_kind kind, const char *bytes, size_t len,
		     size_t split, char *copy)
{
	static struct http_header table[2][16];
	struct err e;
	ssize_t n = 0;

	http1_head_init(h, kind, table[split < len], 16);
	memcpy(copy, bytes, len);
	if (split < len)
		n = http1_head_parse(h, copy, split, &e);
	return n == 0 ? http1_head_parse(h, copy, len, &e) : n;
}

static void body(enum http1_framing framing, uint64_t length, const char *bytes, size_t len)
{
	struct http1_body b;
	struct str data;
	struct err e;
	ssize_t n = 1;

	http1_body_init(&b, framing, length);
	for (size_t at = 0; n > 0 && !b.done; at += (size_t)n) {
		n = http1_body_next(&b, bytes + at, len - at, &data, &e);
		assert(n <= (ssize_t)(len - at));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http1_head whole, halved;

	if (size < 2)
		return 0;
	enum http1_kind kind = data[0] & 1 ? HTTP1_RESPONSE : HTTP1_REQUEST;
	size_t len = size - 1, split = (size_t)data[0] * len / 256;
	char *bytes = xmalloc(len), *copy = xmalloc(len);
	memcpy(bytes, data + 1, len);
	ssize_t n = parse(&whole, kind, bytes, len, len, copy);
	ssize_t m = parse(&halved, kind, bytes, len, split, copy);
	assert(n == m && whole.n_headers == halved.n_headers && whole.framing == halved.framing);
	if (n > 0)
		body(whole.framing, whole.content_length, bytes + n, len - (size_t)n);
	body(HTTP1_CHUNKED, 0, bytes, len);
	free(bytes);
	free(copy);
	return 0;
}
