/* YAML 1.1 to JSON as sigs.k8s.io/yaml (go-yaml v2) reads it: "yes" is true, 0x10 is 16, "<<"
 * merges. */
#include "kube/schema/decode_int.h"

#include "base/limits.h"
#include "base/map.h"
#include "codec/base64.h"
#include "codec/json_scan.h"

#include <errno.h>
#include <math.h>
#include <yaml.h>

/* Aliases copy what they name, so a short text can ask for more than any memory holds ("billion
 * laughs"). A text without aliases costs at most twice its length; this much may come on top. */
#define YAML_ALIAS_BYTES (1u << 20)
#define YAML_DOCUMENTS_MAX                                                                         \
	10000 /* kubectl splits files itself; ours are configuration and manifests */

struct reader {
	yaml_parser_t parser;
	yaml_event_t event;
	struct map anchors; /* name → json_t, one reference each; &open while it is being read */
	size_t budget;
	struct buf duplicates;
	struct err *e;
};
static json_t *const open_anchor = (json_t *)"";

static int next_event(struct reader *r)
{
	yaml_event_delete(&r->event);
	if (yaml_parser_parse(&r->parser, &r->event))
		return 0;
	const yaml_parser_t *p = &r->parser;
	size_t line = p->problem_mark.line ? p->problem_mark.line + (p->error == YAML_SCANNER_ERROR)
					   : p->context_mark.line;
	const char *problem = p->problem ? p->problem : "unknown problem parsing YAML content";
	if (line)
		return err_set(r->e, ERR_BAD_REQUEST, "yaml: line %zu: %s", line, problem);
	return err_set(r->e, ERR_BAD_REQUEST, "yaml: %s", problem);
}

static int spend(struct reader *r, size_t bytes)
{
	if (bytes >= r->budget)
		return err_set(r->e, ERR_BAD_REQUEST, "yaml: document contains excessive aliasing");
	r->budget -= bytes + 1;
	return 0;
}

static void anchor_set(struct reader *r, const yaml_char_t *name, json_t *v)
{
	if (!name)
		return;
	json_t *old =
		map_put_c(&r->anchors, (const char *)name, v == open_anchor ? v : json_incref(v));
	if (old && old != open_anchor)
		json_decref(old);
}

static void anchor_free(void *v)
{
	if (v != open_anchor)
		json_decref(v);
}

/* A copy that is paid for. Trees are no deeper than what was read. */
static json_t *copy(struct reader *r, const json_t *v)
{
	json_t *out = NULL, *value, *member;
	const char *key;
	size_t i;

	if (spend(r, json_is_string(v) ? json_string_length(v) : 0) < 0)
		return NULL;
	if (json_is_object(v)) {
		out = json_object();
		json_object_foreach((json_t *)v, key, value)
		{
			if (spend(r, strlen(key)) < 0 || !(member = copy(r, value)))
				return json_decref(out), NULL;
			json_object_set_new(out, key, member);
		}
		return out;
	}
	if (!json_is_array(v))
		return json_copy((json_t *)v);
	out = json_array();
	json_array_foreach((json_t *)v, i, value)
	{
		if (!(member = copy(r, value)))
			return json_decref(out), NULL;
		json_array_append_new(out, member);
	}
	return out;
}

static bool one_of(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(s, *words) == 0)
			return true;
	return false;
}

/* The digits of an integer in Go's syntax (base 0): 0x, 0o, 0b, and a leading 0 for octal. */
static bool parse_integer(const char *s, bool *ret_negative, uint64_t *ret_n)
{
	int base = 10;
	char *end;

	*ret_negative = *s == '-';
	if (*s == '-' || *s == '+')
		s++;
	if (s[0] == '0' && s[1]) {
		char mark = (char)(s[1] | 0x20);
		base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
		s += mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1;
	}
	if (!strchr("0123456789abcdefABCDEF", *s) || !*s)
		return false;
	errno = 0;
	*ret_n = strtoull(s, &end, base);
	return !*end && errno == 0;
}

/* ^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$ */
static bool is_float(const char *s)
{
	s += *s == '-' || *s == '+';
	size_t whole = strspn(s, "0123456789"), fraction = 0;
	s += whole;
	if (*s == '.') {
		fraction = strspn(++s, "0123456789");
		s += fraction;
	}
	if (!whole && !fraction)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		size_t digits = strspn(s, "0123456789");
		if (!digits)
			return false;
		s += digits;
	}
	return !*s;
}

/* Encoded as Go would: without a fraction when there is none. */
static json_t *float_value(double d)
{
	if (d == floor(d) && fabs(d) < 9e18)
		return json_integer((json_int_t)d);
	return json_real(d);
}

static json_t *number_value(const char *text)
{
	char plain[128], *to = plain;
	bool negative;
	uint64_t n;

	if (strlen(text) >= sizeof(plain))
		return NULL;
	for (const char *p = text; *p; p++)
		if (*p != '_')
			*to++ = *p;
	*to = '\0';
	if (parse_integer(plain, &negative, &n)) {
		if (n <= INT64_MAX || (negative && n == (uint64_t)INT64_MAX + 1))
			return json_integer(negative ? (json_int_t)(0 - n) : (json_int_t)n);
		return float_value(negative ? -(double)n : (double)n);
	}
	return is_float(plain) ? float_value(strtod(plain, NULL)) : NULL;
}

/* What a plain scalar means. NULL: a string. */
static json_t *resolve(const char *s)
{
	static const char *const truths[] = { "y",    "Y",    "yes", "Yes", "YES", "true",
					      "True", "TRUE", "on",  "On",  "ON",  NULL };
	static const char *const lies[] = { "n",     "N",     "no",  "No",  "NO",  "false",
					    "False", "FALSE", "off", "Off", "OFF", NULL };
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };

	if (one_of(s, nulls))
		return json_null();
	if (one_of(s, truths))
		return json_true();
	if (one_of(s, lies))
		return json_false();
	return strchr("+-.0123456789", *s) ? number_value(s) : NULL;
}

static json_t *binary_value(struct reader *r, const char *text, size_t len)
{
	struct buf b;
	size_t bad_at;

	buf_init(&b, len + 1);
	if (base64_decode((struct str){ text, len }, &b, &bad_at) < 0) {
		buf_done(&b);
		err_set(r->e, ERR_BAD_REQUEST, "yaml: !!binary value contains invalid base64 data");
		return NULL;
	}
	json_t *v = json_stringn(b.ptr ? b.ptr : "", b.len);
	buf_done(&b);
	if (!v)
		err_set(r->e, ERR_BAD_REQUEST, "yaml: !!binary value is no UTF-8 text");
	return v;
}

static json_t *scalar_value(struct reader *r)
{
	static const char str_tag[] = "tag:yaml.org,2002:str",
			  binary_tag[] = "tag:yaml.org,2002:binary";
	static const char *const no_numbers[] = { ".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",
						  ".INF",  "+.inf", "+.Inf", "+.INF", "-.inf",
						  "-.Inf", "-.INF", NULL };
	const char *text = (const char *)r->event.data.scalar.value,
		   *tag = (const char *)r->event.data.scalar.tag;
	size_t len = r->event.data.scalar.length;

	if (spend(r, len) < 0)
		return NULL;
	if (c_eq(tag, binary_tag))
		return binary_value(r, text, len);
	bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !tag &&
		     strlen(text) == len;
	bool core = tag && strncmp(tag, "tag:yaml.org,2002:", 18) == 0 && !c_eq(tag, str_tag);
	json_t *v = plain || core ? resolve(text) : NULL;
	if (!v && plain && one_of(text, no_numbers)) {
		err_set(r->e, ERR_BAD_REQUEST, "json: unsupported value: %s",
			strchr(text, 'n') || strchr(text, 'N') ? "NaN" : "Inf");
		return NULL;
	}
	if (!v && !(v = json_stringn(text, len)))
		err_set(r->e, ERR_BAD_REQUEST, "yaml: invalid UTF-8 in a scalar");
	return v;
}

static json_t *read_node(struct reader *r, unsigned depth);

/* A mapping's key as text, on the heap. *ret_merge: it is a plain "<<". */
static char *read_key(struct reader *r, unsigned depth, bool *ret_merge)
{
	const char *text = (const char *)r->event.data.scalar.value;

	*ret_merge = r->event.type == YAML_SCALAR_EVENT &&
		     r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		     strcmp(text, "<<") == 0;
	cleanup(json_decrefp) json_t *v = read_node(r, depth);
	if (json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v))
		return xstrdup(json_string_value(v));
	if (json_is_boolean(v))
		return xstrdup(json_is_true(v) ? "true" : "false");
	if (json_is_integer(v))
		return xasprintf("%lld", (long long)json_integer_value(v));
	if (json_is_real(v))
		return xasprintf("%.9g", json_real_value(v));
	if (v)
		err_set(r->e, ERR_BAD_REQUEST, "yaml: invalid map key");
	return NULL;
}

static int merge(struct reader *r, json_t *into, json_t *from)
{
	if (json_is_object(from)) {
		json_object_update(into, from);
		return 0;
	}
	/* Earlier maps of a list win. */
	for (size_t i = json_array_size(from); json_is_array(from) && i-- > 0;)
		if (!json_is_object(json_array_get(from, i)))
			return err_set(
				r->e, ERR_BAD_REQUEST,
				"yaml: map merge requires map or sequence of maps as the value");
		else
			json_object_update(into, json_array_get(from, i));
	return json_is_array(from)
		       ? 0
		       : err_set(r->e, ERR_BAD_REQUEST,
				 "yaml: map merge requires map or sequence of maps as the value");
}

static int read_member(struct reader *r, json_t *map, unsigned depth)
{
	bool is_merge;
	cleanup(freep) char *key = read_key(r, depth, &is_merge);

	if (!key || next_event(r) < 0)
		return -1;
	size_t line = r->event.start_mark.line + 1;
	cleanup(json_decrefp) json_t *v = read_node(r, depth);
	if (!v)
		return -1;
	if (is_merge)
		return merge(r, map, v);
	if (json_object_get(map, key)) {
		buf_printf(&r->duplicates, "\n  line %zu: key ", line);
		go_quote(&r->duplicates, str_of(key));
		buf_puts(&r->duplicates, " already set in map");
	}
	if (json_object_set(map, key, v) < 0)
		return err_set(r->e, ERR_BAD_REQUEST, "yaml: invalid UTF-8 in a key");
	return 0;
}

static json_t *read_mapping(struct reader *r, unsigned depth)
{
	cleanup(json_decrefp) json_t *map = json_object();

	for (;;) {
		if (next_event(r) < 0)
			return NULL;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			return TAKE_PTR(map);
		if (read_member(r, map, depth) < 0)
			return NULL;
	}
}

static json_t *read_sequence(struct reader *r, unsigned depth)
{
	cleanup(json_decrefp) json_t *list = json_array();

	for (;;) {
		if (next_event(r) < 0)
			return NULL;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			return TAKE_PTR(list);
		json_t *item = read_node(r, depth);
		if (!item)
			return NULL;
		json_array_append_new(list, item);
	}
}

static json_t *read_alias(struct reader *r)
{
	const char *name = (const char *)r->event.data.alias.anchor;
	json_t *v = map_get_c(&r->anchors, name);

	if (!v)
		err_set(r->e, ERR_BAD_REQUEST, "yaml: unknown anchor '%s' referenced", name);
	else if (v == open_anchor)
		err_set(r->e, ERR_BAD_REQUEST, "yaml: anchor '%s' value contains itself", name);
	return v && v != open_anchor ? copy(r, v) : NULL;
}

static json_t *read_collection(struct reader *r, unsigned depth)
{
	bool mapping = r->event.type == YAML_MAPPING_START_EVENT;
	const yaml_char_t *anchor =
		mapping ? r->event.data.mapping_start.anchor : r->event.data.sequence_start.anchor;
	cleanup(freep) char *name = xstrdup((const char *)anchor);

	if (spend(r, 0) < 0)
		return NULL;
	if (depth >= LIMIT_JSON_DEPTH) {
		err_set(r->e, ERR_BAD_REQUEST, "yaml: exceeded max depth of %d", LIMIT_JSON_DEPTH);
		return NULL;
	}
	anchor_set(r, (const yaml_char_t *)name, open_anchor);
	json_t *v = mapping ? read_mapping(r, depth + 1) : read_sequence(r, depth + 1);
	if (v)
		anchor_set(r, (const yaml_char_t *)name, v);
	return v;
}

/* Of the event at hand. */
static json_t *read_node(struct reader *r, unsigned depth)
{
	json_t *v;

	switch (r->event.type) {
	case YAML_ALIAS_EVENT:
		return read_alias(r);
	case YAML_SCALAR_EVENT:
		v = scalar_value(r);
		if (v)
			anchor_set(r, r->event.data.scalar.anchor, v);
		return v;
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		return read_collection(r, depth);
	default:
		err_set(r->e, ERR_BAD_REQUEST, "yaml: unexpected end of a document");
		return NULL;
	}
}

/* The next document; NULL at the end of the text (no error) or on an error (*ret_failed). */
static json_t *read_document(struct reader *r, bool *ret_failed)
{
	*ret_failed = true;
	do {
		if (next_event(r) < 0)
			return NULL;
	} while (r->event.type == YAML_STREAM_START_EVENT ||
		 r->event.type == YAML_DOCUMENT_END_EVENT);
	if (r->event.type == YAML_STREAM_END_EVENT) {
		*ret_failed = false;
		return NULL;
	}
	map_done(&r->anchors, anchor_free);
	map_init(&r->anchors);
	json_t *v = next_event(r) < 0 ? NULL : read_node(r, 0);
	*ret_failed = !v;
	return v;
}

static int reader_init(struct reader *r, struct str text, size_t max_bytes, struct err *e)
{
	*r = (struct reader){ .e = e, .budget = text.len * 2 + YAML_ALIAS_BYTES };
	if (text.len > max_bytes)
		return err_set(e, ERR_TOO_LARGE, "YAML text of %zu bytes is larger than %zu",
			       text.len, max_bytes);
	if (!yaml_parser_initialize(&r->parser))
		abort();
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
				     text.len);
	map_init(&r->anchors);
	buf_init(&r->duplicates, ERR_MESSAGE_BYTES);
	return 0;
}

static void reader_done(struct reader *r)
{
	yaml_event_delete(&r->event);
	yaml_parser_delete(&r->parser);
	map_done(&r->anchors, anchor_free);
	buf_done(&r->duplicates);
}

json_t *yaml_parse(struct str text, size_t max_bytes, json_t **ret_duplicates, struct err *e)
{
	struct reader r;
	bool failed;

	if (reader_init(&r, text, max_bytes, e) < 0)
		return NULL;
	json_t *v = read_document(&r, &failed);
	if (!v && !failed)
		v = json_null();
	if (v && ret_duplicates && r.duplicates.len)
		*ret_duplicates = json_pack("[s+]", "yaml: unmarshal errors:", r.duplicates.ptr);
	reader_done(&r);
	return v;
}

json_t *yaml_to_json(struct str text, size_t max_bytes, struct err *e)
{
	return yaml_parse(text, max_bytes, NULL, e);
}

json_t *yaml_documents(struct str text, size_t max_bytes, struct err *e)
{
	struct reader r;
	bool failed = false;

	if (reader_init(&r, text, max_bytes, e) < 0)
		return NULL;
	json_t *all = json_array(), *v;
	while ((v = read_document(&r, &failed))) {
		if (json_array_size(all) >= YAML_DOCUMENTS_MAX) {
			json_decref(v);
			failed = true;
			err_set(e, ERR_BAD_REQUEST, "more than %d YAML documents",
				YAML_DOCUMENTS_MAX);
			break;
		}
		json_array_append_new(all, v);
	}
	reader_done(&r);
	if (!failed)
		return all;
	json_decref(all);
	return NULL;
}
