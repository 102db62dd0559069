#include "roles/ingress/route/model.h"

#include <stdio.h>

static json_t *service_backend(const json_t *old)
{
	json_t *port = json_object_get(old, "servicePort");
	json_t *now = json_object(), *ref = json_object();

	if (json_is_integer(port))
		json_object_set(ref, "number", port);
	else if (json_is_string(port))
		json_object_set(ref, "name", port);
	json_t *service = json_object();
	json_object_set(service, "name", json_object_get(old, "serviceName"));
	json_object_set_new(service, "port", ref);
	json_object_set_new(now, "service", service);
	return now;
}

static void convert_backend(json_t *parent, const char *old_name, const char *new_name)
{
	json_t *old = json_object_get(parent, old_name);

	if (!old)
		return;
	json_t *now = json_object_get(old, "serviceName") ? service_backend(old) : json_incref(old);
	json_object_del(parent, old_name);
	json_object_set_new(parent, new_name, now);
}

static void convert_path(json_t *path)
{
	convert_backend(path, "backend", "backend");
	if (!json_object_get(path, "pathType"))
		json_object_set_new(path, "pathType", json_string("ImplementationSpecific"));
}

/* Looks at every backend, whatever apiVersion says: files of both shapes carry the wrong one now and then. */
void ingress_normalise(json_t *obj)
{
	json_t *spec = json_object_get(obj, "spec"), *rule, *path;
	size_t i, k;

	if (!spec)
		return;
	convert_backend(spec, "backend", "defaultBackend");
	convert_backend(spec, "defaultBackend", "defaultBackend");
	json_array_foreach(json_object_get(spec, "rules"), i, rule) {
		json_array_foreach(jx_at(rule, "http.paths"), k, path)
			if (json_is_object(path))
				convert_path(path);
	}
}
