#include "roles/node/env_source.h"

#include "base/limits.h"
#include "codec/base64.h"
#include "codec/jx.h"
#include "kube/object/quantity.h"
#include "roles/node/node.h"
#include "roles/node/resources.h"
#include "roles/node/service_env.h"
#include "roles/node/volume_payload.h"
#include "roles/node/volumes.h"

struct builder {
	struct ctr *ctr;
	struct env *services, *out;
	struct err *e;
};

/* An object named by the pod; NULL with an error set, or without one when it is optional and
 * missing. */
static const json_t *object_get(struct builder *b, const char *resource, const char *what,
				const json_t *ref, bool *ret_skip)
{
	const char *name = jx_str_or(ref, "name", "");
	bool known;
	const json_t *obj = volumes_object(b->ctr->pod->volumes, resource, name, &known);

	*ret_skip = false;
	if (!known)
		err_set(b->e, ERR_UNAVAILABLE, "%s \"%s\" is not known yet", what, name);
	else if (!obj && jx_bool(ref, "optional", false))
		*ret_skip = true;
	else if (!obj)
		err_set(b->e, ERR_NOT_FOUND, "%s \"%s\" not found", what, name);
	return obj;
}

/* The text of a key; on the heap, NULL if there is none. */
static char *object_key(const json_t *obj, const char *key, bool secret)
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

static const struct {
	const char *member, *resource, *what;
	bool secret;
} key_refs[] = {
	{ "configMapKeyRef", "configmaps", "configmap", false },
	{ "secretKeyRef", "secrets", "secret", true },
};

/* *ret_value NULL: optional and missing, the variable is left out. */
static int value_of_key(struct builder *b, size_t kind, const json_t *ref, char **ret_value)
{
	const char *key = jx_str_or(ref, "key", "");
	bool skip;
	const json_t *obj = object_get(b, key_refs[kind].resource, key_refs[kind].what, ref, &skip);

	*ret_value = NULL;
	if (!obj)
		return skip ? 0 : -1;
	*ret_value = object_key(obj, key, key_refs[kind].secret);
	if (*ret_value || jx_bool(ref, "optional", false))
		return 0;
	return err_set(b->e, ERR_NOT_FOUND, "couldn't find key %s in %s %s/%s", key,
		       key_refs[kind].secret ? "Secret" : "ConfigMap", b->ctr->pod->ns,
		       jx_str_or(ref, "name", ""));
}

char *resource_field_value(const struct node *n, const json_t *container, const json_t *ref)
{
	struct str name, section = str_cut(str_of(jx_str_or(ref, "resource", "")), '.', &name);
	cleanup(freep) char *section_text = str_dup(section), *name_text = str_dup(name);
	const char *divisor_text = jx_str_or(ref, "divisor", "0");
	int64_t divisor = 0;

	if (!name.ptr)
		return NULL;
	bool cpu = c_eq(name_text, "cpu");
	int64_t milli = resource_milli(container, section_text, name_text);
	if (milli < 0 && c_eq(section_text, "limits")) /* unlimited: what the node has */
		milli = cpu ? n->milli_cpus : n->memory_bytes * 1000;
	if (quantity_milli(str_of(divisor_text), &divisor) < 0 || divisor <= 0)
		divisor = 1000;
	milli = MAX(milli, 0);
	return xasprintf("%lld", (long long)((milli + divisor - 1) / divisor));
}

/* The pod's address is known here before the API server shows it. */
static char *field_value(const struct pod *p, const char *path)
{
	bool host = jx_bool(p->obj, "spec.hostNetwork", false);

	if (c_eq(path, "status.hostIP") || c_eq(path, "status.hostIPs"))
		return xstrdup(p->node->ip);
	if (c_eq(path, "status.podIP") || c_eq(path, "status.podIPs"))
		return xstrdup(host ? p->node->ip : p->sandbox_ip ? p->sandbox_ip : "");
	return pod_field_value(p->obj, path);
}

static int value_from(struct builder *b, const json_t *from, char **ret_value)
{
	const char *field = jx_str(from, "fieldRef.fieldPath");
	const json_t *resource = json_object_get(from, "resourceFieldRef");

	for (size_t i = 0; i < ARRAY_LEN(key_refs); i++) {
		const json_t *ref = json_object_get(from, key_refs[i].member);
		if (ref)
			return value_of_key(b, i, ref, ret_value);
	}
	*ret_value = field	? field_value(b->ctr->pod, field)
		     : resource ? resource_field_value(b->ctr->pod->node, b->ctr->spec, resource)
				: NULL;
	return *ret_value ? 0
			  : err_set(b->e, ERR_INVALID, "valueFrom: %s cannot be resolved",
				    field ? field : "source");
}

static void add_all_keys(struct builder *b, const json_t *obj, const char *prefix, bool secret)
{
	const char *key;
	json_t *unused;

	json_object_foreach(json_object_get(obj, "data"), key, unused)
	{
		cleanup(freep) char *name = xasprintf("%s%s", prefix, key);
		cleanup(freep) char *value = object_key(obj, key, secret);
		if (value && env_name_valid(name))
			env_set(b->out, name, value);
	}
}

static int add_env_from(struct builder *b, const json_t *source)
{
	const json_t *config = json_object_get(source, "configMapRef");
	const json_t *secret = json_object_get(source, "secretRef");
	bool skip;
	const json_t *obj = config ? object_get(b, "configmaps", "configmap", config, &skip)
				   : object_get(b, "secrets", "secret", secret, &skip);

	if (!obj)
		return skip ? 0 : -1;
	add_all_keys(b, obj, jx_str_or(source, "prefix", ""), !config);
	return 0;
}

static int add_env(struct builder *b, const json_t *item)
{
	const char *name = jx_str_or(item, "name", "");
	const json_t *from = json_object_get(item, "valueFrom");
	cleanup(freep) char *value = NULL;

	if (from) {
		if (value_from(b, from, &value) < 0)
			return -1;
	} else {
		value = env_expand(jx_str_or(item, "value", ""), b->out, b->services);
		if (!value)
			return err_set(b->e, ERR_TOO_LARGE, "environment variable %s is too long",
				       name);
	}
	if (value)
		env_set(b->out, name, value);
	return 0;
}

struct service_walk {
	const struct pod *pod;
	bool links;
	struct env *services;
};

static bool add_service(void *ctx, const json_t *service)
{
	struct service_walk *w = ctx;

	if (service_env_applies(service, w->pod->ns, w->links))
		service_env_add(service, w->services);
	return true;
}

/* default/kubernetes yields to a Service "kubernetes" of the pod's own namespace, which comes
 * second. */
static void collect_services(const struct pod *p, struct env *services)
{
	struct service_walk w = { p, jx_bool(p->obj, "spec.enableServiceLinks", true), services };
	const json_t *master = informer_get(p->node->service_informer, "default", "kubernetes");

	if (master && service_env_applies(master, p->ns, w.links))
		service_env_add(master, services);
	informer_each(p->node->service_informer, p->ns, add_service, &w);
}

static int build(struct builder *b)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(b->ctr->spec, "envFrom"), i,
			   item) if (add_env_from(b, item) < 0) return -1;
	json_array_foreach(json_object_get(b->ctr->spec, "env"), i,
			   item) if (add_env(b, item) < 0) return -1;
	for (i = 0; i < b->services->n; i++)
		if (!env_get(b->out, b->services->at[i].name))
			env_set(b->out, b->services->at[i].name, b->services->at[i].value);
	return 0;
}

int ctr_env_build(struct ctr *c, struct env *ret_env, struct err *e)
{
	struct env services, out;
	struct builder b = { c, &services, &out, e };

	env_init(&services);
	env_init(&out);
	collect_services(c->pod, &services);
	int rc = build(&b);
	env_done(&services);
	if (rc == 0)
		*ret_env = out;
	else
		env_done(&out);
	return rc;
}
