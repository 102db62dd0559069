#include "kube/object/selector.h"
#include "kube/schema/validate_int.h"

/* Workloads: k8s.io/kubernetes pkg/apis/apps/validation. */

static void check_int_or_percent(struct field_errors *fe, const struct place *p, const json_t *v)
{
	if (json_is_string(v))
		check_format(fe, p, FORMAT_PERCENT, json_string_value(v));
	else
		check_not_negative(fe, p, json_integer_value(v));
}

/* Of "25%" the 25; anything malformed is 0, as what is absent. */
static int64_t amount(const json_t *v, bool *ret_percent)
{
	*ret_percent = json_is_string(v) && format_ok(FORMAT_PERCENT, json_string_value(v));
	return *ret_percent ? strtoll(json_string_value(v), NULL, 10) : json_integer_value(v);
}

static void check_rolling(struct field_errors *fe, const struct place *p, const json_t *r)
{
	const json_t *unavailable = json_object_get(r, "maxUnavailable"),
		     *surge = json_object_get(r, "maxSurge");
	bool percent, surge_percent;

	check_int_or_percent(fe, AT(p, "maxUnavailable"), unavailable);
	check_int_or_percent(fe, AT(p, "maxSurge"), surge);
	int64_t n = amount(unavailable, &percent);
	if (n == 0 && amount(surge, &surge_percent) == 0)
		bad_value(fe, AT(p, "maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0");
	if (percent && n > 100)
		bad_value(fe, AT(p, "maxUnavailable"), unavailable, "must not be greater than 100%%");
}

static void check_strategy(struct field_errors *fe, const struct place *p, const json_t *strategy)
{
	static const char *const types[] = { "Recreate", "RollingUpdate", NULL };
	const json_t *rolling = json_object_get(strategy, "rollingUpdate");
	const char *type = text_of(strategy, "type");

	if (!one_of(type, types))
		unsupported(fe, p, type, types);
	else if (strcmp(type, "Recreate") == 0 && rolling)
		forbidden(fe, AT(p, "rollingUpdate"),
			  "may not be specified when strategy `type` is 'Recreate'");
	else if (strcmp(type, "RollingUpdate") == 0 && !rolling)
		missing(fe, AT(p, "rollingUpdate"), "this should be defaulted and never be nil");
	else if (rolling)
		check_rolling(fe, AT(p, "rollingUpdate"), rolling);
}

/* A nil selector selects nothing here, an empty one everything. */
static bool selects(const json_t *selector, const json_t *labels)
{
	struct err e = { 0 };

	if (!selector)
		return false;
	struct selector *s = selector_of_label_selector(selector, &e);
	bool matches = !s || selector_matches(s, labels); /* a malformed one is told by its own check */
	selector_free(s);
	return matches;
}

static void check_selector(struct field_errors *fe, const struct place *p, const json_t *selector,
			   const char *kind)
{
	if (!selector) {
		missing(fe, p, "");
		return;
	}
	check_label_selector(fe, p, selector);
	if (jx_len(selector, "matchLabels") + jx_len(selector, "matchExpressions") == 0)
		bad_value(fe, p, selector, "empty selector is invalid for %s", kind);
}

static void check_template(struct field_errors *fe, const struct place *p, const json_t *spec,
			   const char *kind)
{
	static const char *const always[] = { "Always", NULL };
	const json_t *template = json_object_get(spec, "template"),
		     *labels = jx_at(template, "metadata.labels");
	const char *restart = jx_str_or(template, "spec.restartPolicy", "");

	if (!selects(json_object_get(spec, "selector"), labels))
		bad_value(fe, AT(AT(p, "metadata"), "labels"), labels,
			  "`selector` does not match template `labels`");
	validate_pod_template(fe, p, template);
	if (strcmp(restart, "Always") != 0)
		unsupported(fe, AT(AT(p, "spec"), "restartPolicy"), restart, always);
	if (jx_at(template, "spec.activeDeadlineSeconds"))
		forbidden(fe, AT(AT(p, "spec"), "activeDeadlineSeconds"),
			  "activeDeadlineSeconds in %s is not Supported", kind);
}

static void check_count(struct field_errors *fe, const struct place *p, const json_t *spec,
			const char *member)
{
	check_not_negative(fe, AT(p, member), jx_int(spec, member, 0));
}

static void check_selector_kept(struct field_errors *fe, const struct place *p, const json_t *spec,
				const json_t *old)
{
	if (old)
		check_immutable(fe, AT(p, "selector"), json_object_get(spec, "selector"),
				jx_at(old, "spec.selector"));
}

void validate_deployment(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const json_t *spec = json_object_get(obj, "spec"),
		     *deadline = json_object_get(spec, "progressDeadlineSeconds");
	const struct place *p = AT(NULL, "spec");

	check_count(fe, p, spec, "replicas");
	check_selector(fe, AT(p, "selector"), json_object_get(spec, "selector"), "deployment");
	check_template(fe, AT(p, "template"), spec, "ReplicaSet");
	check_strategy(fe, AT(p, "strategy"), json_object_get(spec, "strategy"));
	check_count(fe, p, spec, "minReadySeconds");
	check_count(fe, p, spec, "revisionHistoryLimit");
	check_count(fe, p, spec, "progressDeadlineSeconds");
	if (deadline && json_integer_value(deadline) <= jx_int(spec, "minReadySeconds", 0))
		bad_int(fe, AT(p, "progressDeadlineSeconds"), json_integer_value(deadline),
			"must be greater than minReadySeconds");
	check_selector_kept(fe, p, spec, old);
}

void validate_replicaset(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const json_t *spec = json_object_get(obj, "spec");
	const struct place *p = AT(NULL, "spec");

	check_count(fe, p, spec, "replicas");
	check_count(fe, p, spec, "minReadySeconds");
	check_selector(fe, AT(p, "selector"), json_object_get(spec, "selector"),
		       "deployment"); /* upstream's word */
	check_template(fe, AT(p, "template"), spec, "ReplicaSet");
	check_selector_kept(fe, p, spec, old);
}

void validate_daemonset(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	static const char *const types[] = { "RollingUpdate", "OnDelete", NULL };
	const json_t *spec = json_object_get(obj, "spec");
	const struct place *p = AT(NULL, "spec");
	const char *type = jx_str_or(spec, "updateStrategy.type", "");

	check_selector(fe, AT(p, "selector"), json_object_get(spec, "selector"), "daemonset");
	check_template(fe, AT(p, "template"), spec, "DaemonSet");
	check_count(fe, p, spec, "minReadySeconds");
	if (!one_of(type, types))
		unsupported(fe, AT(AT(p, "updateStrategy"), "type"), type, types);
	check_count(fe, p, spec, "revisionHistoryLimit");
	check_selector_kept(fe, p, spec, old);
}

static void check_statefulset_update(struct field_errors *fe, const struct place *p, const json_t *spec,
				     const json_t *old)
{
	static const char *const free_members[] = { "replicas",
						    "ordinals",
						    "template",
						    "updateStrategy",
						    "revisionHistoryLimit",
						    "persistentVolumeClaimRetentionPolicy",
						    "minReadySeconds" };
	cleanup(json_decrefp) json_t *a = json_copy((json_t *)spec), *b = json_copy((json_t *)old);

	for (size_t i = 0; i < ARRAY_LEN(free_members); i++) {
		json_object_del(a, free_members[i]);
		json_object_del(b, free_members[i]);
	}
	if (!same(a, b))
		forbidden(
			fe, p,
			"updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
			"'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
			"'minReadySeconds' are forbidden");
}

void validate_statefulset(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	static const char *const management[] = { "OrderedReady", "Parallel", NULL };
	static const char *const types[] = { "RollingUpdate", "OnDelete", NULL };
	const json_t *spec = json_object_get(obj, "spec");
	const struct place *p = AT(NULL, "spec");
	const char *type = jx_str_or(spec, "updateStrategy.type", "");

	check_enum(fe, AT(p, "podManagementPolicy"), text_of(spec, "podManagementPolicy"), management);
	if (!type[0])
		missing(fe, AT(p, "updateStrategy"), "");
	else if (!one_of(type, types))
		bad_value(fe, AT(p, "updateStrategy"), json_object_get(spec, "updateStrategy"),
			  "must be 'RollingUpdate' or 'OnDelete'");
	check_count(fe, p, spec, "replicas");
	check_count(fe, p, spec, "minReadySeconds");
	check_selector(fe, AT(p, "selector"), json_object_get(spec, "selector"), "statefulset");
	check_template(fe, AT(p, "template"), spec, "StatefulSet");
	if (old)
		check_statefulset_update(fe, p, spec, json_object_get(old, "spec"));
}

void validate_replicas_status(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	static const char *const counts[] = { "observedGeneration",   "replicas",      "updatedReplicas",
					      "fullyLabeledReplicas", "readyReplicas", "availableReplicas",
					      "unavailableReplicas",  "collisionCount" };
	static const char *const parts[] = { "updatedReplicas", "fullyLabeledReplicas", "readyReplicas",
					     "availableReplicas" };
	const json_t *status = json_object_get(obj, "status");
	const struct place *p = AT(NULL, "status");
	int64_t available = jx_int(status, "availableReplicas", 0);

	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		check_count(fe, p, status, counts[i]);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (jx_int(status, parts[i], 0) > jx_int(status, "replicas", 0))
			bad_int(fe, AT(p, parts[i]), jx_int(status, parts[i], 0),
				"cannot be greater than status.replicas");
	if (available > jx_int(status, "readyReplicas", 0))
		bad_int(fe, AT(p, "availableReplicas"), available, "cannot be greater than readyReplicas");
	if (jx_int(status, "collisionCount", 0) < jx_int(old, "status.collisionCount", 0))
		bad_int(fe, AT(p, "collisionCount"), jx_int(status, "collisionCount", 0),
			"cannot be decremented");
}
