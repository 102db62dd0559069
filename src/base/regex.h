/* regex.h - regular expressions (PCRE2) of people who need not be trusted, over texts of people who are not: a match costs a
 * named number of steps at the most.
 *
 * Any thread may match with an expression; the scratch space is the calling thread's.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

struct regex;
/* A constant: threads know by its address whether they have taken its values over. */
struct regex_limits {
	unsigned text_bytes; /* of the expression: PCRE2 may need some hundred times that for its code */
	uint32_t steps;	     /* of back-tracking in one match */
	uint32_t depth;	     /* of back-tracking that is remembered: its memory */
};
#define REGEX_GROUPS_MAX 32 /* that a match tells about, the whole one included; an expression may have more */

enum regex_option {
	REGEX_CASELESS = 1 << 0,
	REGEX_ANCHORED = 1 << 1, /* matches at the subject's beginning only */
	REGEX_END_ONLY = 1 << 2, /* "$" is the very end, not before a last newline too */
};
struct regex *regex_new(const char *text, unsigned options, const struct regex_limits *limits, struct err *e) must_check;
void regex_free(struct regex *r); /* NULL is nothing */
unsigned regex_groups(const struct regex *r); /* without the whole match */
int regex_group(const struct regex *r, const char *name); /* its number, -1: there is none of this name */

/* REGEX_LIMIT: the text was made to cost more steps than are allowed; whether it matches is not known. */
enum regex_result { REGEX_NO, REGEX_YES, REGEX_LIMIT };
/* With REGEX_YES, ret_groups[0 … n-1] are the whole match and the groups; they point into the subject, and ptr is NULL for
 * those that took no part. Else they are as before. */
enum regex_result regex_match(const struct regex *r, struct str subject, struct str *ret_groups, unsigned n) must_check;
