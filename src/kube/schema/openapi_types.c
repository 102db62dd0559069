/* Types as OpenAPI schemas. 3.0 and 2.0 differ in how they refer to each other. */
#include "kube/schema/openapi_int.h"

void w_separate(struct writer *w)
{
	if (w->comma)
		buf_putc(w->out, ',');
	w->comma = true;
}

void w_key(struct writer *w, const char *name)
{
	w_separate(w);
	buf_put_json(w->out, str_of(name));
	buf_putc(w->out, ':');
	w->comma = false;
}

void w_open(struct writer *w, char bracket)
{
	w_separate(w);
	buf_putc(w->out, bracket);
	w->comma = false;
}

void w_close(struct writer *w, char bracket)
{
	buf_putc(w->out, bracket);
	w->comma = true;
}

void w_string(struct writer *w, const char *s)
{
	w_separate(w);
	buf_put_json(w->out, str_of(s));
}

void w_raw(struct writer *w, const char *json)
{
	w_separate(w);
	buf_puts(w->out, json);
}

void w_member(struct writer *w, const char *name, const char *value)
{
	w_key(w, name);
	w_string(w, value);
}

/* "port,protocol" as a list of strings. */
static void string_list(struct writer *w, const char *name, const char *joined)
{
	w_key(w, name);
	w_open(w, '[');
	for (struct str rest = str_of(joined); rest.ptr;) {
		struct str part = str_cut(rest, ',', &rest);
		w_separate(w);
		buf_put_json(w->out, part);
	}
	w_close(w, ']');
}

/* "core.v1.Service" is io.k8s.api.core.v1.Service to OpenAPI. */
static char *model_name(const struct schema_type *t)
{
	static const struct {
		const char *module, *package;
	} packages[] = {
		{ "meta.v1.", "io.k8s.apimachinery.pkg.apis." },
		{ "apiextensions.v1.", "io.k8s.apiextensions-apiserver.pkg.apis." },
		{ "apiregistration.v1.", "io.k8s.kube-aggregator.pkg.apis." },
	};

	for (size_t i = 0; i < ARRAY_LEN(packages); i++)
		if (strncmp(t->name, packages[i].module, strlen(packages[i].module)) == 0)
			return xasprintf("%s%s", packages[i].package, t->name);
	return xasprintf("io.k8s.api.%s", t->name);
}

void w_reference(struct writer *w, const char *model)
{
	cleanup(freep) char *path = xasprintf(
		"%s%s", w->dialect == V3 ? "#/components/schemas/" : "#/definitions/", model);

	w_member(w, "$ref", path);
}

/* In 3.0 nothing may stand beside a reference, so it hides in an allOf. */
static void type_reference(struct writer *w, const char *model)
{
	if (w->dialect == V2) {
		w_reference(w, model);
		return;
	}
	w_key(w, "allOf");
	w_open(w, '[');
	w_open(w, '{');
	w_reference(w, model);
	w_close(w, '}');
	w_close(w, ']');
}

#define QUANTITY "io.k8s.apimachinery.pkg.api.resource.Quantity"
#define INT_OR_STRING "io.k8s.apimachinery.pkg.util.intstr.IntOrString"

static void type_and_format(struct writer *w, const char *type, const char *format)
{
	w_member(w, "type", type);
	if (format)
		w_member(w, "format", format);
}

/* What one value is, as members of an object that is open. */
static void value_members(struct writer *w, const struct schema_type *owner,
			  const struct schema_field *f)
{
	switch ((enum schema_kind)f->kind) {
	case SK_OBJECT: {
		cleanup(freep) char *model = model_name(f->sub);
		type_reference(w, model);
		break;
	}
	case SK_STRING:
	case SK_DURATION:
		type_and_format(w, "string", NULL);
		break;
	case SK_BOOL:
		type_and_format(w, "boolean", NULL);
		break;
	case SK_I32:
		type_and_format(w, "integer", "int32");
		break;
	case SK_I64:
		type_and_format(w, "integer", "int64");
		break;
	case SK_F64:
		type_and_format(w, "number", "double");
		break;
	case SK_BYTES:
		type_and_format(w, "string", "byte");
		break;
	case SK_TIME:
	case SK_MICRO_TIME:
		type_and_format(w, "string", "date-time");
		break;
	case SK_QUANTITY:
		type_reference(w, QUANTITY);
		break;
	case SK_INT_OR_STRING:
		type_reference(w, INT_OR_STRING);
		break;
	case SK_RAW:
		/* apiextensions' JSON may be anything, the others are objects */
		if (strncmp(owner->name, "apiextensions.", 14) != 0)
			type_and_format(w, "object", NULL);
		break;
	case SK_PROPS_OR_BOOL:
	case SK_PROPS_OR_ARRAY:
	case SK_PROPS_OR_STRINGS:
		break; /* anything */
	}
}

static void enumeration(struct writer *w, const struct schema_field *f)
{
	if (!f->options)
		return;
	w_key(w, "enum");
	w_open(w, '[');
	for (const char *const *o = f->options; *o; o++)
		w_string(w, *o);
	w_close(w, ']');
}

static void list_of_values(struct writer *w, const struct schema_type *owner,
			   const struct schema_field *f)
{
	w_member(w, "type", "array");
	w_key(w, "items");
	w_open(w, '{');
	value_members(w, owner, f);
	enumeration(w, f);
	w_close(w, '}');
}

static void shape_members(struct writer *w, const struct schema_type *owner,
			  const struct schema_field *f)
{
	if (f->shape == SS_ONE) {
		value_members(w, owner, f);
		enumeration(w, f);
	} else if (f->shape == SS_LIST) {
		list_of_values(w, owner, f);
	} else {
		w_member(w, "type", "object");
		w_key(w, "additionalProperties");
		w_open(w, '{');
		if (f->shape == SS_MAP)
			value_members(w, owner, f);
		else
			list_of_values(w, owner, f);
		w_close(w, '}');
	}
}

static void patch_strategy(struct writer *w, const struct schema_field *f)
{
	bool both = (f->patch & SP_MERGE) && (f->patch & SP_RETAIN_KEYS);

	if (f->patch)
		w_member(w, "x-kubernetes-patch-strategy",
		       both		       ? "merge,retainKeys"
		       : f->patch & SP_MERGE   ? "merge"
		       : f->patch & SP_REPLACE ? "replace"
					       : "retainKeys");
	if (f->merge_key)
		w_member(w, "x-kubernetes-patch-merge-key", f->merge_key);
}

static void field(struct writer *w, const struct schema_type *owner, const struct schema_field *f)
{
	static const char *const lists[] = {
		[LT_ATOMIC] = "atomic", [LT_SET] = "set", [LT_MAP] = "map"
	};

	w_key(w, f->name);
	w_open(w, '{');
	shape_members(w, owner, f);
	if (f->dflt && w->dialect == V3) {
		w_key(w, "default");
		w_raw(w, f->dflt);
	}
	if (f->shape == SS_LIST)
		w_member(w, "x-kubernetes-list-type", lists[f->list_type]);
	if (f->list_keys)
		string_list(w, "x-kubernetes-list-map-keys", f->list_keys);
	if (f->map_atomic)
		w_member(w, "x-kubernetes-map-type", "atomic");
	patch_strategy(w, f);
	w_close(w, '}');
}

void w_gvk(struct writer *w, const char *group, const char *version, const char *kind)
{
	w_open(w, '{');
	w_member(w, "group", group);
	w_member(w, "kind", kind);
	w_member(w, "version", version);
	w_close(w, '}');
}

const struct other_kind other_kinds[] = {
	{ "authentication.v1.TokenRequest", "authentication.k8s.io", "v1", "TokenRequest" },
	{ "autoscaling.v1.Scale", "autoscaling", "v1", "Scale" },
	{ "meta.v1.DeleteOptions", "", "v1", "DeleteOptions" },
	{ "meta.v1.Status", "", "v1", "Status" },
	{ "meta.v1.WatchEvent", "", "v1", "WatchEvent" },
	{ "policy.v1.Eviction", "policy", "v1", "Eviction" },
};
const size_t n_other_kinds = ARRAY_LEN(other_kinds);

static void type_kinds(struct writer *w, const struct schema_type *t)
{
	static const char extension[] = "x-kubernetes-group-version-kind";
	size_t len = strlen(t->name);

	for (size_t i = 0; i < n_other_kinds; i++)
		if (c_eq(other_kinds[i].type, t->name)) {
			w_key(w, extension);
			w_open(w, '[');
			w_gvk(w, other_kinds[i].group, other_kinds[i].version, other_kinds[i].kind);
			w_close(w, ']');
		}
	for (const struct resource *r = resources; r < resources + n_resources; r++) {
		size_t base = strlen(r->type->name);
		bool list = len == base + 4 && strcmp(t->name + base, "List") == 0 &&
			    strncmp(t->name, r->type->name, base) == 0;

		if (r->type != t && !list)
			continue;
		cleanup(freep) char *kind = xasprintf("%s%s", r->kind, list ? "List" : "");
		w_key(w, extension);
		w_open(w, '[');
		w_gvk(w, r->group, r->version, kind);
		w_close(w, ']');
		return;
	}
}

static void type_required(struct writer *w, const struct schema_type *t)
{
	bool any = false;

	for (size_t i = 0; i < t->n_fields; i++) {
		if (!t->fields[i].required)
			continue;
		if (!any) {
			w_key(w, "required");
			w_open(w, '[');
			any = true;
		}
		w_string(w, t->fields[i].name);
	}
	if (any)
		w_close(w, ']');
}

static void type(struct writer *w, const struct schema_type *t)
{
	cleanup(freep) char *model = model_name(t);

	w_key(w, model);
	w_open(w, '{');
	w_member(w, "type", "object");
	if (t->n_fields) {
		w_key(w, "properties");
		w_open(w, '{');
		for (size_t i = 0; i < t->n_fields; i++)
			field(w, t, &t->fields[i]);
		w_close(w, '}');
	}
	type_required(w, t);
	type_kinds(w, t);
	w_close(w, '}');
}

/* The named types that are no structs of ours. */
static void scalar_types(struct writer *w)
{
	bool v3 = w->dialect == V3;

	w_key(w, QUANTITY);
	w_raw(w, v3 ? "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}"
		  : "{\"type\":\"string\"}");
	w_key(w, INT_OR_STRING);
	w_raw(w,
	    v3 ? "{\"format\":\"int-or-string\",\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}"
	       : "{\"format\":\"int-or-string\",\"type\":\"string\"}");
	w_key(w, OPENAPI_PATCH_MODEL);
	w_raw(w, "{\"type\":\"object\"}");
}

void openapi_types(struct writer *w, const bool *used)
{
	w_open(w, '{');
	for (size_t i = 0; i < n_schema_types; i++)
		if (used[i])
			type(w, schema_types[i]);
	scalar_types(w);
	w_close(w, '}');
}
