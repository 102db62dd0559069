#include "roles/dns/plugin/name_regex.h"

static const struct regex_limits limits = {
	.text_bytes = 10000, /* CoreDNS' limit */
	.steps = 20000,	     /* a name has 255 bytes, and a hostile one costs under a millisecond */
	.depth = 1000,
};

struct regex *name_regex_new(const char *text, struct err *e)
{
	struct regex *r = regex_new(text, REGEX_END_ONLY, &limits, e);

	if (!r || regex_groups(r) < REGEX_GROUPS_MAX)
		return r;
	err_set(e, ERR_INVALID, "the regular expression has %u groups, and %d are the most", regex_groups(r), REGEX_GROUPS_MAX - 1);
	regex_free(r);
	return NULL;
}

/* ---- {1} ---- */

/* The group that is named at `text`, and behind it; -1: none. */
static int group_at(const char *text, const char **ret_end)
{
	int n = 0;

	if (*text++ != '{' || *text < '0' || *text > '9')
		return -1;
	for (; *text >= '0' && *text <= '9' && n < 1000; text++)
		n = n * 10 + *text - '0';
	*ret_end = text + 1;
	return *text == '}' ? n : -1;
}

void name_groups_expand(struct buf *out, const char *text, const struct name_groups *g)
{
	while (*text) {
		const char *end;
		int n = group_at(text, &end);
		if (n >= 0 && n < REGEX_GROUPS_MAX) {
			buf_put_str(out, g->group[n]);
			text = end;
		} else {
			buf_putc(out, *text++);
		}
	}
}

unsigned name_groups_most(const char *text)
{
	int most = 0;

	for (; *text; text++) {
		const char *end;
		int n = group_at(text, &end);
		most = MAX(most, n);
	}
	return (unsigned)most;
}
