#include "roles/ingress/filter/coding.h"

/* The first byte says what is offered; lines end the values. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct accept_encoding a;

	if (size < 1)
		return 0;
	accept_encoding_init(&a);
	for (struct str line, rest = {(const char *)data + 1, size - 1}; rest.ptr;) {
		line = str_cut(rest, '\n', &rest);
		accept_encoding_add(&a, line);
	}
	unsigned offered = data[0] & ((1u << CODINGS) - 1);
	enum coding c = accept_encoding_choose(&a, offered);
	assert(c == CODING_NONE || (offered & 1u << c));
	assert(a.any <= 1000 && a.identity <= 1000);
	assert(c == CODING_NONE || (a.q[c] >= 0 ? a.q[c] : a.any) > 0);
	return 0;
}
