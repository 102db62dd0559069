/* pattern.h - regular expressions of Ingresses: what they may cost, and the groups that nginx' $0 to $9 are. */
#pragma once

#include "base/regex.h"

struct regex *pattern_new(const char *text, bool caseless, bool anchored, struct err *e) must_check;

#define PATTERN_GROUPS 10
struct pattern_match {
	struct str group[PATTERN_GROUPS]; /* ptr NULL: did not take part; they point into the subject */
};
/* For those who refuse what matches: a text that reaches a limit is told apart, as it was made to slip through.
 * `ret` may be NULL; it is empty without a match. */
static inline enum regex_result pattern_try(const struct regex *r, struct str subject, struct pattern_match *ret)
{
	enum regex_result result = regex_match(r, subject, ret ? ret->group : NULL, ret ? PATTERN_GROUPS : 0);

	if (ret && result != REGEX_YES)
		*ret = (struct pattern_match){ 0 };
	return result;
}
/* For the others: such a text does not match. */
bool pattern_match(const struct regex *r, struct str subject, struct pattern_match *ret);
