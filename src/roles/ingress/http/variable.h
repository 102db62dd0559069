/* variable.h - texts with nginx's variables ("$scheme://$host$request_uri"), parsed once, written per request.
 *
 * Used by auth-url, auth-signin, upstream-hash-by, limit keys, snippets, redirects and log formats. An unknown variable is
 * an error when the text is parsed, never an empty value that nobody notices.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct exchange;
struct variable_text;
/* `text`: "$name", "${name}", "$http_<header>", "$cookie_<name>", "$arg_<name>", "$sent_http_<header>", "$1".."$9". */
struct variable_text *variable_text_new(const char *text, struct err *e) must_check;
void variable_text_free(struct variable_text *t);
enum variable_escape { ESCAPE_NONE, ESCAPE_LOG, ESCAPE_JSON, ESCAPE_URI };
/* An absent value is "", and "-" with ESCAPE_LOG. -1: `out` is full. */
int variable_text_write(const struct variable_text *t, struct exchange *x, enum variable_escape how, struct buf *out) must_check;
const char *variable_text_source(const struct variable_text *t);
/* For `portico explain` and documentation: every name that is known, with its meaning; NULL ends. */
struct variable_doc {
	const char *name, *meaning;
};
const struct variable_doc *variable_docs(void);
