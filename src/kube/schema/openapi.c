/* Only what kubectl reads is said: the types, and per resource one PATCH operation, from which it learns whether the
 * server validates fields and takes strategic merge patches. OpenAPI 3.0 and 2.0 differ little at this depth. */
#include "kube/schema/openapi.h"

#include "kube/schema/openapi_int.h"

enum dialect { V3, V2 };
struct writer {
	struct buf *out;
	enum dialect dialect;
	bool comma; /* something stands before in this object or list */
};

static void separate(struct writer *w)
{
	if (w->comma)
		buf_putc(w->out, ',');
	w->comma = true;
}

static void key(struct writer *w, const char *name)
{
	separate(w);
	buf_put_json(w->out, str_of(name));
	buf_putc(w->out, ':');
	w->comma = false;
}

static void open(struct writer *w, char bracket)
{
	separate(w);
	buf_putc(w->out, bracket);
	w->comma = false;
}

static void close(struct writer *w, char bracket)
{
	buf_putc(w->out, bracket);
	w->comma = true;
}

static void string(struct writer *w, const char *s)
{
	separate(w);
	buf_put_json(w->out, str_of(s));
}

/* JSON text as it is. */
static void raw(struct writer *w, const char *json)
{
	separate(w);
	buf_puts(w->out, json);
}

static void member(struct writer *w, const char *name, const char *value)
{
	key(w, name);
	string(w, value);
}

/* "port,protocol" as a list of strings. */
static void string_list(struct writer *w, const char *name, const char *joined)
{
	key(w, name);
	open(w, '[');
	for (struct str rest = str_of(joined); rest.ptr;) {
		struct str part = str_cut(rest, ',', &rest);
		separate(w);
		buf_put_json(w->out, part);
	}
	close(w, ']');
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

static void reference(struct writer *w, const char *model)
{
	cleanup(freep) char *path = xasprintf("%s%s", w->dialect == V3 ? "#/components/schemas/" : "#/definitions/", model);

	member(w, "$ref", path);
}

/* In 3.0 nothing may stand beside a reference, so it hides in an allOf. */
static void type_reference(struct writer *w, const char *model)
{
	if (w->dialect == V2) {
		reference(w, model);
		return;
	}
	key(w, "allOf");
	open(w, '[');
	open(w, '{');
	reference(w, model);
	close(w, '}');
	close(w, ']');
}

#define QUANTITY "io.k8s.apimachinery.pkg.api.resource.Quantity"
#define INT_OR_STRING "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
#define PATCH "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"

static void type_and_format(struct writer *w, const char *type, const char *format)
{
	member(w, "type", type);
	if (format)
		member(w, "format", format);
}

/* What one value is, as members of an object that is open. */
static void value_members(struct writer *w, const struct schema_type *owner, const struct schema_field *f)
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
	key(w, "enum");
	open(w, '[');
	for (const char *const *o = f->options; *o; o++)
		string(w, *o);
	close(w, ']');
}

static void list_of_values(struct writer *w, const struct schema_type *owner, const struct schema_field *f)
{
	member(w, "type", "array");
	key(w, "items");
	open(w, '{');
	value_members(w, owner, f);
	enumeration(w, f);
	close(w, '}');
}

static void shape_members(struct writer *w, const struct schema_type *owner, const struct schema_field *f)
{
	if (f->shape == SS_ONE) {
		value_members(w, owner, f);
		enumeration(w, f);
	} else if (f->shape == SS_LIST) {
		list_of_values(w, owner, f);
	} else {
		member(w, "type", "object");
		key(w, "additionalProperties");
		open(w, '{');
		if (f->shape == SS_MAP)
			value_members(w, owner, f);
		else
			list_of_values(w, owner, f);
		close(w, '}');
	}
}

static void patch_strategy(struct writer *w, const struct schema_field *f)
{
	bool both = (f->patch & SP_MERGE) && (f->patch & SP_RETAIN_KEYS);

	if (f->patch)
		member(w, "x-kubernetes-patch-strategy", both			 ? "merge,retainKeys"
							 : f->patch & SP_MERGE	 ? "merge"
							 : f->patch & SP_REPLACE ? "replace"
										 : "retainKeys");
	if (f->merge_key)
		member(w, "x-kubernetes-patch-merge-key", f->merge_key);
}

static void field(struct writer *w, const struct schema_type *owner, const struct schema_field *f)
{
	static const char *const lists[] = { [LT_ATOMIC] = "atomic", [LT_SET] = "set", [LT_MAP] = "map" };

	key(w, f->name);
	open(w, '{');
	shape_members(w, owner, f);
	if (f->dflt && w->dialect == V3) {
		key(w, "default");
		raw(w, f->dflt);
	}
	if (f->shape == SS_LIST)
		member(w, "x-kubernetes-list-type", lists[f->list_type]);
	if (f->list_keys)
		string_list(w, "x-kubernetes-list-map-keys", f->list_keys);
	if (f->map_atomic)
		member(w, "x-kubernetes-map-type", "atomic");
	patch_strategy(w, f);
	close(w, '}');
}

static void gvk(struct writer *w, const char *group, const char *version, const char *kind)
{
	open(w, '{');
	member(w, "group", group);
	member(w, "kind", kind);
	member(w, "version", version);
	close(w, '}');
}

/* Types that are kinds, but no resource of their own or a list of one. */
static const struct {
	const char *type, *group, *version, *kind;
} other_kinds[] = {
	{ "authentication.v1.TokenRequest", "authentication.k8s.io", "v1", "TokenRequest" },
	{ "autoscaling.v1.Scale", "autoscaling", "v1", "Scale" },
	{ "meta.v1.DeleteOptions", "", "v1", "DeleteOptions" },
	{ "meta.v1.Status", "", "v1", "Status" },
	{ "meta.v1.WatchEvent", "", "v1", "WatchEvent" },
	{ "policy.v1.Eviction", "policy", "v1", "Eviction" },
};

static void type_kinds(struct writer *w, const struct schema_type *t)
{
	static const char extension[] = "x-kubernetes-group-version-kind";
	size_t len = strlen(t->name);

	for (size_t i = 0; i < ARRAY_LEN(other_kinds); i++)
		if (c_eq(other_kinds[i].type, t->name)) {
			key(w, extension);
			open(w, '[');
			gvk(w, other_kinds[i].group, other_kinds[i].version, other_kinds[i].kind);
			close(w, ']');
		}
	for (const struct resource *r = resources; r < resources + n_resources; r++) {
		size_t base = strlen(r->type->name);
		bool list = len == base + 4 && strcmp(t->name + base, "List") == 0 && strncmp(t->name, r->type->name, base) == 0;

		if (r->type != t && !list)
			continue;
		cleanup(freep) char *kind = xasprintf("%s%s", r->kind, list ? "List" : "");
		key(w, extension);
		open(w, '[');
		gvk(w, r->group, r->version, kind);
		close(w, ']');
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
			key(w, "required");
			open(w, '[');
			any = true;
		}
		string(w, t->fields[i].name);
	}
	if (any)
		close(w, ']');
}

static void type(struct writer *w, const struct schema_type *t)
{
	cleanup(freep) char *model = model_name(t);

	key(w, model);
	open(w, '{');
	member(w, "type", "object");
	if (t->n_fields) {
		key(w, "properties");
		open(w, '{');
		for (size_t i = 0; i < t->n_fields; i++)
			field(w, t, &t->fields[i]);
		close(w, '}');
	}
	type_required(w, t);
	type_kinds(w, t);
	close(w, '}');
}

/* The named types that are no structs of ours. */
static void scalar_types(struct writer *w)
{
	bool v3 = w->dialect == V3;

	key(w, QUANTITY);
	raw(w, v3 ? "{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}" : "{\"type\":\"string\"}");
	key(w, INT_OR_STRING);
	raw(w, v3 ? "{\"format\":\"int-or-string\",\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}"
		  : "{\"format\":\"int-or-string\",\"type\":\"string\"}");
	key(w, PATCH);
	raw(w, "{\"type\":\"object\"}");
}

/* ---- paths ---- */

static const char *const patch_types[] = { "application/apply-patch+yaml", "application/json-patch+json",
					   "application/merge-patch+json", "application/strategic-merge-patch+json" };
static const char *const parameters[][2] = {
	{ "pretty", "string" }, { "dryRun", "string" }, { "fieldManager", "string" }, { "fieldValidation", "string" }, { "force", "boolean" },
};

static void operation_parameters(struct writer *w)
{
	key(w, "parameters");
	open(w, '[');
	for (size_t i = 0; i < ARRAY_LEN(parameters); i++) {
		open(w, '{');
		member(w, "in", "query");
		member(w, "name", parameters[i][0]);
		if (w->dialect == V3) {
			key(w, "schema");
			open(w, '{');
			member(w, "type", parameters[i][1]);
			close(w, '}');
		} else {
			member(w, "type", parameters[i][1]);
		}
		close(w, '}');
	}
	close(w, ']');
}

static void operation_body(struct writer *w)
{
	if (w->dialect == V2) {
		key(w, "consumes");
		open(w, '[');
		for (size_t i = 0; i < ARRAY_LEN(patch_types); i++)
			string(w, patch_types[i]);
		close(w, ']');
		return;
	}
	key(w, "requestBody");
	open(w, '{');
	key(w, "content");
	open(w, '{');
	for (size_t i = 0; i < ARRAY_LEN(patch_types); i++) {
		key(w, patch_types[i]);
		open(w, '{');
		key(w, "schema");
		open(w, '{');
		reference(w, PATCH);
		close(w, '}');
		close(w, '}');
	}
	close(w, '}');
	close(w, '}');
}

static void path(struct writer *w, const struct resource *r)
{
	bool patches = r->verbs & VERB_PATCH;
	cleanup(freep) char *text = xasprintf("/%s%s%s%s/%s%s", r->group[0] ? "apis/" : "api/", r->group[0] ? r->group : "",
					      r->group[0] ? "/" : "", r->version,
					      r->namespaced ? "namespaces/{namespace}/" : "", r->plural);
	cleanup(freep) char *item = xasprintf("%s%s", text, patches ? "/{name}" : "");

	key(w, item);
	open(w, '{');
	key(w, patches ? "patch" : r->verbs & VERB_CREATE ? "post" : "get");
	open(w, '{');
	if (patches)
		operation_body(w);
	operation_parameters(w);
	key(w, "responses");
	raw(w, "{\"200\":{\"description\":\"OK\"}}");
	member(w, "x-kubernetes-action", patches ? "patch" : r->verbs & VERB_CREATE ? "post" : "get");
	key(w, "x-kubernetes-group-version-kind");
	gvk(w, r->group, r->version, r->kind);
	close(w, '}');
	close(w, '}');
}

/* ---- documents ---- */

static size_t type_index(const struct schema_type *t)
{
	size_t low = 0, high = n_schema_types;

	while (low + 1 < high) {
		size_t mid = (low + high) / 2;
		if (strcmp(schema_types[mid]->name, t->name) <= 0)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* Marks a type and all that it refers to; no deeper than types nest, as each is entered once. */
static void mark(bool *used, const struct schema_type *t)
{
	size_t i = type_index(t);

	if (used[i])
		return;
	used[i] = true;
	for (size_t k = 0; k < t->n_fields; k++)
		if (t->fields[k].sub)
			mark(used, t->fields[k].sub);
}

static void mark_resource(bool *used, const struct resource *r)
{
	cleanup(freep) char *list = xasprintf("%sList", r->type->name);
	const struct schema_type *t = schema_type_find(list);

	mark(used, r->type);
	if (t)
		mark(used, t);
}

static void head(struct writer *w)
{
	open(w, '{');
	member(w, w->dialect == V3 ? "openapi" : "swagger", w->dialect == V3 ? "3.0.0" : "2.0");
	key(w, "info");
	raw(w, "{\"title\":\"Kubernetes\",\"version\":\"unversioned\"}");
}

static void types(struct writer *w, const bool *used)
{
	open(w, '{');
	for (size_t i = 0; i < n_schema_types; i++)
		if (used[i])
			type(w, schema_types[i]);
	scalar_types(w);
	close(w, '}');
}

/* "api/v1" or "apis/apps/v1". */
static bool split_group_version(struct str s, struct str *ret_group, struct str *ret_version)
{
	struct str rest, last, first = str_cut(s, '/', &rest);

	*ret_group = str_cut(rest, '/', ret_version);
	if (str_eq_c(first, "api") && rest.ptr && !ret_version->ptr) {
		*ret_version = *ret_group;
		*ret_group = STR("");
		return true;
	}
	*ret_version = str_cut(*ret_version, '/', &last);
	return str_eq_c(first, "apis") && ret_group->len && ret_version->len && !last.ptr;
}

int openapi_v3_group(struct str group_version_path, struct buf *out, struct err *e)
{
	struct writer w = { .out = out, .dialect = V3 };
	struct str group, version;
	bool any = false;
	bool *used = xcalloc(n_schema_types, sizeof(*used));
	bool good = split_group_version(group_version_path, &group, &version);

	head(&w);
	key(&w, "paths");
	open(&w, '{');
	for (const struct resource *r = resources; good && r < resources + n_resources; r++) {
		if (!str_eq_c(group, r->group) || !str_eq_c(version, r->version))
			continue;
		path(&w, r);
		mark_resource(used, r);
		any = true;
	}
	close(&w, '}');
	for (size_t i = 0; i < ARRAY_LEN(other_kinds); i++)
		if (str_eq_c(group, other_kinds[i].group) && str_eq_c(version, other_kinds[i].version))
			mark(used, schema_type_find(other_kinds[i].type));
	key(&w, "components");
	open(&w, '{');
	key(&w, "schemas");
	types(&w, used);
	close(&w, '}');
	close(&w, '}');
	free(used);
	if (!any)
		return err_set(e, ERR_NOT_FOUND, "no OpenAPI document for \"" STR_FMT "\"", STR_ARG(group_version_path));
	return out->overflow ? err_set(e, ERR_INTERNAL, "OpenAPI document is larger than its buffer") : 0;
}

int openapi_v2_json(struct buf *out)
{
	struct writer w = { .out = out, .dialect = V2 };
	bool *used = xcalloc(n_schema_types, sizeof(*used));

	memset(used, 1, n_schema_types * sizeof(*used));
	head(&w);
	key(&w, "paths");
	open(&w, '{');
	for (const struct resource *r = resources; r < resources + n_resources; r++)
		path(&w, r);
	close(&w, '}');
	key(&w, "definitions");
	types(&w, used);
	close(&w, '}');
	free(used);
	return out->overflow ? -1 : 0;
}

static uint64_t hash_text(uint64_t h, const char *s)
{
	for (; s && *s; s++)
		h = (h ^ (uint8_t)*s) * 1099511628211u;
	return (h ^ '\n') * 1099511628211u;
}

/* Changes whenever a document could: FNV-1a over all that goes into them. */
static uint64_t tables_hash(void)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < n_schema_types; i++) {
		h = hash_text(h, schema_types[i]->name);
		for (size_t k = 0; k < schema_types[i]->n_fields; k++) {
			const struct schema_field *f = &schema_types[i]->fields[k];
			h = hash_text(hash_text(hash_text(h, f->name), f->list_keys), f->merge_key);
			h = hash_text(hash_text(h, f->sub ? f->sub->name : NULL), f->dflt);
			h = (h ^ (uint64_t)(f->kind << 24 | f->shape << 16 | f->list_type << 8 | f->patch << 4 | f->required)) * 1099511628211u;
		}
	}
	for (const struct resource *r = resources; r < resources + n_resources; r++)
		h = hash_text(hash_text(hash_text(h, r->group), r->version), r->plural);
	return h;
}

int openapi_v3_index(struct buf *out)
{
	struct writer w = { .out = out };
	unsigned long long hash = tables_hash();

	open(&w, '{');
	key(&w, "paths");
	open(&w, '{');
	for (const struct resource *r = resources; r < resources + n_resources; r++) {
		if (r > resources && c_eq(r[-1].group, r->group) && c_eq(r[-1].version, r->version))
			continue;
		cleanup(freep) char *api_version = resource_api_version(r);
		cleanup(freep) char *where = xasprintf("%s/%s", r->group[0] ? "apis" : "api", api_version);
		cleanup(freep) char *url = xasprintf("/openapi/v3/%s?hash=%016llX", where, hash);
		key(&w, where);
		open(&w, '{');
		member(&w, "serverRelativeURL", url);
		close(&w, '}');
	}
	close(&w, '}');
	close(&w, '}');
	return out->overflow ? -1 : 0;
}
