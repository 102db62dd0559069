#include "kube/object/selector.h"
#include "kube/schema/table_int.h"

#include <stdio.h>

#define CELL_BYTES_MAX (64u << 10) /* a cell that is longer is cut: nobody reads it */

json_t *text_cell(const char *s)
{
	return json_string(s ? s : "");
}

json_t *text_cell_of(struct buf *b)
{
	json_t *out = json_stringn(b->ptr ? b->ptr : "", b->len);

	buf_done(b);
	return out ? out : json_string("");
}

const char *age_since(const char *time, int64_t now_ms, char out[AGE_TEXT_BYTES])
{
	int64_t then_ms;

	if (time_parse(time, &then_ms) < 0) {
		snprintf(out, AGE_TEXT_BYTES, "<unknown>");
		return out;
	}
	return age_text(now_ms - then_ms, out);
}

/* "path|fallback": the path is copied to `path`, and what follows the bar returned ("" when there is none).
 */
static const char *split_arg(const char *arg, char path[128])
{
	const char *bar = strchr(arg, '|');

	snprintf(path, 128, "%.*s", bar ? (int)(bar - arg) : (int)strlen(arg), arg);
	return bar ? bar + 1 : "";
}

json_t *cell_text(const struct cell *c)
{
	char path[128];
	const char *fallback = split_arg(c->arg, path), *s = jx_str(c->obj, path);

	return json_string(s && s[0] ? s : fallback);
}

json_t *cell_int_or_text(const struct cell *c)
{
	char path[128], number[24];
	const char *fallback = split_arg(c->arg, path);
	const json_t *v = jx_at(c->obj, path);

	if (!json_is_integer(v))
		return json_string(json_is_string(v) ? json_string_value(v) : fallback);
	snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
	return json_string(number);
}

json_t *cell_int(const struct cell *c)
{
	return json_integer(jx_int(c->obj, c->arg, 0));
}

json_t *cell_count(const struct cell *c)
{
	return json_integer((json_int_t)jx_len(c->obj, c->arg));
}

json_t *cell_bool(const struct cell *c)
{
	char path[128];
	const char *fallback = split_arg(c->arg, path);

	return json_boolean(jx_bool(c->obj, path, strcmp(fallback, "true") == 0));
}

json_t *cell_bool_word(const struct cell *c)
{
	const json_t *v = jx_at(c->obj, c->arg);

	return json_string(!json_is_boolean(v) ? "<unset>" : json_is_true(v) ? "True" : "False");
}

json_t *cell_age(const struct cell *c)
{
	char path[128], age[AGE_TEXT_BYTES];
	const char *fallback = split_arg(c->arg, path), *time = jx_str(c->obj, path);

	return json_string(!time && fallback[0] ? fallback : age_since(time, c->now_ms, age));
}

json_t *cell_joined(const struct cell *c)
{
	struct buf out;
	json_t *v;
	size_t i;

	buf_init(&out, CELL_BYTES_MAX);
	json_array_foreach(jx_at(c->obj, c->arg), i, v)
		if (json_is_string(v))
			buf_printf(&out, "%s%s", out.len ? "," : "", json_string_value(v));
	return text_cell_of(&out);
}

static json_t *selector_cell(const json_t *label_selector, const char *if_empty)
{
	struct err e = { 0 };
	struct selector *s = selector_of_label_selector(label_selector, &e);

	if (!s)
		return json_string("<error>");
	cleanup(freep) char *text = selector_text(s);
	selector_free(s);
	return json_string(text[0] ? text : if_empty);
}

json_t *cell_selector(const struct cell *c)
{
	return selector_cell(jx_at(c->obj, c->arg), "<none>");
}

json_t *deployment_selector(const struct cell *c)
{
	return selector_cell(jx_at(c->obj, "spec.selector"), "");
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *cell_label_map(const struct cell *c)
{
	json_t *map = jx_at(c->obj, c->arg), *v;
	const char **keys = xcalloc(json_object_size(map) + 1, sizeof(*keys));
	const char *key;
	struct buf out;
	size_t n = 0;

	json_object_foreach(map, key, v)
		keys[n++] = key;
	qsort(keys, n, sizeof(*keys), by_text);
	buf_init(&out, CELL_BYTES_MAX);
	for (size_t i = 0; i < n; i++)
		buf_printf(&out, "%s%s=%s", i ? "," : "", keys[i],
			   json_is_string(json_object_get(map, keys[i]))
				   ? json_string_value(json_object_get(map, keys[i]))
				   : "");
	free(keys);
	if (!n)
		buf_puts(&out, "<none>");
	return text_cell_of(&out);
}

static json_t *container_members(const struct cell *c, const char *member)
{
	struct buf out;
	json_t *v;
	size_t i;

	buf_init(&out, CELL_BYTES_MAX);
	json_array_foreach(jx_at(c->obj, c->arg), i, v)
		buf_printf(&out, "%s%s", i ? "," : "", jx_str_or(v, member, ""));
	return text_cell_of(&out);
}

json_t *cell_names(const struct cell *c)
{
	return container_members(c, "name");
}

json_t *cell_images(const struct cell *c)
{
	return container_members(c, "image");
}

json_t *cell_ready(const struct cell *c)
{
	char text[64];

	snprintf(text, sizeof(text), "%lld/%lld", (long long)jx_int(c->obj, "status.readyReplicas", 0),
		 (long long)jx_int(c->obj, "spec.replicas", 0));
	return json_string(text);
}

void list_start(struct shown_list *l)
{
	buf_init(&l->text, CELL_BYTES_MAX);
	l->n = 0;
}

void list_add(struct shown_list *l, const char *s)
{
	if (l->n++ < LIST_SHOWN_MAX)
		buf_printf(&l->text, "%s%s", l->text.len ? "," : "", s);
}

json_t *list_end(struct shown_list *l, const char *if_empty)
{
	if (l->n > LIST_SHOWN_MAX)
		buf_printf(&l->text, " + %zu more...", l->n - LIST_SHOWN_MAX);
	else if (!l->text.len)
		buf_puts(&l->text, if_empty);
	return text_cell_of(&l->text);
}
