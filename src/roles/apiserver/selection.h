/* selection.h - which objects of a table a list, watch or deletecollection means. */
#pragma once

#include "roles/apiserver/request_info.h"
#include "roles/apiserver/store/store.h"

struct selection {
	const struct resource *res; /* the stored version */
	const char *ns;		    /* NULL: all */
	struct selector *labels;    /* NULL: any */
	struct field_selector fields;
};
/* Strings are borrowed from info and options. */
int selection_init(struct selection *s, const struct resource *r, const struct request_info *info,
		   const struct request_options *opt, struct err *e) must_check;
void selection_done(struct selection *s); /* takes a zeroed one */
bool selection_has(const struct selection *s, const struct object *o);
bool selection_is_all(const struct selection *s); /* of its namespace */
