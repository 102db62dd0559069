#include "kube/schema/patch_int.h"

#define VALUE_TEXT_BYTES 400 /* an error message has little more */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put(struct buf *out, const json_t *v);

/* Go prints maps sorted by key. */
static void put_map(struct buf *out, const json_t *map)
{
	size_t n = 0, size = json_object_size(map);
	const char **keys = xcalloc(size + 1, sizeof(*keys)), *key;
	json_t *value;

	json_object_foreach((json_t *)map, key, value) keys[n++] = key;
	qsort(keys, n, sizeof(*keys), by_text);
	buf_puts(out, "map[");
	for (size_t i = 0; i < n && !out->overflow; i++) {
		buf_printf(out, "%s%s:", i ? " " : "", keys[i]);
		put(out, json_object_get(map, keys[i]));
	}
	buf_putc(out, ']');
	free(keys);
}

static void put(struct buf *out, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		put_map(out, v);
		break;
	case JSON_ARRAY:
		buf_putc(out, '[');
		for (size_t i = 0; i < json_array_size(v) && !out->overflow; i++) {
			if (i)
				buf_putc(out, ' ');
			put(out, json_array_get(v, i));
		}
		buf_putc(out, ']');
		break;
	case JSON_STRING:
		buf_put(out, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
		buf_printf(out, "%lld", (long long)json_integer_value(v));
		break;
	case JSON_REAL:
		buf_printf(out, "%g", json_real_value(v));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		buf_puts(out, json_is_true(v) ? "true" : "false");
		break;
	case JSON_NULL:
		buf_puts(out, "<nil>");
		break;
	}
}

char *go_value_text(const json_t *v)
{
	struct buf b;

	buf_init(&b, VALUE_TEXT_BYTES);
	if (v)
		put(&b, v);
	buf_puts(&b, "");
	return b.ptr ? buf_take(&b) : xstrdup("");
}

const char *go_value_type(const json_t *v)
{
	static const char *const names[] = { [JSON_OBJECT] = "map[string]interface {}",
					     [JSON_ARRAY] = "[]interface {}",
					     [JSON_STRING] = "string",
					     [JSON_INTEGER] = "int64",
					     [JSON_REAL] = "float64",
					     [JSON_TRUE] = "bool",
					     [JSON_FALSE] = "bool",
					     [JSON_NULL] = "%!s(<nil>)" };

	return names[json_typeof(v)];
}
