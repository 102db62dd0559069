#include "roles/controllers/endpoints.h"

#include <string.h>

bool service_selects(const json_t *service)
{
	return jx_len(service, "spec.selector") > 0 &&
	       strcmp(jx_str_or(service, "spec.type", "ClusterIP"), "ExternalName") != 0;
}

bool service_is_headless(const json_t *service)
{
	return c_eq(jx_str(service, "spec.clusterIP"), "None");
}

static int64_t named_port(const json_t *containers, const char *name, const char *protocol,
			  bool sidecars_only)
{
	const json_t *c, *p;
	size_t i, k;

	json_array_foreach(containers, i, c) {
		if (sidecars_only && !c_eq(jx_str(c, "restartPolicy"), "Always"))
			continue;
		json_array_foreach(json_object_get(c, "ports"), k, p)
			if (c_eq(jx_str(p, "name"), name) &&
			    strcmp(jx_str_or(p, "protocol", "TCP"), protocol) == 0)
				return jx_int(p, "containerPort", 0);
	}
	return 0;
}

static int64_t target_port(const json_t *port, const json_t *pod)
{
	const json_t *target = json_object_get(port, "targetPort");
	const char *protocol = jx_str_or(port, "protocol", "TCP"),
		   *name = json_string_value(target);
	int64_t n;

	if (!name)
		return json_is_integer(target) && json_integer_value(target)
			       ? json_integer_value(target)
			       : jx_int(port, "port", 0);
	n = named_port(jx_at(pod, "spec.containers"), name, protocol, false);
	return n ? n : named_port(jx_at(pod, "spec.initContainers"), name, protocol, true);
}

json_t *service_ports_of(const json_t *service, const json_t *pod)
{
	const json_t *port;
	json_t *list = json_array();
	size_t i;

	json_array_foreach(jx_at(service, "spec.ports"), i, port) {
		int64_t number = target_port(port, pod);
		json_t *p;

		if (!number)
			continue;
		p = json_object();
		jx_set_str(p, "name", jx_str_or(port, "name", ""));
		jx_set_int(p, "port", number);
		jx_set_str(p, "protocol", jx_str_or(port, "protocol", "TCP"));
		jx_set_str(p, "appProtocol", jx_str(port, "appProtocol"));
		json_array_append_new(list, p);
	}
	return list;
}

json_t *service_labels(const json_t *service, const char *const *extra)
{
	const json_t *own = jx_at(service, "metadata.labels");
	json_t *labels = own ? json_deep_copy(own) : json_object();

	json_object_del(labels, HEADLESS_LABEL);
	json_object_del(labels, SERVICE_NAME_LABEL);
	json_object_del(labels, SLICE_MANAGED_BY_LABEL);
	if (service_is_headless(service))
		json_object_set_new(labels, HEADLESS_LABEL, json_string(""));
	for (; *extra; extra += 2)
		json_object_set_new(labels, extra[0], json_string(extra[1]));
	return labels;
}

json_t *pod_target_ref(const json_t *pod)
{
	json_t *ref = json_object();

	jx_set_str(ref, "kind", "Pod");
	jx_set_str(ref, "namespace", jx_namespace(pod));
	jx_set_str(ref, "name", jx_name(pod));
	jx_set_str(ref, "uid", jx_uid(pod));
	return ref;
}

const char *pod_hostname_in(const json_t *pod, const json_t *service)
{
	const char *hostname = jx_str(pod, "spec.hostname");

	if (!hostname || !hostname[0] || !c_eq(jx_str(pod, "spec.subdomain"), jx_name(service)))
		return NULL;
	return hostname;
}

const char *pod_trigger_time(const json_t *pod)
{
	const char *ready = jx_str(condition_get(pod, "Ready"), "lastTransitionTime");

	return being_deleted(pod) ? jx_str(pod, "metadata.deletionTimestamp") : ready;
}

void set_trigger_time(json_t *obj, const char *time)
{
	json_t *meta = json_object_get(obj, "metadata"),
	       *annotations = json_object_get(meta, "annotations");

	if (!time) {
		json_object_del(annotations, TRIGGER_TIME);
		return;
	}
	if (!annotations) {
		annotations = json_object();
		json_object_set_new(meta, "annotations", annotations);
	}
	json_object_set_new(annotations, TRIGGER_TIME, json_string(time));
}
