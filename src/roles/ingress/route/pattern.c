#include "roles/ingress/route/pattern.h"

static const struct regex_limits limits = {
	.text_bytes = 4096, /* longer than any path, and a controller may have thousands of them */
	.steps = 100000,    /* a hostile text costs under a millisecond */
	.depth = 1000,
};

struct regex *pattern_new(const char *text, bool caseless, bool anchored, struct err *e)
{
	return regex_new(text, (caseless ? REGEX_CASELESS : 0) | (anchored ? REGEX_ANCHORED : 0), &limits, e);
}

bool pattern_match(const struct regex *r, struct str subject, struct pattern_match *ret)
{
	return pattern_try(r, subject, ret) == REGEX_YES;
}
