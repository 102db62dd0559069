/* Request bodies to objects. Order and texts as k8s.io/apiserver's create and update handlers: find
 * apiVersion and kind, decode as that kind, then see whether it is the kind that was wanted. */
#include "kube/schema/decode_int.h"

#include "base/limits.h"
#include "codec/json_scan.h"

#include <stdio.h>

int body_format_of(struct str content_type, enum body_format *ret_format)
{
	static const struct {
		const char *type;
		enum body_format format;
	} types[] = {
		{ "application/json", BODY_JSON },
		{ "application/yaml", BODY_YAML },
		{ "application/vnd.kubernetes.protobuf", BODY_PROTOBUF },
	};
	struct str rest, type = str_trim(str_cut(content_type, ';', &rest));

	*ret_format = BODY_JSON;
	if (!content_type.len)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_ieq(type, str_of(types[i].type))) {
			*ret_format = types[i].format;
			return 0;
		}
	return -1;
}

#define SUMMARY_BYTES 30 /* how much of a body an error message shows */

static int not_recognised(const char *kind, struct str body, struct err *e)
{
	struct buf shown;

	buf_init(&shown, SUMMARY_BYTES * 2 + 8);
	for (size_t i = 0; i < MIN(body.len, SUMMARY_BYTES); i++) {
		if (body.ptr[0] == '{')
			buf_putc(&shown, body.ptr[i]);
		else
			buf_printf(&shown, "%02x", (unsigned char)body.ptr[i]);
	}
	buf_puts(&shown, !body.len ? "<empty>" : body.len > SUMMARY_BYTES ? " ..." : "");
	char why[ERR_MESSAGE_BYTES];
	snprintf(why, sizeof(why), "%s", e->message);
	err_set(e, ERR_BAD_REQUEST,
		"the object provided is unrecognized (must be of type %s): %s (%s)", kind, why,
		buf_str(&shown).ptr);
	buf_done(&shown);
	return -1;
}

static json_t *parse_json(struct str body, struct err *e)
{
	json_t *v = jx_parse(body, LIMIT_REQUEST_BODY_BYTES, e);

	if (!v && e->reason == ERR_BAD_REQUEST) {
		/* jansson also refuses what Go takes (numbers past 64 bits, text that is no UTF-8):
		 * then its words stay. */
		struct err go = { 0 };
		if (json_scan(body, &go) < 0)
			*e = go;
	}
	return v;
}

/* Body to tree, and the text that duplicate members are looked for in. */
static json_t *parse_body(enum body_format format, struct str body, json_t **ret_yaml_duplicates,
			  struct err *e)
{
	*ret_yaml_duplicates = NULL;
	switch (format) {
	case BODY_JSON:
		return parse_json(body, e);
	case BODY_YAML:
		return yaml_parse(body, LIMIT_REQUEST_BODY_BYTES, ret_yaml_duplicates, e);
	case BODY_PROTOBUF:
		return protobuf_decode(body, e);
	}
	return NULL;
}

struct gvk {
	struct str group, version, kind;
};

static int bad_meta(const char *field, const json_t *v, struct err *e)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "object", [JSON_ARRAY] = "array", [JSON_INTEGER] = "number",
		[JSON_REAL] = "number",	  [JSON_TRUE] = "bool",	  [JSON_FALSE] = "bool",
		[JSON_STRING] = "string"
	};
	const char *kind = names[json_typeof(v)];

	if (!field)
		return err_set(
			e, ERR_BAD_REQUEST,
			"json: cannot unmarshal %s into Go value of type struct { APIVersion string "
			"\"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
			kind);
	return err_set(e, ERR_BAD_REQUEST,
		       "json: cannot unmarshal %s into Go struct field .%s of type string", kind,
		       field);
}

/* Strings borrowed from `v`; empty when not said. */
static int read_gvk(const json_t *v, struct gvk *ret_gvk, struct err *e)
{
	const json_t *api_version = json_object_get(v, "apiVersion"),
		     *kind = json_object_get(v, "kind");
	bool bad_version =
		api_version && !json_is_string(api_version) && !json_is_null(api_version);

	if (!json_is_object(v) || bad_version ||
	    (kind && !json_is_string(kind) && !json_is_null(kind))) {
		bad_meta(!json_is_object(v) ? NULL
			 : bad_version	    ? "apiVersion"
					    : "kind",
			 !json_is_object(v) ? v
			 : bad_version	    ? api_version
					    : kind,
			 e);
		return err_wrap(e, "couldn't get version/kind; json parse error");
	}
	struct str text = str_of(json_string_value(api_version)), version,
		   group = str_cut(text, '/', &version);
	if (version.ptr && memchr(version.ptr, '/', version.len))
		return err_set(e, ERR_BAD_REQUEST, "unexpected GroupVersion string: " STR_FMT,
			       STR_ARG(text));
	*ret_gvk = version.ptr ? (struct gvk){ group, version, STR_NONE }
			       : (struct gvk){ STR_NONE, group, STR_NONE };
	ret_gvk->kind = str_of(json_string_value(kind));
	return 0;
}

/* What the body does not say is what the request is about. */
static void gvk_fill(struct gvk *g, const struct resource *r)
{
	if (!g->kind.len)
		g->kind = str_of(r->kind);
	if (!g->version.len && !g->group.len)
		g->group = str_of(r->group);
	if (!g->version.len)
		g->version = str_of(r->version);
}

static struct str first_label(const char *group)
{
	struct str rest, label = str_cut(str_of(group[0] ? group : "core"), '.', &rest);

	return label;
}

/* Is it the kind that the request wants? Another version of the same kind is told from another
 * kind. */
static int check_gvk(const struct resource *r, const struct gvk *g, struct err *e)
{
	const struct resource *actual = resource_find_kind(g->group, g->version, g->kind);
	struct str internal = first_label(r->group);

	if (actual == r)
		return 0;
	if (!actual)
		return err_set(e, ERR_BAD_REQUEST,
			       "no kind \"" STR_FMT "\" is registered for version \"" STR_FMT
			       "%s" STR_FMT "\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
			       STR_ARG(g->kind), STR_ARG(g->group), g->group.len ? "/" : "",
			       STR_ARG(g->version));
	if (c_eq(actual->kind, r->kind) && c_eq(actual->group, r->group))
		return err_set(e, ERR_CONFLICT, "other version");
	return err_set(e, ERR_BAD_REQUEST,
		       "converting (%s.%s) to (" STR_FMT ".%s): unknown conversion",
		       actual->version, actual->kind, STR_ARG(internal), r->kind);
}

static int cannot_be_handled(const struct resource *r, const struct gvk *g, struct err *e)
{
	return err_wrap(e, STR_FMT " in version \"" STR_FMT "\" cannot be handled as a %s",
			STR_ARG(g->kind), STR_ARG(g->version), r->kind);
}

static void warn_yaml_duplicates(struct walk *w, json_t *duplicates)
{
	if (w->fv != FV_IGNORE && duplicates)
		w->warnings = json_incref(duplicates);
	json_decref(duplicates);
}

/* Checks the tree, and the text for what the tree has lost. */
static int walk_body(struct walk *w, const struct schema_type *t, enum body_format format,
		     struct str body, json_t *v)
{
	if (w->fv != FV_IGNORE && format == BODY_JSON &&
	    json_text_members(body) > json_tree_members(v))
		walk_duplicates(w, t, body);
	if (walk_object(w, t, v, NULL, 0) < 0) {
		json_decref(w->warnings);
		return -1;
	}
	return 0;
}

json_t *object_decode(const struct resource *r, enum body_format format, struct str body,
		      enum field_validation fv, json_t **ret_warnings, struct err *e)
{
	json_t *yaml_duplicates;
	cleanup(json_decrefp) json_t *v = parse_body(format, body, &yaml_duplicates, e);
	struct walk w = { .fv = fv, .e = e };
	struct gvk g;

	warn_yaml_duplicates(&w, yaml_duplicates);
	if (!v && e->reason == ERR_BAD_REQUEST && format == BODY_JSON)
		err_wrap(e, "couldn't get version/kind; json parse error");
	if (json_is_null(v)) {
		json_decref(v);
		v = json_object();
	}
	if (!v || read_gvk(v, &g, e) < 0) {
		json_decref(w.warnings);
		if (e->reason == ERR_BAD_REQUEST)
			not_recognised(r->kind, body, e);
		return NULL;
	}
	gvk_fill(&g, r);
	const struct resource *actual = resource_find_kind(g.group, g.version, g.kind);
	if (actual && walk_body(&w, actual->type, format, body, v) < 0) {
		cannot_be_handled(r, &g, e);
		return NULL;
	}
	if (check_gvk(r, &g, e) < 0) {
		json_decref(w.warnings);
		if (e->reason == ERR_CONFLICT)
			err_set(e, ERR_BAD_REQUEST,
				"the API version in the data (" STR_FMT "%s" STR_FMT
				") does not match the expected API version (%s%s%s)",
				STR_ARG(g.group), g.group.len ? "/" : "", STR_ARG(g.version),
				r->group, r->group[0] ? "/" : "", r->version);
		else
			cannot_be_handled(r, &g, e);
		return NULL;
	}
	if (walk_finish(&w, ret_warnings) < 0) {
		cannot_be_handled(r, &g, e);
		return NULL;
	}
	char *api_version = resource_api_version(r);
	jx_set_str(v, "apiVersion", api_version);
	jx_set_str(v, "kind", r->kind);
	free(api_version);
	return TAKE_PTR(v);
}

int object_check_types(const struct resource *r, json_t *obj, enum field_validation fv,
		       json_t **ret_warnings, struct err *e)
{
	struct walk w = { .fv = fv, .e = e };

	if (walk_object(&w, r->type, obj, NULL, 0) < 0) {
		json_decref(w.warnings);
		return -1;
	}
	return walk_finish(&w, ret_warnings);
}

int object_check_type(const struct schema_type *t, json_t *obj, struct err *e)
{
	struct walk w = { .fv = FV_IGNORE, .e = e };

	return walk_object(&w, t, obj, NULL, 0);
}

json_t *object_decode_type(const struct schema_type *t, enum body_format format, struct str body,
			   struct err *e)
{
	json_t *duplicates;
	cleanup(json_decrefp) json_t *v = parse_body(format, body, &duplicates, e);
	struct walk w = { .fv = FV_IGNORE, .e = e };
	const char *dot = strrchr(t->name, '.');

	json_decref(duplicates);
	if (v && !json_is_object(v))
		err_set(e, ERR_BAD_REQUEST, "json: cannot unmarshal %s into Go value of type v1.%s",
			json_is_array(v) ? "array" : "value", dot ? dot + 1 : t->name);
	if (!json_is_object(v)) {
		if (e->reason == ERR_BAD_REQUEST)
			not_recognised(dot ? dot + 1 : t->name, body, e);
		return NULL;
	}
	return walk_object(&w, t, v, NULL, 0) < 0 ? NULL : TAKE_PTR(v);
}
