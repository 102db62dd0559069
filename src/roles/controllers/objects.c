#include "roles/controllers/objects.h"

#include <string.h>

void objects_append(struct objects *to, struct objects from)
{
	for (size_t i = 0; i < from.n; i++)
		to->at[to->n++] = from.at[i];
}

const json_t *controller_ref(const json_t *obj)
{
	const json_t *refs = jx_at(obj, "metadata.ownerReferences"), *ref;
	size_t i;

	json_array_foreach(refs, i, ref)
		if (jx_bool(ref, "controller", false))
			return ref;
	return NULL;
}

const char *controller_uid(const json_t *obj)
{
	return jx_str(controller_ref(obj), "uid");
}

json_t *controller_ref_new(const json_t *owner)
{
	json_t *ref = json_object();

	jx_set_str(ref, "apiVersion", jx_str(owner, "apiVersion"));
	jx_set_str(ref, "kind", jx_str(owner, "kind"));
	jx_set_str(ref, "name", jx_name(owner));
	jx_set_str(ref, "uid", jx_uid(owner));
	jx_set_bool(ref, "controller", true);
	jx_set_bool(ref, "blockOwnerDeletion", true);
	return ref;
}

/* The uid in a patch is a precondition: another object of the same name is not touched. */
static json_t *owner_patch(const json_t *obj, json_t *ref)
{
	json_t *patch = json_object(), *refs = json_array();

	json_array_append_new(refs, ref);
	jx_set(patch, "metadata.ownerReferences", refs);
	jx_set_str(patch, "metadata.uid", jx_uid(obj));
	return patch;
}

json_t *adopt_patch(const json_t *obj, const json_t *owner)
{
	return owner_patch(obj, controller_ref_new(owner));
}

json_t *release_patch(const json_t *obj, const json_t *owner)
{
	json_t *ref = json_object();

	jx_set_str(ref, "$patch", "delete");
	jx_set_str(ref, "uid", jx_uid(owner));
	return owner_patch(obj, ref);
}

bool being_deleted(const json_t *obj)
{
	return jx_str(obj, "metadata.deletionTimestamp");
}

int64_t created_ms(const json_t *obj)
{
	int64_t ms;

	return time_parse(jx_str(obj, "metadata.creationTimestamp"), &ms) == 0 ? ms : 0;
}

bool workload_is_sound(const json_t *workload)
{
	const json_t *selector = jx_at(workload, "spec.selector");
	const json_t *labels = json_object_get(selector, "matchLabels");

	if (labels && !json_is_object(labels))
		return false;
	return (json_object_size(labels) || jx_len(selector, "matchExpressions")) &&
	       json_is_object(jx_at(workload, "spec.template.spec"));
}

size_t condition_at(const json_t *conditions, const char *type)
{
	const json_t *c;
	size_t i;

	json_array_foreach(conditions, i, c)
		if (c_eq(jx_str(c, "type"), type))
			return i;
	return SIZE_MAX;
}

const json_t *condition_get(const json_t *obj, const char *type)
{
	const json_t *conditions = jx_at(obj, "status.conditions");

	return json_array_get(conditions, condition_at(conditions, type));
}

bool condition_is(const json_t *obj, const char *type, const char *status)
{
	return c_eq(jx_str(condition_get(obj, type), "status"), status);
}

bool pod_is_terminal(const json_t *pod)
{
	const char *phase = jx_str_or(pod, "status.phase", "");

	return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}

bool pod_is_active(const json_t *pod)
{
	return !pod_is_terminal(pod) && !being_deleted(pod);
}

bool pod_is_ready(const json_t *pod)
{
	return condition_is(pod, "Ready", "True");
}

int64_t pod_ready_since_ms(const json_t *pod)
{
	int64_t ms;

	if (!pod_is_ready(pod))
		return 0;
	return time_parse(jx_str(condition_get(pod, "Ready"), "lastTransitionTime"), &ms) == 0 ? ms
											       : 0;
}

bool pod_is_available(const json_t *pod, int64_t min_ready_s, int64_t now_ms)
{
	if (!pod_is_ready(pod))
		return false;
	int64_t since = pod_ready_since_ms(pod);
	return min_ready_s == 0 || (since && since + min_ready_s * 1000 <= now_ms);
}

bool toleration_covers(const json_t *toleration, const json_t *taint)
{
	const char *effect = jx_str_or(toleration, "effect", ""),
		   *key = jx_str_or(toleration, "key", "");
	bool exists = c_eq(jx_str(toleration, "operator"), "Exists");

	if (effect[0] && !c_eq(effect, jx_str(taint, "effect")))
		return false;
	if (key[0] ? !c_eq(key, jx_str(taint, "key")) : !exists)
		return false;
	return exists ||
	       strcmp(jx_str_or(toleration, "value", ""), jx_str_or(taint, "value", "")) == 0;
}

int64_t int_or_percent(const json_t *v, int64_t total, bool round_up, int64_t fallback)
{
	const char *text = json_string_value(v);
	uint64_t percent;

	if (json_is_integer(v))
		return json_integer_value(v);
	if (!text || !str_ends(str_of(text), STR("%")))
		return fallback;
	if (!str_to_u64((struct str){ text, strlen(text) - 1 }, 100000, &percent))
		return fallback;
	return ((int64_t)percent * total + (round_up ? 99 : 0)) / 100;
}

json_t *merge_members(const json_t *old, json_t *wanted)
{
	const char *name;
	json_t *v;

	json_object_foreach((json_t *)old, name, v)
		if (!json_object_get(wanted, name))
			json_object_set_new(wanted, name, json_null());
	return wanted;
}

void set_nonzero(json_t *obj, const char *name, int64_t n)
{
	if (n)
		jx_set_int(obj, name, n);
}
