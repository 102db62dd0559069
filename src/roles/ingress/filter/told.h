/* told.h - the headers of a sub-request: the client's, and over them what a table of texts with variables says. */
#pragma once

#include "net/http.h"
#include "roles/ingress/http/exchange.h"

#define TOLD_HEADERS_MAX (EXCHANGE_HEADERS_MAX + 64)

/* An empty value removes the client's own header of that name. */
struct told_row {
	const char *name, *text;
	int when; /* for the table's user */
	struct variable_text *value;
};
/* Once for each table, before the first request: parses the texts, which are our own. */
void told_parse(struct told_row *rows, size_t n);

struct told {
	struct exchange *x;
	struct http_header at[TOLD_HEADERS_MAX];
	size_t n;
};
/* With the client's headers but Content-Length and Expect; of the arena, NULL: it is full. */
struct told *told_new(struct exchange *x);
/* In place of all of that name; an empty value only removes. */
void told_set(struct told *t, struct str name, struct str value);
void told_row(struct told *t, const struct told_row *row);
struct http_headers told_headers(const struct told *t);
