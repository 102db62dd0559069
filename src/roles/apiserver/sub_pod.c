/* What is done to pods by subresources that store: binding to a node, eviction. */
#include "roles/apiserver/handlers.h"

#include "roles/apiserver/body.h"
#include "roles/apiserver/registry.h"
#include "roles/apiserver/selection.h"
#include "roles/apiserver/status.h"

static void reply_created(struct request *q)
{
	reply_json(q, 201,
		   json_pack("{s:s,s:s,s:{},s:s,s:i}", "kind", "Status", "apiVersion", "v1",
			     "metadata", "status", "Success", "code", 201));
}

/* Binding: the one way by which spec.nodeName changes. */

static int check_bindable(const json_t *pod, const char *node, struct err *e)
{
	const char *now = jx_str_or(pod, "spec.nodeName", "");

	if (jx_at(pod, "metadata.deletionTimestamp"))
		return err_set(e, ERR_CONFLICT,
			       "Operation cannot be fulfilled on pods/binding \"%s\": pod %s is "
			       "being deleted, cannot be "
			       "assigned to a host",
			       jx_name(pod), jx_name(pod));
	if (now[0])
		return err_set(e, ERR_CONFLICT,
			       "Operation cannot be fulfilled on pods/binding \"%s\": pod %s is "
			       "already assigned to node \"%s\"",
			       jx_name(pod), jx_name(pod), now);
	if (!node || !node[0])
		return err_set(e, ERR_INVALID,
			       "Binding \"%s\" is invalid: target.name: Required value",
			       jx_name(pod));
	return 0;
}

static void set_scheduled(json_t *pod)
{
	json_t *conditions = jx_at(pod, "status.conditions"), *c;
	char now[TIME_TEXT_BYTES];
	size_t i;

	time_text(wall_now_ms(), now);
	if (!json_is_array(conditions)) {
		conditions = json_array();
		jx_set(pod, "status.conditions", conditions);
	}
	json_array_foreach(conditions, i, c) if (c_eq(jx_str(c, "type"), "PodScheduled"))
	{
		json_array_remove(conditions, i);
		break;
	}
	json_array_append_new(conditions,
			      json_pack("{s:s,s:s,s:n,s:s}", "type", "PodScheduled", "status",
					"True", "lastProbeTime", "lastTransitionTime", now));
}

static int pod_bind(json_t *pod, const json_t *binding, struct err *e)
{
	const char *node = jx_str(binding, "target.name"),
		   *uid = jx_str_or(binding, "metadata.uid", "");
	const char *key;
	json_t *v;

	if (uid[0] && !c_eq(uid, jx_uid(pod)))
		return err_set(e, ERR_CONFLICT,
			       "Operation cannot be fulfilled on pods/binding \"%s\": Precondition "
			       "failed: UID in "
			       "precondition: %s, UID in object meta: %s",
			       jx_name(pod), uid, jx_uid(pod));
	if (check_bindable(pod, node, e) < 0)
		return -1;
	jx_set_str(pod, "spec.nodeName", node);
	set_scheduled(pod);
	json_object_foreach(jx_at(binding, "metadata.annotations"), key, v)
	{
		if (!jx_at(pod, "metadata.annotations"))
			jx_set(pod, "metadata.annotations", json_object());
		json_object_set(jx_at(pod, "metadata.annotations"), key, v);
	}
	return 0;
}

static struct table *pods_of(struct request *q)
{
	return store_table(q->api->store, resource_find(STR(""), STR("v1"), STR("pods")));
}

/* POST …/pods/NAME/binding and POST …/bindings carry the same object. */
void handle_binding(struct request *q)
{
	struct err e;
	cleanup(json_decrefp) json_t *binding = body_typed(q, "core.v1.Binding", &e), *pod = NULL;
	const char *name = q->info.name ? q->info.name : jx_str_or(binding, "metadata.name", "");
	struct object *old;
	struct written out;

	if (!binding) {
		reply_error(q, &e);
		return;
	}
	q->res = resource_find(STR(""), STR("v1"), STR("pods"));
	q->table = pods_of(q);
	q->info.name = arena_strndup(q->arena, name, strlen(name));
	old = table_get(q->table, q->info.ns, name);
	const struct write w = {
		.api = q->api, .table = q->table, .ns = q->info.ns, .dry_run = q->opt.dry_run
	};
	if (!old)
		err_not_found(&e, q->res, name);
	else
		pod = object_tree(old, &e);
	if (!pod || pod_bind(pod, binding, &e) < 0) {
		reply_error(q, &e);
		return;
	}
	if (registry_store(&w, pod, &out) < 0)
		reply_status(q, TAKE_PTR(out.status));
	else
		reply_created(q);
	written_done(&out);
}

/* Eviction: a deletion that asks the disruption budgets first. */

static bool budget_forbids(const struct object *budget, const struct object *pod)
{
	struct err e;
	cleanup(json_decrefp) json_t *tree = object_tree(budget, &e);
	struct selector *s =
		tree ? selector_of_label_selector(jx_at(tree, "spec.selector"), &e) : NULL;
	bool forbids = s && c_eq(budget->ns, pod->ns) && object_matches_labels(pod, s) &&
		       jx_int(tree, "status.disruptionsAllowed", 0) <= 0;

	selector_free(s);
	return forbids;
}

static int check_budgets(struct request *q, const struct object *pod, struct err *e)
{
	const struct table *t =
		store_table(q->api->store,
			    resource_find(STR("policy"), STR("v1"), STR("poddisruptionbudgets")));

	for (size_t i = 0; i < t->n; i++)
		if (budget_forbids(t->at[i], pod))
			return err_set(e, ERR_TOO_MANY_REQUESTS,
				       "Cannot evict pod as it would violate the pod's disruption "
				       "budget.");
	return 0;
}

void handle_eviction(struct request *q)
{
	struct err e;
	struct object *pod = table_get(q->table, q->info.ns, q->info.name);
	cleanup(json_decrefp) json_t *body = body_typed(q, "policy.v1.Eviction", &e);

	if (body && !pod) {
		err_not_found(&e, q->res, q->info.name);
	}
	if (!body || !pod || check_budgets(q, pod, &e) < 0) {
		reply_error(q, &e);
		return;
	}
	const struct write w = {
		.api = q->api, .table = q->table, .ns = q->info.ns, .dry_run = q->opt.dry_run
	};
	const struct delete_options o = {
		.grace_s = jx_int(body, "deleteOptions.gracePeriodSeconds", -1),
		.uid = jx_str(body, "deleteOptions.preconditions.uid"),
		.resource_version = jx_str(body, "deleteOptions.preconditions.resourceVersion")
	};
	struct written out;
	if (registry_delete(&w, pod, &o, &out) < 0)
		reply_status(q, TAKE_PTR(out.status));
	else
		reply_created(q);
	written_done(&out);
}
