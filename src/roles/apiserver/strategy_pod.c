#include "roles/apiserver/strategy_int.h"

#include "kube/object/quantity.h"

/* Pods: the state they start in. k8s.io/kubernetes pkg/registry/core/pod, pkg/apis/core/helper/qos. */

static const char *const counted[] = { "cpu", "memory" };

struct totals {
	int64_t requests[ARRAY_LEN(counted)], limits[ARRAY_LEN(counted)];
	bool all_limited; /* every container has a limit for each */
	bool any;
};

static int64_t amount(const json_t *r, const char *list, const char *name)
{
	const char *text = json_string_value(json_object_get(json_object_get(r, list), name));
	int64_t milli = 0;

	return text && quantity_milli(str_of(text), &milli) == 0 && milli > 0 ? milli : 0;
}

static void add_containers(struct totals *t, const json_t *list)
{
	json_t *c;
	size_t i;

	json_array_foreach((json_t *)list, i, c) {
		const json_t *r = json_object_get(c, "resources");

		for (size_t k = 0; k < ARRAY_LEN(counted); k++) {
			int64_t request = amount(r, "requests", counted[k]);
			int64_t limit = amount(r, "limits", counted[k]);

			t->requests[k] += request;
			t->limits[k] += limit;
			t->all_limited &= limit > 0;
			t->any |= request > 0 || limit > 0;
		}
	}
}

static const char *qos_class(const json_t *spec)
{
	struct totals t = { .all_limited = true };

	add_containers(&t, json_object_get(spec, "containers"));
	add_containers(&t, json_object_get(spec, "initContainers"));
	if (!t.any)
		return "BestEffort";
	for (size_t k = 0; k < ARRAY_LEN(counted); k++)
		if (!t.all_limited || t.requests[k] != t.limits[k])
			return "Burstable";
	return "Guaranteed";
}

void pod_create(json_t *obj)
{
	json_object_set_new(obj, "status",
			    json_pack("{s:s,s:s}", "phase", "Pending", "qosClass",
				      qos_class(json_object_get(obj, "spec"))));
	if (jx_len(obj, "spec.schedulingGates"))
		jx_set(obj, "status.conditions",
		       json_pack("[{s:s,s:s,s:s,s:s}]", "type", "PodScheduled", "status", "False", "reason",
				 "SchedulingGated", "message",
				 "Scheduling is blocked due to non-empty scheduling gates"));
}

void pod_update_status(json_t *obj, const json_t *old)
{
	json_t *owners = jx_at(old, "metadata.ownerReferences");

	if (owners)
		jx_set(obj, "metadata.ownerReferences", json_deep_copy(owners));
	else
		jx_del(obj, "metadata.ownerReferences");
	if (!jx_str(obj, "status.qosClass") && jx_str(old, "status.qosClass"))
		jx_set_str(obj, "status.qosClass", jx_str(old, "status.qosClass"));
}
