#include "roles/node/log_line.h"

#include "codec/jx.h"

#define NS_PER_S 1000000000
#define STAMP_BYTES 64

int log_line_parse(struct str line, struct log_line *ret_line)
{
	struct str rest, time = str_cut(line, ' ', &rest);
	struct str stream = rest.ptr ? str_cut(rest, ' ', &rest) : STR_NONE;
	struct str tag = rest.ptr ? str_cut(rest, ' ', &rest) : STR_NONE;
	bool known = str_eq(stream, STR("stdout")) || str_eq(stream, STR("stderr"));

	if (!known || !tag.len || (tag.ptr[0] != 'P' && tag.ptr[0] != 'F') ||
	    (tag.len > 1 && tag.ptr[1] != ':'))
		return -1;
	*ret_line = (struct log_line){ time, stream, rest.ptr ? rest : (struct str){ "", 0 },
				       tag.ptr[0] == 'P' };
	return 0;
}

/* time_parse knows whole and fractional seconds, but keeps milliseconds: the fraction is read here.
 */
int log_time_parse(struct str text, int64_t *ret_unix_ns)
{
	char stamp[STAMP_BYTES];
	size_t n = 0;
	int64_t fraction = 0, ms, scale = NS_PER_S;

	for (size_t i = 0; i < text.len && n + 1 < sizeof(stamp); i++) {
		if (text.ptr[i] != '.') {
			stamp[n++] = text.ptr[i];
			continue;
		}
		while (i + 1 < text.len && text.ptr[i + 1] >= '0' && text.ptr[i + 1] <= '9') {
			scale /= 10;
			fraction += (text.ptr[++i] - '0') * scale;
		}
	}
	stamp[n] = '\0';
	if (time_parse(stamp, &ms) < 0)
		return -1;
	/* Nanoseconds in 64 bits end in the years 1677 and 2262. */
	return __builtin_mul_overflow(ms, 1000000, &ms) || __builtin_add_overflow(ms, fraction, ret_unix_ns) ? -1 : 0;
}
