/* serviceaccounts/NAME/token: TokenRequest. KEP-1205. */
#include "roles/apiserver/handlers.h"

#include "roles/apiserver/body.h"
#include "roles/apiserver/status.h"

#define TOKEN_DEFAULT_S 3600
#define TOKEN_MIN_S 600 /* as kube-apiserver validates */
#define TOKEN_MAX_S                                                                                \
	(365 * 24 * 3600) /* longer ones are shortened: a leaked token should end one day */

static const struct resource token_request = { .group = "authentication.k8s.io",
					       .version = "v1",
					       .kind = "TokenRequest",
					       .plural = "tokenrequests" };

struct bound {
	struct object *pod; /* NULL: none */
	char *node_name;
	const char *node_uid;
};

static int bind_pod(struct request *q, const json_t *ref, struct bound *ret, struct err *e)
{
	const struct resource *pods = resource_find(STR(""), STR("v1"), STR("pods"));
	const char *kind = jx_str_or(ref, "kind", ""), *uid = jx_str_or(ref, "uid", "");

	if (!ref || json_is_null(ref))
		return 0;
	if (!c_eq(kind, "Pod"))
		return err_set(e, ERR_BAD_REQUEST, "cannot bind token to object of type %s", kind);
	ret->pod = table_get(q->api->authn.pods, q->info.ns, jx_str_or(ref, "name", ""));
	if (!ret->pod)
		return err_not_found(e, pods, jx_str_or(ref, "name", ""));
	if (uid[0] && !c_eq(uid, ret->pod->uid))
		return err_set(e, ERR_CONFLICT,
			       "Operation cannot be fulfilled on Pod \"%s\": the UID in the bound "
			       "object reference (%s) does "
			       "not match the UID in record. The object might have been deleted "
			       "and then recreated",
			       ret->pod->name, uid);
	cleanup(json_decrefp) json_t *pod = object_tree(ret->pod, e);
	if (!pod)
		return -1;
	if (!c_eq(jx_str_or(pod, "spec.serviceAccountName", ""), q->info.name))
		return err_set(e, ERR_BAD_REQUEST,
			       "cannot bind token for serviceaccount \"%s\" to pod running with "
			       "different serviceaccount name.",
			       q->info.name);
	const char *node = jx_str_or(pod, "spec.nodeName", "");
	const struct object *o = table_get(
		store_table(q->api->store, resource_find(STR(""), STR("v1"), STR("nodes"))), NULL,
		node);
	ret->node_name = o ? xstrdup(node) : NULL;
	ret->node_uid = o ? o->uid : NULL;
	return 0;
}

static json_t *token_response(struct request *q, const json_t *body, const json_t *audiences,
			      int64_t seconds, const struct bound *b, struct err *e)
{
	const struct object *sa = table_get(q->table, q->info.ns, q->info.name);
	int64_t now_s = wall_now_ms() / 1000;
	char ends[TIME_TEXT_BYTES], begins[TIME_TEXT_BYTES];
	cleanup(freep) char *token = authn_issue(&q->api->authn, sa, b->pod, b->node_name,
						 b->node_uid, audiences, now_s, now_s + seconds, e);

	if (!token)
		return NULL;
	time_text(now_s * 1000, begins);
	time_text((now_s + seconds) * 1000, ends);
	json_t *spec = json_pack("{s:O,s:I}", "audiences", audiences, "expirationSeconds",
				 (json_int_t)seconds);
	json_object_set_new(spec, "boundObjectRef",
			    b->pod ? json_deep_copy(jx_at(body, "spec.boundObjectRef"))
				   : json_null());
	return json_pack("{s:s,s:s,s:{s:s,s:s,s:s},s:o,s:{s:s,s:s}}", "kind", "TokenRequest",
			 "apiVersion", "authentication.k8s.io/v1", "metadata", "name", q->info.name,
			 "namespace", q->info.ns, "creationTimestamp", begins, "spec", spec,
			 "status", "token", token, "expirationTimestamp", ends);
}

static void reply_too_short(struct request *q, int64_t seconds)
{
	struct field_errors fe = { 0 };

	field_error_add(&fe, "FieldValueInvalid", "spec.expirationSeconds",
			"Invalid value: %lld: may not specify a duration less than 10 minutes",
			(long long)seconds);
	json_t *status = status_invalid(&token_request, "", &fe);
	field_errors_done(&fe);
	reply_status(q, status);
}

void handle_token(struct request *q)
{
	struct bound b = { 0 };
	struct err e;
	cleanup(json_decrefp) json_t *body = body_typed(q, "authentication.v1.TokenRequest", &e);
	int64_t seconds = jx_int(body, "spec.expirationSeconds", TOKEN_DEFAULT_S);

	if (body && !table_get(q->table, q->info.ns, q->info.name)) {
		err_not_found(&e, q->res, q->info.name);
		reply_error(q, &e);
		return;
	}
	if (body && seconds < TOKEN_MIN_S) {
		reply_too_short(q, seconds);
		return;
	}
	cleanup(json_decrefp) json_t *audiences =
		jx_len(body, "spec.audiences") ? json_incref(jx_at(body, "spec.audiences"))
					       : json_pack("[s]", q->api->authn.issuer);
	json_t *answer = NULL;
	if (body && bind_pod(q, jx_at(body, "spec.boundObjectRef"), &b, &e) == 0)
		answer = token_response(q, body, audiences, MIN(seconds, TOKEN_MAX_S), &b, &e);
	free(b.node_name);
	if (answer)
		reply_json(q, 201, answer);
	else
		reply_error(q, &e);
}
