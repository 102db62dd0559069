/* pattern.h - regular expressions of Ingresses: PCRE2 with limits, so that no path costs more than a named number of steps.
 *
 * Matching is thread-safe: the scratch space is the calling thread's.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct pattern;
#define PATTERN_MATCH_LIMIT 100000 /* back-tracking steps: a hostile text costs under a millisecond */
#define PATTERN_DEPTH_LIMIT 1000
#define PATTERN_BYTES_MAX 4096 /* of the expression: PCRE2 may need some hundred times that for its code */
#define PATTERN_GROUPS 10      /* $0..$9 */
struct pattern *pattern_new(const char *text, bool caseless, bool anchored, struct err *e) must_check;
void pattern_free(struct pattern *p); /* NULL is nothing */
struct pattern_match {
	struct str group[PATTERN_GROUPS]; /* ptr NULL: did not take part; they point into the subject */
};
/* `ret` may be NULL. A text that reaches a limit does not match. */
bool pattern_match(const struct pattern *p, struct str subject, struct pattern_match *ret);
/* For those who refuse what matches: a text that reaches a limit is told apart, as it was made to slip through. */
enum pattern_result { PATTERN_NO, PATTERN_YES, PATTERN_LIMIT };
enum pattern_result pattern_try(const struct pattern *p, struct str subject, struct pattern_match *ret) must_check;
