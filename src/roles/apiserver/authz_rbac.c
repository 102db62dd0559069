#include "roles/apiserver/authz_rbac.h"

#include <stdio.h>

#define GRANTS_CACHED_MAX 1024 /* users remembered at a time; more and all are forgotten */

struct role {
	json_t *rules;	   /* the role's own array, or the union that its selectors pick */
	json_t *selectors; /* aggregationRule.clusterRoleSelectors, or NULL */
};
#define AGGREGATION_DEPTH 3 /* view → edit → admin, as upstream's own roles nest */
struct binding {
	char *ns; /* NULL: ClusterRoleBinding */
	char *name;
	json_t *subjects;
	struct role *role;
	char *reason;
};
/* The bindings of one user. */
struct grants {
	struct binding **at;
	size_t n;
};
struct rbac {
	struct store *store;
	struct table *roles, *role_bindings, *cluster_roles, *cluster_role_bindings;
	bool stale;
	struct map by_key; /* "ns/name" → struct role; ClusterRoles have an empty ns */
	struct binding *bindings;
	size_t n_bindings;
	struct map by_user; /* name and groups → struct grants */
};

bool user_in_group(const struct user *u, const char *group)
{
	for (size_t i = 0; i < u->n_groups; i++)
		if (c_eq(u->groups[i], group))
			return true;
	return false;
}

/* The index */

static struct table *find_table(struct store *s, const char *plural)
{
	const struct resource *r =
		resource_find(STR("rbac.authorization.k8s.io"), STR("v1"), str_of(plural));

	return r ? store_table(s, r) : NULL;
}

struct rbac *rbac_new(struct store *s)
{
	struct rbac *r = xcalloc(1, sizeof(*r));

	r->store = s;
	r->roles = find_table(s, "roles");
	r->role_bindings = find_table(s, "rolebindings");
	r->cluster_roles = find_table(s, "clusterroles");
	r->cluster_role_bindings = find_table(s, "clusterrolebindings");
	r->stale = true;
	return r;
}

static void role_free(void *p)
{
	struct role *role = p;

	json_decref(role->rules);
	json_decref(role->selectors);
	free(role);
}

static void grants_free(void *p)
{
	struct grants *g = p;

	free(g->at);
	free(g);
}

static void index_clear(struct rbac *r)
{
	map_done(&r->by_user, grants_free);
	for (size_t i = 0; i < r->n_bindings; i++) {
		free(r->bindings[i].ns);
		free(r->bindings[i].name);
		free(r->bindings[i].reason);
		json_decref(r->bindings[i].subjects);
	}
	free(r->bindings);
	r->bindings = NULL;
	r->n_bindings = 0;
	map_done(&r->by_key, role_free);
}

void rbac_free(struct rbac *r)
{
	if (!r)
		return;
	index_clear(r);
	free(r);
}

void rbac_changed(struct rbac *r, const struct table *t)
{
	if (t == r->roles || t == r->role_bindings || t == r->cluster_roles ||
	    t == r->cluster_role_bindings)
		r->stale = true;
}

static struct role *role_put(struct rbac *r, const char *ns, const char *name, json_t *rules)
{
	cleanup(freep) char *key = xasprintf("%s/%s", ns, name);
	struct role *role = xcalloc(1, sizeof(*role)), *old;

	role->rules = json_is_array(rules) ? json_incref(rules) : json_array();
	old = map_put_c(&r->by_key, key, role);
	if (old)
		role_free(old);
	return role;
}

static struct role *cluster_role(struct rbac *r, const struct object *o)
{
	cleanup(freep) char *key = xasprintf("/%s", o->name);

	return map_get_c(&r->by_key, key);
}

/* Adds to `rules` those of every ClusterRole that the selector picks. */
static void collect_rules(struct rbac *r, const json_t *label_selector, const struct role *self,
			  json_t *rules)
{
	struct err e;
	struct selector *s = selector_of_label_selector(label_selector, &e);

	if (!s)
		return;
	for (size_t i = 0; i < r->cluster_roles->n; i++) {
		const struct role *other = cluster_role(r, r->cluster_roles->at[i]);
		if (other && other != self && object_matches_labels(r->cluster_roles->at[i], s))
			json_array_extend(rules, other->rules);
	}
	selector_free(s);
}

static void aggregate(struct rbac *r, struct role *role)
{
	json_t *rules = json_array(), *ls;
	size_t i;

	json_array_foreach(role->selectors, i, ls) collect_rules(r, ls, role, rules);
	json_decref(role->rules);
	role->rules = rules;
}

static void aggregate_all(struct rbac *r)
{
	for (int depth = 0; depth < AGGREGATION_DEPTH; depth++)
		for (size_t i = 0; r->cluster_roles && i < r->cluster_roles->n; i++) {
			struct role *role = cluster_role(r, r->cluster_roles->at[i]);
			if (role && role->selectors)
				aggregate(r, role);
		}
}

static void index_roles(struct rbac *r, struct table *t)
{
	struct err e;

	for (size_t i = 0; t && i < t->n; i++) {
		cleanup(json_decrefp) json_t *tree = object_tree(t->at[i], &e);
		struct role *role =
			role_put(r, t->at[i]->ns, t->at[i]->name, json_object_get(tree, "rules"));
		role->selectors = json_incref(jx_at(tree, "aggregationRule.clusterRoleSelectors"));
	}
}

static void index_bindings(struct rbac *r, struct table *t, bool cluster)
{
	struct err e;

	for (size_t i = 0; t && i < t->n; i++) {
		cleanup(json_decrefp) json_t *tree = object_tree(t->at[i], &e);
		const char *kind = jx_str_or(tree, "roleRef.kind", ""),
			   *name = jx_str_or(tree, "roleRef.name", "");
		const struct object *o = t->at[i];
		cleanup(freep) char *key =
			xasprintf("%s/%s", c_eq(kind, "Role") ? o->ns : "", name);
		json_t *subjects = json_object_get(tree, "subjects");
		struct role *role = map_get_c(&r->by_key, key);

		if (!role || !json_is_array(subjects))
			continue;
		r->bindings[r->n_bindings++] = (struct binding){
			.ns = cluster ? NULL : xstrdup(o->ns),
			.name = xstrdup(o->name),
			.subjects = json_incref(subjects),
			.role = role,
			.reason = xasprintf("RBAC: allowed by %s \"%s%s%s\" of %s \"%s\"",
					    cluster ? "ClusterRoleBinding" : "RoleBinding", o->name,
					    cluster ? "" : "/", cluster ? "" : o->ns, kind, name),
		};
	}
}

static void index_build(struct rbac *r)
{
	size_t n = (r->role_bindings ? r->role_bindings->n : 0) +
		   (r->cluster_role_bindings ? r->cluster_role_bindings->n : 0);

	index_clear(r);
	r->bindings = xcalloc(n + 1, sizeof(*r->bindings));
	index_roles(r, r->roles);
	index_roles(r, r->cluster_roles);
	aggregate_all(r);
	index_bindings(r, r->role_bindings, false);
	index_bindings(r, r->cluster_role_bindings, true);
	r->stale = false;
}

/* What a user holds */

static bool subject_is(const json_t *subject, const char *binding_ns, const struct user *u)
{
	const char *kind = jx_str_or(subject, "kind", ""), *name = jx_str_or(subject, "name", "");

	if (c_eq(kind, "User"))
		return c_eq(name, "*") || c_eq(name, u->name);
	if (c_eq(kind, "Group"))
		return user_in_group(u, name);
	if (c_eq(kind, "ServiceAccount")) {
		const char *ns = jx_str(subject, "namespace");
		cleanup(freep) char *want = xasprintf("system:serviceaccount:%s:%s",
						      ns && ns[0]  ? ns
						      : binding_ns ? binding_ns
								   : "",
						      name);
		return c_eq(want, u->name);
	}
	return false;
}

static bool binding_holds(const struct binding *b, const struct user *u)
{
	size_t i;
	json_t *subject;

	json_array_foreach(b->subjects, i, subject) if (subject_is(subject, b->ns, u)) return true;
	return false;
}

static struct grants *grants_make(struct rbac *r, const struct user *u)
{
	struct grants *g = xcalloc(1, sizeof(*g));

	g->at = xcalloc(r->n_bindings + 1, sizeof(struct binding *));
	for (size_t i = 0; i < r->n_bindings; i++)
		if (binding_holds(&r->bindings[i], u))
			g->at[g->n++] = &r->bindings[i];
	return g;
}

static const struct grants *grants_of(struct rbac *r, const struct user *u)
{
	struct buf key;

	if (r->stale)
		index_build(r);
	buf_init(&key, SIZE_MAX / 2);
	buf_puts(&key, u->name);
	for (size_t i = 0; i < u->n_groups; i++)
		buf_printf(&key, "\n%s", u->groups[i]);
	struct grants *g = map_get(&r->by_user, buf_str(&key));
	if (!g) {
		if (r->by_user.count >= GRANTS_CACHED_MAX)
			map_done(&r->by_user, grants_free);
		g = grants_make(r, u);
		map_put(&r->by_user, buf_str(&key), g);
	}
	buf_done(&key);
	return g;
}

/* Rules */

static bool list_has(const json_t *list, const char *value)
{
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		const char *text = json_string_value(v);
		if (c_eq(text, "*") || (text && c_eq(text, value)))
			return true;
	}
	return false;
}

/* "pods", "pods/log", "*" (everything), "*" + "/scale" (that subresource of every resource). */
static bool resources_have(const json_t *list, const char *resource, const char *subresource)
{
	bool sub = subresource && subresource[0];
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		struct str want_sub, want = str_cut(str_of(json_string_value(v)), '/', &want_sub);

		if (!want.ptr)
			continue;
		if (str_eq_c(want, "*") && !want_sub.ptr)
			return true;
		if (sub != (want_sub.ptr != NULL))
			continue;
		if (!str_eq_c(want, resource) && !(sub && str_eq_c(want, "*")))
			continue;
		if (!sub || str_eq_c(want_sub, subresource))
			return true;
	}
	return false;
}

static bool names_have(const json_t *list, const char *name)
{
	size_t i;
	json_t *v;

	if (!json_array_size(list))
		return true;
	json_array_foreach(list, i, v) if (name && c_eq(json_string_value(v), name)) return true;
	return false;
}

static bool urls_have(const json_t *list, const char *path)
{
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
	{
		struct str want = str_of(json_string_value(v)), have = str_of(path);

		if (want.len && want.ptr[want.len - 1] == '*') {
			want.len--;
			if (str_starts(have, want))
				return true;
		} else if (want.ptr && str_eq(want, have)) {
			return true;
		}
	}
	return false;
}

static bool rule_allows(const json_t *rule, const struct authz_question *q)
{
	if (!list_has(json_object_get(rule, "verbs"), q->verb))
		return false;
	if (!q->is_resource)
		return urls_have(json_object_get(rule, "nonResourceURLs"), q->path);
	return list_has(json_object_get(rule, "apiGroups"), q->group ? q->group : "") &&
	       resources_have(json_object_get(rule, "resources"), q->resource, q->subresource) &&
	       names_have(json_object_get(rule, "resourceNames"), q->name);
}

static bool binding_applies(const struct binding *b, const struct authz_question *q)
{
	return !b->ns || (q->is_resource && q->ns && c_eq(b->ns, q->ns));
}

bool rbac_allows(struct rbac *r, const struct user *u, const struct authz_question *q,
		 const char **ret_reason)
{
	const struct grants *g = grants_of(r, u);
	size_t j;
	json_t *rule;

	/* The way in when RBAC itself is broken; upstream's privileged group too. */
	if (user_in_group(u, "system:masters")) {
		if (ret_reason)
			*ret_reason = "";
		return true;
	}
	for (size_t i = 0; i < g->n; i++) {
		if (!binding_applies(g->at[i], q))
			continue;
		json_array_foreach(g->at[i]->role->rules, j, rule) if (rule_allows(rule, q))
		{
			if (ret_reason)
				*ret_reason = g->at[i]->reason;
			return true;
		}
	}
	return false;
}

static void rule_report(const json_t *rule, json_t *resource_rules, json_t *url_rules)
{
	static const char *const members[] = { "verbs", "apiGroups", "resources", "resourceNames" };
	json_t *urls = json_object_get(rule, "nonResourceURLs"), *out;

	if (json_array_size(urls)) {
		out = json_pack("{s:O,s:O}", "verbs", json_object_get(rule, "verbs"),
				"nonResourceURLs", urls);
		json_array_append_new(url_rules, out);
		return;
	}
	out = json_object();
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (json_object_get(rule, members[i]))
			json_object_set(out, members[i], json_object_get(rule, members[i]));
	json_array_append_new(resource_rules, out);
}

json_t *rbac_rules_for(struct rbac *r, const struct user *u, const char *ns)
{
	const struct grants *g = grants_of(r, u);
	json_t *resource_rules = json_array(), *url_rules = json_array(), *rule;
	struct authz_question in_ns = { .is_resource = true, .ns = ns };
	size_t j;

	for (size_t i = 0; i < g->n; i++) {
		if (!binding_applies(g->at[i], &in_ns))
			continue;
		json_array_foreach(g->at[i]->role->rules, j, rule)
			rule_report(rule, resource_rules, url_rules);
	}
	return json_pack("{s:o,s:o,s:b}", "resourceRules", resource_rules, "nonResourceRules",
			 url_rules, "incomplete", 0);
}

void authz_denied(const struct user *u, const struct authz_question *q, struct err *ret_err)
{
	if (!q->is_resource) {
		err_set(ret_err, ERR_FORBIDDEN, "forbidden: User \"%s\" cannot %s path \"%s\"",
			u->name, q->verb, q->path);
		return;
	}
	bool sub = q->subresource && q->subresource[0], named = q->name && q->name[0];
	bool grouped = q->group && q->group[0];
	char scope[300] = "at the cluster scope";

	if (q->ns && q->ns[0]) {
		size_t n = strlen(q->ns);
		snprintf(scope, sizeof(scope), "in the namespace \"%.*s\"", (int)MIN(n, 253),
			 q->ns);
	}
	err_set(ret_err, ERR_FORBIDDEN,
		"%s%s%s%s%s%s is forbidden: User \"%s\" cannot %s resource \"%s%s%s\" in API group "
		"\"%s\" %s",
		q->resource, grouped ? "." : "", grouped ? q->group : "", named ? " \"" : "",
		named ? q->name : "", named ? "\"" : "", u->name, q->verb, q->resource,
		sub ? "/" : "", sub ? q->subresource : "", q->group ? q->group : "", scope);
}
