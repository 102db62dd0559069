#include "kube/schema/validate_int.h"

/* k8s.io/kubernetes pkg/apis/rbac/validation. */

static const char *const group[] = { "rbac.authorization.k8s.io", NULL };

static void check_rule(struct field_errors *fe, const struct place *p, const json_t *rule, bool namespaced)
{
	const json_t *urls = json_object_get(rule, "nonResourceURLs");

	if (!jx_len(rule, "verbs"))
		missing(fe, AT(p, "verbs"), "verbs must contain at least one value");
	if (json_array_size(urls)) {
		if (namespaced)
			bad_value(fe, AT(p, "nonResourceURLs"), urls,
				  "namespaced rules cannot apply to non-resource URLs");
		if (jx_len(rule, "apiGroups") || jx_len(rule, "resources") || jx_len(rule, "resourceNames"))
			bad_value(fe, AT(p, "nonResourceURLs"), urls,
				  "rules cannot apply to both regular resources and non-resource URLs");
		return;
	}
	if (!jx_len(rule, "apiGroups"))
		missing(fe, AT(p, "apiGroups"), "resource rules must supply at least one api group");
	if (!jx_len(rule, "resources"))
		missing(fe, AT(p, "resources"), "resource rules must supply at least one resource");
}

static void check_rules(struct field_errors *fe, const json_t *obj, bool namespaced)
{
	json_t *rule;
	size_t i;

	json_array_foreach(json_object_get(obj, "rules"), i, rule)
		check_rule(fe, AT_INDEX(AT(NULL, "rules"), i), rule, namespaced);
}

void validate_role(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	(void)old;
	check_rules(fe, obj, true);
}

void validate_clusterrole(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const struct place *p = AT(AT(NULL, "aggregationRule"), "clusterRoleSelectors");
	const json_t *aggregation = json_object_get(obj, "aggregationRule");
	json_t *selector;
	size_t i;

	(void)old;
	check_rules(fe, obj, false);
	if (aggregation && !jx_len(aggregation, "clusterRoleSelectors"))
		missing(fe, p, "at least one clusterRoleSelector required if aggregationRule is non-nil");
	json_array_foreach(json_object_get(aggregation, "clusterRoleSelectors"), i, selector)
		check_label_selector(fe, AT_INDEX(p, i), selector);
}

static void check_subject(struct field_errors *fe, const struct place *p, const json_t *subject,
			  bool namespaced)
{
	static const char *const kinds[] = { "ServiceAccount", "User", "Group", NULL }, *const no_group[] = {
		"", NULL
	};
	const char *name = text_of(subject, "name"), *kind = text_of(subject, "kind"),
		   *g = text_of(subject, "apiGroup");

	if (!name[0])
		missing(fe, AT(p, "name"), "");
	if (!one_of(kind, kinds)) {
		unsupported(fe, AT(p, "kind"), kind, kinds);
		return;
	}
	if (strcmp(kind, "ServiceAccount") != 0) {
		if (!one_of(g, group))
			unsupported(fe, AT(p, "apiGroup"), g, group);
		return;
	}
	if (name[0])
		check_format(fe, AT(p, "name"), FORMAT_DNS1123_SUBDOMAIN, name);
	if (g[0])
		unsupported(fe, AT(p, "apiGroup"), g, no_group);
	if (!namespaced && !text_of(subject, "namespace")[0])
		missing(fe, AT(p, "namespace"), "");
}

static void check_binding(struct field_errors *fe, const json_t *obj, const json_t *old,
			  const char *const *kinds, bool namespaced)
{
	const json_t *ref = json_object_get(obj, "roleRef");
	const struct place *p = AT(NULL, "roleRef");
	json_t *subject;
	size_t i;

	if (!one_of(text_of(ref, "apiGroup"), group))
		unsupported(fe, AT(p, "apiGroup"), text_of(ref, "apiGroup"), group);
	if (!one_of(text_of(ref, "kind"), kinds))
		unsupported(fe, AT(p, "kind"), text_of(ref, "kind"), kinds);
	if (text_of(ref, "name")[0])
		check_format(fe, AT(p, "name"), FORMAT_PATH_SEGMENT, text_of(ref, "name"));
	else
		missing(fe, AT(p, "name"), "");
	json_array_foreach(json_object_get(obj, "subjects"), i, subject)
		check_subject(fe, AT_INDEX(AT(NULL, "subjects"), i), subject, namespaced);
	if (old && !same(ref, json_object_get(old, "roleRef")))
		bad_value(fe, p, ref, "cannot change roleRef");
}

void validate_rolebinding(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	static const char *const kinds[] = { "Role", "ClusterRole", NULL };

	check_binding(fe, obj, old, kinds, true);
}

void validate_clusterrolebinding(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	static const char *const kinds[] = { "ClusterRole", NULL };

	check_binding(fe, obj, old, kinds, false);
}
