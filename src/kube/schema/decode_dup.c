/* Duplicate members. A parsed tree has lost them, so this walks the text a second time, beside the
 * types; only texts that have more members than their tree come here. */
#include "kube/schema/decode_int.h"

#include "base/limits.h"
#include "base/map.h"

struct cursor {
	const char *p, *end;
	struct walk *w;
	unsigned depth;
};

/* To the closing quote of the string that starts at p; behind the end when there is none. */
static const char *string_end(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\')
			p++;
	return MIN(p, end);
}

size_t json_text_members(struct str text)
{
	const char *end = text.ptr + text.len;
	size_t n = 0;

	for (const char *p = text.ptr; p < end; p++) {
		if (*p == '"')
			p = string_end(p, end);
		else
			n += *p == ':';
	}
	return n;
}

size_t json_tree_members(const json_t *v)
{
	size_t n = json_object_size(v), i;
	const char *key;
	json_t *value;

	if (json_is_object(v))
		json_object_foreach((json_t *)v, key, value) n += json_tree_members(value);
	json_array_foreach((json_t *)v, i, value) n += json_tree_members(value);
	return n;
}

static void skip_space(struct cursor *c)
{
	while (c->p < c->end && memchr(" \t\r\n,:", *c->p, 6))
		c->p++;
}

/* Commas and colons count as space: the text is known to be good. */
static void skip_value(struct cursor *c)
{
	int depth = 0;

	for (skip_space(c); c->p < c->end; c->p++) {
		if (*c->p == '"')
			c->p = string_end(c->p, c->end);
		else if (*c->p == '{' || *c->p == '[')
			depth++;
		else if ((*c->p == '}' || *c->p == ']') && --depth < 0)
			return;
		else if (depth == 0 && memchr(" \t\r\n,", *c->p, 5))
			return;
		if (depth == 0 && c->p < c->end && memchr("\"}]", *c->p, 3)) {
			c->p++;
			return;
		}
	}
}

/* The member name at the cursor, unescaped; on the heap. NULL at the object's end. */
static char *take_key(struct cursor *c)
{
	skip_space(c);
	if (c->p >= c->end || *c->p != '"')
		return NULL;
	const char *start = c->p, *close = string_end(start, c->end);
	c->p = close < c->end ? close + 1 : c->end;
	if (!memchr(start, '\\', (size_t)(c->p - start)))
		return xstrndup(start + 1, (size_t)(close - start - 1));
	json_t *text =
		json_loadb(start, (size_t)(c->p - start), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	char *key = xstrdup(text ? json_string_value(text) : "");
	json_decref(text);
	return key;
}

static void scan_members(struct cursor *c, const struct schema_type *t,
			 const struct schema_field *map, const struct step *at);

/* Members of a struct of type `t`, or else of the map `map`. */
static void scan_braces(struct cursor *c, const struct schema_type *t,
			const struct schema_field *map, const struct step *at)
{
	skip_space(c);
	if (c->p >= c->end || *c->p != '{' || c->depth == LIMIT_JSON_DEPTH) {
		skip_value(c);
		return;
	}
	c->depth++;
	c->p++;
	scan_members(c, t, map, at);
	skip_space(c);
	c->p += c->p < c->end;
	c->depth--;
}

static void scan_one(struct cursor *c, const struct schema_field *f, const struct step *at)
{
	if (f->kind == SK_OBJECT)
		scan_braces(c, f->sub, NULL, at);
	else
		skip_value(c);
}

static void scan_list(struct cursor *c, const struct schema_field *f, const struct step *at)
{
	skip_space(c);
	if (c->p >= c->end || *c->p != '[') {
		skip_value(c);
		return;
	}
	c->p++;
	for (struct step step = { .up = at };; step.index++) {
		skip_space(c);
		if (c->p >= c->end || *c->p == ']')
			break;
		scan_one(c, f, &step);
	}
	c->p += c->p < c->end;
}

static void scan_field(struct cursor *c, const struct schema_field *f, const struct step *at)
{
	if (f->shape == SS_LIST)
		scan_list(c, f, at);
	else if (f->shape == SS_ONE)
		scan_one(c, f, at);
	else
		scan_braces(c, NULL, f, at);
}

static void scan_members(struct cursor *c, const struct schema_type *t,
			 const struct schema_field *map, const struct step *at)
{
	struct map seen;
	char *key;

	map_init(&seen);
	for (; (key = take_key(c)); free(key)) {
		const struct schema_field *f = t ? schema_field_find(t, str_of(key)) : map;
		struct step step = { .up = at, .owner = t, .key = key };

		if (f && map_put_c(&seen, key, c))
			walk_warn(c->w, "duplicate field", at, key);
		if (f && t)
			scan_field(c, f, &step);
		else if (f && f->shape == SS_MAP)
			scan_one(c, f, &step);
		else
			skip_value(c);
	}
	map_done(&seen, NULL);
}

void walk_duplicates(struct walk *w, const struct schema_type *t, struct str text)
{
	struct cursor c = { .p = text.ptr, .end = text.ptr + text.len, .w = w };

	scan_braces(&c, t, NULL, NULL);
}
