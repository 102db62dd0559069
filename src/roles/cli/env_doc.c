#include "roles/cli/env_doc.h"

#include "kube/object/pod_env.h"
#include "kube/object/service_env.h"

#include <stdio.h>

#define DEFAULT_CONTAINER "kubectl.kubernetes.io/default-container" /* kubectl's annotation */

struct doc {
	const struct env_objects *objects;
	const json_t *container;
	char field[64];	       /* "spec.containers[0]" */
	json_t *root;
	int64_t started_ms;    /* of the container; -1: it does not run */
	bool show_secrets;
};

/* ---- which container ---- */

static const struct {
	const char *path, *status;
} lists[] = {
	{ "spec.containers", "status.containerStatuses" },
	{ "spec.initContainers", "status.initContainerStatuses" },
	{ "spec.ephemeralContainers", "status.ephemeralContainerStatuses" },
};

static const char *default_container(const json_t *pod)
{
	const char *name = jx_annotation(pod, DEFAULT_CONTAINER);

	return name ? name : jx_str_or(json_array_get(jx_at(pod, "spec.containers"), 0), "name", "");
}

static const json_t *named(const json_t *list, const char *name, size_t *ret_index)
{
	const json_t *c;
	size_t i;

	json_array_foreach(list, i, c)
		if (c_eq(jx_str(c, "name"), name)) {
			*ret_index = i;
			return c;
		}
	return NULL;
}

static int find_container(struct doc *d, const char *name, struct err *e)
{
	const json_t *pod = d->objects->pod;
	size_t at;

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		d->container = named(jx_at(pod, lists[l].path), name, &at);
		if (!d->container)
			continue;
		snprintf(d->field, sizeof(d->field), "%s[%zu]", lists[l].path, at);
		const json_t *status = named(jx_at(pod, lists[l].status), name, &at);
		if (time_parse(jx_str_or(status, "state.running.startedAt", ""), &d->started_ms) < 0)
			d->started_ms = -1;
		else
			jx_set_str(d->root, "startedAt", jx_str(status, "state.running.startedAt"));
		return 0;
	}
	return err_set(e, ERR_NOT_FOUND, "pod %s/%s has no container \"%s\"", jx_str_or(pod, "metadata.namespace", ""), jx_name(pod), name);
}

static void add_names(json_t *root, const json_t *pod)
{
	json_t *names = json_array();

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		const json_t *c;
		size_t i;
		json_array_foreach(jx_at(pod, lists[l].path), i, c)
			json_array_append_new(names, json_string(jx_str_or(c, "name", "")));
	}
	json_object_set_new(root, "containers", names);
}

/* ---- what is needed ---- */

static void want(json_t *wants, const char *resource, const json_t *ref)
{
	cleanup(freep) char *key = ref ? xasprintf("%s/%s", resource, jx_str_or(ref, "name", "")) : NULL;

	if (key)
		json_object_set_new(wants, key, json_null());
}

json_t *env_doc_wants(const json_t *pod, const char *container)
{
	json_t *wants = json_object();
	struct env_objects o = { .pod = pod };
	struct doc d = { .objects = &o, .root = wants };
	const json_t *part;
	struct err e;
	size_t i;

	if (find_container(&d, container ? container : default_container(pod), &e) == 0) {
		json_array_foreach(jx_at(d.container, "envFrom"), i, part) {
			want(wants, "configmaps", jx_at(part, "configMapRef"));
			want(wants, "secrets", jx_at(part, "secretRef"));
		}
		json_array_foreach(jx_at(d.container, "env"), i, part) {
			want(wants, "configmaps", jx_at(part, "valueFrom.configMapKeyRef"));
			want(wants, "secrets", jx_at(part, "valueFrom.secretKeyRef"));
		}
	}
	json_object_del(wants, "startedAt");
	return wants;
}

/* ---- where a variable comes from ---- */

static void put_service(json_t *s, const struct env_origin *o)
{
	const char *port = jx_str(o->part, "name"), *proto = jx_str_or(o->part, "protocol", "TCP");
	long long number = (long long)jx_int(o->part, "port", 0);
	cleanup(freep) char *text = NULL;

	jx_set_str(s, "name", jx_name(o->object));
	jx_set_str(s, "namespace", jx_namespace(o->object));
	if (o->part) {
		jx_set_str(s, "port", port);
		jx_set_int(s, "portNumber", number);
		jx_set_str(s, "protocol", proto);
		text = xasprintf("Service %s/%s, port %s%s%lld/%s", jx_namespace(o->object), jx_name(o->object), port ? port : "",
				 port ? " " : "", number, proto);
	} else {
		text = xasprintf("Service %s/%s, ClusterIP", jx_namespace(o->object), jx_name(o->object));
	}
	jx_set_str(s, "text", text);
}

static void put_key(const struct doc *d, json_t *s, const struct env_origin *o, const char *variable)
{
	bool secret = o->kind == ENV_SECRET;
	const char *ref_key = jx_str(o->part, secret ? "valueFrom.secretKeyRef.key" : "valueFrom.configMapKeyRef.key");
	const char *prefix = jx_str_or(o->part, "prefix", "");
	const char *key = ref_key ? ref_key : variable + strlen(prefix), *kind = secret ? "Secret" : "ConfigMap";
	const char *ns = jx_str_or(d->objects->pod, "metadata.namespace", "");
	cleanup(freep) char *text = xasprintf("%s %s/%s, key %s%s", kind, ns, jx_name(o->object), key, ref_key ? "" : " (envFrom)");

	jx_set_str(s, "namespace", ns);
	jx_set_str(s, "name", jx_name(o->object));
	jx_set_str(s, "key", key);
	jx_set_str(s, "text", text);
}

static void put_field(json_t *s, const struct env_origin *o)
{
	bool field = o->kind == ENV_FIELD;
	const char *path = jx_str_or(o->part, field ? "valueFrom.fieldRef.fieldPath" : "valueFrom.resourceFieldRef.resource", "");
	const char *other = jx_str(o->part, "valueFrom.resourceFieldRef.containerName");
	cleanup(freep) char *text = xasprintf("%s %s%s%s", field ? "fieldRef" : "resourceFieldRef", path, other ? " of container " : "",
					      other ? other : "");

	jx_set_str(s, "field", path);
	jx_set_str(s, "text", text);
}

static json_t *source(const struct doc *d, const struct env_origin *o, const char *variable)
{
	static const char *const names[] = { "value", "ConfigMap", "Secret", "fieldRef", "resourceFieldRef", "Service" };
	json_t *s = json_pack("{s:s}", "kind", names[o->kind]);

	switch (o->kind) {
	case ENV_SERVICE:
		put_service(s, o);
		break;
	case ENV_CONFIG_MAP:
	case ENV_SECRET:
		put_key(d, s, o, variable);
		break;
	case ENV_FIELD:
	case ENV_RESOURCE:
		put_field(s, o);
		break;
	case ENV_VALUE:
		jx_set_str(s, "text", strchr(jx_str_or(o->part, "value", ""), '$') ? "own value, expanded" : "own value");
	}
	return s;
}

/* A value that has, or was made with, a Secret's. `hides` counts: the name may have meant that when it was used. */
static bool is_secret(const struct env *v, const struct env_var *var, const json_t *secrets)
{
	const char *text = jx_str_or(var->origin.part, "value", ""), *name;
	json_t *unused;

	if (var->origin.kind == ENV_SECRET)
		return true;
	if (var->origin.kind != ENV_VALUE)
		return false;
	for (size_t i = 0; i < v->n; i++)
		if (v->at[i].hides.kind == ENV_SECRET && env_refers(text, v->at[i].name))
			return true;
	json_object_foreach((json_t *)secrets, name, unused)
		if (env_refers(text, name))
			return true;
	return false;
}

static const char *note(const struct doc *d, const struct env_var *var)
{
	int64_t made;

	if (var->origin.kind != ENV_SERVICE || d->started_ms < 0 ||
	    time_parse(jx_str_or(var->origin.object, "metadata.creationTimestamp", ""), &made) < 0 || made <= d->started_ms)
		return NULL;
	return "the Service is younger than the running container, which will see it when it is started again";
}

static json_t *variable(const struct doc *d, const struct env_var *var, bool secret)
{
	json_t *out = json_pack("{s:s}", "name", var->name);

	if (secret && !d->show_secrets)
		jx_set_bool(out, "secret", true);
	else
		jx_set_str(out, "value", var->value);
	json_object_set_new(out, "source", source(d, &var->origin, var->name));
	if (var->hides.object || var->hides.part)
		json_object_set_new(out, "hides", source(d, &var->hides, var->name));
	jx_set_str(out, "note", note(d, var));
	return out;
}

static json_t *variables(const struct doc *d, const struct env *v)
{
	cleanup(json_decrefp) json_t *secrets = json_object();
	json_t *out = json_array();

	for (size_t i = 0; i < v->n; i++) {
		bool secret = is_secret(v, &v->at[i], secrets);
		if (secret)
			json_object_set_new(secrets, v->at[i].name, json_true());
		json_array_append_new(out, variable(d, &v->at[i], secret));
	}
	return out;
}

/* ---- what is not there ---- */

static const char *why_left_out(const json_t *service, bool links)
{
	if (c_eq(jx_str(service, "spec.type"), "ExternalName"))
		return "ExternalName: it has no ClusterIP";
	if (c_eq(jx_str(service, "spec.clusterIP"), "None"))
		return "headless: it has no ClusterIP";
	if (!jx_str_or(service, "spec.clusterIP", "")[0])
		return "it has no ClusterIP yet";
	return links ? "the namespace has a Service of this name" : "the pod's spec.enableServiceLinks is false";
}

static json_t *left_out(const struct doc *d, const struct env *v)
{
	const char *ns = jx_str_or(d->objects->pod, "metadata.namespace", "");
	bool links = jx_bool(d->objects->pod, "spec.enableServiceLinks", true);
	json_t *out = json_array(), *s;
	struct map seen;
	size_t i;

	map_init(&seen);
	for (i = 0; i < v->n; i++) {
		const struct env_origin *o[] = { &v->at[i].origin, &v->at[i].hides };
		for (size_t k = 0; k < ARRAY_LEN(o); k++)
			if (o[k]->object)
				map_put(&seen, (struct str){ (const char *)&o[k]->object, sizeof(json_t *) }, v->at);
	}
	json_array_foreach(d->objects->services, i, s) {
		const json_t *key = s;
		if (!map_get(&seen, (struct str){ (const char *)&key, sizeof(json_t *) }))
			json_array_append_new(out, json_pack("{s:s, s:s, s:s}", "namespace", jx_str_or(s, "metadata.namespace", ns), "service",
							     jx_name(s), "reason", why_left_out(s, links)));
	}
	map_done(&seen, NULL);
	return out;
}

static const json_t *find_object(void *ctx, const char *resource, const char *name, bool *ret_known)
{
	const struct doc *d = ctx;
	cleanup(freep) char *key = xasprintf("%s/%s", resource, name);
	const json_t *obj = json_object_get(d->objects->objects, key);

	*ret_known = obj && !json_is_string(obj);
	return json_is_object(obj) ? obj : NULL;
}

/* Why an object was not read, instead of that it was not. */
static const char *read_error(const struct doc *d, const json_t *part)
{
	static const struct {
		const char *path, *resource;
	} refs[] = { { "configMapRef", "configmaps" }, { "secretRef", "secrets" }, { "valueFrom.configMapKeyRef", "configmaps" },
		     { "valueFrom.secretKeyRef", "secrets" } };

	for (size_t i = 0; i < ARRAY_LEN(refs); i++) {
		const json_t *ref = jx_at(part, refs[i].path);
		cleanup(freep) char *key = ref ? xasprintf("%s/%s", refs[i].resource, jx_str_or(ref, "name", "")) : NULL;
		if (key)
			return json_string_value(json_object_get(d->objects->objects, key));
	}
	return NULL;
}

static void on_problem(void *ctx, const json_t *part, const struct err *e)
{
	struct doc *d = ctx;
	static const char *const members[] = { "envFrom", "env" };
	const char *why = e->reason == ERR_UNAVAILABLE ? read_error(d, part) : NULL;
	const json_t *p;
	size_t i;

	for (size_t m = 0; m < ARRAY_LEN(members); m++)
		json_array_foreach(json_object_get(d->container, members[m]), i, p)
			if (p == part) {
				cleanup(freep) char *field = xasprintf("%s.%s[%zu]", d->field, members[m], i);
				json_t *row = json_pack("{s:s, s:s}", "field", field, "message", why ? why : e->message);
				jx_set_str(row, "variable", jx_str(part, "name"));
				json_array_append_new(json_object_get(d->root, "problems"), row);
			}
}

static void build(struct doc *d)
{
	const json_t **services = xcalloc(json_array_size(d->objects->services) + 1, sizeof(*services));
	struct pod_env_input in = { .pod = d->objects->pod, .container = d->container, .services = services,
				    .allocatable = d->objects->allocatable, .ctx = d, .object = find_object, .problem = on_problem };
	const json_t *s;
	struct env v;
	struct err e;
	size_t i;

	json_array_foreach(d->objects->services, i, s)
		services[in.n_services++] = s;
	if (pod_env_build(&in, &v, &e) == 0) { /* with problem() it always is */
		json_object_set_new(d->root, "variables", variables(d, &v));
		json_object_set_new(d->root, "leftOut", left_out(d, &v));
		env_done(&v);
	}
	free(services);
}

json_t *env_doc(const struct env_objects *o, const char *container, bool show_secrets, struct err *e)
{
	const char *name = container ? container : default_container(o->pod);
	cleanup(json_decrefp) json_t *root = json_pack("{s:s, s:s, s:s}", "namespace", jx_str_or(o->pod, "metadata.namespace", ""), "pod",
						       jx_name(o->pod), "container", name);
	struct doc d = { .objects = o, .root = root, .show_secrets = show_secrets };

	add_names(root, o->pod);
	if (find_container(&d, name, e) < 0)
		return NULL;
	json_object_set_new(root, "problems", json_array());
	build(&d);
	return TAKE_PTR(root);
}
