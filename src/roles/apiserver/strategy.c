#include "roles/apiserver/strategy.h"

#include "kube/schema/validate.h"
#include "roles/apiserver/strategy_int.h"
#include "roles/apiserver/uid.h"

#include <stdio.h>

#define GENERATED_BASE_BYTES 58 /* 63, as a label may have, less the suffix */

static void namespace_create(json_t *obj)
{
	json_t *finalizers = jx_at(obj, "spec.finalizers"), *f;
	size_t i;

	jx_set_str(obj, "status.phase", "Active");
	json_array_foreach(finalizers, i, f)
		if (c_eq(json_string_value(f), "kubernetes"))
			return;
	if (!json_is_array(finalizers)) {
		finalizers = json_array();
		jx_set(obj, "spec.finalizers", finalizers);
	}
	json_array_append_new(finalizers, json_string("kubernetes"));
}

/* Finalizers of a namespace are removed through "finalize" only. */
static void namespace_update(json_t *obj, const json_t *old)
{
	json_t *finalizers = jx_at(old, "spec.finalizers");

	if (finalizers)
		jx_set(obj, "spec.finalizers", json_deep_copy(finalizers));
	else
		jx_del(obj, "spec.finalizers");
}

static void volume_create(json_t *obj)
{
	jx_set_str(obj, "status.phase", "Pending");
}

static void deployment_update_status(json_t *obj, const json_t *old)
{
	json_t *labels = jx_at(old, "metadata.labels");

	if (labels)
		jx_set(obj, "metadata.labels", json_deep_copy(labels));
	else
		jx_del(obj, "metadata.labels");
}

#define GEN STRATEGY_GENERATION
#define PUT STRATEGY_CREATE_BY_PUT
#define RV STRATEGY_NEEDS_VERSION
#define REPLY STRATEGY_REPLY_OBJECT
/* clang-format off */
static const struct strategy strategies[] = {
	{ "", "Pod", GEN | REPLY | STRATEGY_GRACEFUL, NULL, pod_create, NULL, pod_update_status },
	{ "", "Service", PUT | REPLY, NULL, NULL, service_update, NULL },
	{ "", "Namespace", REPLY, NULL, namespace_create, namespace_update, NULL },
	{ "", "Node", STRATEGY_CREATE_STATUS, NULL, NULL, NULL, NULL },
	{ "", "Endpoints", PUT, NULL, NULL, NULL, NULL },
	{ "", "Event", PUT, NULL, NULL, NULL, NULL },
	{ "events.k8s.io", "Event", PUT, NULL, NULL, NULL, NULL },
	{ "", "LimitRange", PUT, NULL, NULL, NULL, NULL },
	{ "", "ResourceQuota", REPLY, NULL, NULL, NULL, NULL },
	{ "", "ServiceAccount", REPLY, NULL, NULL, NULL, NULL },
	{ "", "PersistentVolume", REPLY, NULL, volume_create, NULL, NULL },
	{ "", "PersistentVolumeClaim", REPLY, NULL, volume_create, NULL, NULL },
	{ "", "PodTemplate", GEN | REPLY, "template", NULL, NULL, NULL },
	{ "", "ReplicationController", GEN | STRATEGY_ORPHAN, NULL, NULL, NULL, NULL },
	{ "apps", "Deployment", GEN, "spec,metadata.annotations", NULL, NULL, deployment_update_status },
	{ "apps", "ReplicaSet", GEN, NULL, NULL, NULL, NULL },
	{ "apps", "DaemonSet", GEN, NULL, NULL, NULL, NULL },
	{ "apps", "StatefulSet", GEN, NULL, NULL, NULL, NULL },
	{ "batch", "Job", GEN | STRATEGY_ORPHAN, NULL, NULL, NULL, NULL },
	{ "batch", "CronJob", GEN, NULL, NULL, NULL, NULL },
	{ "networking.k8s.io", "Ingress", GEN, NULL, NULL, NULL, NULL },
	{ "networking.k8s.io", "IngressClass", GEN, NULL, NULL, NULL, NULL },
	{ "networking.k8s.io", "NetworkPolicy", GEN, NULL, NULL, NULL, NULL },
	{ "discovery.k8s.io", "EndpointSlice", GEN, "addressType,endpoints,ports,metadata.labels", NULL, NULL, NULL },
	{ "policy", "PodDisruptionBudget", GEN | RV, NULL, NULL, NULL, NULL },
	{ "coordination.k8s.io", "Lease", PUT | RV, NULL, NULL, NULL, NULL },
	{ "rbac.authorization.k8s.io", "Role", PUT, NULL, NULL, NULL, NULL },
	{ "rbac.authorization.k8s.io", "RoleBinding", PUT, NULL, NULL, NULL, NULL },
	{ "rbac.authorization.k8s.io", "ClusterRole", PUT, NULL, NULL, NULL, NULL },
	{ "rbac.authorization.k8s.io", "ClusterRoleBinding", PUT, NULL, NULL, NULL, NULL },
	{ "scheduling.k8s.io", "PriorityClass", GEN, "", NULL, NULL, NULL },
	{ "node.k8s.io", "RuntimeClass", PUT | RV, NULL, NULL, NULL, NULL },
	{ "storage.k8s.io", "StorageClass", REPLY, NULL, NULL, NULL, NULL },
	{ "storage.k8s.io", "CSIDriver", REPLY | RV, NULL, NULL, NULL, NULL },
	{ "storage.k8s.io", "CSINode", REPLY | RV, NULL, NULL, NULL, NULL },
	{ "storage.k8s.io", "CSIStorageCapacity", RV, NULL, NULL, NULL, NULL },
	{ "storage.k8s.io", "VolumeAttachment", REPLY | RV, NULL, NULL, NULL, NULL },
	{ "storage.k8s.io", "VolumeAttributesClass", REPLY, NULL, NULL, NULL, NULL },
	{ "resource.k8s.io", "DeviceClass", GEN | REPLY, NULL, NULL, NULL, NULL },
	{ "resource.k8s.io", "ResourceClaim", REPLY, NULL, NULL, NULL, NULL },
	{ "resource.k8s.io", "ResourceClaimTemplate", REPLY, NULL, NULL, NULL, NULL },
	{ "resource.k8s.io", "ResourceSlice", GEN | REPLY, NULL, NULL, NULL, NULL },
	{ "flowcontrol.apiserver.k8s.io", "FlowSchema", GEN, NULL, NULL, NULL, NULL },
	{ "flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", GEN, NULL, NULL, NULL, NULL },
	{ "admissionregistration.k8s.io", "MutatingWebhookConfiguration", GEN | RV, "webhooks", NULL, NULL, NULL },
	{ "admissionregistration.k8s.io", "ValidatingWebhookConfiguration", GEN | RV, "webhooks", NULL, NULL, NULL },
	{ "admissionregistration.k8s.io", "ValidatingAdmissionPolicy", GEN | RV, NULL, NULL, NULL, NULL },
	{ "admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", GEN | RV, NULL, NULL, NULL, NULL },
	{ "apiextensions.k8s.io", "CustomResourceDefinition", GEN | RV, NULL, NULL, NULL, NULL },
	{ "apiregistration.k8s.io", "APIService", RV, NULL, NULL, NULL, NULL },
};
/* clang-format on */

static const struct strategy no_strategy = { "", "", 0, NULL, NULL, NULL, NULL };

const struct strategy *strategy_of(const struct resource *r)
{
	for (size_t i = 0; i < ARRAY_LEN(strategies); i++)
		if (strcmp(strategies[i].kind, r->kind) == 0 && strcmp(strategies[i].group, r->group) == 0)
			return &strategies[i];
	return &no_strategy;
}

static bool has_status(const struct resource *r)
{
	for (const char *const *s = r->subresources; s && *s; s++)
		if (strcmp(*s, "status") == 0)
			return true;
	return false;
}

bool json_same(const json_t *a, const json_t *b)
{
	size_t a_n = json_array_size(a) + json_object_size(a) + json_string_length(a);
	size_t b_n = json_array_size(b) + json_object_size(b) + json_string_length(b);
	bool scalar = json_is_number(a) || json_is_number(b) || json_is_boolean(a) || json_is_boolean(b);

	return json_equal((json_t *)a, (json_t *)b) || (!scalar && a_n == 0 && b_n == 0);
}

/* A member as it was, or gone if it was not there. */
static void keep(json_t *obj, const json_t *old, const char *path)
{
	json_t *v = jx_at(old, path);

	if (v)
		jx_set(obj, path, json_deep_copy(v));
	else
		jx_del(obj, path);
}

void strategy_generate_name(json_t *obj)
{
	const char *base = jx_str_or(obj, "metadata.generateName", "");
	char suffix[SUFFIX_TEXT_BYTES];

	if (!base[0])
		return;
	cleanup(freep) char *name = xasprintf("%.*s%s", GENERATED_BASE_BYTES, base, name_suffix_make(suffix));
	jx_set_str(obj, "metadata.name", name);
}

void strategy_prepare_create(const struct resource *r, json_t *obj, const char *ns, int64_t now_ms)
{
	static const char *const not_yours[] = { "deletionTimestamp", "deletionGracePeriodSeconds",
						 "selfLink", "generation", "resourceVersion" };
	const struct strategy *s = strategy_of(r);
	json_t *metadata = json_object_get(obj, "metadata");
	char uid[UID_TEXT_BYTES], now[TIME_TEXT_BYTES];

	if (!json_is_object(metadata)) {
		metadata = json_object();
		json_object_set_new(obj, "metadata", metadata);
	}
	for (size_t i = 0; i < ARRAY_LEN(not_yours); i++)
		json_object_del(metadata, not_yours[i]);
	if (!jx_str_or(metadata, "name", "")[0])
		strategy_generate_name(obj);
	if (ns)
		json_object_set_new(metadata, "namespace", json_string(ns));
	json_object_set_new(metadata, "uid", json_string(uid_make(uid)));
	json_object_set_new(metadata, "creationTimestamp", json_string(time_text(now_ms, now)));
	if (has_status(r) && !(s->flags & STRATEGY_CREATE_STATUS))
		json_object_del(obj, "status");
	if (s->flags & STRATEGY_GENERATION)
		json_object_set_new(metadata, "generation", json_integer(1));
	if (s->create)
		s->create(obj);
	if (strcmp(r->kind, "Namespace") == 0 && jx_name(obj)) {
		if (!json_is_object(json_object_get(metadata, "labels")))
			json_object_set_new(metadata, "labels", json_object());
		json_object_set_new(json_object_get(metadata, "labels"), "kubernetes.io/metadata.name",
				    json_string(jx_name(obj)));
	}
}

static void keep_system_metadata(json_t *obj, const json_t *old)
{
	static const char *const always[] = { "metadata.creationTimestamp", "metadata.generation",
					      "metadata.selfLink" };
	static const char *const if_absent[] = { "metadata.uid", "metadata.name", "metadata.namespace",
						 "metadata.deletionGracePeriodSeconds" };

	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		keep(obj, old, always[i]);
	for (size_t i = 0; i < ARRAY_LEN(if_absent); i++)
		if (!jx_at(obj, if_absent[i]))
			keep(obj, old, if_absent[i]);
	if (jx_at(old, "metadata.deletionTimestamp"))
		keep(obj, old, "metadata.deletionTimestamp");
}

/* Everything but metadata and the one member that the subresource is about. */
static void keep_all_but(json_t *obj, const json_t *old, const char *member)
{
	const char *key;
	json_t *v;
	void *tmp;

	json_object_foreach_safe(obj, tmp, key, v)
		if (strcmp(key, "metadata") != 0 && strcmp(key, "apiVersion") != 0 &&
		    strcmp(key, "kind") != 0 && strcmp(key, member) != 0 && !json_object_get(old, key))
			json_object_del(obj, key);
	json_object_foreach((json_t *)old, key, v)
		if (strcmp(key, "metadata") != 0 && strcmp(key, member) != 0)
			json_object_set_new(obj, key, json_deep_copy(v));
}

/* The whole object as it was, save what lies at `path`. */
static void keep_all_but_path(json_t *obj, const json_t *old, const char *path)
{
	json_t *changed = jx_at(obj, path) ? json_deep_copy(jx_at(obj, path)) : NULL;
	cleanup(json_decrefp) json_t *rv = jx_at(obj, "metadata.resourceVersion")
						   ? json_deep_copy(jx_at(obj, "metadata.resourceVersion"))
						   : NULL;
	cleanup(json_decrefp) json_t *copy = json_deep_copy(old);

	json_object_clear(obj);
	json_object_update(obj, copy);
	if (changed)
		jx_set(obj, path, changed);
	else
		jx_del(obj, path);
	if (rv)
		jx_set(obj, "metadata.resourceVersion", json_incref(rv));
}

static void keep_all_but_resources(json_t *obj, const json_t *old)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };
	cleanup(json_decrefp) json_t *now = json_deep_copy(obj);
	json_t *c;
	size_t i;

	keep_all_but_path(obj, old, "metadata.resourceVersion");
	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		json_array_foreach(jx_at(obj, lists[l]), i, c) {
			json_t *changed = json_array_get(jx_at(now, lists[l]), i);

			if (c_eq(jx_str(c, "name"), jx_str(changed, "name")))
				keep(c, changed, "resources");
		}
	}
}

static const struct {
	const char *subresource, *path;
} parts[] = {
	{ "ephemeralcontainers", "spec.ephemeralContainers" },
	{ "finalize", "spec.finalizers" },
	{ "approval", "status.conditions" },
};

static bool spec_changed(const struct strategy *s, const json_t *obj, const json_t *old)
{
	for (struct str rest = str_of(s->spec ? s->spec : "spec"); rest.len;) {
		cleanup(freep) char *path = str_dup(str_cut(rest, ',', &rest));

		if (!json_same(jx_at(obj, path), jx_at(old, path)))
			return true;
	}
	return false;
}

static void take_owned_parts(const struct resource *r, const struct strategy *s, json_t *obj,
			     const json_t *old, const char *subresource)
{
	if (c_eq(subresource, "status")) {
		keep_all_but(obj, old, "status");
		if (s->update_status)
			s->update_status(obj, old);
		return;
	}
	if (c_eq(subresource, "resize")) {
		keep_all_but_resources(obj, old);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (c_eq(subresource, parts[i].subresource)) {
			keep_all_but_path(obj, old, parts[i].path);
			return;
		}
	}
	if (has_status(r))
		keep(obj, old, "status");
	if (s->update)
		s->update(obj, old);
}

void strategy_prepare_update(const struct resource *r, json_t *obj, const json_t *old,
			     const char *subresource)
{
	const struct strategy *s = strategy_of(r);

	if (!json_is_object(json_object_get(obj, "metadata")))
		json_object_set_new(obj, "metadata", json_object());
	take_owned_parts(r, s, obj, old, subresource);
	keep_system_metadata(obj, old);
	if ((s->flags & STRATEGY_GENERATION) && spec_changed(s, obj, old))
		jx_set_int(obj, "metadata.generation", jx_int(old, "metadata.generation", 0) + 1);
}

static bool pod_has_ended(const json_t *obj)
{
	const char *phase = jx_str_or(obj, "status.phase", "");

	return strcmp(phase, "Failed") == 0 || strcmp(phase, "Succeeded") == 0;
}

int64_t strategy_grace_s(const struct resource *r, const json_t *obj, int64_t asked_s)
{
	int64_t current = jx_int(obj, "metadata.deletionGracePeriodSeconds", 0);

	if (!(strategy_of(r)->flags & STRATEGY_GRACEFUL))
		return 0;
	if (jx_at(obj, "metadata.deletionTimestamp"))
		return asked_s < 0 ? current : MIN(asked_s, current);
	if (!jx_str_or(obj, "spec.nodeName", "")[0] || pod_has_ended(obj))
		return 0;
	int64_t grace = asked_s >= 0 ? asked_s : jx_int(obj, "spec.terminationGracePeriodSeconds", 0);
	return grace < 0 ? 1 : grace;
}

static void set_deletion(json_t *obj, int64_t at_ms, int64_t grace_s)
{
	char text[TIME_TEXT_BYTES];

	jx_set_str(obj, "metadata.deletionTimestamp", time_text(at_ms, text));
	jx_set_int(obj, "metadata.deletionGracePeriodSeconds", grace_s);
}

bool strategy_mark_deleted(const struct resource *r, json_t *obj, int64_t grace_s, int64_t now_ms)
{
	int64_t was_ms, was_s = jx_int(obj, "metadata.deletionGracePeriodSeconds", 0);
	int64_t generation = jx_int(obj, "metadata.generation", 0);

	(void)r;
	if (time_parse(jx_str(obj, "metadata.deletionTimestamp"), &was_ms) < 0) {
		set_deletion(obj, now_ms + grace_s * 1000, grace_s);
		if (generation > 0)
			jx_set_int(obj, "metadata.generation", generation + 1);
		return true;
	}
	if (grace_s >= was_s)
		return false;
	int64_t at_ms = was_ms - was_s * 1000 + grace_s * 1000;
	if (at_ms < now_ms) {
		at_ms = now_ms;
		grace_s = grace_s != 0;
	}
	set_deletion(obj, at_ms, grace_s);
	return true;
}
