/* regex.h - regular expressions of the Corefile: PCRE2 with limits, so that no name costs more than a named number of steps.
 *
 * CoreDNS' are Go's (RE2): what both know is read the same, named groups (?P<name>…) too. "$" is the very end. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct regex;
#define REGEX_BYTES_MAX 10000	  /* CoreDNS' limit */
#define REGEX_MATCH_LIMIT 20000	  /* back-tracking steps: a name has 255 bytes, and a hostile one costs under a millisecond */
#define REGEX_DEPTH_LIMIT 1000
#define REGEX_GROUPS_MAX 32	  /* the whole match is one of them */
struct regex *regex_new(const char *text, struct err *e) must_check;
void regex_free(struct regex *r); /* NULL is nothing */
unsigned regex_groups(const struct regex *r); /* without the whole match */
int regex_group(const struct regex *r, const char *name); /* its number, -1: there is none of this name */

struct regex_match {
	struct str group[REGEX_GROUPS_MAX]; /* ptr NULL: did not take part; they point into the subject */
};
/* `ret` may be NULL. A text that reaches a limit does not match. */
bool regex_match(const struct regex *r, struct str subject, struct regex_match *ret);

/* Appends `text` with its {0}, {1} … replaced by the groups; what is no group stays as it is. */
void regex_expand(struct buf *out, const char *text, const struct regex_match *m);
unsigned regex_expand_groups(const char *text); /* the highest group it names; 0: none but {0} */
