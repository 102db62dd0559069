/* body.h - what a request carries: an object, options, a patch. */
#pragma once

#include "kube/schema/decode.h"
#include "roles/apiserver/request.h"

/* A whole object of `r` in the format that Content-Type names; what is to be warned of goes to the
 * request. */
json_t *body_object(struct request *q, const struct resource *r, enum field_validation fv,
		    struct err *e) must_check;
/* Something that is no resource of its own (DeleteOptions, Scale, …), by its schema type. An empty
 * body is {}. */
json_t *body_typed(struct request *q, const char *type_name, struct err *e) must_check;
/* `obj` with the request's patch applied; a new tree. */
json_t *body_patch(struct request *q, const struct schema_type *t, const json_t *obj,
		   struct err *e) must_check;
