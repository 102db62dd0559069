/* directive.h - one line of a Corefile with the lines in its braces, as words: what a plug-in reads its settings from.
 *
 * The syntax is CoreDNS' (corefile(5), caddyfile): quotes, comments, {$ENV}, (snippets) and import are resolved before.
 * Words and lines live as long as the struct corefile they came from.
 */
#pragma once

#include "base/err.h"

struct corefile_line {
	const char *file; /* as the user named it: for errors */
	unsigned line;
	const char *const *words; /* words[0] is the directive's or the property's name; NULL-terminated */
	size_t n;
};
struct directive {
	struct corefile_line head;
	const struct corefile_line *body; /* the lines within { } */
	size_t n_body;
};
/* "Corefile:12: forward: …". Returns -1. */
int directive_error(struct err *e, const struct corefile_line *at, const char *plugin, const char *fmt, ...) printf_like(4, 5);
/* For numbers and durations ("5s", "1h30m", "0.5s"; a bare number is seconds): false when malformed or outside min…max. */
bool directive_number(const char *word, uint64_t min, uint64_t max, uint64_t *ret_value) must_check;
bool directive_duration_ms(const char *word, uint64_t max_ms, uint64_t *ret_ms) must_check;
/* For a file that could not be read, with the reason: names the user id when it is about rights, as the role has one of its own. */
int directive_file_error(struct err *e, const struct corefile_line *at, const char *plugin, const struct err *why);
