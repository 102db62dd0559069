#include "roles/apiserver/store/object.h"

#include "base/limits.h"

#include <stdio.h>

/* Field selectors per kind, as the conversion functions of k8s.io/kubernetes register them.
 * metadata.name and metadata.namespace work for every kind. */
struct field_row {
	const char *path;
	const char *absent; /* what a missing member compares as */
};
#define FIELDS_MAX 12
static const struct field_index {
	const char *group, *plural;
	struct field_row rows[FIELDS_MAX];
} field_indexes[] = {
	{ "",
	  "pods",
	  { { "spec.nodeName" },
	    { "spec.restartPolicy" },
	    { "spec.schedulerName" },
	    { "spec.serviceAccountName" },
	    { "spec.hostNetwork", "false" },
	    { "status.phase" },
	    { "status.podIP" },
	    { "status.nominatedNodeName" } } },
	{ "", "nodes", { { "spec.unschedulable", "false" } } },
	{ "", "namespaces", { { "status.phase" } } },
	{ "", "secrets", { { "type" } } },
	{ "", "services", { { "spec.clusterIP" }, { "spec.type" } } },
	{ "", "replicationcontrollers", { { "status.replicas", "0" } } },
	{ "apps", "replicasets", { { "status.replicas", "0" } } },
	{ "batch", "jobs", { { "status.successful", "0" } } },
	{ "certificates.k8s.io", "certificatesigningrequests", { { "spec.signerName" } } },
	{ "",
	  "events",
	  { { "involvedObject.kind" },
	    { "involvedObject.namespace" },
	    { "involvedObject.name" },
	    { "involvedObject.uid" },
	    { "involvedObject.apiVersion" },
	    { "involvedObject.resourceVersion" },
	    { "involvedObject.fieldPath" },
	    { "reason" },
	    { "reportingComponent" },
	    { "source" },
	    { "type" } } },
};

static const struct field_index *field_index_of(const struct resource *r)
{
	for (size_t i = 0; i < ARRAY_LEN(field_indexes); i++)
		if (c_eq(r->group, field_indexes[i].group) &&
		    c_eq(r->plural, field_indexes[i].plural))
			return &field_indexes[i];
	return NULL;
}

static const char *scalar_text(const json_t *v, char number[24], const char *absent)
{
	if (json_is_string(v))
		return json_string_value(v);
	if (json_is_boolean(v))
		return json_is_true(v) ? "true" : "false";
	if (json_is_integer(v)) {
		snprintf(number, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		return number;
	}
	return absent ? absent : "";
}

/* Events are kept in their core form, where the source is an object. */
static const json_t *field_at(const json_t *tree, const char *path)
{
	if (c_eq(path, "source")) {
		const json_t *v = jx_at(tree, "source.component");
		return json_is_string(v) ? v : jx_at(tree, "reportingComponent");
	}
	return jx_at(tree, path);
}

static void put_fields(const struct resource *r, const json_t *tree, struct buf *out)
{
	const struct field_index *fi = field_index_of(r);
	char number[24];

	for (size_t i = 0; fi && i < FIELDS_MAX && fi->rows[i].path; i++) {
		const char *text =
			scalar_text(field_at(tree, fi->rows[i].path), number, fi->rows[i].absent);
		buf_put(out, text, strlen(text) + 1);
	}
}

static uint32_t put_labels(const json_t *tree, struct buf *out)
{
	const char *key;
	json_t *v;
	uint32_t n = 0;

	json_object_foreach(jx_at(tree, "metadata.labels"), key, v)
	{
		if (!json_is_string(v))
			continue;
		buf_put(out, key, strlen(key) + 1);
		buf_put(out, json_string_value(v), json_string_length(v) + 1);
		n++;
	}
	return n;
}

struct object_parts {
	size_t bare_at, meta_at, meta_len;
	size_t ns_at, name_at, uid_at, labels_at, fields_at, json_len;
	uint32_t n_labels;
};

static int put_json(const struct resource *r, const json_t *tree, struct buf *out,
		    struct object_parts *p)
{
	const json_t *meta = json_object_get(tree, "metadata");
	const char *key;
	json_t *v;

	buf_printf(out, "{\"kind\":\"%s\",\"apiVersion\":\"%s%s%s\",", r->kind, r->group,
		   r->group[0] ? "/" : "", r->version);
	p->bare_at = out->len;
	buf_puts(out, "\"metadata\":");
	p->meta_at = out->len;
	(void)!jx_dump(meta, out);
	p->meta_len = out->len - p->meta_at;
	json_object_foreach((json_t *)tree, key, v)
	{
		if (!strcmp(key, "kind") || !strcmp(key, "apiVersion") || !strcmp(key, "metadata"))
			continue;
		buf_putc(out, ',');
		buf_put_json(out, str_of(key));
		buf_putc(out, ':');
		(void)!jx_dump(v, out);
	}
	return buf_putc(out, '}');
}

static size_t put_text(struct buf *out, const char *s)
{
	size_t at = out->len;

	buf_put(out, s ? s : "", s ? strlen(s) + 1 : 1);
	return at;
}

struct object *object_new(const struct resource *r, const json_t *tree, struct err *e)
{
	struct object_parts p = { 0 };
	struct buf b;
	uint64_t rv = 0;

	assert(json_is_object(json_object_get(tree, "metadata")));
	buf_init(&b, LIMIT_OBJECT_BYTES);
	put_json(r, tree, &b, &p);
	p.json_len = b.len;
	buf_putc(&b, '\n');
	p.ns_at = put_text(&b, jx_namespace(tree));
	p.name_at = put_text(&b, jx_name(tree));
	p.uid_at = put_text(&b, jx_uid(tree));
	p.labels_at = b.len;
	p.n_labels = put_labels(tree, &b);
	p.fields_at = b.len;
	put_fields(r, tree, &b);
	if (b.overflow) {
		buf_done(&b);
		err_set(e, ERR_TOO_LARGE,
			"Request is too large: an object may have at most %u bytes",
			LIMIT_OBJECT_BYTES);
		return NULL;
	}
	if (!str_to_u64(str_of(jx_str_or(tree, "metadata.resourceVersion", "")), INT64_MAX, &rv))
		rv = 0;
	struct object *o = xmalloc(sizeof(*o) + b.len + 1);
	memcpy(o->json, b.ptr, b.len + 1);
	*o = (struct object){
		.refs = 1,
		.rv = rv,
		.json_len = (uint32_t)p.json_len,
		.bare_at = (uint32_t)p.bare_at,
		.meta_at = (uint32_t)p.meta_at,
		.meta_len = (uint32_t)p.meta_len,
		.ns = o->json + p.ns_at,
		.name = o->json + p.name_at,
		.uid = o->json + p.uid_at,
		.deleting = jx_at(tree, "metadata.deletionTimestamp") != NULL,
		.n_labels = p.n_labels,
		.labels = o->json + p.labels_at,
		.fields = o->json + p.fields_at,
	};
	buf_done(&b);
	return o;
}

struct object *object_ref(struct object *o)
{
	if (o)
		o->refs++;
	return o;
}

void object_unref(struct object *o)
{
	if (!o)
		return;
	assert(o->refs > 0);
	if (--o->refs == 0)
		free(o);
}

size_t object_bytes(const struct object *o)
{
	return sizeof(*o) + o->json_len;
}

json_t *object_tree(const struct object *o, struct err *e)
{
	return jx_parse((struct str){ o->json, o->json_len }, LIMIT_OBJECT_BYTES, e);
}

struct object *object_with_rv(const struct resource *r, const struct object *o, uint64_t rv,
			      struct err *e)
{
	cleanup(json_decrefp) json_t *tree = object_tree(o, e);
	char text[24];

	if (!tree)
		return NULL;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)rv);
	jx_set_str(tree, "metadata.resourceVersion", text);
	return object_new(r, tree, e);
}

struct str object_bare(const struct object *o)
{
	return (struct str){ o->json + o->bare_at, o->json_len - o->bare_at };
}

struct str object_metadata(const struct object *o)
{
	return (struct str){ o->json + o->meta_at, o->meta_len };
}

bool object_matches_labels(const struct object *o, const struct selector *s)
{
	if (!s)
		return true;
	cleanup(json_decrefp) json_t *labels = json_object();
	const char *at = o->labels;
	for (uint32_t i = 0; i < o->n_labels; i++) {
		const char *value = at + strlen(at) + 1;
		json_object_set_new_nocheck(labels, at, json_string_nocheck(value));
		at = value + strlen(value) + 1;
	}
	return selector_matches(s, labels);
}

static const char *field_value(const struct resource *r, const struct object *o, struct str path)
{
	if (str_eq_c(path, "metadata.name"))
		return o->name;
	if (str_eq_c(path, "metadata.namespace"))
		return o->ns;
	const struct field_index *fi = field_index_of(r);
	const char *at = o->fields;
	for (size_t i = 0; fi && i < FIELDS_MAX && fi->rows[i].path; i++) {
		if (str_eq_c(path, fi->rows[i].path))
			return at;
		at += strlen(at) + 1;
	}
	return NULL;
}

bool object_matches_fields(const struct resource *r, const struct object *o,
			   const struct field_selector *s)
{
	for (size_t i = 0; s && i < s->n; i++) {
		const char *v = field_value(r, o, s->at[i].path);
		if (!v || str_eq_c(s->at[i].value, v) == s->at[i].not_equal)
			return false;
	}
	return true;
}

int field_selector_check(const struct resource *r, const struct field_selector *s, struct err *e)
{
	const struct field_index *fi = field_index_of(r);

	for (size_t i = 0; i < s->n; i++) {
		bool known = str_eq_c(s->at[i].path, "metadata.name") ||
			     str_eq_c(s->at[i].path, "metadata.namespace");
		for (size_t j = 0; !known && fi && j < FIELDS_MAX && fi->rows[j].path; j++)
			known = str_eq_c(s->at[i].path, fi->rows[j].path);
		if (!known)
			return err_set(e, ERR_BAD_REQUEST, "field label not supported: " STR_FMT,
				       STR_ARG(s->at[i].path));
	}
	return 0;
}
