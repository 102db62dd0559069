#include "codec/jx.h"

#include <stdio.h>
#include <time.h>

static int dump_chunk(const char *text, size_t len, void *ctx)
{
	return buf_put(ctx, text, len);
}

#define DUMP_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY)

int jx_dump(const json_t *v, struct buf *out)
{
	return json_dump_callback(v, dump_chunk, out, DUMP_FLAGS);
}

char *jx_dump_text(const json_t *v)
{
	char *text = json_dumps(v, DUMP_FLAGS);

	if (!text)
		abort();
	return text;
}

json_t *jx_at(const json_t *obj, const char *path)
{
	struct str rest = str_of(path);

	while (obj && rest.ptr) {
		struct str part = str_cut(rest, '.', &rest);
		obj = json_object_getn(obj, part.ptr, part.len);
	}
	return (json_t *)obj;
}

const char *jx_str(const json_t *obj, const char *path)
{
	return json_string_value(jx_at(obj, path));
}

const char *jx_str_or(const json_t *obj, const char *path, const char *fallback)
{
	const char *s = jx_str(obj, path);

	return s ? s : fallback;
}

int64_t jx_int(const json_t *obj, const char *path, int64_t fallback)
{
	const json_t *v = jx_at(obj, path);

	return json_is_integer(v) ? json_integer_value(v) : fallback;
}

bool jx_bool(const json_t *obj, const char *path, bool fallback)
{
	const json_t *v = jx_at(obj, path);

	return json_is_boolean(v) ? json_is_true(v) : fallback;
}

size_t jx_len(const json_t *obj, const char *path)
{
	const json_t *v = jx_at(obj, path);

	return json_is_array(v) ? json_array_size(v) : json_object_size(v);
}

/* The object that holds the path's last member, made if `create`; *ret_last is that member's name. */
static json_t *parent_of(json_t *obj, const char *path, bool create, const char **ret_last)
{
	for (const char *dot; obj && (dot = strchr(path, '.')); path = dot + 1) {
		size_t len = (size_t)(dot - path);
		json_t *next = json_object_getn(obj, path, len);

		if (!json_is_object(next) && create) {
			next = json_object();
			json_object_setn_new(obj, path, len, next);
		}
		obj = next;
	}
	*ret_last = path;
	return obj;
}

void jx_set(json_t *obj, const char *path, json_t *v)
{
	const char *last;
	json_t *parent = parent_of(obj, path, true, &last);

	if (json_object_set_new(parent, last, v) < 0)
		abort(); /* not an object: a mistake of ours */
}

void jx_set_str(json_t *obj, const char *path, const char *s)
{
	if (s)
		jx_set(obj, path, json_string(s));
	else
		jx_del(obj, path);
}

void jx_set_int(json_t *obj, const char *path, int64_t n)
{
	jx_set(obj, path, json_integer(n));
}

void jx_set_bool(json_t *obj, const char *path, bool b)
{
	jx_set(obj, path, json_boolean(b));
}

void jx_del(json_t *obj, const char *path)
{
	const char *last;
	json_t *parent = parent_of(obj, path, false, &last);

	if (parent)
		json_object_del(parent, last);
}

void jx_keep(json_t *obj, const char *const *names)
{
	const char *key;
	json_t *value;
	void *tmp;

	json_object_foreach_safe(obj, tmp, key, value) {
		const char *const *n = names;
		while (*n && strcmp(*n, key) != 0)
			n++;
		if (!*n)
			json_object_del(obj, key);
	}
}

const char *jx_name(const json_t *obj)
{
	return jx_str(obj, "metadata.name");
}

const char *jx_namespace(const json_t *obj)
{
	return jx_str(obj, "metadata.namespace");
}

const char *jx_uid(const json_t *obj)
{
	return jx_str(obj, "metadata.uid");
}

const char *jx_label(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(jx_at(obj, "metadata.labels"), key));
}

const char *jx_annotation(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(jx_at(obj, "metadata.annotations"), key));
}

const char *time_text(int64_t unix_ms, char out[TIME_TEXT_BYTES])
{
	time_t s = (time_t)(unix_ms / 1000);
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(out, TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

const char *time_text_micro(int64_t unix_us, char out[TIME_TEXT_BYTES])
{
	time_t s = (time_t)(unix_us / 1000000);
	struct tm tm;

	gmtime_r(&s, &tm);
	size_t n = strftime(out, TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, TIME_TEXT_BYTES - n, ".%06dZ", (int)(unix_us % 1000000));
	return out;
}

/* [.digits](Z|+hh:mm|-hh:mm) to the end of the text. */
static int parse_fraction_and_zone(const char *p, int64_t *ret_ms)
{
	int64_t ms = 0, scale = 100, offset_s = 0;
	int hours, minutes, used = 0;

	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
			ms += (*p - '0') * scale;
	if ((*p == '+' || *p == '-') && sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &used) == 2 && used == 5) {
		offset_s = (hours * 60 + minutes) * 60 * (*p == '-' ? -1 : 1);
		p += 6;
	} else if (*p == 'Z' || *p == 'z') {
		p++;
	} else {
		return -1;
	}
	if (*p)
		return -1;
	*ret_ms = ms - offset_s * 1000;
	return 0;
}

int time_parse(const char *text, int64_t *ret_unix_ms)
{
	struct tm tm = { 0 };
	int64_t extra_ms;
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

	if (!rest || parse_fraction_and_zone(rest, &extra_ms) < 0)
		return -1;
	*ret_unix_ms = (int64_t)timegm(&tm) * 1000 + extra_ms;
	return 0;
}
