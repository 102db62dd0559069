/* Questions that are asked by creating an object which is answered and never kept: TokenReview,
 * Subject-, LocalSubject-, SelfSubjectAccessReview, SelfSubjectRulesReview, SelfSubjectReview. */
#include "roles/apiserver/handlers.h"

#include "roles/apiserver/body.h"

static json_t *read_review(struct request *q)
{
	struct err e;
	json_t *obj = body_object(q, q->res, FV_WARN, &e);

	if (!obj) {
		reply_error(q, &e);
		return NULL;
	}
	if (!json_is_object(json_object_get(obj, "metadata")))
		jx_set(obj, "metadata", json_object());
	jx_del(obj, "status");
	return obj;
}

static json_t *groups_json(const struct user *u)
{
	json_t *groups = json_array();

	for (size_t i = 0; i < u->n_groups; i++)
		json_array_append_new(groups, json_string(u->groups[i]));
	return groups;
}

static json_t *user_info(const struct user *u)
{
	const struct {
		const char *key, *value;
	} extras[] = {
		{ "authentication.kubernetes.io/credential-id", u->credential_id },
		{ "authentication.kubernetes.io/node-name", u->node_name },
		{ "authentication.kubernetes.io/pod-name", u->pod_name },
		{ "authentication.kubernetes.io/pod-uid", u->pod_uid },
	};
	json_t *info = json_pack("{s:s}", "username", u->name), *extra = json_object();

	if (u->uid)
		json_object_set_new(info, "uid", json_string(u->uid));
	json_object_set_new(info, "groups", groups_json(u));
	for (size_t i = 0; i < ARRAY_LEN(extras); i++)
		if (extras[i].value)
			json_object_set_new(extra, extras[i].key,
					    json_pack("[s]", extras[i].value));
	if (json_object_size(extra))
		json_object_set(info, "extra", extra);
	json_decref(extra);
	return info;
}

void handle_self_review(struct request *q)
{
	json_t *obj = read_review(q);
	char now[TIME_TEXT_BYTES];

	if (!obj)
		return;
	jx_set_str(obj, "metadata.creationTimestamp", time_text(wall_now_ms(), now));
	jx_set(obj, "status.userInfo", user_info(&q->user));
	reply_json(q, 201, obj);
}

#define AUDIENCES_MAX 32
void handle_token_review(struct request *q)
{
	json_t *obj = read_review(q), *list = jx_at(obj, "spec.audiences"), *v, *matched = NULL;
	const char *wanted[AUDIENCES_MAX + 1] = { NULL };
	struct user u;
	struct err e;
	size_t i;

	if (!obj)
		return;
	json_array_foreach(list, i, v) if (i < AUDIENCES_MAX) wanted[i] = json_string_value(v);
	jx_set(obj, "status", json_object());
	if (authn_token(&q->api->authn, str_of(jx_str_or(obj, "spec.token", "")),
			wanted[0] ? wanted : NULL, q->arena, &u, &matched, &e) == 0) {
		jx_set_bool(obj, "status.authenticated", true);
		jx_set(obj, "status.user", user_info(&u));
		jx_set(obj, "status.audiences", matched);
	} else {
		jx_set(obj, "status.user", json_object());
		jx_set_str(obj, "status.error", "invalid bearer token");
	}
	reply_json(q, 201, obj);
}

/* Who is asked about; NULL in spec means the asker. */
static struct user reviewed_user(const struct request *q, const json_t *obj)
{
	struct user u = { 0 };
	json_t *v;
	size_t i;

	if (c_eq(q->res->plural, "selfsubjectaccessreviews"))
		return q->user;
	u.name = jx_str_or(obj, "spec.user", "");
	u.uid = jx_str(obj, "spec.uid");
	json_array_foreach(jx_at(obj, "spec.groups"), i,
			   v) if (json_is_string(v) && u.n_groups < USER_GROUPS_MAX)
		u.groups[u.n_groups++] = json_string_value(v);
	return u;
}

static int reviewed_question(const json_t *obj, struct authz_question *ret, struct err *e)
{
	const json_t *r = jx_at(obj, "spec.resourceAttributes"),
		     *n = jx_at(obj, "spec.nonResourceAttributes");

	if (!json_is_object(r) == !json_is_object(n))
		return err_set(
			e, ERR_INVALID,
			"%s.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid "
			"value: null: exactly "
			"one of nonResourceAttributes or resourceAttributes must be specified",
			jx_str_or(obj, "kind", ""));
	if (json_is_object(n))
		*ret = (struct authz_question){ .verb = jx_str_or(n, "verb", ""),
						.path = jx_str_or(n, "path", "") };
	else
		*ret = (struct authz_question){
			.is_resource = true,
			.verb = jx_str_or(r, "verb", ""),
			.group = jx_str_or(r, "group", ""),
			.resource = jx_str_or(r, "resource", ""),
			.subresource = jx_str_or(r, "subresource", ""),
			.ns = jx_str_or(r, "namespace", ""),
			.name = jx_str_or(r, "name", ""),
		};
	return 0;
}

void handle_access_review(struct request *q)
{
	json_t *obj = read_review(q);
	struct authz_question question;
	const char *reason = NULL;
	struct err e;

	if (!obj)
		return;
	if (reviewed_question(obj, &question, &e) < 0) {
		json_decref(obj);
		reply_error(q, &e);
		return;
	}
	struct user u = reviewed_user(q, obj);
	bool allowed = rbac_allows(q->api->rbac, &u, &question, &reason);
	jx_set(obj, "status", json_object());
	jx_set_bool(obj, "status.allowed", allowed);
	if (reason && reason[0])
		jx_set_str(obj, "status.reason", reason);
	reply_json(q, 201, obj);
}

void handle_rules_review(struct request *q)
{
	json_t *obj = read_review(q);
	struct err e;

	if (!obj)
		return;
	const char *ns = jx_str_or(obj, "spec.namespace", "");
	if (!ns[0]) {
		json_decref(obj);
		err_set(&e, ERR_BAD_REQUEST, "no namespace on request");
		reply_error(q, &e);
		return;
	}
	json_t *status = rbac_rules_for(q->api->rbac, &q->user, ns);
	jx_set(obj, "status", status);
	reply_json(q, 201, obj);
}
