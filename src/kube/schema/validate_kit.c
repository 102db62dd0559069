#include "kube/schema/validate_int.h"
#include "kube/object/quantity.h"

#include <arpa/inet.h>
#include <stdio.h>

#define PLACE_TEXT_BYTES \
	(64u << 10) /* a key of a client's own may be in it; an object is larger than this only in values */
#define VALUE_TEXT_BYTES (64u << 10)

static void place_write(const struct place *p, struct buf *out)
{
	if (!p)
		return;
	place_write(p->up, out);
	if (p->member)
		buf_printf(out, "%s%s", out->len ? "." : "", p->member);
	else if (p->key)
		buf_printf(out, "[%s]", p->key);
	else
		buf_printf(out, "[%zu]", p->index);
}

char *place_text(const struct place *p)
{
	struct buf out;

	buf_init(&out, PLACE_TEXT_BYTES);
	place_write(p, &out);
	if (!out.ptr)
		buf_puts(&out, "");
	return buf_take(&out);
}

static bool is_known(const struct field_errors *fe, const char *field, const char *message)
{
	for (size_t i = 0; i < fe->n; i++)
		if (c_eq(fe->at[i].field, field) && c_eq(fe->at[i].message, message))
			return true;
	return false;
}

/* "WORDS[: VALUE][: DETAIL]" */
static void tell(struct field_errors *fe, const struct place *p, const char *type, const char *words,
		 const char *value, const char *detail)
{
	cleanup(freep) char *field = place_text(p);
	cleanup(freep) char *message = xasprintf("%s%s%s%s%s", words, value ? ": " : "", value ? value : "",
						 detail[0] ? ": " : "", detail);

	if (!is_known(fe, field, message))
		field_error_add(fe, type, field, "%s", message);
}

static char *quoted(const char *s)
{
	struct buf out;

	buf_init(&out, VALUE_TEXT_BYTES);
	if (buf_put_json(&out, str_of(s)) < 0) {
		buf_clear(&out);
		out.overflow = false;
		buf_puts(&out, "\"...\"");
	}
	return buf_take(&out);
}

#define DETAIL(out, fmt)                           \
	cleanup(freep) char *out = NULL;           \
	do {                                       \
		va_list ap_;                       \
		va_start(ap_, fmt);                \
		if (vasprintf(&out, fmt, ap_) < 0) \
			abort();                   \
		va_end(ap_);                       \
	} while (0)

void bad_value(struct field_errors *fe, const struct place *p, const json_t *value, const char *fmt, ...)
{
	DETAIL(detail, fmt);
	cleanup(freep) char *text = value ? jx_dump_text(value) : xstrdup("null");

	tell(fe, p, "FieldValueInvalid", "Invalid value", text, detail);
}

void bad_string(struct field_errors *fe, const struct place *p, const char *value, const char *fmt, ...)
{
	DETAIL(detail, fmt);
	cleanup(freep) char *text = quoted(value);

	tell(fe, p, "FieldValueInvalid", "Invalid value", text, detail);
}

void bad_int(struct field_errors *fe, const struct place *p, int64_t value, const char *fmt, ...)
{
	DETAIL(detail, fmt);
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	tell(fe, p, "FieldValueInvalid", "Invalid value", text, detail);
}

void missing(struct field_errors *fe, const struct place *p, const char *detail)
{
	tell(fe, p, "FieldValueRequired", "Required value", NULL, detail);
}

void forbidden(struct field_errors *fe, const struct place *p, const char *fmt, ...)
{
	DETAIL(detail, fmt);
	tell(fe, p, "FieldValueForbidden", "Forbidden", NULL, detail);
}

void unsupported(struct field_errors *fe, const struct place *p, const char *value,
		 const char *const *options)
{
	cleanup(freep) char *text = quoted(value);
	struct buf out;

	buf_init(&out, VALUE_TEXT_BYTES);
	buf_puts(&out, "supported values: ");
	for (size_t i = 0; options[i]; i++)
		buf_printf(&out, "%s\"%s\"", i ? ", " : "", options[i]);
	tell(fe, p, "FieldValueNotSupported", "Unsupported value", text, out.ptr);
	buf_done(&out);
}

void duplicate(struct field_errors *fe, const struct place *p, const char *value)
{
	cleanup(freep) char *text = quoted(value);

	duplicate_json(fe, p, text);
}

void duplicate_json(struct field_errors *fe, const struct place *p, const char *json_text)
{
	tell(fe, p, "FieldValueDuplicate", "Duplicate value", json_text, "");
}

void not_found(struct field_errors *fe, const struct place *p, const char *value)
{
	cleanup(freep) char *text = quoted(value);

	tell(fe, p, "FieldValueNotFound", "Not found", text, "");
}

void too_long(struct field_errors *fe, const struct place *p, size_t max_bytes)
{
	char detail[64];

	snprintf(detail, sizeof(detail), "may not be more than %zu bytes", max_bytes);
	tell(fe, p, "FieldValueTooLong", "Too long", NULL, detail);
}

void too_many(struct field_errors *fe, const struct place *p, size_t n, size_t max)
{
	char value[24], detail[64];

	snprintf(value, sizeof(value), "%zu", n);
	snprintf(detail, sizeof(detail), "must have at most %zu item%s", max, max == 1 ? "" : "s");
	tell(fe, p, "FieldValueTooMany", "Too many", value, detail);
}

bool is_zero(const json_t *v)
{
	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_OBJECT:
		return json_object_size(v) == 0;
	case JSON_ARRAY:
		return json_array_size(v) == 0;
	case JSON_STRING:
		return json_string_length(v) == 0;
	case JSON_INTEGER:
		return json_integer_value(v) == 0;
	case JSON_REAL:
		return json_real_value(v) == 0;
	case JSON_TRUE:
		return false;
	default:
		return true;
	}
}

static bool same_members(const json_t *a, const json_t *b)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)a, key, v)
		if (!same(v, json_object_get(b, key)))
			return false;
	json_object_foreach((json_t *)b, key, v)
		if (!json_object_get(a, key) && !is_zero(v))
			return false;
	return true;
}

bool same(const json_t *a, const json_t *b)
{
	if (is_zero(a) || is_zero(b)) {
		if (is_zero(a) && is_zero(b))
			return true;
		const json_t *v = is_zero(a) ? b : a;
		return json_is_object(v) && same_members(v, json_null());
	}
	if (json_is_object(a) && json_is_object(b))
		return same_members(a, b);
	if (!json_is_array(a) || !json_is_array(b))
		return json_equal(a, b);
	if (json_array_size(a) != json_array_size(b))
		return false;
	for (size_t i = 0; i < json_array_size(a); i++)
		if (!same(json_array_get(a, i), json_array_get(b, i)))
			return false;
	return true;
}

const char *text_of(const json_t *obj, const char *member)
{
	return jx_str_or(obj, member, "");
}

bool one_of(const char *value, const char *const *options)
{
	for (; *options; options++)
		if (strcmp(value, *options) == 0)
			return true;
	return false;
}

void check_enum(struct field_errors *fe, const struct place *p, const char *value, const char *const *options)
{
	if (!value[0])
		missing(fe, p, "");
	else if (!one_of(value, options))
		unsupported(fe, p, value, options);
}

void check_immutable(struct field_errors *fe, const struct place *p, const json_t *now, const json_t *before)
{
	if (!same(now, before))
		bad_value(fe, p, now, "field is immutable");
}

void check_range(struct field_errors *fe, const struct place *p, int64_t value, int64_t min, int64_t max)
{
	if (value < min || value > max)
		bad_int(fe, p, value, "must be between %lld and %lld, inclusive", (long long)min,
			(long long)max);
}

void check_port(struct field_errors *fe, const struct place *p, int64_t port)
{
	check_range(fe, p, port, 1, 65535);
}

void check_port_or_name(struct field_errors *fe, const struct place *p, const json_t *v)
{
	if (json_is_string(v))
		check_format(fe, p, FORMAT_PORT_NAME, json_string_value(v));
	else
		check_port(fe, p, json_integer_value(v));
}

void check_not_negative(struct field_errors *fe, const struct place *p, int64_t value)
{
	if (value < 0)
		bad_int(fe, p, value, "must be greater than or equal to 0");
}

/* Kubernetes takes IPv4 addresses with leading zeros, as decimal; inet_pton does not. */
static bool ipv4_parse(const char *text, unsigned char out[4])
{
	for (int i = 0; i < 4; i++) {
		size_t n = strspn(text, "0123456789");
		unsigned long v = n && n <= 8 ? strtoul(text, NULL, 10) : 256;

		if (v > 255 || text[n] != (i < 3 ? '.' : '\0'))
			return false;
		out[i] = (unsigned char)v;
		text += n + 1;
	}
	return true;
}

bool ip_parse(const char *text, unsigned char out[16], bool *ret_v6)
{
	memset(out, 0, 16);
	*ret_v6 = strchr(text, ':') != NULL;
	return *ret_v6 ? inet_pton(AF_INET6, text, out) == 1 : ipv4_parse(text, out);
}

bool cidr_ok(const char *text)
{
	const char *slash = strchr(text, '/');
	unsigned char ip[16];
	uint64_t bits;
	bool v6;

	if (!slash)
		return false;
	cleanup(freep) char *address = xstrndup(text, (size_t)(slash - text));
	return ip_parse(address, ip, &v6) && str_to_u64(str_of(slash + 1), v6 ? 128 : 32, &bits);
}

void check_ip(struct field_errors *fe, const struct place *p, const char *value)
{
	unsigned char ip[16];
	bool v6;

	if (!ip_parse(value, ip, &v6))
		bad_string(fe, p, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
}

/* In upstream's order; an address is in at most one of the first five, or in both of the last. */
static const struct {
	unsigned char v4, v4_mask, v4_second, v4_second_mask;
	unsigned char v6, v6_mask, v6_second, v6_second_mask;
	const char *text;
} special_ranges[] = {
	{ 127, 0xff, 0, 0, 0, 0, 0, 0, "may not be in the loopback range (127.0.0.0/8, ::1/128)" },
	{ 169, 0xff, 254, 0xff, 0xfe, 0xff, 0x80, 0xc0,
	  "may not be in the link-local range (169.254.0.0/16, fe80::/10)" },
	{ 224, 0xff, 0, 0xff, 0xff, 0xff, 0x02, 0x0f,
	  "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)" },
};

static bool all_zero(const unsigned char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (b[i])
			return false;
	return true;
}

void check_endpoint_ip(struct field_errors *fe, const struct place *p, const char *value)
{
	unsigned char ip[16];
	bool v6;

	if (!ip_parse(value, ip, &v6)) {
		bad_string(fe, p, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
		return;
	}
	if (all_zero(ip, v6 ? 16 : 4))
		bad_string(fe, p, value, "may not be unspecified (%s)", value);
	for (size_t i = 0; i < ARRAY_LEN(special_ranges); i++) {
		bool loopback6 = v6 && i == 0 && all_zero(ip, 15) && ip[15] == 1;
		bool in6 = v6 && i > 0 && (ip[0] & special_ranges[i].v6_mask) == special_ranges[i].v6 &&
			   (ip[1] & special_ranges[i].v6_second_mask) == special_ranges[i].v6_second;
		bool in4 = !v6 && (ip[0] & special_ranges[i].v4_mask) == special_ranges[i].v4 &&
			   (ip[1] & special_ranges[i].v4_second_mask) == special_ranges[i].v4_second &&
			   (i != 2 || ip[2] == 0);

		if (loopback6 || in6 || in4)
			bad_string(fe, p, value, "%s", special_ranges[i].text);
	}
}
