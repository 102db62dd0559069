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

/* ---- the parser: words come from files and snippets as if they stood in one text (corefile_words.c) ---- */

/* A growing list whose end lies in the arena. */
struct pile {
	char *at;
	size_t n, cap, size;
};

/* A file or a snippet that is being read. */
struct frame {
	const struct token *at;
	size_t n, pos;
	const char *const *args;
	size_t n_args;
	unsigned line; /* of the import */
};

struct snippet {
	const char *name;
	const struct token *at;
	size_t n;
};

struct parser {
	struct arena *arena;
	const char *name, *dir;
	struct frame frames[COREFILE_IMPORT_DEPTH_MAX];
	size_t depth;
	struct token next; /* the word that is looked at */
	bool more;	   /* there is one */
	bool fresh;	   /* it begins a line */
	bool moved;	   /* the file or snippet has changed since the last word */
	struct token last; /* the word before it */
	size_t words, imports;
	uint64_t digest;
	struct pile snippets, blocks;
	struct token_list files;
	struct token_list lexed[COREFILE_FILES_MAX + 1]; /* kept until the end: frames point into them */
	size_t n_lexed;
	struct err *e;
};

void pile_push(struct pile *p, const void *item);
/* Its items in the arena, with a zeroed one behind them; NULL: no memory. Empties the pile. */
void *pile_take(struct pile *p, struct arena *a) must_check;

#define COREFILE_REFUSE(p, t, ...) directive_error((p)->e, &(struct corefile_line){ .file = (t)->file, .line = (t)->line }, NULL, __VA_ARGS__)
int corefile_no_memory(struct parser *p); /* the error; returns -1 */

int corefile_look(struct parser *p) must_check;    /* fills `next`, `more` and `fresh`: once, at the beginning */
int corefile_advance(struct parser *p) must_check; /* to the next word */
bool corefile_is(const struct parser *p, const char *word); /* not in quotes */
bool corefile_ends_line(const struct parser *p);   /* there is no further word in this line, or it is a brace */
const char *corefile_take_word(struct parser *p);  /* its variables replaced; NULL after an error */
void corefile_digest(struct parser *p, const char *text);
/* Reads on at the beginning of `f`, and goes on here when that ends. `what` is its name for errors. */
int corefile_push(struct parser *p, const struct token *at, const char *what, const struct frame *f) must_check;
int corefile_import(struct parser *p) must_check;  /* at the word import */
const struct snippet *corefile_find_snippet(const struct parser *p, const char *name);
