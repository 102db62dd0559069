/* render.h - stored objects to the bytes of an answer: object, list, Table, PartialObjectMetadata.
 *
 * JSON is put together from the objects' own bytes; only Tables and other versions than the stored
 * one need a tree.
 */
#pragma once

#include "roles/apiserver/negotiate.h"
#include "roles/apiserver/store/object.h"

struct render {
	const struct resource *res; /* the version asked for */
	enum form form;
	const char *include_object; /* Tables: "None", "Metadata" or "Object"; NULL is Metadata */
	int64_t now_ms;		    /* for the ages in Tables */
	bool columns_sent;	    /* watches: only the first Table has column definitions */
};
/* One object in the asked form, without a newline behind it. */
int render_object(struct render *rd, const struct object *o, struct buf *out,
		  struct err *e) must_check;

struct render_list {
	struct object *const *at;
	size_t n;
	uint64_t rv;
	const char *continue_token; /* NULL: this is all */
	uint64_t remaining;	    /* 0: unknown or none */
};
int render_list(struct render *rd, const struct render_list *l, struct buf *out,
		struct err *e) must_check;
