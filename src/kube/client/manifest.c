#include "kube/client/manifest.h"

#include "codec/base64.h"
#include "kube/schema/decode.h"

#include <stdio.h>

#define LONG_LIST_BYTES (64u << 10)

struct reading {
	const struct manifest_sink *sink;
	void *ctx;
	unsigned line; /* of the document */
};

static void problem(const struct reading *r, unsigned line, bool lost, const char *text)
{
	if (r->sink->problem)
		r->sink->problem(r->ctx, line, lost, text);
}

/* The parsers' own sentences name a line of the document ("yaml: line 3: …", "… at line 3 column 5"): it is added to the
 * document's, and left out of the text. */
static void parse_problem(const struct reading *r, const struct err *e)
{
	char text[ERR_MESSAGE_BYTES];
	unsigned at = 1;
	int behind = 0;
	char *tail;

	snprintf(text, sizeof(text), "%s", e->message);
	if (sscanf(text, "yaml: line %u: %n", &at, &behind) == 1 && behind > 0) {
		snprintf(text, sizeof(text), "yaml: %s", e->message + behind);
	} else if ((tail = strstr(text, " at line ")) && sscanf(tail, " at line %u", &at) == 1) {
		*tail = '\0';
	}
	problem(r, r->line + (at ? at - 1 : 0), true, text);
}

/* ---- one object ---- */

static bool name_ok(const char *s)
{
	if (!s || !s[0] || strlen(s) > MANIFEST_NAME_BYTES_MAX)
		return false;
	for (; *s; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || strchr("-._:", *s)))
			return false;
	return true;
}

/* Ingresses began in extensions/v1beta1; the type is the same. */
static const struct resource *resource_of(const char *api_version, const char *kind)
{
	struct str version, group = str_cut(str_of(api_version), '/', &version);

	if (!version.ptr) {
		version = group;
		group = STR("");
	}
	if (str_eq(group, STR("extensions")) && c_eq(kind, "Ingress"))
		group = STR("networking.k8s.io");
	return resource_find_kind(group, version, str_of(kind));
}

static int fold_string_data(json_t *obj, struct err *e)
{
	json_t *plain = json_object_get(obj, "stringData"), *value;
	const char *key;

	json_object_foreach(plain, key, value) {
		struct buf b;
		if (!json_is_string(value))
			return err_set(e, ERR_BAD_REQUEST, "stringData.%s is no string", key);
		if (!json_object_get(obj, "data"))
			json_object_set_new(obj, "data", json_object());
		buf_init(&b, MANIFEST_BYTES_MAX * 2);
		buf_puts(&b, "");
		int rc = base64_put(&b, (struct str){ json_string_value(value), json_string_length(value) });
		json_object_set_new(json_object_get(obj, "data"), key, json_stringn(b.ptr, b.len));
		buf_done(&b);
		if (rc < 0)
			return err_set(e, ERR_TOO_LARGE, "stringData.%s is too large", key);
	}
	json_object_del(obj, "stringData");
	return 0;
}

static int place_object(const struct resource *res, json_t *obj, struct err *e)
{
	json_t *meta = json_object_get(obj, "metadata");
	const char *name = jx_name(obj), *ns = jx_namespace(obj);

	if (!name_ok(name))
		return err_set(e, ERR_INVALID, "%s: metadata.name %s", res->kind, name ? "is no name" : "is required");
	if (!res->namespaced)
		json_object_del(meta, "namespace");
	else if (!ns || !ns[0])
		json_object_set_new(meta, "namespace", json_string("default"));
	else if (!name_ok(ns))
		return err_set(e, ERR_INVALID, "%s \"%s\": metadata.namespace is no name", res->kind, name);
	json_object_del(meta, "managedFields");
	return 0;
}

static void report_warnings(const struct reading *r, const char *kind, const char *name, const json_t *warnings)
{
	json_t *w;
	size_t i;

	json_array_foreach(warnings, i, w) {
		cleanup(freep) char *text = xasprintf("%s \"%s\": %s", kind, name, json_string_value(w));
		problem(r, r->line, false, text);
	}
}

static int typed_object(const struct reading *r, const struct resource *res, json_t *obj, struct err *e)
{
	cleanup(json_decrefp) json_t *warnings = NULL;

	if (!json_is_object(json_object_get(obj, "metadata")))
		return err_set(e, ERR_INVALID, "%s: metadata.name is required", res->kind);
	if (c_eq(res->kind, "Secret") && fold_string_data(obj, e) < 0)
		return -1;
	if (place_object(res, obj, e) < 0)
		return -1;
	if (object_check_types(res, obj, FV_WARN, &warnings, e) < 0)
		return err_wrap(e, "%s \"%s\"", res->kind, jx_name(obj));
	report_warnings(r, res->kind, jx_name(obj), warnings);
	object_default(res, obj);
	return 0;
}

static void take_value(const struct reading *r, json_t *v, unsigned depth);

static void take_list(const struct reading *r, json_t *list, const char *kind, unsigned depth)
{
	cleanup(freep) char *item_kind = xstrndup(kind, strlen(kind) - 4);
	json_t *item;
	size_t i;

	if (depth >= MANIFEST_LIST_DEPTH) {
		problem(r, r->line, true, "lists within lists within lists");
		return;
	}
	json_array_foreach(json_object_get(list, "items"), i, item) {
		/* A typed list's items may leave out what the list says. */
		if (json_is_object(item) && item_kind[0] && !json_object_get(item, "kind"))
			json_object_set_new(item, "kind", json_string(item_kind));
		if (json_is_object(item) && item_kind[0] && !json_object_get(item, "apiVersion"))
			json_object_set(item, "apiVersion", json_object_get(list, "apiVersion"));
		take_value(r, item, depth + 1);
	}
}

static void take_value(const struct reading *r, json_t *v, unsigned depth)
{
	const char *kind = jx_str(v, "kind"), *api_version = jx_str(v, "apiVersion");
	size_t len = kind ? strlen(kind) : 0;
	struct err e;

	if (json_is_null(v))
		return;
	if (!kind || !api_version) {
		problem(r, r->line, true, json_is_object(v) ? "apiVersion and kind are required" : "this is no object");
		return;
	}
	if (len >= 4 && strcmp(kind + len - 4, "List") == 0 && json_is_array(json_object_get(v, "items"))) {
		take_list(r, v, kind, depth);
		return;
	}
	const struct resource *res = resource_of(api_version, kind);
	if (!res) {
		cleanup(freep) char *text = xasprintf("kind \"%s\" of \"%s\" is not known: left out", kind, api_version);
		problem(r, r->line, false, text);
		return;
	}
	if (typed_object(r, res, v, &e) < 0)
		problem(r, r->line, true, e.message);
	else
		r->sink->object(r->ctx, res->storage ? res->storage : res, v, r->line);
}

/* ---- the file's parts ---- */

static unsigned lines_in(const char *from, const char *to)
{
	unsigned n = 0;

	for (; from < to && (from = memchr(from, '\n', (size_t)(to - from))); from++)
		n++;
	return n;
}

/* Where the object or array that begins at p ends; NULL: it does not. */
static const char *json_value_end(const char *p, const char *end)
{
	unsigned depth = 0;
	bool in_string = false;

	for (; p < end; p++) {
		if (in_string) {
			if (*p == '\\')
				p++;
			else if (*p == '"')
				in_string = false;
		} else if (*p == '"') {
			in_string = true;
		} else if (*p == '{' || *p == '[') {
			depth++;
		} else if ((*p == '}' || *p == ']') && --depth == 0) {
			return p + 1;
		}
	}
	return NULL;
}

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p;
}

/* The first byte behind a string that begins at p. */
static const char *json_string_end(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p < end ? p + 1 : end;
}

/* Where the array begins that is the top object's member "items"; NULL: it has none. */
static const char *json_items(const char *p, const char *end)
{
	unsigned depth = 0;

	for (; p < end; p++) {
		if (*p == '"') {
			const char *stop = json_string_end(p, end), *colon = skip_space(stop, end);
			bool items = depth == 1 && stop - p == 7 && memcmp(p, "\"items\"", 7) == 0 && colon < end && *colon == ':';
			p = stop - 1;
			if (!items)
				continue;
			const char *value = skip_space(colon + 1, end);
			return value < end && *value == '[' ? value : NULL;
		}
		depth += *p == '{' || *p == '[';
		depth -= (*p == '}' || *p == ']') && depth;
	}
	return NULL;
}

/* Whether each value of the array is followed by a comma or its end, as a parser of the whole would demand. */
static const char *next_item(const char *p, const char *end, bool *ret_more)
{
	p = skip_space(p, end);
	*ret_more = p < end && *p == ',';
	return *ret_more ? skip_space(p + 1, end) : p;
}

static void take_item_text(struct reading *r, struct str item, json_t *head, const char *kind)
{
	struct err e;
	json_t *list = json_array();
	json_t *v = jx_parse(item, MANIFEST_BYTES_MAX, &e);

	if (v) {
		json_array_append_new(list, v);
		json_object_set(head, "items", list);
		take_list(r, head, kind, 0);
		json_object_del(head, "items");
	} else {
		parse_problem(r, &e);
	}
	json_decref(list);
}

/* A long list, item by item: as a whole, a tree of it takes twenty times the text. False: it is to be read as a whole. */
static bool read_long_list(struct reading *r, struct str text)
{
	const char *end = text.ptr + text.len, *items = json_items(text.ptr, end), *stop;
	bool more = true;
	struct err e;

	if (text.len < LONG_LIST_BYTES || !items || !(stop = json_value_end(items, end)))
		return false;
	cleanup(freep) char *rest = xasprintf("%.*s[%.*s", (int)(items - text.ptr), text.ptr, (int)(end - stop + 1), stop - 1);
	cleanup(json_decrefp) json_t *head = jx_parse(str_of(rest), MANIFEST_BYTES_MAX, &e);
	const char *kind = jx_str(head, "kind");
	size_t len = kind ? strlen(kind) : 0;
	if (len < 4 || strcmp(kind + len - 4, "List") != 0 || !jx_str(head, "apiVersion"))
		return false;
	cleanup(freep) char *own_kind = xstrdup(kind);
	unsigned first_line = r->line;
	const char *counted = text.ptr, *p = skip_space(items + 1, stop);
	while (more && *p == '{') {
		const char *item_end = json_value_end(p, stop);
		if (!item_end)
			break;
		first_line += lines_in(counted, p);
		counted = p;
		r->line = first_line;
		take_item_text(r, (struct str){ p, (size_t)(item_end - p) }, head, own_kind);
		p = next_item(item_end, stop, &more);
	}
	if (p != stop - 1) {
		r->line = first_line + lines_in(counted, p);
		problem(r, r->line, true, "an item of the list is no object");
	}
	return true;
}

static void read_json_value(struct reading *r, struct str text)
{
	struct err e;

	if (read_long_list(r, text))
		return;
	cleanup(json_decrefp) json_t *v = jx_parse(text, MANIFEST_BYTES_MAX, &e);
	if (v)
		take_value(r, v, 0);
	else
		parse_problem(r, &e);
}

static void read_json(struct reading *r, struct str text)
{
	const char *p = text.ptr, *end = p + text.len;

	while ((p = skip_space(p, end)) < end) {
		const char *stop = *p == '{' || *p == '[' ? json_value_end(p, end) : NULL;
		r->line = 1 + lines_in(text.ptr, p);
		read_json_value(r, (struct str){ p, (size_t)((stop ? stop : end) - p) });
		if (!stop)
			return; /* nobody knows where another would begin */
		p = stop;
	}
}

/* YAML 1.2, 9.1: a document begins at "---" in the first column, and ends at "...". */
static bool is_marker(struct str line, const char *mark)
{
	return line.len >= 3 && memcmp(line.ptr, mark, 3) == 0 && (line.len == 3 || strchr(" \t\r", line.ptr[3]));
}

static bool says_something(struct str line)
{
	line = str_trim(line);
	return line.len && line.ptr[0] != '#' && line.ptr[0] != '%' && line.ptr[0] != '\r';
}

static void read_document(struct reading *r, struct str text)
{
	const char *first = skip_space(text.ptr, text.ptr + text.len);
	struct err e;

	if (first < text.ptr + text.len && *first == '{') { /* JSON is YAML, and faster to read as what it is */
		cleanup(json_decrefp) json_t *v = jx_parse(text, MANIFEST_BYTES_MAX, &e);
		if (v) {
			take_value(r, v, 0);
			return;
		}
	}
	cleanup(json_decrefp) json_t *v = yaml_to_json(text, MANIFEST_BYTES_MAX, &e);
	if (v)
		take_value(r, v, 0);
	else
		parse_problem(r, &e);
}

static void read_yaml(struct reading *r, struct str text)
{
	struct str rest = text, line;
	const char *start = text.ptr;
	unsigned number = 0, start_line = 1;
	bool said = false;

	while (rest.ptr) {
		line = str_cut(rest, '\n', &rest);
		number++;
		bool begins = is_marker(line, "---"), ends = is_marker(line, "...");
		if (begins || ends) {
			r->line = start_line;
			if (said)
				read_document(r, (struct str){ start, (size_t)(line.ptr - start) });
			start = ends ? (rest.ptr ? rest.ptr : line.ptr + line.len) : line.ptr;
			start_line = ends ? number + 1 : number;
			said = begins && line.len > 3 && says_something((struct str){ line.ptr + 3, line.len - 3 });
		} else {
			said = said || says_something(line);
		}
	}
	r->line = start_line;
	if (said)
		read_document(r, (struct str){ start, (size_t)(text.ptr + text.len - start) });
}

void manifest_read(struct str text, bool is_json, const struct manifest_sink *sink, void *ctx)
{
	struct reading r = { .sink = sink, .ctx = ctx, .line = 1 };
	static const struct str bom = { "\xef\xbb\xbf", 3 };

	if (text.len > MANIFEST_BYTES_MAX) {
		problem(&r, 1, true, "the file is too large");
		return;
	}
	if (str_starts(text, bom))
		text = (struct str){ text.ptr + bom.len, text.len - bom.len };
	if (!text.len)
		return;
	if (is_json)
		read_json(&r, text);
	else
		read_yaml(&r, text);
}
