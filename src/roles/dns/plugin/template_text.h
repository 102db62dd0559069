/* template_text.h - the part of Go's text/template that records of `template` are written with. No I/O.
 *
 *   {{ .Name }} {{ .Zone }} {{ .Class }} {{ .Type }} {{ .Remote }} {{ .Regex }} {{ .Message.Id }} {{ .Question.Name }}
 *   {{ .Question.Qtype }} {{ .Question.Qclass }} {{ .Group.NAME }} {{ index .Group "NAME" }} {{ index .Match 1 }}
 *   {{ parseInt .Group.NAME 16 8 }}, {{- and -}}. Anything else is an error when it is read.
 */
#pragma once

#include "roles/dns/plugin/name_regex.h"

struct template_text;
/* `groups` are the expressions whose groups it may name, `n` of them. */
struct template_text *template_text_new(const char *text, const struct regex *const *groups, size_t n, struct err *e) must_check;
void template_text_free(struct template_text *t); /* NULL is nothing */

struct template_values {
	const char *name, *zone, *class, *type, *remote, *regex, *question_name;
	uint16_t id, qtype, qclass;
	const struct regex *expression; /* which one matched; NULL: there was none, and group 0 is the name */
	const struct name_groups *match;
};
int template_text_expand(const struct template_text *t, const struct template_values *v, struct buf *out, struct err *e) must_check;
