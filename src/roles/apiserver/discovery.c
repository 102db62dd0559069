#include "roles/apiserver/discovery.h"

/* In discovery's order. */
static const struct {
	unsigned bit;
	const char *name;
} verbs[] = {
	{ VERB_CREATE, "create" },
	{ VERB_DELETE, "delete" },
	{ VERB_DELETE_COLLECTION, "deletecollection" },
	{ VERB_GET, "get" },
	{ VERB_LIST, "list" },
	{ VERB_PATCH, "patch" },
	{ VERB_UPDATE, "update" },
	{ VERB_WATCH, "watch" },
};

/* What a subresource answers with, and how it is asked. One that has no row here is not served, and
 * not shown. */
#define READ_WRITE (VERB_GET | VERB_PATCH | VERB_UPDATE)
static const struct subresource {
	const char *name, *of;		    /* `of`: only of this resource; NULL: any */
	const char *group, *version, *kind; /* NULL: the resource's own */
	unsigned verbs;
} subresources[] = {
	{ "status", NULL, NULL, NULL, NULL, READ_WRITE },
	{ "scale", NULL, "autoscaling", "v1", "Scale", READ_WRITE },
	{ "attach", "pods", "", "v1", "PodAttachOptions", VERB_CREATE | VERB_GET },
	{ "binding", "pods", "", "v1", "Binding", VERB_CREATE },
	{ "ephemeralcontainers", "pods", NULL, NULL, NULL, READ_WRITE },
	{ "eviction", "pods", "policy", "v1", "Eviction", VERB_CREATE },
	{ "exec", "pods", "", "v1", "PodExecOptions", VERB_CREATE | VERB_GET },
	{ "log", "pods", NULL, NULL, NULL, VERB_GET },
	{ "portforward", "pods", "", "v1", "PodPortForwardOptions", VERB_CREATE | VERB_GET },
	{ "resize", "pods", NULL, NULL, NULL, READ_WRITE },
	{ "finalize", "namespaces", NULL, NULL, NULL, VERB_UPDATE },
	{ "token", "serviceaccounts", "authentication.k8s.io", "v1", "TokenRequest", VERB_CREATE },
	{ "approval", "certificatesigningrequests", NULL, NULL, NULL, READ_WRITE },
};

static const struct subresource *subresource_find(const struct resource *r, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(subresources); i++)
		if (c_eq(subresources[i].name, name) &&
		    (!subresources[i].of || c_eq(subresources[i].of, r->plural)))
			return &subresources[i];
	return NULL;
}

static json_t *verb_list(unsigned bits)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (bits & verbs[i].bit)
			json_array_append_new(list, json_string(verbs[i].name));
	return list;
}

static void set_names(json_t *obj, const char *member, const char *const *names)
{
	json_t *list;

	if (!names || !names[0])
		return;
	list = json_array();
	for (; *names; names++)
		json_array_append_new(list, json_string(*names));
	json_object_set_new(obj, member, list);
}

static json_t *kind_of(const char *group, const char *version, const char *kind)
{
	return json_pack("{s:s,s:s,s:s}", "group", group, "version", version, "kind", kind);
}

/* Aggregated */

static json_t *aggregated_subresource(const struct resource *r, const struct subresource *s)
{
	return json_pack("{s:s,s:o,s:o}", "subresource", s->name, "responseKind",
			 s->kind ? kind_of(s->group, s->version, s->kind)
				 : kind_of(r->group, r->version, r->kind),
			 "verbs", verb_list(s->verbs));
}

static json_t *aggregated_resource(const struct resource *r)
{
	json_t *v = json_pack("{s:s,s:o,s:s,s:s,s:o}", "resource", r->plural, "responseKind",
			      kind_of(r->group, r->version, r->kind), "scope",
			      r->namespaced ? "Namespaced" : "Cluster", "singularResource",
			      r->singular, "verbs", verb_list(r->verbs));
	json_t *subs = json_array();

	set_names(v, "shortNames", r->short_names);
	set_names(v, "categories", r->categories);
	for (const char *const *name = r->subresources; name && *name; name++) {
		const struct subresource *s = subresource_find(r, *name);
		if (s)
			json_array_append_new(subs, aggregated_subresource(r, s));
	}
	if (json_array_size(subs))
		json_object_set(v, "subresources", subs);
	json_decref(subs);
	return v;
}

/* Rows of one group-version may stand apart in the table: only the first one begins it. */
static bool is_first(size_t i, bool of_group)
{
	for (size_t j = 0; j < i; j++)
		if (c_eq(resources[j].group, resources[i].group) &&
		    (of_group || c_eq(resources[j].version, resources[i].version)))
			return false;
	return true;
}

static json_t *aggregated_versions(const char *group)
{
	json_t *versions = json_array();

	for (size_t i = 0; i < n_resources; i++) {
		if (!c_eq(resources[i].group, group) || !is_first(i, false))
			continue;
		json_t *list = json_array();
		for (size_t j = i; j < n_resources; j++)
			if (c_eq(resources[j].group, group) &&
			    c_eq(resources[j].version, resources[i].version))
				json_array_append_new(list, aggregated_resource(&resources[j]));
		json_array_append_new(versions,
				      json_pack("{s:s,s:o,s:s}", "version", resources[i].version,
						"resources", list, "freshness", "Current"));
	}
	return versions;
}

json_t *discovery_aggregated(bool core, const char *version)
{
	json_t *items = json_array();

	for (size_t i = 0; i < n_resources; i++) {
		const char *group = resources[i].group;
		if (core != (group[0] == '\0') || !is_first(i, true))
			continue;
		json_t *meta = json_object();
		if (group[0])
			json_object_set_new(meta, "name", json_string(group));
		json_object_set_new(meta, "creationTimestamp", json_null());
		json_array_append_new(items, json_pack("{s:o,s:o}", "metadata", meta, "versions",
						       aggregated_versions(group)));
	}
	json_t *v = json_pack("{s:s,s:o,s:{},s:o}", "kind", "APIGroupDiscoveryList", "apiVersion",
			      json_sprintf("apidiscovery.k8s.io/%s", version), "metadata", "items",
			      items);
	return v;
}

/* One document per group and version */

json_t *discovery_api_versions(const char *server_address)
{
	return json_pack("{s:s,s:[s],s:[{s:s,s:s}]}", "kind", "APIVersions", "versions", "v1",
			 "serverAddressByClientCIDRs", "clientCIDR", "0.0.0.0/0", "serverAddress",
			 server_address);
}

static json_t *group_version(const struct resource *r)
{
	return json_pack("{s:o,s:s}", "groupVersion", json_sprintf("%s/%s", r->group, r->version),
			 "version", r->version);
}

static json_t *group_body(size_t first)
{
	const char *group = resources[first].group;
	json_t *list = json_array();

	for (size_t i = first; i < n_resources; i++)
		if (c_eq(resources[i].group, group) && is_first(i, false))
			json_array_append_new(list, group_version(&resources[i]));
	return json_pack("{s:s,s:o,s:o}", "name", group, "versions", list, "preferredVersion",
			 group_version(&resources[first]));
}

json_t *discovery_groups(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n_resources; i++)
		if (resources[i].group[0] && is_first(i, true))
			json_array_append_new(list, group_body(i));
	return json_pack("{s:s,s:s,s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups",
			 list);
}

json_t *discovery_group(const char *group)
{
	for (size_t i = 0; i < n_resources; i++) {
		if (!group[0] || !c_eq(resources[i].group, group))
			continue;
		json_t *v = json_pack("{s:s,s:s}", "kind", "APIGroup", "apiVersion", "v1"),
		       *body = group_body(i);
		json_object_update(v, body);
		json_decref(body);
		return v;
	}
	return NULL;
}

static void add_subresources(const struct resource *r, json_t *list)
{
	for (const char *const *name = r->subresources; name && *name; name++) {
		const struct subresource *s = subresource_find(r, *name);
		if (!s)
			continue;
		json_t *v = json_pack("{s:o,s:s,s:b}", "name",
				      json_sprintf("%s/%s", r->plural, s->name), "singularName", "",
				      "namespaced", r->namespaced);
		if (s->group && s->group[0]) {
			json_object_set_new(v, "group", json_string(s->group));
			json_object_set_new(v, "version", json_string(s->version));
		}
		json_object_set_new(v, "kind", json_string(s->kind ? s->kind : r->kind));
		json_object_set_new(v, "verbs", verb_list(s->verbs));
		json_array_append_new(list, v);
	}
}

json_t *discovery_resources(const char *group, const char *version)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n_resources; i++) {
		const struct resource *r = &resources[i];
		if (!c_eq(r->group, group) || !c_eq(r->version, version))
			continue;
		json_t *v = json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", r->plural, "singularName",
				      r->singular, "namespaced", r->namespaced, "kind", r->kind,
				      "verbs", verb_list(r->verbs));
		set_names(v, "shortNames", r->short_names);
		set_names(v, "categories", r->categories);
		json_array_append_new(list, v);
		add_subresources(r, list);
	}
	if (!json_array_size(list)) {
		json_decref(list);
		return NULL;
	}
	return json_pack(
		"{s:s,s:s,s:o,s:o}", "kind", "APIResourceList", "apiVersion", "v1", "groupVersion",
		json_sprintf("%s%s%s", group, group[0] ? "/" : "", version), "resources", list);
}
