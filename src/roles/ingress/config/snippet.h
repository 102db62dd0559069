/* snippet.h - configuration-snippet and server-snippet: a safe subset of nginx's directives, parsed into a program.
 *
 *	add_header NAME VALUE [always];	     more_set_headers [-s CODES] [-t TYPES] "NAME: VALUE" ...;
 *	more_clear_headers NAME ...;	     proxy_set_header NAME VALUE;	proxy_hide_header NAME;
 *	set $name VALUE;		     return CODE [TEXT|URL];  return URL;
 *	rewrite REGEX REPLACEMENT [last|break|redirect|permanent];
 *	allow ADDRESS|CIDR|all;		     deny ADDRESS|CIDR|all;
 *	if (CONDITION) { ... }		     conditions: $var, $var = text, $var != text, $var ~ regex, ~* !~ !~*
 *
 * Nothing else: any other directive is an error that names its line. Values may have variables (http/variable.h). Text of a
 * snippet never becomes configuration; a loaded snippet is immutable and read by every worker.
 */
#pragma once

#include "base/err.h"

#define SNIPPET_BYTES_MAX (32u << 10)
#define SNIPPET_STATEMENTS_MAX 512
#define SNIPPET_DEPTH_MAX 8 /* of `if` in `if`: nginx knows one */
#define SNIPPET_SETS_MAX 32 /* names given by `set` */

struct snippet;
/* "line 3: directive \"proxy_pass\" is not supported" */
struct snippet *snippet_new(const char *text, struct err *e) must_check;
void snippet_free(struct snippet *s); /* NULL is nothing */
/* Calls `fn` for each thing a directive does that nginx does differently. For `portico ingress check`. */
void snippet_each_difference(const struct snippet *s, void (*fn)(void *ctx, unsigned line, const char *what), void *ctx);
