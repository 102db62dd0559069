#include "kube/schema/decode_int.h"
#include "kube/schema/protobuf_wire.h"

#include "base/limits.h"
#include "codec/base64.h"

struct place {
	uint8_t outer[2];
	unsigned depth;
};

static int encode_message(const struct schema_type *t, const json_t *obj, struct place at,
			  struct buf *out, struct err *e);

static int encode_struct(const struct schema_type *t, uint32_t tag, const json_t *obj,
			 unsigned depth, struct buf *out, struct err *e)
{
	size_t opened = wire_open(out, tag);

	if (encode_message(t, obj, (struct place){ .depth = depth + 1 }, out, e) < 0)
		return -1;
	return wire_close(out, opened);
}

static struct str text_of(const json_t *v)
{
	return (struct str){ json_string_value(v), json_string_length(v) };
}

static int wrong(const struct schema_field *f, struct err *e)
{
	return err_set(e, ERR_INTERNAL, "field %s has a value that protobuf cannot carry", f->name);
}

/* The object is ours and was checked when it came in: times and base64 are good. */
static int encode_time(const struct schema_field *f, uint32_t tag, const json_t *v, struct buf *out,
		       struct err *e)
{
	int64_t ms;
	const char *text = json_string_value(v), *dot = text ? strchr(text, '.') : NULL;

	if (time_parse(text, &ms) < 0)
		return wrong(f, e);
	int64_t seconds = ms >= 0 ? ms / 1000 : -((-ms + 999) / 1000), nanos = 0, scale = 100000000;
	for (dot = dot ? dot + 1 : ""; *dot >= '0' && *dot <= '9'; dot++, scale /= 10)
		nanos += (*dot - '0') * scale;
	size_t opened = wire_open(out, tag);
	wire_put_number(out, 1, (uint64_t)seconds);
	wire_put_number(out, 2, (uint64_t)nanos);
	return wire_close(out, opened);
}

static int encode_int_or_string(uint32_t tag, const json_t *v, struct buf *out)
{
	size_t opened = wire_open(out, tag);

	wire_put_number(out, 1, json_is_string(v));
	wire_put_number(out, 2, (uint64_t)json_integer_value(v));
	wire_put_bytes(out, 3, json_is_string(v) ? text_of(v) : STR(""));
	return wire_close(out, opened);
}

static int encode_raw(uint32_t tag, const json_t *v, struct buf *out)
{
	char *text = jx_dump_text(v);
	size_t opened = wire_open(out, tag);

	wire_put_bytes(out, 1, str_of(text));
	free(text);
	return wire_close(out, opened);
}

static int encode_base64(const struct schema_field *f, uint32_t tag, const json_t *v,
			 struct buf *out, struct err *e)
{
	struct buf bytes;
	size_t bad_at;

	buf_init(&bytes, json_string_length(v) + 1);
	int r = base64_decode(text_of(v), &bytes, &bad_at) < 0
			? wrong(f, e)
			: wire_put_bytes(out, tag, buf_str(&bytes));
	buf_done(&bytes);
	return r;
}

static int encode_props(const struct schema_field *f, uint32_t tag, const json_t *v, unsigned depth,
			struct buf *out, struct err *e)
{
	uint32_t schema_tag = f->kind == SK_PROPS_OR_BOOL ? 2 : 1;
	size_t opened = wire_open(out, tag), i;
	json_t *item;

	if (json_is_object(v) && encode_struct(f->sub, schema_tag, v, depth, out, e) < 0)
		return -1;
	if (f->kind == SK_PROPS_OR_BOOL)
		wire_put_number(out, 1, json_is_true(v) || json_is_object(v));
	json_array_foreach((json_t *)v, i, item)
	{
		if (json_is_string(item))
			wire_put_bytes(out, 2, text_of(item));
		else if (encode_struct(f->sub, 2, item, depth, out, e) < 0)
			return -1;
	}
	return wire_close(out, opened);
}

static int encode_value(const struct schema_field *f, uint32_t tag, const json_t *v, unsigned depth,
			struct buf *out, struct err *e)
{
	double d = json_number_value(v);
	size_t opened;

	switch ((enum schema_kind)f->kind) {
	case SK_OBJECT:
		return json_is_object(v) ? encode_struct(f->sub, tag, v, depth, out, e)
					 : wrong(f, e);
	case SK_BOOL:
		return wire_put_number(out, tag, json_is_true(v));
	case SK_I32:
	case SK_I64:
		return wire_put_number(out, tag, (uint64_t)json_integer_value(v));
	case SK_F64:
		wire_put_varint(out, tag << 3 | WIRE_FIXED64);
		return buf_put(out, &d, sizeof(d)); /* little endian, as the machine is */
	case SK_BYTES:
		return encode_base64(f, tag, v, out, e);
	case SK_TIME:
	case SK_MICRO_TIME:
		return encode_time(f, tag, v, out, e);
	case SK_QUANTITY:
		opened = wire_open(out, tag);
		wire_put_bytes(out, 1, text_of(v));
		return wire_close(out, opened);
	case SK_INT_OR_STRING:
		return encode_int_or_string(tag, v, out);
	case SK_RAW:
		return encode_raw(tag, v, out);
	case SK_PROPS_OR_BOOL:
	case SK_PROPS_OR_ARRAY:
	case SK_PROPS_OR_STRINGS:
		return encode_props(f, tag, v, depth, out, e);
	case SK_STRING:
	case SK_DURATION:
		break;
	}
	return json_is_string(v) ? wire_put_bytes(out, tag, text_of(v)) : wrong(f, e);
}

static int encode_list(const struct schema_field *f, uint32_t tag, const json_t *list,
		       unsigned depth, struct buf *out, struct err *e)
{
	size_t i;
	json_t *item;

	json_array_foreach((json_t *)list, i,
			   item) if (encode_value(f, tag, item, depth, out, e) < 0) return -1;
	return 0;
}

static int encode_map(const struct schema_field *f, const json_t *map, unsigned depth,
		      struct buf *out, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)map, key, value)
	{
		size_t entry = wire_open(out, f->pb_tag);

		wire_put_bytes(out, 1, str_of(key));
		if (f->shape == SS_MAP_OF_LISTS) {
			size_t list = wire_open(out, 2);
			if (encode_list(f, 1, value, depth, out, e) < 0)
				return -1;
			wire_close(out, list);
		} else if (encode_value(f, 2, value, depth, out, e) < 0) {
			return -1;
		}
		wire_close(out, entry);
	}
	return 0;
}

static int encode_field(const struct schema_field *f, const json_t *v, unsigned depth,
			struct buf *out, struct err *e)
{
	if (!v || json_is_null(v))
		return 0;
	switch ((enum schema_shape)f->shape) {
	case SS_LIST:
		return encode_list(f, f->pb_tag, v, depth, out, e);
	case SS_MAP:
	case SS_MAP_OF_LISTS:
		return encode_map(f, v, depth, out, e);
	case SS_ONE:
		return encode_value(f, f->pb_tag, v, depth, out, e);
	}
	return 0;
}

static unsigned levels(const uint8_t outer[2])
{
	return outer[0] ? outer[1] ? 2 : 1 : 0;
}

/* The inlined message that field i is in, one level below `at`, unless an earlier field was in it
 * too. */
static uint8_t first_inlined(const struct schema_type *t, size_t i, const struct place *at,
			     unsigned n)
{
	uint8_t tag = t->fields[i].pb_outer[n];

	for (size_t k = 0; k < i; k++)
		if (levels(t->fields[k].pb_outer) > n &&
		    memcmp(t->fields[k].pb_outer, at->outer, n) == 0 &&
		    t->fields[k].pb_outer[n] == tag)
			return 0;
	return tag;
}

static int encode_inlined(const struct schema_type *t, const json_t *obj, struct place at,
			  uint8_t tag, struct buf *out, struct err *e)
{
	size_t opened = wire_open(out, tag), empty = out->len;

	at.outer[levels(at.outer)] = tag;
	at.depth++;
	if (encode_message(t, obj, at, out, e) < 0)
		return -1;
	if (out->len == empty) { /* nothing inside: take the tag back, one byte as all these tags
				    are below 16 */
		out->len -= 1;
		return 0;
	}
	return wire_close(out, opened);
}

static int encode_message(const struct schema_type *t, const json_t *obj, struct place at,
			  struct buf *out, struct err *e)
{
	unsigned n = levels(at.outer);

	if (at.depth > LIMIT_JSON_DEPTH)
		return err_set(e, ERR_INTERNAL, "object is nested deeper than %d levels",
			       LIMIT_JSON_DEPTH);
	for (size_t i = 0; i < t->n_fields; i++) {
		const struct schema_field *f = &t->fields[i];

		if (!f->pb_tag || memcmp(f->pb_outer, at.outer, n) != 0)
			continue;
		uint8_t inlined = n < 2 && f->pb_outer[n] ? first_inlined(t, i, &at, n) : 0;
		if (inlined && encode_inlined(t, obj, at, inlined, out, e) < 0)
			return -1;
		if (levels(f->pb_outer) == n &&
		    encode_field(f, json_object_get(obj, f->name), at.depth, out, e) < 0)
			return -1;
	}
	return 0;
}

int protobuf_encode(const struct schema_type *t, const char *api_version, const char *kind,
		    const json_t *obj, struct buf *out, struct err *e)
{
	buf_put_str(out, PROTOBUF_PREFIX);
	size_t meta = wire_open(out, 1);
	wire_put_bytes(out, 1, str_of(api_version));
	wire_put_bytes(out, 2, str_of(kind));
	wire_close(out, meta);
	size_t raw = wire_open(out, 2);
	if (encode_message(t, obj, (struct place){ 0 }, out, e) < 0)
		return -1;
	wire_close(out, raw);
	wire_put_bytes(out, 3, STR(""));
	wire_put_bytes(out, 4, STR(""));
	return out->overflow
		       ? err_set(e, ERR_TOO_LARGE, "object is too large for a protobuf answer")
		       : 0;
}
