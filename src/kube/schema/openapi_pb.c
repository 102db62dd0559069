/* OpenAPI 2.0 as protobuf, which old kubectl reads: gnostic's openapiv2.Document
 * (github.com/google/gnostic-models, openapiv2/OpenAPIv2.proto). Made from our JSON; vendor
 * extensions and defaults are YAML texts there, and JSON is YAML. */
#include "kube/schema/openapi_int.h"
#include "kube/schema/protobuf_wire.h"

/* clang-format off */
enum { /* field numbers */
	DOCUMENT_SWAGGER = 1, DOCUMENT_INFO = 2, DOCUMENT_PATHS = 8, DOCUMENT_DEFINITIONS = 9,
	INFO_TITLE = 1, INFO_VERSION = 2,
	NAMED_NAME = 1, NAMED_VALUE = 2, /* of every NamedX */
	ANY_YAML = 2,
	PATHS_PATH = 2,
	PATH_GET = 2, PATH_POST = 4, PATH_PATCH = 8,
	OPERATION_CONSUMES = 7, OPERATION_PARAMETERS = 8, OPERATION_RESPONSES = 9,
	OPERATION_EXTENSION = 13,
	PARAMETERS_ITEM_PARAMETER = 1, PARAMETER_NON_BODY = 2, NON_BODY_QUERY = 3,
	QUERY_IN = 2, QUERY_NAME = 4, QUERY_TYPE = 6,
	RESPONSES_CODE = 1, RESPONSE_VALUE_RESPONSE = 1, RESPONSE_DESCRIPTION = 1,
	DEFINITIONS_PROPERTIES = 1, PROPERTIES_PROPERTIES = 1,
	SCHEMA_REF = 1, SCHEMA_FORMAT = 2, SCHEMA_REQUIRED = 19, SCHEMA_ENUM = 20,
	SCHEMA_ADDITIONAL = 21, SCHEMA_TYPE = 22, SCHEMA_ITEMS = 23, SCHEMA_PROPERTIES = 25,
	SCHEMA_EXTENSION = 31,
	ADDITIONAL_SCHEMA = 1, TYPE_VALUE = 1, ITEMS_SCHEMA = 1,
};
/* clang-format on */

static void put_string(struct buf *out, uint32_t tag, const json_t *v)
{
	if (json_is_string(v))
		wire_put_bytes(out, tag,
			       (struct str){ json_string_value(v), json_string_length(v) });
}

static void put_strings(struct buf *out, uint32_t tag, const json_t *list)
{
	size_t i;
	json_t *v;

	json_array_foreach((json_t *)list, i, v) put_string(out, tag, v);
}

static void put_any(struct buf *out, uint32_t tag, const json_t *v)
{
	size_t any = wire_open(out, tag);
	char *text = jx_dump_text(v);

	wire_put_bytes(out, ANY_YAML, str_of(text));
	wire_close(out, any);
	free(text);
}

/* Members whose names start with "x-". */
static void put_extensions(struct buf *out, uint32_t tag, const json_t *obj)
{
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)obj, name, v)
	{
		if (strncmp(name, "x-", 2) != 0)
			continue;
		size_t named = wire_open(out, tag);
		wire_put_bytes(out, NAMED_NAME, str_of(name));
		put_any(out, NAMED_VALUE, v);
		wire_close(out, named);
	}
}

static void put_schema(struct buf *out, uint32_t tag, const json_t *s);

static void put_named_schemas(struct buf *out, uint32_t tag, const json_t *map)
{
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)map, name, v)
	{
		size_t named = wire_open(out, tag);
		wire_put_bytes(out, NAMED_NAME, str_of(name));
		put_schema(out, NAMED_VALUE, v);
		wire_close(out, named);
	}
}

/* A message with one field in it. */
static void put_wrapped_schema(struct buf *out, uint32_t outer, uint32_t inner, const json_t *s)
{
	if (!s)
		return;
	size_t opened = wire_open(out, outer);
	put_schema(out, inner, s);
	wire_close(out, opened);
}

static void put_schema(struct buf *out, uint32_t tag, const json_t *s)
{
	size_t schema = wire_open(out, tag), opened, i;
	const json_t *properties = json_object_get(s, "properties"),
		     *type = json_object_get(s, "type");
	json_t *option;

	put_string(out, SCHEMA_REF, json_object_get(s, "$ref"));
	put_string(out, SCHEMA_FORMAT, json_object_get(s, "format"));
	put_strings(out, SCHEMA_REQUIRED, json_object_get(s, "required"));
	json_array_foreach(json_object_get(s, "enum"), i, option) put_any(out, SCHEMA_ENUM, option);
	put_wrapped_schema(out, SCHEMA_ADDITIONAL, ADDITIONAL_SCHEMA,
			   json_object_get(s, "additionalProperties"));
	if (type) {
		opened = wire_open(out, SCHEMA_TYPE);
		put_string(out, TYPE_VALUE, type);
		wire_close(out, opened);
	}
	put_wrapped_schema(out, SCHEMA_ITEMS, ITEMS_SCHEMA, json_object_get(s, "items"));
	if (properties) {
		opened = wire_open(out, SCHEMA_PROPERTIES);
		put_named_schemas(out, PROPERTIES_PROPERTIES, properties);
		wire_close(out, opened);
	}
	put_extensions(out, SCHEMA_EXTENSION, s);
	wire_close(out, schema);
}

static void put_parameter(struct buf *out, const json_t *p)
{
	size_t item = wire_open(out, OPERATION_PARAMETERS),
	       parameter = wire_open(out, PARAMETERS_ITEM_PARAMETER);
	size_t non_body = wire_open(out, PARAMETER_NON_BODY),
	       query = wire_open(out, NON_BODY_QUERY);

	put_string(out, QUERY_IN, json_object_get(p, "in"));
	put_string(out, QUERY_NAME, json_object_get(p, "name"));
	put_string(out, QUERY_TYPE, json_object_get(p, "type"));
	wire_close(out, query);
	wire_close(out, non_body);
	wire_close(out, parameter);
	wire_close(out, item);
}

static void put_responses(struct buf *out, const json_t *responses)
{
	size_t all = wire_open(out, OPERATION_RESPONSES);
	const char *code;
	json_t *r;

	json_object_foreach((json_t *)responses, code, r)
	{
		size_t named = wire_open(out, RESPONSES_CODE);
		wire_put_bytes(out, NAMED_NAME, str_of(code));
		size_t value = wire_open(out, NAMED_VALUE),
		       response = wire_open(out, RESPONSE_VALUE_RESPONSE);
		put_string(out, RESPONSE_DESCRIPTION, json_object_get(r, "description"));
		wire_close(out, response);
		wire_close(out, value);
		wire_close(out, named);
	}
	wire_close(out, all);
}

static void put_operation(struct buf *out, uint32_t tag, const json_t *op)
{
	if (!op)
		return;
	size_t operation = wire_open(out, tag), i;
	json_t *p;

	put_strings(out, OPERATION_CONSUMES, json_object_get(op, "consumes"));
	json_array_foreach(json_object_get(op, "parameters"), i, p) put_parameter(out, p);
	put_responses(out, json_object_get(op, "responses"));
	put_extensions(out, OPERATION_EXTENSION, op);
	wire_close(out, operation);
}

static void put_paths(struct buf *out, const json_t *paths)
{
	size_t all = wire_open(out, DOCUMENT_PATHS);
	const char *path;
	json_t *item;

	json_object_foreach((json_t *)paths, path, item)
	{
		size_t named = wire_open(out, PATHS_PATH);
		wire_put_bytes(out, NAMED_NAME, str_of(path));
		size_t value = wire_open(out, NAMED_VALUE);
		put_operation(out, PATH_GET, json_object_get(item, "get"));
		put_operation(out, PATH_POST, json_object_get(item, "post"));
		put_operation(out, PATH_PATCH, json_object_get(item, "patch"));
		wire_close(out, value);
		wire_close(out, named);
	}
	wire_close(out, all);
}

static void put_document(struct buf *out, const json_t *doc)
{
	put_string(out, DOCUMENT_SWAGGER, json_object_get(doc, "swagger"));
	size_t info = wire_open(out, DOCUMENT_INFO);
	put_string(out, INFO_TITLE, jx_at(doc, "info.title"));
	put_string(out, INFO_VERSION, jx_at(doc, "info.version"));
	wire_close(out, info);
	put_paths(out, json_object_get(doc, "paths"));
	size_t definitions = wire_open(out, DOCUMENT_DEFINITIONS);
	put_named_schemas(out, DEFINITIONS_PROPERTIES, json_object_get(doc, "definitions"));
	wire_close(out, definitions);
}

int openapi_v2_protobuf(struct buf *out)
{
	struct buf json;
	struct err e;

	buf_init(&json, OPENAPI_V2_BYTES);
	json_t *doc =
		openapi_v2_json(&json) < 0 ? NULL : jx_parse(buf_str(&json), OPENAPI_V2_BYTES, &e);
	buf_done(&json);
	if (!doc)
		return -1;
	put_document(out, doc);
	json_decref(doc);
	return out->overflow ? -1 : 0;
}
