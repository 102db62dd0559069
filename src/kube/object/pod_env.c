#include "kube/object/pod_env.h"

#include "base/limits.h"
#include "codec/base64.h"
#include "codec/jx.h"
#include "kube/object/pod_field.h"
#include "kube/object/service_env.h"

struct builder {
	const struct pod_env_input *in;
	struct env *services, *out;
	struct err *e;
};

static const struct object_kind {
	const char *all_member, *key_member; /* of envFrom's entries, of valueFrom */
	const char *resource, *what, *kind;
	bool secret;
	enum env_kind origin;
} kinds[] = {
	{ "configMapRef", "configMapKeyRef", "configmaps", "configmap", "ConfigMap", false, ENV_CONFIG_MAP },
	{ "secretRef", "secretKeyRef", "secrets", "secret", "Secret", true, ENV_SECRET },
};

/* NULL with an error set, or without one (*ret_skip) when it is optional and missing. */
static const json_t *object_get(struct builder *b, const struct object_kind *k, const json_t *ref, bool *ret_skip)
{
	const char *name = jx_str_or(ref, "name", "");
	bool known = true;
	const json_t *obj = b->in->object(b->in->ctx, k->resource, name, &known);

	*ret_skip = false;
	if (!known)
		err_set(b->e, ERR_UNAVAILABLE, "%s \"%s\" is not known yet", k->what, name);
	else if (!obj && jx_bool(ref, "optional", false))
		*ret_skip = true;
	else if (!obj)
		err_set(b->e, ERR_NOT_FOUND, "%s \"%s\" not found", k->what, name);
	return obj;
}

char *env_object_key(const json_t *obj, const char *key, bool secret)
{
	const char *value = json_string_value(json_object_get(json_object_get(obj, "data"), key));
	struct buf plain;

	if (!value || !secret)
		return xstrdup(value);
	buf_init(&plain, LIMIT_OBJECT_BYTES);
	if (base64_decode(str_of(value), &plain, NULL) == 0 && plain.len)
		return buf_take(&plain);
	buf_done(&plain);
	return xstrdup("");
}

/* Each of these: 1, a value and its origin; 0, optional and missing; -1. */
static int value_of_key(struct builder *b, const struct object_kind *k, const json_t *ref, char **ret_value,
			struct env_origin *ret_origin)
{
	const char *key = jx_str_or(ref, "key", "");
	bool skip;
	const json_t *obj = object_get(b, k, ref, &skip);

	if (!obj)
		return skip ? 0 : -1;
	ret_origin->kind = k->origin;
	ret_origin->object = obj;
	*ret_value = env_object_key(obj, key, k->secret);
	if (*ret_value)
		return 1;
	if (jx_bool(ref, "optional", false))
		return 0;
	return err_set(b->e, ERR_NOT_FOUND, "couldn't find key %s in %s %s/%s", key, k->kind,
		       jx_str_or(b->in->pod, "metadata.namespace", ""), jx_str_or(ref, "name", ""));
}

static char *field_value(const struct pod_env_input *in, const char *path)
{
	if (in->host_ip && (c_eq(path, "status.hostIP") || c_eq(path, "status.hostIPs")))
		return xstrdup(in->host_ip);
	if (in->pod_ip && (c_eq(path, "status.podIP") || c_eq(path, "status.podIPs")))
		return xstrdup(in->pod_ip);
	return pod_field_value(in->pod, path);
}

static int value_from(struct builder *b, const json_t *from, char **ret_value, struct env_origin *ret_origin)
{
	const char *field = jx_str(from, "fieldRef.fieldPath");
	const json_t *resource = json_object_get(from, "resourceFieldRef");

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const json_t *ref = json_object_get(from, kinds[i].key_member);
		if (ref)
			return value_of_key(b, &kinds[i], ref, ret_value, ret_origin);
	}
	ret_origin->kind = field ? ENV_FIELD : ENV_RESOURCE;
	*ret_value = field	? field_value(b->in, field)
		     : resource ? pod_resource_value(b->in->pod, b->in->container, resource, b->in->allocatable)
				: NULL;
	return *ret_value ? 1 : err_set(b->e, ERR_INVALID, "valueFrom: %s cannot be resolved",
					field ? field : jx_str_or(resource, "resource", "source"));
}

static int add_env_from(struct builder *b, const json_t *source)
{
	const struct object_kind *k = json_object_get(source, kinds[0].all_member) ? &kinds[0] : &kinds[1];
	bool skip;
	const json_t *obj = object_get(b, k, json_object_get(source, k->all_member), &skip);
	const char *key;
	json_t *unused;

	if (!obj)
		return skip ? 0 : -1;
	json_object_foreach(json_object_get(obj, "data"), key, unused) {
		cleanup(freep) char *name = xasprintf("%s%s", jx_str_or(source, "prefix", ""), key);
		cleanup(freep) char *value = env_object_key(obj, key, k->secret);
		if (value && env_name_valid(name))
			env_put(b->out, name, value, (struct env_origin){ k->origin, obj, source });
	}
	return 0;
}

static int add_env(struct builder *b, const json_t *item)
{
	const char *name = jx_str_or(item, "name", ""), *text = jx_str_or(item, "value", "");
	const json_t *from = json_object_get(item, "valueFrom");
	struct env_origin origin = { ENV_VALUE, NULL, item };
	cleanup(freep) char *value = NULL;

	if (from && !text[0]) {
		int rc = value_from(b, from, &value, &origin);
		if (rc <= 0)
			return rc;
	} else {
		value = env_expand(text, b->out, b->services);
		if (!value)
			return err_set(b->e, ERR_TOO_LARGE, "environment variable %s is too long", name);
	}
	env_put(b->out, name, value, origin);
	return 0;
}

static int add_all(struct builder *b, const char *member, int (*add)(struct builder *b, const json_t *part))
{
	const json_t *part;
	size_t i;

	json_array_foreach(json_object_get(b->in->container, member), i, part) {
		if (add(b, part) == 0)
			continue;
		if (!b->in->problem)
			return -1;
		b->in->problem(b->in->ctx, part, b->e);
	}
	return 0;
}

static void add_services(struct builder *b)
{
	for (size_t i = 0; i < b->services->n; i++) {
		const struct env_var *s = &b->services->at[i];
		if (env_get(b->out, s->name))
			env_hide(b->out, s->name, s->origin);
		else
			env_put(b->out, s->name, s->value, s->origin);
	}
}

int pod_env_build(const struct pod_env_input *in, struct env *ret_env, struct err *e)
{
	struct env services, out;
	struct builder b = { in, &services, &out, e };

	env_init(&services);
	env_init(&out);
	service_env_build(in->services, in->n_services, jx_str_or(in->pod, "metadata.namespace", ""),
			  jx_bool(in->pod, "spec.enableServiceLinks", true), &services);
	int rc = add_all(&b, "envFrom", add_env_from);
	if (rc == 0)
		rc = add_all(&b, "env", add_env);
	if (rc == 0) {
		add_services(&b);
		*ret_env = out;
	} else {
		env_done(&out);
	}
	env_done(&services);
	return rc;
}
