/* waf_text.h - values of a request in the forms that rules are compared with: no trick of writing hides a phrase.
 */
#pragma once

#include "base/base.h"

/* Which bytes were there before, so that forms which would be the same are not made. */
enum waf_text_seen {
	WAF_SEEN_NUL = 1 << 0,
	WAF_SEEN_BAD_PERCENT = 1 << 1,
	WAF_SEEN_LINE_END = 1 << 2,
	WAF_SEEN_COMMENT = 1 << 3, /* "/" and "*" side by side */
	WAF_SEEN_QUOTING = 1 << 4, /* what a shell takes away, or "$" */
};

/* Letters, digits and '-', no longer than a UUID: no rule looks for such a value. */
bool waf_is_plain(struct str value);
/* `out` has value.len bytes. Returns what is used; *ret_seen of enum waf_text_seen. With `plus` a '+' is a blank. */
size_t waf_text_lines(struct str value, bool plus, char *out, unsigned *ret_seen);
/* Of the form with lines; `out` has its size, and may be the same memory. */
size_t waf_text_compress(struct str lines, char *out);
size_t waf_text_sql(struct str text, char *out);
size_t waf_text_shell(struct str lines, char *out); /* keeps line ends: they separate commands */
