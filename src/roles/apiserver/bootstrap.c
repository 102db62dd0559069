#include "roles/apiserver/bootstrap.h"

#include "kube/schema/decode.h"
#include "roles/apiserver/bootstrap_rbac.h"
#include "roles/apiserver/registry.h"

#include <stdio.h>

#define RBAC_GROUP "rbac.authorization.k8s.io"
#define AUTOUPDATE "rbac.authorization.kubernetes.io/autoupdate"

/* Makes `obj` unless it is there; with `update`, brings it up to date. Steals `obj`. */
static int ensure(struct apiserver *api, const char *group, const char *version, const char *plural,
		  json_t *obj, bool update, struct err *e)
{
	const struct resource *r = resource_find(str_of(group), str_of(version), str_of(plural));
	cleanup(json_decrefp) json_t *owned = obj;
	struct written out = { 0 };

	if (!r)
		return err_set(e, ERR_INTERNAL, "no resource %s.%s", plural, group);
	const struct write w = { .api = api,
				 .table = store_table(api->store, r),
				 .ns = jx_namespace(obj) };
	struct object *old = table_get(w.table, w.ns, jx_name(obj));
	int rc = 0;

	object_default(r, obj);
	if (!old)
		rc = registry_create(&w, obj, &out);
	else if (update)
		rc = registry_update(&w, obj, old, &out);
	if (rc < 0)
		err_set(e, ERR_INTERNAL, "%s \"%s\": %s", plural, jx_name(obj),
			jx_str_or(out.status, "message", ""));
	written_done(&out);
	return rc;
}

/* Namespaces */

static int ensure_namespaces(struct apiserver *api, struct err *e)
{
	static const char *const names[] = { "kube-system", "default", "kube-public",
					     "kube-node-lease" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		json_t *ns = json_pack("{s:s,s:s,s:{s:s}}", "kind", "Namespace", "apiVersion", "v1",
				       "metadata", "name", names[i]);
		if (ensure(api, "", "v1", "namespaces", ns, false, e) < 0)
			return -1;
	}
	return 0;
}

/* RBAC */

static json_t *words(const char *text)
{
	json_t *list = json_array();
	struct str rest = str_of(text);

	while (rest.ptr) {
		struct str word = str_cut(rest, ' ', &rest);
		if (word.len)
			json_array_append_new(list, json_stringn(word.ptr, word.len));
	}
	return list;
}

static json_t *group_words(const char *text)
{
	json_t *list = words(text), *v;
	size_t i;

	json_array_foreach(list, i, v) if (c_eq(json_string_value(v), "core"))
		json_array_set_new(list, i, json_string(""));
	return list;
}

static json_t *rules_of(const char *role)
{
	json_t *rules = json_array();

	for (size_t i = 0; i < n_rbac_rule_rows; i++) {
		const struct rbac_rule_row *row = &rbac_rule_rows[i];
		if (!c_eq(row->role, role))
			continue;
		json_t *rule = json_pack("{s:o}", "verbs", words(row->verbs));
		if (row->groups)
			json_object_set_new(rule, "apiGroups", group_words(row->groups));
		json_object_set_new(rule, row->groups ? "resources" : "nonResourceURLs",
				    words(row->resources));
		if (row->names)
			json_object_set_new(rule, "resourceNames", words(row->names));
		json_array_append_new(rules, rule);
	}
	return rules;
}

static json_t *rbac_object(const char *kind, const char *name)
{
	return json_pack("{s:s,s:s,s:{s:s,s:{s:s},s:{s:s}}}", "kind", kind, "apiVersion",
			 RBAC_GROUP "/v1", "metadata", "name", name, "labels",
			 "kubernetes.io/bootstrapping", "rbac-defaults", "annotations", AUTOUPDATE,
			 "true");
}

static json_t *cluster_role(const struct rbac_role_row *row)
{
	json_t *role = rbac_object("ClusterRole", row->name);

	if (row->aggregate_to) {
		cleanup(freep) char *key =
			xasprintf(RBAC_GROUP "/aggregate-to-%s", row->aggregate_to);
		json_object_set_new(jx_at(role, "metadata.labels"), key, json_string("true"));
	}
	if (row->aggregate_from) {
		cleanup(freep) char *key =
			xasprintf(RBAC_GROUP "/aggregate-to-%s", row->aggregate_from);
		json_object_set_new(role, "aggregationRule",
				    json_pack("{s:[{s:{s:s}}]}", "clusterRoleSelectors",
					      "matchLabels", key, "true"));
	}
	json_object_set_new(role, "rules", rules_of(row->name));
	return role;
}

static void add_subjects(json_t *list, const char *kind, const char *names)
{
	json_t *v;
	size_t i;
	cleanup(json_decrefp) json_t *all = words(names);

	json_array_foreach(all, i, v) json_array_append_new(
		list, json_pack("{s:s,s:s,s:O}", "kind", kind, "apiGroup", RBAC_GROUP, "name", v));
}

static json_t *cluster_role_binding(const struct rbac_binding_row *row)
{
	json_t *b = rbac_object("ClusterRoleBinding", row->name), *subjects = json_array();

	add_subjects(subjects, "User", row->users);
	add_subjects(subjects, "Group", row->groups);
	if (row->service_account) {
		struct str name, ns = str_cut(str_of(row->service_account), ':', &name);
		json_array_append_new(subjects,
				      json_pack("{s:s,s:s%,s:s%}", "kind", "ServiceAccount", "name",
						name.ptr, name.len, "namespace", ns.ptr, ns.len));
	}
	json_object_set_new(b, "roleRef",
			    json_pack("{s:s,s:s,s:s}", "apiGroup", RBAC_GROUP, "kind",
				      "ClusterRole", "name", row->role));
	json_object_set_new(b, "subjects", subjects);
	return b;
}

/* A role that its owner has taken over stays as it is. */
static bool may_update(struct apiserver *api, const char *plural, const char *name)
{
	const struct resource *r = resource_find(STR(RBAC_GROUP), STR("v1"), str_of(plural));
	const struct object *o = r ? table_get(store_table(api->store, r), NULL, name) : NULL;
	struct err e;
	cleanup(json_decrefp) json_t *tree = o ? object_tree(o, &e) : NULL;

	return tree && c_eq(jx_annotation(tree, AUTOUPDATE), "true");
}

static int ensure_rbac(struct apiserver *api, struct err *e)
{
	for (size_t i = 0; i < n_rbac_role_rows; i++)
		if (ensure(api, RBAC_GROUP, "v1", "clusterroles", cluster_role(&rbac_role_rows[i]),
			   may_update(api, "clusterroles", rbac_role_rows[i].name), e) < 0)
			return -1;
	for (size_t i = 0; i < n_rbac_binding_rows; i++)
		if (ensure(api, RBAC_GROUP, "v1", "clusterrolebindings",
			   cluster_role_binding(&rbac_binding_rows[i]),
			   may_update(api, "clusterrolebindings", rbac_binding_rows[i].name),
			   e) < 0)
			return -1;
	return 0;
}

/* The Service by which pods reach this server */

static int api_port(const struct apiserver *api)
{
	const char *colon = strrchr(api->config->api_address, ':');
	uint64_t port;

	return colon && str_to_u64(str_of(colon + 1), 65535, &port) ? (int)port : 6443;
}

/* The first address of the range: clients find it there without asking. */
static char *first_service_ip(const struct config *c)
{
	unsigned a, b, d, f;

	if (sscanf(c->service_cidr, "%3u.%3u.%3u.%3u", &a, &b, &d, &f) != 4)
		return NULL;
	return xasprintf("%u.%u.%u.%u", a, b, d, f + 1);
}

static int ensure_service(struct apiserver *api, struct err *e)
{
	cleanup(freep) char *ip = first_service_ip(api->config);

	if (!ip)
		return err_set(e, ERR_INTERNAL, "service-cidr %s is no IPv4 range",
			       api->config->service_cidr);
	json_t *svc = json_pack(
		"{s:s,s:s,s:{s:s,s:s,s:{s:s,s:s}},s:{s:s,s:s,s:[{s:s,s:i,s:i,s:s}]}}", "kind",
		"Service", "apiVersion", "v1", "metadata", "name", "kubernetes", "namespace",
		"default", "labels", "component", "apiserver", "provider", "kubernetes", "spec",
		"clusterIP", ip, "type", "ClusterIP", "ports", "name", "https", "port", 443,
		"targetPort", api_port(api), "protocol", "TCP");
	return ensure(api, "", "v1", "services", svc, false, e);
}

static int ensure_endpoints(struct apiserver *api, struct err *e)
{
	const char *ip = api->config->node_ip;
	int port = api_port(api);

	/* Started by hand, with nothing but loopback: pods could not reach it, and loopback is no
	 * valid endpoint. */
	if (!ip || !strncmp(ip, "127.", 4))
		return 0;
	json_t *ep = json_pack(
		"{s:s,s:s,s:{s:s,s:s,s:{s:s}},s:[{s:[{s:s}],s:[{s:s,s:i,s:s}]}]}", "kind",
		"Endpoints", "apiVersion", "v1", "metadata", "name", "kubernetes", "namespace",
		"default", "labels", "endpointslice.kubernetes.io/skip-mirror", "true", "subsets",
		"addresses", "ip", ip, "ports", "name", "https", "port", port, "protocol", "TCP");
	if (ensure(api, "", "v1", "endpoints", ep, true, e) < 0)
		return -1;
	json_t *slice = json_pack(
		"{s:s,s:s,s:{s:s,s:s,s:{s:s}},s:s,s:[{s:[s],s:{s:b}}],s:[{s:s,s:i,s:s}]}", "kind",
		"EndpointSlice", "apiVersion", "discovery.k8s.io/v1", "metadata", "name",
		"kubernetes", "namespace", "default", "labels", "kubernetes.io/service-name",
		"kubernetes", "addressType", "IPv4", "endpoints", "addresses", ip, "conditions",
		"ready", 1, "ports", "name", "https", "port", port, "protocol", "TCP");
	return ensure(api, "discovery.k8s.io", "v1", "endpointslices", slice, true, e);
}

int bootstrap(struct apiserver *api, struct err *e)
{
	if (ensure_namespaces(api, e) < 0 || ensure_rbac(api, e) < 0 ||
	    ensure_service(api, e) < 0 || ensure_endpoints(api, e) < 0)
		return err_wrap(e, "making the cluster's first objects");
	return 0;
}
