/* openapi_int.h - shared by the files that make OpenAPI documents: a JSON writer, and the types. */
#pragma once

#include "kube/schema/openapi.h"

#define OPENAPI_V2_BYTES (8u << 20) /* kube-apiserver's own is 2 MB */
#define OPENAPI_PATCH_MODEL "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"

enum dialect { V3, V2 };
struct writer {
	struct buf *out;
	enum dialect dialect;
	bool comma; /* something stands before in this object or list */
};
void w_separate(struct writer *w);
void w_key(struct writer *w, const char *name);
void w_open(struct writer *w, char bracket);
void w_close(struct writer *w, char bracket);
void w_string(struct writer *w, const char *s);
void w_raw(struct writer *w, const char *json); /* JSON text as it is */
void w_member(struct writer *w, const char *name, const char *value);
/* The member "$ref" to a model. */
void w_reference(struct writer *w, const char *model);
void w_gvk(struct writer *w, const char *group, const char *version, const char *kind);

/* Types that are kinds, but no resource of their own or a list of one. */
struct other_kind {
	const char *type, *group, *version, *kind;
};
extern const struct other_kind other_kinds[];
extern const size_t n_other_kinds;

/* The object `components.schemas` or `definitions`: types whose place in schema_types is marked,
 * and scalars. */
void openapi_types(struct writer *w, const bool *used);
