#include "roles/node/volume_payload.h"

#include "base/limits.h"
#include "codec/base64.h"
#include "codec/jx.h"
#include "kube/object/pod_field.h"

#define DEFAULT_MODE 0644

void payload_done(struct payload *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->at[i].path);
		free(p->at[i].data);
	}
	free(p->at);
	*p = (struct payload){ 0 };
}

void payload_add(struct payload *p, const char *path, const char *data, size_t len, mode_t mode)
{
	char *copy = xmalloc(len + 1);

	memcpy(copy, data, len);
	p->at = xrealloc(p->at, (p->n + 1) * sizeof(*p->at));
	p->at[p->n++] = (struct payload_file){ xstrdup(path), copy, len, mode };
}

bool payload_equal(const struct payload *a, const struct payload *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct payload_file *x = &a->at[i], *y = &b->at[i];
		if (!c_eq(x->path, y->path) || x->mode != y->mode || x->len != y->len ||
		    memcmp(x->data, y->data, x->len) != 0)
			return false;
	}
	return true;
}

bool path_is_inside(const char *relative)
{
	struct str rest = str_of(relative);

	if (!relative || !relative[0] || relative[0] == '/')
		return false;
	while (rest.ptr) {
		struct str part = str_cut(rest, '/', &rest);
		if (str_eq_c(part, ".."))
			return false;
	}
	return true;
}

struct builder {
	const struct payload_sources *sources;
	struct payload *out;
	mode_t mode;
	struct err *e;
};

static mode_t mode_of(const json_t *item, mode_t dflt)
{
	return (mode_t)jx_int(item, "mode", (int64_t)dflt) & 0777;
}

/* A key of a ConfigMap or Secret as a file. False: there is no such key. */
static bool add_key(struct builder *b, const json_t *obj, const char *key, const char *path,
		    mode_t mode)
{
	const char *plain = json_string_value(json_object_get(json_object_get(obj, "data"), key));
	bool secret = c_eq(jx_str(obj, "kind"), "Secret");
	const char *coded = secret ? plain
				   : json_string_value(json_object_get(
					     json_object_get(obj, "binaryData"), key));
	struct buf bytes;

	if (!secret && plain) {
		payload_add(b->out, path, plain, strlen(plain), mode);
		return true;
	}
	if (!coded)
		return false;
	buf_init(&bytes, LIMIT_OBJECT_BYTES);
	/* What the API server accepted is well-formed. */
	bool ok = base64_decode(str_of(coded), &bytes, NULL) == 0;
	payload_add(b->out, path, ok && bytes.len ? bytes.ptr : "", ok ? bytes.len : 0, mode);
	buf_done(&bytes);
	return true;
}

static void add_all_keys(struct builder *b, const json_t *obj, const char *member)
{
	const char *key;
	json_t *value;

	json_object_foreach(json_object_get(obj, member), key, value)
		add_key(b, obj, key, key, b->mode);
}

static int add_items(struct builder *b, const json_t *obj, const json_t *items, bool optional)
{
	size_t i;
	const json_t *item;

	json_array_foreach(items, i, item)
	{
		const char *key = jx_str_or(item, "key", ""), *path = jx_str_or(item, "path", "");
		if (!path_is_inside(path))
			return err_set(b->e, ERR_INVALID,
				       "path \"%s\" must be relative and without '..'", path);
		if (!add_key(b, obj, key, path, mode_of(item, b->mode)) && !optional)
			return err_set(b->e, ERR_NOT_FOUND, "references non-existent %s key: %s",
				       c_eq(jx_str(obj, "kind"), "Secret") ? "secret" : "config",
				       key);
	}
	return 0;
}

static int add_object(struct builder *b, const char *resource, const char *name,
		      const json_t *source)
{
	bool optional = jx_bool(source, "optional", false), known;
	const json_t *items = json_object_get(source, "items");
	const json_t *obj = b->sources->object(b->sources->ctx, resource, name, &known);

	if (!known)
		return err_set(b->e, ERR_UNAVAILABLE, "%s \"%s\" is not known yet", resource, name);
	if (!obj)
		return optional ? 0
				: err_set(b->e, ERR_NOT_FOUND, "%.*s \"%s\" not found",
					  (int)strlen(resource) - 1, resource, name);
	if (json_array_size(items))
		return add_items(b, obj, items, optional);
	add_all_keys(b, obj, "data");
	add_all_keys(b, obj, "binaryData");
	return 0;
}

static int add_config_map(struct builder *b, const json_t *source)
{
	return add_object(b, "configmaps", jx_str_or(source, "name", ""), source);
}

static int add_secret(struct builder *b, const json_t *source)
{
	/* A volume says secretName, a projection says name. */
	return add_object(b, "secrets",
			  jx_str_or(source, "secretName", jx_str_or(source, "name", "")), source);
}

static int add_downward(struct builder *b, const json_t *source)
{
	size_t i;
	const json_t *item;

	json_array_foreach(json_object_get(source, "items"), i, item)
	{
		const char *field = jx_str(item, "fieldRef.fieldPath"),
			   *path = jx_str_or(item, "path", "");
		const json_t *resource = json_object_get(item, "resourceFieldRef");
		cleanup(freep) char *value =
			field ? pod_field_value(b->sources->pod, field)
			      : b->sources->resource_field(b->sources->ctx, resource);
		if (!path_is_inside(path) || !value)
			return err_set(b->e, ERR_INVALID,
				       "downwardAPI item \"%s\" cannot be resolved", path);
		payload_add(b->out, path, value, strlen(value), mode_of(item, b->mode));
	}
	return 0;
}

static int add_token(struct builder *b, const json_t *source)
{
	const char *token = b->sources->token(b->sources->ctx, source);
	const char *path = jx_str_or(source, "path", "token");

	if (!token)
		return err_set(b->e, ERR_UNAVAILABLE, "the service account token is not known yet");
	if (!path_is_inside(path))
		return err_set(b->e, ERR_INVALID, "path \"%s\" must be relative and without '..'",
			       path);
	payload_add(b->out, path, token, strlen(token), b->mode);
	return 0;
}

static const struct source_kind {
	const char *member;
	int (*add)(struct builder *b, const json_t *source);
} source_kinds[] = {
	{ "configMap", add_config_map },
	{ "secret", add_secret },
	{ "downwardAPI", add_downward },
	{ "serviceAccountToken", add_token },
};

static int add_source(struct builder *b, const json_t *holder)
{
	for (size_t i = 0; i < ARRAY_LEN(source_kinds); i++) {
		const json_t *source = json_object_get(holder, source_kinds[i].member);
		if (source)
			return source_kinds[i].add(b, source);
	}
	return err_set(b->e, ERR_INVALID, "a source of this kind is not supported");
}

static int build(struct builder *b, const json_t *volume)
{
	const json_t *projected = json_object_get(volume, "projected"), *source;
	const char *key;
	json_t *member;
	size_t i;

	if (projected) {
		b->mode = (mode_t)jx_int(projected, "defaultMode", DEFAULT_MODE);
		json_array_foreach(json_object_get(projected, "sources"), i,
				   source) if (add_source(b, source) < 0) return -1;
		return 0;
	}
	json_object_foreach((json_t *)volume, key, member) if (json_is_object(member)) b->mode =
		(mode_t)jx_int(member, "defaultMode", DEFAULT_MODE);
	return add_source(b, volume);
}

int payload_build(const json_t *volume, const struct payload_sources *s,
		  struct payload *ret_payload, struct err *e)
{
	struct payload out = { 0 };
	struct builder b = { .sources = s, .out = &out, .mode = DEFAULT_MODE, .e = e };

	if (build(&b, volume) < 0) {
		payload_done(&out);
		return -1;
	}
	*ret_payload = out;
	return 0;
}
