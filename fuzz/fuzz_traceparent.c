#include "roles/ingress/observe/trace.h"

/* Whatever is believed is written again with the same ids. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct trace_context c;
	char out[TRACE_PARENT_BYTES];

	if (trace_parent_parse(text, &c)) {
		trace_parent_write(&c, out);
		assert(memcmp(out + 2, text.ptr + 2, 50) == 0);
		assert(trace_parent_parse(str_of(out), &c));
	}
	if (trace_state_valid(text))
		assert(size <= TRACE_STATE_BYTES_MAX && memchr(text.ptr, '=', size));
	return 0;
}
