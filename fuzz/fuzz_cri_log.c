#include "roles/node/log_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = { (const char *)data, size };
	struct log_line l;
	int64_t ns;

	while (rest.ptr && rest.len) {
		struct str line = str_cut(rest, '\n', &rest);
		if (log_line_parse(line, &l) < 0)
			continue;
		if (l.content.len > line.len || log_time_parse(l.time, &ns) < 0)
			ns = 0;
		if (l.content.len > line.len)
			__builtin_trap();
	}
	return 0;
}
