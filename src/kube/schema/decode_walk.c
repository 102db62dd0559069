/* Trees against types: what Go's decoding into structs and encoding again would make of them. */
#include "kube/schema/decode_int.h"

#include "base/limits.h"
#include "codec/base64.h"
#include "codec/json_scan.h"
#include "kube/object/quantity.h"

#include <math.h>
#include <stdio.h>

void step_path(const struct step *s, const char *last, struct buf *out)
{
	const struct step *line[LIMIT_JSON_DEPTH + 2];
	size_t n = 0;

	for (; s && n < ARRAY_LEN(line); s = s->up)
		line[n++] = s;
	while (n--) {
		if (!line[n]->key)
			buf_printf(out, "[%zu]", line[n]->index);
		else
			buf_printf(out, "%s%s", out->len ? "." : "", line[n]->key);
	}
	if (last)
		buf_printf(out, "%s%s", out->len ? "." : "", last);
	buf_puts(out, "");
}

void walk_warn(struct walk *w, const char *what, const struct step *at, const char *last)
{
	struct buf path, text;

	if (w->fv == FV_IGNORE || json_array_size(w->warnings) >= WARNINGS_MAX)
		return;
	buf_init(&path, STEP_TEXT_BYTES);
	buf_init(&text, STEP_TEXT_BYTES * 4 + 64);
	step_path(at, last, &path);
	buf_printf(&text, "%s ", what);
	go_quote(&text, buf_str(&path));
	if (!w->warnings)
		w->warnings = json_array();
	json_array_append_new(w->warnings, json_stringn(text.ptr, text.len));
	buf_done(&path);
	buf_done(&text);
}

int walk_finish(struct walk *w, json_t **ret_warnings)
{
	struct buf b;
	size_t i;
	json_t *one;

	if (w->fv != FV_STRICT || !w->warnings) {
		if (ret_warnings)
			*ret_warnings = w->warnings;
		else
			json_decref(w->warnings);
		return 0;
	}
	buf_init(&b, ERR_MESSAGE_BYTES);
	json_array_foreach(w->warnings, i, one)
		buf_printf(&b, "%s%s", i ? ", " : "", json_string_value(one));
	err_set(w->e, ERR_BAD_REQUEST, "strict decoding error: %s", b.ptr ? b.ptr : "");
	buf_done(&b);
	json_decref(w->warnings);
	return -1;
}

/* "ServicePort.spec.ports.port": the innermost struct, then the fields on the way. */
static void go_field_text(const struct step *at, struct buf *out)
{
	const char *fields[LIMIT_JSON_DEPTH + 2];
	const char *owner = "";
	size_t n = 0;

	for (const struct step *s = at; s && n < ARRAY_LEN(fields); s = s->up) {
		if (!s->owner)
			continue;
		if (!n)
			owner = s->owner->name;
		fields[n++] = s->key;
	}
	const char *dot = strrchr(owner, '.');
	buf_puts(out, dot ? dot + 1 : owner);
	while (n--)
		buf_printf(out, ".%s", fields[n]);
}

static void json_kind_text(const json_t *v, bool with_number, char out[40])
{
	static const char *const names[] = {
		[JSON_OBJECT] = "object",  [JSON_ARRAY] = "array", [JSON_STRING] = "string",
		[JSON_INTEGER] = "number", [JSON_REAL] = "number", [JSON_TRUE] = "bool",
		[JSON_FALSE] = "bool",	   [JSON_NULL] = "null"
	};

	if (json_is_integer(v) && with_number)
		snprintf(out, 40, "number %lld", (long long)json_integer_value(v));
	else if (json_is_real(v) && with_number)
		snprintf(out, 40, "number %.15g%s", json_real_value(v),
			 json_real_value(v) == floor(json_real_value(v)) ? ".0" : "");
	else
		snprintf(out, 40, "%s", names[json_typeof(v)]);
}

/* `type` is a Go type's name. A number in an integer's place is shown with its digits. */
static int wrong_type(struct walk *w, const json_t *v, bool with_number, const char *type,
		      const struct step *at)
{
	struct buf field;
	char kind[40];

	json_kind_text(v, with_number, kind);
	buf_init(&field, ERR_MESSAGE_BYTES);
	go_field_text(at, &field);
	err_set(w->e, ERR_BAD_REQUEST,
		"json: cannot unmarshal %s into Go struct field %s of type %s", kind,
		buf_str(&field).ptr, type);
	buf_done(&field);
	return -1;
}

static int wrong_field_type(struct walk *w, const struct schema_field *f, unsigned inside,
			    const json_t *v, const struct step *at)
{
	struct buf type;
	bool number = f->kind == SK_I32 || f->kind == SK_I64;

	buf_init(&type, ERR_MESSAGE_BYTES);
	go_type_text(f, inside, &type);
	wrong_type(w, v, number, buf_str(&type).ptr, at);
	buf_done(&type);
	return -1;
}

static bool fits(const struct schema_field *f, const json_t *v)
{
	if (!json_is_integer(v))
		return false;
	json_int_t n = json_integer_value(v);
	return f->kind == SK_I64 || (n >= INT32_MIN && n <= INT32_MAX);
}

/* The shortest text that reads back as the same number: nearly always what stood in the document. */
static void number_text(const json_t *v, char out[40])
{
	if (json_is_integer(v)) {
		snprintf(out, 40, "%lld", (long long)json_integer_value(v));
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(out, 40, "%.*g", digits, json_real_value(v));
		if (strtod(out, NULL) == json_real_value(v))
			return;
	}
}

static int convert_quantity(struct walk *w, const json_t *v, json_t **ret)
{
	char number[40] = "?";
	const char *text = json_is_string(v) ? json_string_value(v) : number;

	if (json_is_number(v))
		number_text(v, number);
	char *canonical = quantity_canonical(str_of(text));
	if (!canonical)
		return err_set(w->e, ERR_BAD_REQUEST, "%s", quantity_problem(str_of(text)));
	if (!json_is_string(v) || strcmp(canonical, text) != 0)
		*ret = json_string(canonical);
	free(canonical);
	return 0;
}

static int convert_time(struct walk *w, const struct schema_field *f, const json_t *v,
			const struct step *at, json_t **ret)
{
	char text[TIME_TEXT_BYTES];

	if (!json_is_string(v))
		return wrong_type(w, v, false, "string", at);
	if (go_time(json_string_value(v), f->kind == SK_MICRO_TIME, text, w->e) < 0)
		return -1;
	if (strcmp(text, json_string_value(v)) != 0)
		*ret = json_string(text);
	return 0;
}

static int check_bytes(struct walk *w, const struct schema_field *f, unsigned inside,
		       const json_t *v, const struct step *at)
{
	size_t bad_at;

	if (!json_is_string(v))
		return wrong_field_type(w, f, inside, v, at);
	if (base64_decode((struct str){ json_string_value(v), json_string_length(v) }, NULL,
			  &bad_at) < 0)
		return err_set(w->e, ERR_BAD_REQUEST, "illegal base64 data at input byte %zu",
			       bad_at);
	return 0;
}

/* apiextensions' JSONSchemaProps or one other thing. */
static int convert_props(struct walk *w, const struct schema_field *f, json_t *v,
			 const struct step *at, unsigned depth)
{
	size_t i;
	json_t *item;

	if (json_is_object(v))
		return walk_object(w, f->sub, v, at, depth + 1);
	if (f->kind == SK_PROPS_OR_BOOL && json_is_boolean(v))
		return 0;
	if (f->kind == SK_PROPS_OR_BOOL || !json_is_array(v))
		return err_set(w->e, ERR_BAD_REQUEST,
			       f->kind == SK_PROPS_OR_BOOL ? "boolean or JSON schema expected"
							   : "array or JSON schema expected");
	json_array_foreach(v, i, item)
	{
		struct step step = { .up = at, .index = i };

		if (f->kind == SK_PROPS_OR_STRINGS && !json_is_string(item))
			return wrong_type(w, item, false, "string", at);
		if (f->kind == SK_PROPS_OR_ARRAY &&
		    (json_is_object(item)
			     ? walk_object(w, f->sub, item, &step, depth + 1)
			     : wrong_type(w, item, false, "v1.JSONSchemaProps", at)) < 0)
			return -1;
	}
	return 0;
}

/* One value that is not null. *ret is set when another takes its place. */
static int convert(struct walk *w, const struct schema_field *f, unsigned inside, json_t *v,
		   const struct step *at, unsigned depth, json_t **ret)
{
	switch ((enum schema_kind)f->kind) {
	case SK_OBJECT:
		if (json_is_object(v))
			return walk_object(w, f->sub, v, at, depth + 1);
		break;
	case SK_STRING:
	case SK_DURATION:
		if (json_is_string(v))
			return 0;
		break;
	case SK_BOOL:
		if (json_is_boolean(v))
			return 0;
		break;
	case SK_I32:
	case SK_I64:
		if (fits(f, v))
			return 0;
		break;
	case SK_F64:
		if (json_is_number(v))
			return 0;
		break;
	case SK_BYTES:
		return check_bytes(w, f, inside, v, at);
	case SK_TIME:
	case SK_MICRO_TIME:
		return convert_time(w, f, v, at, ret);
	case SK_QUANTITY:
		return convert_quantity(w, v, ret);
	case SK_INT_OR_STRING:
		if (json_is_string(v) ||
		    (json_is_integer(v) && json_integer_value(v) == (int32_t)json_integer_value(v)))
			return 0;
		return wrong_type(w, v, true, "int32", at);
	case SK_RAW:
		return 0;
	case SK_PROPS_OR_BOOL:
	case SK_PROPS_OR_ARRAY:
	case SK_PROPS_OR_STRINGS:
		return convert_props(w, f, v, at, depth);
	}
	return wrong_field_type(w, f, inside, v, at);
}

/* What Go makes of a null inside a list or map: the zero value. */
static json_t *zero_of(const struct schema_field *f)
{
	switch ((enum schema_kind)f->kind) {
	case SK_OBJECT:
		return json_object();
	case SK_BOOL:
		return json_false();
	case SK_I32:
	case SK_I64:
	case SK_INT_OR_STRING:
		return json_integer(0);
	case SK_F64:
		return json_real(0);
	case SK_QUANTITY:
		return json_string("0");
	case SK_RAW:
	case SK_TIME:
	case SK_MICRO_TIME:
	case SK_PROPS_OR_BOOL:
	case SK_PROPS_OR_ARRAY:
	case SK_PROPS_OR_STRINGS:
		return NULL;
	default:
		return json_string("");
	}
}

static int walk_list(struct walk *w, const struct schema_field *f, unsigned inside, json_t *list,
		     const struct step *at, unsigned depth)
{
	if (!json_is_array(list))
		return wrong_field_type(w, f, inside, list, at);
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct step step = { .up = at, .index = i };
		json_t *item = json_array_get(list, i), *new_item = NULL;

		if (json_is_null(item))
			new_item = zero_of(f);
		else if (convert(w, f, inside + 1, item, &step, depth, &new_item) < 0)
			return -1;
		if (new_item)
			json_array_set_new(list, i, new_item);
	}
	return 0;
}

static int walk_map(struct walk *w, const struct schema_field *f, json_t *map,
		    const struct step *at, unsigned depth)
{
	const char *key;
	json_t *value;
	void *tmp;

	if (!json_is_object(map))
		return wrong_field_type(w, f, 0, map, at);
	json_object_foreach_safe(map, tmp, key, value)
	{
		struct step step = { .up = at, .key = key };
		json_t *new_value = NULL;

		if (json_is_null(value))
			new_value = f->shape == SS_MAP_OF_LISTS ? json_array() : zero_of(f);
		else if ((f->shape == SS_MAP_OF_LISTS
				  ? walk_list(w, f, 1, value, &step, depth)
				  : convert(w, f, 1, value, &step, depth, &new_value)) < 0)
			return -1;
		if (new_value)
			json_object_set_new(map, key, new_value);
		else if (json_is_null(value) && f->kind != SK_RAW)
			json_object_del(map, key);
	}
	return 0;
}

static int walk_field(struct walk *w, const struct schema_field *f, json_t *v,
		      const struct step *at, unsigned depth, json_t **ret)
{
	switch ((enum schema_shape)f->shape) {
	case SS_LIST:
		return walk_list(w, f, 0, v, at, depth);
	case SS_MAP:
	case SS_MAP_OF_LISTS:
		return walk_map(w, f, v, at, depth);
	case SS_ONE:
		return convert(w, f, 0, v, at, depth, ret);
	}
	return 0;
}

int walk_object(struct walk *w, const struct schema_type *t, json_t *obj, const struct step *at,
		unsigned depth)
{
	const char *key;
	json_t *value;
	void *tmp;

	if (depth > LIMIT_JSON_DEPTH)
		return err_set(w->e, ERR_BAD_REQUEST, "object is nested deeper than %d levels",
			       LIMIT_JSON_DEPTH);
	json_object_foreach_safe(obj, tmp, key, value)
	{
		const struct schema_field *f = schema_field_find(t, str_of(key));
		json_t *new_value = NULL;

		if (!f)
			walk_warn(w, "unknown field", at, key);
		if (!f || json_is_null(value)) {
			json_object_del(obj, key);
			continue;
		}
		struct step step = { .up = at, .owner = t, .key = f->name };
		if (walk_field(w, f, value, &step, depth, &new_value) < 0)
			return -1;
		if (new_value)
			json_object_set_new(obj, key, new_value);
	}
	return 0;
}
