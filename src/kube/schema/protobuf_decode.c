/* Kubernetes protobuf to the JSON tree that the same object would have. gogo's generated code
 * writes every value that is no pointer, so a zero there means "not set"; a zero behind a pointer
 * was set. The tables know which is which. */
#include "kube/schema/decode_int.h"
#include "kube/schema/protobuf_wire.h"

#include "base/limits.h"
#include "codec/base64.h"

#include <ctype.h>
#include <stdio.h>

struct place {
	uint8_t outer[2]; /* tags of the inlined messages that we are in */
	unsigned depth;
};

static int decode_message(const struct schema_type *t, struct str msg, struct place at, json_t *obj,
			  struct err *e);

static int wrong_wire(const struct schema_field *f, enum wire got, struct err *e)
{
	return err_set(e, ERR_BAD_REQUEST, "proto: wrong wireType = %d for field %c%s", (int)got,
		       toupper((unsigned char)f->name[0]), f->name + 1);
}

static json_t *decode_string(struct str bytes, struct err *e)
{
	json_t *v = json_stringn(bytes.ptr, bytes.len);

	if (!v)
		err_set(e, ERR_BAD_REQUEST, "proto: a string field is not valid UTF-8");
	return v;
}

static json_t *decode_bytes(struct str bytes)
{
	struct buf text;

	buf_init(&text, bytes.len * 2 + 8);
	base64_put(&text, bytes);
	json_t *v = json_stringn(text.ptr ? text.ptr : "", text.len);
	buf_done(&text);
	return v;
}

#define SECONDS_YEAR_1 (-62135596800ll)
#define SECONDS_YEAR_9999 253402300799ll

/* Time and MicroTime: seconds 1, nanos 2. Nothing inside is the zero time: absent, as JSON null. */
static json_t *decode_time(bool micro, struct str msg, struct err *e)
{
	struct wire_field f;
	int64_t seconds = 0, nanos = 0;
	char text[TIME_TEXT_BYTES];
	bool any = msg.len;
	int more;

	while ((more = wire_next(&msg, &f, e)) > 0) {
		if (f.wire == WIRE_VARINT && f.tag == 1)
			seconds = (int64_t)f.number;
		if (f.wire == WIRE_VARINT && f.tag == 2)
			nanos = (int32_t)f.number;
	}
	if (more < 0)
		return NULL;
	if (!any)
		return json_null();
	if (seconds < SECONDS_YEAR_1 || seconds > SECONDS_YEAR_9999 || nanos < 0 ||
	    nanos > 999999999) {
		err_set(e, ERR_BAD_REQUEST, "proto: a timestamp is out of range");
		return NULL;
	}
	time_text(seconds * 1000, text);
	if (micro)
		snprintf(text + strlen(text) - 1, 12, ".%06dZ", (int)(nanos / 1000));
	return json_string(text);
}

static json_t *decode_int_or_string(struct str msg, struct err *e)
{
	struct wire_field f;
	struct str text = STR("");
	int32_t number = 0;
	bool is_string = false;
	int more;

	while ((more = wire_next(&msg, &f, e)) > 0) {
		if (f.tag == 1 && f.wire == WIRE_VARINT)
			is_string = f.number == 1;
		if (f.tag == 2 && f.wire == WIRE_VARINT)
			number = (int32_t)f.number;
		if (f.tag == 3 && f.wire == WIRE_BYTES)
			text = f.bytes;
	}
	return more < 0 ? NULL : is_string ? decode_string(text, e) : json_integer(number);
}

/* The bytes of field 1, where Quantity has its text, and RawExtension and its like their JSON. */
static int inner_bytes(struct str msg, struct str *ret_bytes, struct err *e)
{
	struct wire_field f;
	int more;

	*ret_bytes = STR("");
	while ((more = wire_next(&msg, &f, e)) > 0)
		if (f.tag == 1 && f.wire == WIRE_BYTES)
			*ret_bytes = f.bytes;
	return more;
}

static json_t *decode_quantity(struct str msg, struct err *e)
{
	struct str text;

	if (inner_bytes(msg, &text, e) < 0)
		return NULL;
	return decode_string(text.len ? text : STR("0"), e);
}

static json_t *decode_raw(struct str msg, struct err *e)
{
	struct str text;

	if (inner_bytes(msg, &text, e) < 0)
		return NULL;
	return text.len ? jx_parse(text, LIMIT_REQUEST_BODY_BYTES, e) : json_null();
}

static json_t *decode_struct(const struct schema_type *t, struct str msg, unsigned depth,
			     struct err *e)
{
	json_t *obj = json_object();

	if (decode_message(t, msg, (struct place){ .depth = depth + 1 }, obj, e) == 0)
		return obj;
	json_decref(obj);
	return NULL;
}

/* JSONSchemaPropsOr…: the schema and the other thing have swapped tags in OrBool. */
static json_t *decode_props(const struct schema_field *f, struct str msg, unsigned depth,
			    struct err *e)
{
	uint32_t schema_tag = f->kind == SK_PROPS_OR_BOOL ? 2 : 1, other_tag = 3 - schema_tag;
	cleanup(json_decrefp) json_t *schema = NULL;
	cleanup(json_decrefp) json_t *other =
		f->kind == SK_PROPS_OR_BOOL ? json_false() : json_array();
	struct wire_field w;
	int more;

	while ((more = wire_next(&msg, &w, e)) > 0) {
		if (w.tag == schema_tag && w.wire == WIRE_BYTES) {
			json_decref(schema);
			if (!(schema = decode_struct(f->sub, w.bytes, depth, e)))
				return NULL;
		} else if (w.tag == other_tag && w.wire == WIRE_VARINT &&
			   f->kind == SK_PROPS_OR_BOOL) {
			other = json_boolean(w.number);
		} else if (w.tag == other_tag && w.wire == WIRE_BYTES && json_is_array(other)) {
			json_t *item = f->kind == SK_PROPS_OR_ARRAY
					       ? decode_struct(f->sub, w.bytes, depth, e)
					       : decode_string(w.bytes, e);
			if (!item)
				return NULL;
			json_array_append_new(other, item);
		}
	}
	return more < 0 ? NULL : schema ? TAKE_PTR(schema) : TAKE_PTR(other);
}

static bool is_number_kind(const struct schema_field *f)
{
	return f->kind == SK_BOOL || f->kind == SK_I32 || f->kind == SK_I64;
}

static json_t *decode_number(const struct schema_field *f, uint64_t n)
{
	if (f->kind == SK_BOOL)
		return json_boolean(n);
	return json_integer(f->kind == SK_I32 ? (int32_t)n : (int64_t)n);
}

/* One value of the field's kind; JSON null means that it is not set. */
static json_t *decode_value(const struct schema_field *f, const struct wire_field *w,
			    unsigned depth, struct err *e)
{
	enum wire want = is_number_kind(f)   ? WIRE_VARINT
			 : f->kind == SK_F64 ? WIRE_FIXED64
					     : WIRE_BYTES;

	if (w->wire != want) {
		wrong_wire(f, w->wire, e);
		return NULL;
	}
	switch ((enum schema_kind)f->kind) {
	case SK_OBJECT:
		return decode_struct(f->sub, w->bytes, depth, e);
	case SK_BOOL:
	case SK_I32:
	case SK_I64:
		return decode_number(f, w->number);
	case SK_F64: {
		double d;
		memcpy(&d, &w->number, sizeof(d));
		json_t *v = json_real(d);
		return v ? v : json_null(); /* not a number, infinite: JSON has none */
	}
	case SK_BYTES:
		return decode_bytes(w->bytes);
	case SK_TIME:
	case SK_MICRO_TIME:
		return decode_time(f->kind == SK_MICRO_TIME, w->bytes, e);
	case SK_QUANTITY:
		return decode_quantity(w->bytes, e);
	case SK_INT_OR_STRING:
		return decode_int_or_string(w->bytes, e);
	case SK_RAW:
		return decode_raw(w->bytes, e);
	case SK_PROPS_OR_BOOL:
	case SK_PROPS_OR_ARRAY:
	case SK_PROPS_OR_STRINGS:
		return decode_props(f, w->bytes, depth, e);
	case SK_STRING:
	case SK_DURATION:
		break;
	}
	return decode_string(w->bytes, e);
}

static json_t *member(json_t *obj, const char *name, bool list)
{
	json_t *v = json_object_get(obj, name);

	if (!v) {
		v = list ? json_array() : json_object();
		json_object_set_new(obj, name, v);
	}
	return v;
}

/* Repeated numbers may come packed. */
static int decode_item(const struct schema_field *f, const struct wire_field *w, json_t *list,
		       unsigned depth, struct err *e)
{
	struct str packed = w->bytes;
	uint64_t n;

	if (is_number_kind(f) && w->wire == WIRE_BYTES) {
		while (packed.len) {
			if (wire_varint(&packed, &n, e) < 0)
				return -1;
			json_array_append_new(list, decode_number(f, n));
		}
		return 0;
	}
	json_t *v = decode_value(f, w, depth, e);
	return v ? json_array_append_new(list, v) : -1;
}

/* A map's value that is a list is a message with the items in field 1. */
static json_t *decode_list_message(const struct schema_field *f, struct str msg, unsigned depth,
				   struct err *e)
{
	cleanup(json_decrefp) json_t *list = json_array();
	struct wire_field w;
	int more;

	while ((more = wire_next(&msg, &w, e)) > 0)
		if (w.tag == 1 && decode_item(f, &w, list, depth, e) < 0)
			return NULL;
	return more < 0 ? NULL : TAKE_PTR(list);
}

static int decode_entry(const struct schema_field *f, const struct wire_field *entry, json_t *map,
			unsigned depth, struct err *e)
{
	struct wire_field w, value = { .wire = is_number_kind(f)   ? WIRE_VARINT
					       : f->kind == SK_F64 ? WIRE_FIXED64
								   : WIRE_BYTES,
				       .bytes = STR("") };
	struct str msg = entry->bytes, key = STR("");
	int more;

	if (entry->wire != WIRE_BYTES)
		return wrong_wire(f, entry->wire, e);
	while ((more = wire_next(&msg, &w, e)) > 0) {
		if (w.tag == 1 && w.wire == WIRE_BYTES)
			key = w.bytes;
		else if (w.tag == 2)
			value = w;
	}
	if (more < 0)
		return -1;
	json_t *v = f->shape == SS_MAP_OF_LISTS ? decode_list_message(f, value.bytes, depth, e)
						: decode_value(f, &value, depth, e);
	if (!v)
		return -1;
	if (json_is_null(v) && f->kind != SK_RAW)
		return 0; /* the zero time */
	bool good =
		!memchr(key.ptr, '\0', key.len) && json_object_setn(map, key.ptr, key.len, v) == 0;
	json_decref(v);
	return good ? 0 : err_set(e, ERR_BAD_REQUEST, "proto: a map's key is not valid UTF-8");
}

static bool is_zero(const json_t *v)
{
	return json_is_false(v) || (json_is_integer(v) && json_integer_value(v) == 0) ||
	       (json_is_string(v) && json_string_length(v) == 0) ||
	       (json_is_real(v) && json_real_value(v) == 0);
}

static int decode_one(const struct schema_field *f, const struct wire_field *w, json_t *obj,
		      unsigned depth, struct err *e)
{
	/* A second occurrence of a message is merged into the first. */
	json_t *old = f->kind == SK_OBJECT && w->wire == WIRE_BYTES ? json_object_get(obj, f->name)
								    : NULL;
	if (old)
		return decode_message(f->sub, w->bytes, (struct place){ .depth = depth + 1 }, old,
				      e);

	json_t *v = decode_value(f, w, depth, e);
	bool scalar = is_number_kind(f) || f->kind == SK_STRING || f->kind == SK_BYTES ||
		      f->kind == SK_F64;
	if (!v)
		return -1;
	if (json_is_null(v) || (scalar && !f->pointer && !f->always && is_zero(v))) {
		json_decref(v);
		json_object_del(obj, f->name);
		return 0;
	}
	return json_object_set_new(obj, f->name, v);
}

static int decode_field(const struct schema_field *f, const struct wire_field *w, json_t *obj,
			unsigned depth, struct err *e)
{
	switch ((enum schema_shape)f->shape) {
	case SS_LIST:
		return decode_item(f, w, member(obj, f->name, true), depth, e);
	case SS_MAP:
	case SS_MAP_OF_LISTS:
		return decode_entry(f, w, member(obj, f->name, false), depth, e);
	case SS_ONE:
		return decode_one(f, w, obj, depth, e);
	}
	return 0;
}

/* How many inlined messages deep. */
static unsigned levels(const uint8_t outer[2])
{
	return outer[0] ? outer[1] ? 2 : 1 : 0;
}

/* The field with that tag here; or *ret_inlined, when the tag is that of an inlined message. */
static const struct schema_field *find_tag(const struct schema_type *t, const struct place *at,
					   uint32_t tag, bool *ret_inlined)
{
	unsigned n = levels(at->outer);

	*ret_inlined = false;
	for (size_t i = 0; i < t->n_fields; i++) {
		const struct schema_field *f = &t->fields[i];

		if (memcmp(f->pb_outer, at->outer, n) != 0)
			continue;
		if (levels(f->pb_outer) == n && f->pb_tag == tag)
			return f;
		if (levels(f->pb_outer) > n && f->pb_outer[n] == tag)
			*ret_inlined = true;
	}
	return NULL;
}

static int decode_message(const struct schema_type *t, struct str msg, struct place at, json_t *obj,
			  struct err *e)
{
	struct wire_field w;
	int more;

	if (at.depth > LIMIT_JSON_DEPTH)
		return err_set(e, ERR_BAD_REQUEST,
			       "proto: messages are nested deeper than %d levels",
			       LIMIT_JSON_DEPTH);
	while ((more = wire_next(&msg, &w, e)) > 0) {
		bool inlined;
		const struct schema_field *f = find_tag(t, &at, w.tag, &inlined);

		if (f && decode_field(f, &w, obj, at.depth, e) < 0)
			return -1;
		if (f || !inlined || w.wire != WIRE_BYTES)
			continue;
		struct place inside = at;
		inside.outer[levels(at.outer)] = (uint8_t)w.tag;
		inside.depth++;
		if (decode_message(t, w.bytes, inside, obj, e) < 0)
			return -1;
	}
	return more;
}

struct envelope {
	struct str api_version, kind, raw;
};

/* runtime.Unknown: typeMeta 1 { apiVersion 1, kind 2 }, raw 2, contentEncoding 3, contentType 4. */
static int decode_envelope(struct str body, struct envelope *ret_envelope, struct err *e)
{
	struct str prefix = PROTOBUF_PREFIX, meta = STR("");
	struct wire_field w;
	int more;

	if (!body.len)
		return err_set(e, ERR_BAD_REQUEST, "empty data");
	if (!str_starts(body, prefix))
		return err_set(
			e, ERR_BAD_REQUEST,
			"provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
	body = (struct str){ body.ptr + prefix.len, body.len - prefix.len };
	if (!body.len)
		return err_set(e, ERR_BAD_REQUEST, "empty body");
	*ret_envelope = (struct envelope){ STR(""), STR(""), STR("") };
	while ((more = wire_next(&body, &w, e)) > 0) {
		if (w.tag == 1 && w.wire == WIRE_BYTES)
			meta = w.bytes;
		else if (w.tag == 2 && w.wire == WIRE_BYTES)
			ret_envelope->raw = w.bytes;
	}
	if (more < 0)
		return -1;
	while ((more = wire_next(&meta, &w, e)) > 0) {
		if (w.tag == 1 && w.wire == WIRE_BYTES)
			ret_envelope->api_version = w.bytes;
		else if (w.tag == 2 && w.wire == WIRE_BYTES)
			ret_envelope->kind = w.bytes;
	}
	return more;
}

/* "apps/v1" and Deployment to apps.v1.Deployment; kinds that every group has are meta.v1's. */
static const struct schema_type *envelope_type(const struct envelope *env)
{
	struct str version, group = str_cut(env->api_version, '/', &version), rest;
	struct str module = version.ptr ? str_cut(group, '.', &rest) : STR("core");
	char name[256];

	snprintf(name, sizeof(name), STR_FMT "." STR_FMT "." STR_FMT, STR_ARG(module),
		 STR_ARG(version.ptr ? version : group), STR_ARG(env->kind));
	const struct schema_type *t = schema_type_find(name);
	if (t)
		return t;
	snprintf(name, sizeof(name), "meta.v1." STR_FMT, STR_ARG(env->kind));
	return schema_type_find(name);
}

json_t *protobuf_decode(struct str body, struct err *e)
{
	struct envelope env = { STR(""), STR(""), STR("") };

	if (body.len > LIMIT_REQUEST_BODY_BYTES) {
		err_set(e, ERR_TOO_LARGE, "protobuf of %zu bytes is larger than %u", body.len,
			LIMIT_REQUEST_BODY_BYTES);
		return NULL;
	}
	if (decode_envelope(body, &env, e) < 0)
		return NULL;
	const struct schema_type *t = envelope_type(&env);
	if (!t) {
		err_set(e, ERR_BAD_REQUEST,
			"no kind \"" STR_FMT "\" is registered for version \"" STR_FMT
			"\" in scheme "
			"\"pkg/api/legacyscheme/scheme.go:30\"",
			STR_ARG(env.kind), STR_ARG(env.api_version));
		return NULL;
	}
	json_t *api_version = decode_string(env.api_version, e), *kind = decode_string(env.kind, e);
	json_t *obj = api_version && kind ? decode_struct(t, env.raw, 0, e) : NULL;
	if (!obj) {
		json_decref(api_version);
		json_decref(kind);
		return NULL;
	}
	json_object_set_new(obj, "apiVersion", api_version);
	json_object_set_new(obj, "kind", kind);
	return obj;
}
