/* variable.h - texts with nginx's variables ("$scheme://$host$request_uri"), parsed once, written per request.
 *
 * Used by auth-url, auth-signin, upstream-hash-by, limit keys, snippets, redirects and log formats. An unknown variable is
 * an error when the text is parsed, never an empty value that nobody notices.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct exchange;
struct pattern_match;
struct variable_locals;
struct variable_text;
#define VARIABLE_TEXT_BYTES_MAX 4096 /* the longest log format seen has a quarter of that */
#define VARIABLE_PARTS_MAX 256
/* `text`: "$name", "${name}", "$http_<header>", "$cookie_<name>", "$arg_<name>", "$sent_http_<header>", "$1".."$9". */
struct variable_text *variable_text_new(const char *text, struct err *e) must_check;
struct variable_text *variable_text_literal(const char *text); /* '$' means nothing in it */
void variable_text_free(struct variable_text *t);
enum variable_escape {
	ESCAPE_NONE, ESCAPE_LOG, ESCAPE_JSON, ESCAPE_URI,
	ESCAPE_SIZED, /* as it is, with the size of each value behind it: equal texts come from equal values only */
};
/* An absent value is "", and "-" with ESCAPE_LOG. -1: `out` is full. */
int variable_text_write(const struct variable_text *t, struct exchange *x, enum variable_escape how, struct buf *out) must_check;
/* The value, of x's arena (a text without variables is its own value); STR_NONE: too long. For headers and URLs: control
 * characters of variables are left out, so that a value stays one line. */
struct str variable_text_value(const struct variable_text *t, struct exchange *x);
struct str variable_text_value_local(const struct variable_text *t, struct exchange *x, const struct variable_locals *locals);
const char *variable_text_source(const struct variable_text *t);
/* The same inside a snippet, which has variables of its own (`set $name value`) and the groups of the regular expression
 * that matched last. Without `groups`, $1..$9 are those of the location's regular expression. */
struct variable_locals {
	const struct str *set;		    /* in the order of the names given when the text was parsed */
	const struct pattern_match *groups; /* NULL: the location's */
};
struct variable_text *variable_text_new_local(const char *text, const char *const *names, size_t n_names, struct err *e)
	must_check;
int variable_text_write_local(const struct variable_text *t, struct exchange *x, const struct variable_locals *locals,
			      enum variable_escape how, struct buf *out) must_check;
bool variable_text_constant(const struct variable_text *t); /* it has no variables */
/* Does a variable of this name exist (without '$')? */
bool variable_known(struct str name);
/* For `portico explain` and documentation: every name that is known, with its meaning; NULL ends. */
struct variable_doc {
	const char *name, *meaning;
};
const struct variable_doc *variable_docs(void);
