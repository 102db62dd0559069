/* decode_int.h - shared by the decoders; not for anyone else. */
#pragma once

#include "kube/schema/decode.h"

/* Where a value is: for "spec.ports[0].nope" and for Go's "ServicePort.spec.ports.port". */
struct step {
	const struct step *up;
	const struct schema_type *owner; /* of a field; NULL for map keys and list items */
	const char *key;		 /* NULL: item `index` of a list */
	size_t index;
};
#define STEP_TEXT_BYTES 1024 /* longer paths are cut; they are only shown */
void step_path(const struct step *s, const char *last, struct buf *out);

/* One decoding or check of a tree under way. */
struct walk {
	enum field_validation fv;
	json_t *warnings; /* array; NULL until there is one */
	struct err *e;
};
#define WARNINGS_MAX 100 /* as sigs.k8s.io/json stops */
void walk_warn(struct walk *w, const char *what, const struct step *at, const char *last);
/* Checks `obj` against `t`, brings values into canonical form, removes nulls and unknown fields. */
int walk_object(struct walk *w, const struct schema_type *t, json_t *obj, const struct step *at,
		unsigned depth) must_check;
/* Strict: the warnings as one error, "strict decoding error: …". 0 when there are none. */
int walk_finish(struct walk *w, json_t **ret_warnings) must_check;

/* Duplicate members of JSON text (valid, as a parser saw it) that belong to known fields of `t`. */
void walk_duplicates(struct walk *w, const struct schema_type *t, struct str text);
/* The number of members in the text. More than in its tree: some were duplicates. */
size_t json_text_members(struct str text);
size_t json_tree_members(const json_t *v);

/* A Go type's name, as in "of type []v1.ServicePort": the field's own, or of what is `inside` times
 * within it. */
void go_type_text(const struct schema_field *f, unsigned inside, struct buf *out);
/* Canonical text of a time into `out`; -1: Go's sentence about what is wrong. */
int go_time(const char *text, bool micro, char out[TIME_TEXT_BYTES], struct err *e) must_check;

/* sigs.k8s.io/yaml; ret_duplicates (may be NULL) gets an array of its sentences about duplicate keys,
 * or NULL. */
json_t *yaml_parse(struct str text, size_t max_bytes, json_t **ret_duplicates,
		   struct err *e) must_check;
