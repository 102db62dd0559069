/* decode.h - request bodies to objects: JSON, YAML and Kubernetes protobuf, strict or lenient.
 *
 * The texts are kube-apiserver's (validation-messages: "strict decoding error: unknown field …",
 * "json: cannot unmarshal string into Go struct field …").
 */
#pragma once

#include "kube/schema/schema.h"

enum body_format { BODY_JSON, BODY_YAML, BODY_PROTOBUF };
/* From a Content-Type header; empty is JSON. -1 when it is none of the three. */
int body_format_of(struct str content_type, enum body_format *ret_format) must_check;

/* fieldValidation: what happens to unknown and duplicate fields. */
enum field_validation { FV_IGNORE, FV_WARN, FV_STRICT };

/* Decodes a whole object of resource `r`: types are checked against its table (mismatch: 400),
 * unknown and duplicate fields are dropped, and warned about or refused as fv says; null members
 * are removed; apiVersion and kind are checked and filled in. `ret_warnings` (may be NULL) gets a
 * JSON array of strings like `unknown field "spec.portz"`, or NULL when there are none. */
json_t *object_decode(const struct resource *r, enum body_format format, struct str body,
		      enum field_validation fv, json_t **ret_warnings, struct err *e) must_check;
/* The same checks on a tree that is already there (after a patch). Prunes in place. */
int object_check_types(const struct resource *r, json_t *obj, enum field_validation fv,
		       json_t **ret_warnings, struct err *e) must_check;
int object_check_type(const struct schema_type *t, json_t *obj, struct err *e) must_check;
/* Any object in our tables, found by its own apiVersion and kind (DeleteOptions, Scale,
 * TokenRequest, …): by type name. */
json_t *object_decode_type(const struct schema_type *t, enum body_format format, struct str body,
			   struct err *e) must_check;

/* YAML 1.1 as sigs.k8s.io/yaml reads it, to JSON; the first document only, or all of them as an
 * array. */
json_t *yaml_to_json(struct str text, size_t max_bytes, struct err *e) must_check;
json_t *yaml_documents(struct str text, size_t max_bytes, struct err *e) must_check;

/* Kubernetes protobuf ("k8s\0" + runtime.Unknown envelope). */
json_t *protobuf_decode(struct str body, struct err *e) must_check; /* kind as the envelope says */
int protobuf_encode(const struct schema_type *t, const char *api_version, const char *kind,
		    const json_t *obj, struct buf *out, struct err *e) must_check;

/* Fills defaults: the tables' and, in defaults.c, the conditional ones of SetDefaults_* (Service,
 * Pod, Deployment, …). */
void object_default(const struct resource *r, json_t *obj);
