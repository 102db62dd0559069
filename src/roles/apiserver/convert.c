#include "roles/apiserver/convert.h"

/* Moves a member to another name, where there is one. */
static void rename_member(json_t *obj, const char *from, const char *to)
{
	json_t *v = json_object_get(obj, from);

	if (!v)
		return;
	json_object_set(obj, to, v);
	json_object_del(obj, from);
}

/* {serviceName, servicePort} → {service: {name, port: {number | name}}} */
static void backend_to_v1(json_t *backend)
{
	const json_t *port = json_object_get(backend, "servicePort");
	const char *name = jx_str_or(backend, "serviceName", "");
	bool has_port = json_is_string(port) ? json_string_length(port) > 0 : json_integer_value(port) != 0;

	if (name[0] || has_port) {
		json_t *service = json_object();

		json_object_set_new(service, "name", json_string(name));
		json_object_set_new(service, "port", json_object());
		if (has_port)
			json_object_set(json_object_get(service, "port"),
					json_is_string(port) ? "name" : "number", (json_t *)port);
		json_object_set_new(backend, "service", service);
	}
	json_object_del(backend, "serviceName");
	json_object_del(backend, "servicePort");
}

static void backend_to_beta(json_t *backend)
{
	const json_t *service = json_object_get(backend, "service");
	json_t *number = jx_at(service, "port.number"), *name = jx_at(service, "port.name");

	if (!service)
		return;
	json_object_set_new(backend, "serviceName", json_string(jx_str_or(service, "name", "")));
	/* A port that is not there is 0 in this version: its field cannot be left out. */
	if (json_string_length(name))
		json_object_set(backend, "servicePort", name);
	else
		json_object_set_new(backend, "servicePort", json_integer(json_integer_value(number)));
	json_object_del(backend, "service");
}

static void each_path(json_t *spec, void (*fn)(json_t *path))
{
	json_t *rule, *path;
	size_t i, j;

	json_array_foreach(json_object_get(spec, "rules"), i, rule)
		json_array_foreach(jx_at(rule, "http.paths"), j, path)
			if (json_is_object(path))
				fn(path);
}

static void path_to_v1(json_t *path)
{
	json_t *backend = json_object_get(path, "backend");

	if (!json_object_get(path, "pathType"))
		json_object_set_new(path, "pathType", json_string("ImplementationSpecific"));
	if (backend)
		backend_to_v1(backend);
}

static void path_to_beta(json_t *path)
{
	json_t *backend = json_object_get(path, "backend");

	if (backend)
		backend_to_beta(backend);
}

static void ingress_to_v1(json_t *obj)
{
	json_t *spec = json_object_get(obj, "spec");

	rename_member(spec, "backend", "defaultBackend");
	if (json_object_get(spec, "defaultBackend"))
		backend_to_v1(json_object_get(spec, "defaultBackend"));
	each_path(spec, path_to_v1);
}

static void ingress_to_beta(json_t *obj)
{
	json_t *spec = json_object_get(obj, "spec");

	rename_member(spec, "defaultBackend", "backend");
	if (json_object_get(spec, "backend"))
		backend_to_beta(json_object_get(spec, "backend"));
	each_path(spec, path_to_beta);
}

/* events.k8s.io is a younger spelling of core's events. */
static const struct {
	const char *core, *events;
} event_names[] = {
	{ "involvedObject", "regarding" },
	{ "message", "note" },
	{ "reportingComponent", "reportingController" },
	{ "source", "deprecatedSource" },
	{ "firstTimestamp", "deprecatedFirstTimestamp" },
	{ "lastTimestamp", "deprecatedLastTimestamp" },
	{ "count", "deprecatedCount" },
};

static void event_to_core(json_t *obj)
{
	for (size_t i = 0; i < ARRAY_LEN(event_names); i++)
		rename_member(obj, event_names[i].events, event_names[i].core);
}

static void event_of_core(json_t *obj)
{
	for (size_t i = 0; i < ARRAY_LEN(event_names); i++)
		rename_member(obj, event_names[i].core, event_names[i].events);
}

/* Versions whose fields are the same need no row. */
static const struct {
	const char *kind, *from_group, *from, *to_group, *to;
	void (*convert)(json_t *obj);
} conversions[] = {
	{ "Ingress", "networking.k8s.io", "v1beta1", "networking.k8s.io", "v1", ingress_to_v1 },
	{ "Ingress", "networking.k8s.io", "v1", "networking.k8s.io", "v1beta1", ingress_to_beta },
	{ "Event", "events.k8s.io", "v1", "", "v1", event_to_core },
	{ "Event", "", "v1", "events.k8s.io", "v1", event_of_core },
};

static bool is_version(const struct resource *r, const char *group, const char *version)
{
	return strcmp(r->group, group) == 0 && strcmp(r->version, version) == 0;
}

json_t *object_convert(const struct resource *from, const struct resource *to, json_t *obj)
{
	if (is_version(from, to->group, to->version))
		return json_incref(obj);
	json_t *out = json_deep_copy(obj);
	cleanup(freep) char *api_version = resource_api_version(to);

	json_object_set_new(out, "apiVersion", json_string(api_version));
	for (size_t i = 0; i < ARRAY_LEN(conversions); i++)
		if (strcmp(conversions[i].kind, to->kind) == 0 &&
		    is_version(from, conversions[i].from_group, conversions[i].from) &&
		    is_version(to, conversions[i].to_group, conversions[i].to))
			conversions[i].convert(out);
	return out;
}
