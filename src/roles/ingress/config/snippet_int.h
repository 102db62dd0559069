/* snippet_int.h - the parsed program: shared by the parser (config/snippet*.c) and the filter that runs it. */
#pragma once

#include "roles/ingress/config/settings.h"
#include "roles/ingress/config/snippet.h"

/* ---- tokens: snippet_token.c ---- */
#define SNIPPET_WORDS_MAX 32 /* of one directive */

struct snippet_reader {
	const char *at, *end;
	unsigned line;
};
struct snippet_words {
	char *word[SNIPPET_WORDS_MAX]; /* owned */
	size_t n;
	unsigned line; /* of the first */
	enum snippet_end { END_SEMICOLON, END_OPEN, END_CLOSE, END_TEXT } end; /* what came behind them */
};
/* The next directive's words, up to ';', '{', '}' or the end of the text. */
int snippet_read(struct snippet_reader *r, struct snippet_words *w, struct err *e) must_check;
void snippet_words_done(struct snippet_words *w);

/* ---- the program ---- */
enum statement_kind {
	ST_SET,		 /* set[index] = value */
	ST_RETURN,	 /* status; value NULL: none */
	ST_REWRITE,	 /* pattern, value, flag */
	ST_BREAK,
	ST_IF,		 /* condition; block */
	ST_ACCESS,	 /* cidr or all; allow */
	ST_ADD_HEADER,	 /* name, value, always */
	ST_SET_HEADER,	 /* of the answer: name, value (NULL: remove); codes */
	ST_CLEAR_HEADER, /* of the answer: name, perhaps ending with '*' */
	ST_PROXY_HEADER, /* of the upstream's request: name, value (NULL: remove) */
	ST_HIDE_HEADER,	 /* of the upstream's answer */
};
enum rewrite_flag { REWRITE_NEXT, REWRITE_BREAK, REWRITE_REDIRECT, REWRITE_PERMANENT };
enum condition { IF_TRUE, IF_EQUAL, IF_MATCH };

struct statement {
	enum statement_kind kind;
	unsigned line;
	unsigned parent;	  /* number of the `if` it is in; 0: none. `if`s count from 1 */
	unsigned number;	  /* of an ST_IF itself */
	size_t next;		  /* ST_IF: the statement behind its block */
	char *name;
	struct str name_str;
	struct variable_text *value, *subject; /* subject: what a condition looks at */
	struct regex *pattern;
	size_t index;
	int status;
	enum rewrite_flag flag;
	bool drop_args;		  /* the replacement ends with '?' */
	enum condition condition;
	bool negate, all, allow, always;
	struct cidr cidr;
	int *codes;
	size_t n_codes;
	const char *differs;	  /* from nginx; NULL: nothing */
};

struct snippet {
	struct statement *at; /* in the order of the text; blocks are flattened, see `next` and `parent` */
	size_t n;
	unsigned n_ifs;
	char *sets[SNIPPET_SETS_MAX];
	size_t n_sets;
	bool runs;	      /* something happens before an upstream is asked: set, return, rewrite, if, allow, deny */
	bool answers, requests; /* headers of answers, of upstreams' requests are changed */
};
