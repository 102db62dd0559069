/* name_regex.h - regular expressions of the Corefile, over names, and texts that name their groups: {1}.
 *
 * CoreDNS' are Go's (RE2): what both know is read the same, named groups (?P<name>…) too. "$" is the very end.
 */
#pragma once

#include "base/buf.h"
#include "base/regex.h"

/* Its groups are as many as a match tells about. */
struct regex *name_regex_new(const char *text, struct err *e) must_check;

struct name_groups {
	struct str group[REGEX_GROUPS_MAX]; /* 0 is the whole match; ptr NULL: did not take part; they point into the name */
};
/* `ret` may be NULL; it is set when the name matches. A name that reaches a limit does not match. */
static inline bool name_regex_match(const struct regex *r, struct str name, struct name_groups *ret)
{
	return regex_match(r, name, ret ? ret->group : NULL, ret ? REGEX_GROUPS_MAX : 0) == REGEX_YES;
}

/* Appends `text` with its {0}, {1} … replaced by the groups; what is no group stays as it is. */
void name_groups_expand(struct buf *out, const char *text, const struct name_groups *g);
unsigned name_groups_most(const char *text); /* the highest group it names; 0: none but {0} */
