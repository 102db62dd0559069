/* The older Endpoints: one object per Service, its addresses grouped by the ports they serve. */
#include "roles/controllers/endpoints.h"

#include <string.h>

struct address {
	json_t *json;
	json_t *ports;
	bool ready;
};

static json_t *address_json(const struct endpoints_view *v, const json_t *pod)
{
	json_t *a = json_object();

	jx_set_str(a, "ip", jx_str(pod, "status.podIP"));
	jx_set_str(a, "hostname", pod_hostname_in(pod, v->service));
	jx_set_str(a, "nodeName", jx_str(pod, "spec.nodeName"));
	json_object_set_new(a, "targetRef", pod_target_ref(pod));
	return a;
}

static int by_address(const void *x, const void *y)
{
	const struct address *a = x, *b = y;
	int d = strcmp(jx_str_or(a->json, "ip", ""), jx_str_or(b->json, "ip", ""));

	return d ? d
		 : strcmp(jx_str_or(a->json, "targetRef.uid", ""),
			  jx_str_or(b->json, "targetRef.uid", ""));
}

static size_t collect(const struct endpoints_view *v, struct address *out)
{
	bool publish = jx_bool(v->service, "spec.publishNotReadyAddresses", false);
	size_t n = 0;

	for (size_t i = 0; i < v->pods.n && n < ENDPOINTS_ADDRESSES_MAX; i++) {
		const json_t *pod = v->pods.at[i];
		const char *ip = jx_str(pod, "status.podIP");

		if (!ip || !ip[0] || pod_is_terminal(pod) || (being_deleted(pod) && !publish))
			continue;
		json_t *ports = service_ports_of(v->service, pod);
		if (!json_array_size(ports) && jx_len(v->service, "spec.ports")) {
			json_decref(ports);
			continue;
		}
		out[n++] = (struct address){ address_json(v, pod), ports,
					     publish || pod_is_ready(pod) };
	}
	qsort(out, n, sizeof(*out), by_address);
	return n;
}

static json_t *subset_of(json_t *subsets, json_t *ports)
{
	json_t *s;
	size_t i;

	json_array_foreach(subsets, i, s) {
		const json_t *have = json_object_get(s, "ports");
		if (json_equal(have, ports) || (!have && !json_array_size(ports)))
			return s;
	}
	s = json_object();
	if (json_array_size(ports))
		json_object_set(s, "ports", ports);
	json_array_append_new(subsets, s);
	return s;
}

static void subset_append(json_t *subset, const char *member, json_t *address)
{
	json_t *list = json_object_get(subset, member);

	if (!list) {
		list = json_array();
		json_object_set_new(subset, member, list);
	}
	json_array_append(list, address);
}

/* A Service with one unnamed port has ports without a name here, not with an empty one. */
static void drop_empty_names(json_t *ports)
{
	json_t *p;
	size_t i;

	json_array_foreach(ports, i, p)
		if (c_eq(jx_str(p, "name"), ""))
			json_object_del(p, "name");
}

static json_t *subsets_of(const struct endpoints_view *v)
{
	struct address *at = xcalloc(v->pods.n + 1, sizeof(*at));
	size_t n = collect(v, at);
	json_t *subsets = json_array();

	for (size_t i = 0; i < n; i++) {
		drop_empty_names(at[i].ports);
		subset_append(subset_of(subsets, at[i].ports),
			      at[i].ready ? "addresses" : "notReadyAddresses", at[i].json);
		json_decref(at[i].json);
		json_decref(at[i].ports);
	}
	free(at);
	return subsets;
}

static const char *newest_trigger(const struct endpoints_view *v)
{
	const char *newest = NULL;

	for (size_t i = 0; i < v->pods.n; i++) {
		const char *t = pod_trigger_time(v->pods.at[i]);
		if (t && (!newest || strcmp(t, newest) > 0))
			newest = t;
	}
	return newest;
}

static json_t *endpoints_new(const struct endpoints_view *v)
{
	json_t *obj = json_object();

	jx_set_str(obj, "apiVersion", "v1");
	jx_set_str(obj, "kind", "Endpoints");
	jx_set_str(obj, "metadata.name", jx_name(v->service));
	jx_set_str(obj, "metadata.namespace", jx_namespace(v->service));
	return obj;
}

static bool subsets_equal(const json_t *a, const json_t *b)
{
	if (!json_array_size(a) || !json_array_size(b))
		return !json_array_size(a) && !json_array_size(b);
	return json_equal(a, b);
}

void endpoints_reconcile(const struct endpoints_view *v, struct actions *out)
{
	static const char *const extra[] = { ENDPOINTS_MANAGED_BY_LABEL, ENDPOINTS_MANAGED_BY,
					     NULL };
	json_t *obj;

	if (!service_selects(v->service) || being_deleted(v->service))
		return;
	cleanup(json_decrefp) json_t *subsets = subsets_of(v);
	cleanup(json_decrefp) json_t *labels = service_labels(v->service, extra);
	if (v->endpoints && subsets_equal(json_object_get(v->endpoints, "subsets"), subsets) &&
	    json_equal(jx_at(v->endpoints, "metadata.labels"), labels))
		return;
	obj = v->endpoints ? json_deep_copy(v->endpoints) : endpoints_new(v);
	json_object_set(json_object_get(obj, "metadata"), "labels", labels);
	json_object_set(obj, "subsets", subsets);
	set_trigger_time(obj, newest_trigger(v));
	struct action *a = v->endpoints ? act_update(out, KK_ENDPOINTS, NULL, obj)
					: act_create(out, KK_ENDPOINTS, obj);
	act_note_failed(a, v->service,
			v->endpoints ? "FailedToUpdateEndpoint" : "FailedToCreateEndpoint",
			"Failed to %s endpoint %s/%s: ", v->endpoints ? "update" : "create",
			jx_namespace(v->service), jx_name(v->service));
}
