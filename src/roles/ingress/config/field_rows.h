/* field_rows.h - the words in which tables of settings are written. Each names a member of the record and checks its type. */
#pragma once

#include "roles/ingress/config/field.h"
#include "roles/ingress/config/refs.h"

/* Words that annotations and the ConfigMap share; of annotations.c. */
extern const struct field_word words_on_off[], words_http_versions[], words_next_upstreams[], words_balances[];

#define OF(record, member, ctype)                                                                                               \
	.offset = offsetof(record, member) +                                                                                   \
		  0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((record *)0)->member), ctype) ? 1 : -1]),            \
	.size = sizeof(((record *)0)->member)
#define OF_NUMBER(record, member) .offset = offsetof(record, member), .size = sizeof(((record *)0)->member)

/* Of the record that H_RECORD and H_HOME name. */
#define NONE .type = FIELD_NONE
#define BOOL(m) .type = FIELD_BOOL, .home = H_HOME, OF(H_RECORD, m, bool)
#define TRISTATE(m) .type = FIELD_TRISTATE, .home = H_HOME, OF(H_RECORD, m, int)
#define INT(m, lo, hi) .type = FIELD_INT, .home = H_HOME, OF_NUMBER(H_RECORD, m), .min = lo, .max = hi
#define SHARE(m) .type = FIELD_PERCENT, .home = H_HOME, OF(H_RECORD, m, unsigned)
#define SIZE(m) .type = FIELD_SIZE, .home = H_HOME, OF(H_RECORD, m, uint64_t)
#define SECONDS(m) .type = FIELD_SECONDS, .home = H_HOME, OF_NUMBER(H_RECORD, m)
#define TEXT(m, f) .type = FIELD_TEXT, .home = H_HOME, OF(H_RECORD, m, char *), .form = &f
#define LIST(m, f) .type = FIELD_LIST, .home = H_HOME, OF(H_RECORD, m, struct str_list), .form = &f
#define CIDRS(m) .type = FIELD_CIDRS, .home = H_HOME, OF(H_RECORD, m, struct cidr_list)
#define CODES(m, n, lo, hi) .type = FIELD_CODES, .home = H_HOME, OF(H_RECORD, m, unsigned *), .offset2 = offsetof(H_RECORD, n), .min = lo, .max = hi
#define WORD(m, w) .type = FIELD_WORD, .home = H_HOME, OF_NUMBER(H_RECORD, m), .words = w
#define WORDS(m, w) .type = FIELD_WORDS, .home = H_HOME, OF(H_RECORD, m, unsigned), .words = w
#define VARIABLES(m, f) .type = FIELD_VARIABLES, .home = H_HOME, OF(H_RECORD, m, struct variable_text *), .form = &f
#define PATTERN(m) .type = FIELD_PATTERN, .home = H_HOME, OF(H_RECORD, m, struct regex *)
