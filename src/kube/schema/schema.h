/* schema.h - the API as data: types are rows of fields, resources are rows of types.
 *
 * Types and fields are generated at build time from schema/schema.txt (facts of Kubernetes'
 * published API types and generated.proto); resources are listed in resources.c. Decoding,
 * defaulting, strict validation, patching, protobuf, OpenAPI and `kubectl explain` all walk these
 * tables.
 */
#pragma once

#include "codec/jx.h"

enum schema_kind { /* what one value is */
	SK_OBJECT,     /* of type `sub` */
	SK_STRING, SK_BOOL, SK_I32, SK_I64, SK_F64, SK_BYTES,
	SK_TIME, SK_MICRO_TIME, SK_DURATION, SK_QUANTITY, SK_INT_OR_STRING,
	SK_RAW,        /* any JSON: RawExtension, FieldsV1, apiextensions' JSON */
	/* apiextensions' JSONSchemaProps (`sub`), or else a boolean, an array of them, strings */
	SK_PROPS_OR_BOOL, SK_PROPS_OR_ARRAY, SK_PROPS_OR_STRINGS,
};
enum schema_shape { SS_ONE, SS_LIST, SS_MAP /* string keys */, SS_MAP_OF_LISTS };
enum schema_list_type { LT_ATOMIC, LT_SET, LT_MAP }; /* x-kubernetes-list-type */
/* x-kubernetes-patch-strategy, bits */
enum schema_patch { SP_MERGE = 1, SP_RETAIN_KEYS = 2, SP_REPLACE = 4 };

struct schema_type;
struct schema_field {
	const char *name;
	const struct schema_type *sub; /* SK_OBJECT, SK_PROPS_OR_…; else NULL */
	const char *dflt;	       /* JSON text of the OpenAPI default, or NULL */
	const char *list_keys;	       /* "port,protocol", or NULL */
	const char *merge_key;	       /* strategic merge: "port", or NULL */
	const char *const *options;    /* enumerated strings, NULL-terminated, or NULL */
	const char *go_type;	       /* named types as Go's decoder calls them: "v1.Protocol" */
	uint8_t kind, shape, list_type, patch; /* the enums above */
	bool required, map_atomic;
	bool pointer;		       /* zero differs from absence (a pointer in Go) */
	bool always;		       /* serialised even when zero (no omitempty in Go) */
	uint8_t pb_tag;		       /* protobuf field number; 0 = not in protobuf */
	/* Tags of the inlined messages that hold it (Volume.volumeSource), outermost first; 0 ends. */
	uint8_t pb_outer[2];
};
struct schema_type {
	const char *name;	    /* "core.v1.ServicePort" */
	const struct schema_field *fields; /* sorted by name, bytewise */
	size_t n_fields;
};
/* Generated: sorted by name, bytewise. */
extern const struct schema_type *const schema_types[];
extern const size_t n_schema_types;
const struct schema_type *schema_type_find(const char *name);
const struct schema_field *schema_field_find(const struct schema_type *t, struct str name);

/* One resource of one group-version: a row of resources.c. */
enum { VERB_GET = 1, VERB_LIST = 2, VERB_WATCH = 4, VERB_CREATE = 8, VERB_UPDATE = 16,
       VERB_PATCH = 32, VERB_DELETE = 64, VERB_DELETE_COLLECTION = 128, VERB_ALL = 255 };
struct resource {
	const char *group, *version, *kind, *plural, *singular;
	const char *const *short_names; /* NULL-terminated, or NULL */
	const char *const *categories;
	const char *const *subresources; /* "status", "scale", … NULL-terminated, or NULL */
	const struct schema_type *type;
	bool namespaced;
	unsigned verbs;
	/* The version objects are kept in; NULL when it is this one. v1beta1 is a view of v1. */
	const struct resource *storage;
};
extern const struct resource resources[];
extern const size_t n_resources;
const struct resource *resource_find(struct str group, struct str version, struct str plural);
const struct resource *resource_find_kind(struct str group, struct str version, struct str kind);
/* "v1" or "apps/v1"; on the heap. */
char *resource_api_version(const struct resource *r);

/* Field errors accumulate, so that a client sees every mistake at once. metav1.StatusCause. */
struct field_error {
	char *field;	  /* "spec.ports[0].port" */
	const char *type; /* "FieldValueInvalid", "FieldValueRequired", "FieldValueNotSupported",
			   * "FieldValueDuplicate", "FieldValueForbidden", "FieldValueTooLong",
			   * "FieldValueTypeInvalid", "FieldValueNotFound" */
	char *message;	  /* "Invalid value: 0: must be between 1 and 65535, inclusive" */
};
struct field_errors {
	struct field_error *at;
	size_t n;
};
void field_errors_done(struct field_errors *fe);
void field_error_add(struct field_errors *fe, const char *type, const char *field, const char *fmt,
		     ...) printf_like(4, 5);
/* "spec.a: Required value" or "[spec.a: …, spec.b: …]"; on the heap. */
char *field_errors_text(const struct field_errors *fe);
