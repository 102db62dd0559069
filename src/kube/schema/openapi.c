/* Only what kubectl reads is said: the types, and per resource one PATCH operation, from which it
 * learns whether the server validates fields and takes strategic merge patches. OpenAPI 3.0 and 2.0
 * differ little at this depth. */
#include "kube/schema/openapi_int.h"

#include "base/fnv.h"

static const char *const patch_types[] = { "application/apply-patch+yaml",
					   "application/json-patch+json",
					   "application/merge-patch+json",
					   "application/strategic-merge-patch+json" };
static const char *const parameters[][2] = {
	{ "pretty", "string" },		 { "dryRun", "string" }, { "fieldManager", "string" },
	{ "fieldValidation", "string" }, { "force", "boolean" },
};

static void operation_parameters(struct writer *w)
{
	w_key(w, "parameters");
	w_open(w, '[');
	for (size_t i = 0; i < ARRAY_LEN(parameters); i++) {
		w_open(w, '{');
		w_member(w, "in", "query");
		w_member(w, "name", parameters[i][0]);
		if (w->dialect == V3) {
			w_key(w, "schema");
			w_open(w, '{');
			w_member(w, "type", parameters[i][1]);
			w_close(w, '}');
		} else {
			w_member(w, "type", parameters[i][1]);
		}
		w_close(w, '}');
	}
	w_close(w, ']');
}

static void operation_body(struct writer *w)
{
	if (w->dialect == V2) {
		w_key(w, "consumes");
		w_open(w, '[');
		for (size_t i = 0; i < ARRAY_LEN(patch_types); i++)
			w_string(w, patch_types[i]);
		w_close(w, ']');
		return;
	}
	w_key(w, "requestBody");
	w_open(w, '{');
	w_key(w, "content");
	w_open(w, '{');
	for (size_t i = 0; i < ARRAY_LEN(patch_types); i++) {
		w_key(w, patch_types[i]);
		w_open(w, '{');
		w_key(w, "schema");
		w_open(w, '{');
		w_reference(w, OPENAPI_PATCH_MODEL);
		w_close(w, '}');
		w_close(w, '}');
	}
	w_close(w, '}');
	w_close(w, '}');
}

static void path(struct writer *w, const struct resource *r)
{
	bool patches = r->verbs & VERB_PATCH;
	cleanup(freep) char *text =
		xasprintf("/%s%s%s%s/%s%s", r->group[0] ? "apis/" : "api/",
			  r->group[0] ? r->group : "", r->group[0] ? "/" : "", r->version,
			  r->namespaced ? "namespaces/{namespace}/" : "", r->plural);
	cleanup(freep) char *item = xasprintf("%s%s", text, patches ? "/{name}" : "");

	w_key(w, item);
	w_open(w, '{');
	w_key(w, patches ? "patch" : r->verbs & VERB_CREATE ? "post" : "get");
	w_open(w, '{');
	if (patches)
		operation_body(w);
	operation_parameters(w);
	w_key(w, "responses");
	w_raw(w, "{\"200\":{\"description\":\"OK\"}}");
	w_member(w, "x-kubernetes-action",
	       patches			? "patch"
	       : r->verbs & VERB_CREATE ? "post"
					: "get");
	w_key(w, "x-kubernetes-group-version-kind");
	w_gvk(w, r->group, r->version, r->kind);
	w_close(w, '}');
	w_close(w, '}');
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
	w_open(w, '{');
	w_member(w, w->dialect == V3 ? "openapi" : "swagger", w->dialect == V3 ? "3.0.0" : "2.0");
	w_key(w, "info");
	w_raw(w, "{\"title\":\"Kubernetes\",\"version\":\"unversioned\"}");
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
	w_key(&w, "paths");
	w_open(&w, '{');
	for (const struct resource *r = resources; good && r < resources + n_resources; r++) {
		if (!str_eq_c(group, r->group) || !str_eq_c(version, r->version))
			continue;
		path(&w, r);
		mark_resource(used, r);
		any = true;
	}
	w_close(&w, '}');
	for (size_t i = 0; i < n_other_kinds; i++)
		if (str_eq_c(group, other_kinds[i].group) &&
		    str_eq_c(version, other_kinds[i].version))
			mark(used, schema_type_find(other_kinds[i].type));
	w_key(&w, "components");
	w_open(&w, '{');
	w_key(&w, "schemas");
	openapi_types(&w, used);
	w_close(&w, '}');
	w_close(&w, '}');
	free(used);
	if (!any)
		return err_set(e, ERR_NOT_FOUND, "no OpenAPI document for \"" STR_FMT "\"",
			       STR_ARG(group_version_path));
	return out->overflow
		       ? err_set(e, ERR_INTERNAL, "OpenAPI document is larger than its buffer")
		       : 0;
}

int openapi_v2_json(struct buf *out)
{
	struct writer w = { .out = out, .dialect = V2 };
	bool *used = xcalloc(n_schema_types, sizeof(*used));

	memset(used, 1, n_schema_types * sizeof(*used));
	head(&w);
	w_key(&w, "paths");
	w_open(&w, '{');
	for (const struct resource *r = resources; r < resources + n_resources; r++)
		path(&w, r);
	w_close(&w, '}');
	w_key(&w, "definitions");
	openapi_types(&w, used);
	w_close(&w, '}');
	free(used);
	return out->overflow ? -1 : 0;
}

static uint64_t hash_text(uint64_t h, const char *s)
{
	return fnv1a_64(s ? fnv1a_64(h, s, strlen(s)) : h, "\n", 1);
}

/* Changes whenever a document could: FNV-1a over all that goes into them. */
static uint64_t tables_hash(void)
{
	uint64_t h = FNV1A_64;

	for (size_t i = 0; i < n_schema_types; i++) {
		h = hash_text(h, schema_types[i]->name);
		for (size_t k = 0; k < schema_types[i]->n_fields; k++) {
			const struct schema_field *f = &schema_types[i]->fields[k];
			h = hash_text(hash_text(hash_text(h, f->name), f->list_keys), f->merge_key);
			h = hash_text(hash_text(h, f->sub ? f->sub->name : NULL), f->dflt);
			const uint8_t numbers[] = { f->kind, f->shape, f->list_type, f->patch, f->required };
			h = fnv1a_64(h, numbers, sizeof(numbers));
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

	w_open(&w, '{');
	w_key(&w, "paths");
	w_open(&w, '{');
	for (const struct resource *r = resources; r < resources + n_resources; r++) {
		if (r > resources && c_eq(r[-1].group, r->group) && c_eq(r[-1].version, r->version))
			continue;
		cleanup(freep) char *api_version = resource_api_version(r);
		cleanup(freep) char *where =
			xasprintf("%s/%s", r->group[0] ? "apis" : "api", api_version);
		cleanup(freep) char *url = xasprintf("/openapi/v3/%s?hash=%016llX", where, hash);
		w_key(&w, where);
		w_open(&w, '{');
		w_member(&w, "serverRelativeURL", url);
		w_close(&w, '}');
	}
	w_close(&w, '}');
	w_close(&w, '}');
	return out->overflow ? -1 : 0;
}
