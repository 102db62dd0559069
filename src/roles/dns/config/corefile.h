/* corefile.h - a Corefile as blocks of directives of words: what is left when quotes, comments, {$VARIABLES}, (snippets) and
 * imports are resolved. Knows no plug-in.
 *
 * As Caddy 1 reads it for CoreDNS (corefile(5)), where that makes sense of a text. More is taken: `a.org { forward . 1.1.1.1 }` in
 * one line, {$VARIABLE:default}, arguments of import.
 */
#pragma once

#include "roles/dns/config/directive.h"

#define COREFILE_BYTES_MAX (1u << 20)	 /* of one file: what a ConfigMap can hold */
#define COREFILE_MEMORY_BYTES_MAX (16u << 20) /* of all words, imports included */
#define COREFILE_WORDS_MAX 200000	 /* snippets that import snippets multiply; CoreDNS has no such limit */
#define COREFILE_LINE_WORDS_MAX 4096	 /* lists of addresses and names are written in a line */
#define COREFILE_BLOCKS_MAX 256		 /* stub domains are written one by one */
#define COREFILE_IMPORT_DEPTH_MAX 50	 /* a snippet within a snippet …: more is one that imports itself */
#define COREFILE_IMPORTS_MAX 10000	 /* CoreDNS' */
#define COREFILE_FILES_MAX 1000		 /* an import of a folder by mistake */

struct corefile_block {
	struct corefile_line keys; /* words are "a.org", "b.org:1053", without commas */
	const struct directive *directives;
	size_t n;
};
struct corefile {
	const struct corefile_block *blocks;
	size_t n_blocks;
	const char *const *files; /* `name` and what was imported, as they were opened; NULL-terminated */
	uint64_t digest;	  /* the same for the same words in the same order: comments and spaces do not count */
	struct arena *memory_;
};
/* `dir` is what imported files' names are relative to; NULL: files cannot be imported. Errors begin with `name` and a line. */
struct corefile *corefile_parse(struct str text, const char *name, const char *dir, struct err *e) must_check;
void corefile_free(struct corefile *c); /* NULL is nothing */
