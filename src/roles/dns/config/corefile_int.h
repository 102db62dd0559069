/* corefile_int.h - what the parts of corefile.h's reader share. */
#pragma once

#include "roles/dns/config/corefile.h"

struct token {
	const char *text, *file;
	unsigned line, end_line; /* a quoted one may have several */
	bool quoted;		 /* then it is a word even when it is a brace */
};
struct token_list {
	struct token *at; /* on the heap */
	size_t n, cap;
};
void token_list_add(struct token_list *l, const struct token *t);
/* Appends the words of `text`. */
int corefile_lex(struct arena *a, struct str text, const char *file, struct token_list *out, struct err *e) must_check;

/* {$NAME}, {$NAME:default} and {%NAME%} by the process's environment; one that is not set is empty. NULL: no memory. */
const char *corefile_expand_env(struct arena *a, const char *text);
/* {args[0]}, {args.0} by the words behind an import. NULL: no memory, or there is no such argument (*ret_missing: which). */
const char *corefile_expand_args(struct arena *a, const char *text, const char *const *args, size_t n, size_t *ret_missing);

/* The files of a pattern, in order, each lexed with its own name; folders are left out. `files` collects the names. No file
 * is an error unless it is a pattern. `at` is where the import is. */
int corefile_import_files(struct arena *a, const struct corefile_line *at, const char *dir, const char *pattern,
			  struct token_list *out, struct token_list *files, struct err *e) must_check;
