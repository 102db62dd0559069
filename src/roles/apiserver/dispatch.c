#include "roles/apiserver/dispatch.h"

#include "base/limits.h"
#include "roles/apiserver/handlers.h"
#include "roles/apiserver/impersonate.h"
#include "roles/apiserver/selection.h"
#include "roles/apiserver/status.h"

#include <stdio.h>

enum {		       /* struct route.flags */
       ANY_FORM = 1,   /* Table and PartialObjectMetadata are possible answers */
       RAW_ANSWER = 2, /* the answer is no JSON: Accept does not matter */
       NO_NAME = 4,    /* the resource is virtual: created, never kept */
};
struct route {
	const char *group, *resource; /* NULL: every one */
	const char *subresource;      /* NULL: the object itself */
	const char *verb;
	void (*handle)(struct request *q);
	unsigned flags;
};
#define AUTHN "authentication.k8s.io"
#define AUTHZ "authorization.k8s.io"
/* The first that matches. A resource serves only what its own table row lists (resources.c). */
/* clang-format off */
static const struct route routes[] = {
	{ AUTHN, "tokenreviews", NULL, "create", handle_token_review, NO_NAME },
	{ AUTHN, "selfsubjectreviews", NULL, "create", handle_self_review, NO_NAME },
	{ AUTHZ, "selfsubjectrulesreviews", NULL, "create", handle_rules_review, NO_NAME },
	{ AUTHZ, "subjectaccessreviews", NULL, "create", handle_access_review, NO_NAME },
	{ AUTHZ, "localsubjectaccessreviews", NULL, "create", handle_access_review, NO_NAME },
	{ AUTHZ, "selfsubjectaccessreviews", NULL, "create", handle_access_review, NO_NAME },
	{ "", "bindings", NULL, "create", handle_binding, NO_NAME },
	{ "", "pods", "binding", "create", handle_binding, 0 },
	{ "", "pods", "eviction", "create", handle_eviction, 0 },
	{ "", "pods", "log", "get", handle_log, RAW_ANSWER },
	{ "", "pods", "exec", "get", handle_stream, RAW_ANSWER },
	{ "", "pods", "exec", "create", handle_stream, RAW_ANSWER },
	{ "", "pods", "attach", "get", handle_stream, RAW_ANSWER },
	{ "", "pods", "attach", "create", handle_stream, RAW_ANSWER },
	{ "", "pods", "portforward", "get", handle_stream, RAW_ANSWER },
	{ "", "pods", "portforward", "create", handle_stream, RAW_ANSWER },
	{ "", "pods", "proxy", "get", handle_proxy, RAW_ANSWER },
	{ "", "pods", "proxy", "create", handle_proxy, RAW_ANSWER },
	{ "", "pods", "proxy", "update", handle_proxy, RAW_ANSWER },
	{ "", "pods", "proxy", "patch", handle_proxy, RAW_ANSWER },
	{ "", "pods", "proxy", "delete", handle_proxy, RAW_ANSWER },
	{ "", "pods", "proxy", "", handle_proxy, RAW_ANSWER }, /* OPTIONS */
	{ "", "services", "proxy", "get", handle_proxy, RAW_ANSWER },
	{ "", "services", "proxy", "create", handle_proxy, RAW_ANSWER },
	{ "", "services", "proxy", "update", handle_proxy, RAW_ANSWER },
	{ "", "services", "proxy", "patch", handle_proxy, RAW_ANSWER },
	{ "", "services", "proxy", "delete", handle_proxy, RAW_ANSWER },
	{ "", "services", "proxy", "", handle_proxy, RAW_ANSWER },
	{ "", "serviceaccounts", "token", "create", handle_token, 0 },
	{ NULL, NULL, "scale", "get", handle_scale_get, 0 },
	{ NULL, NULL, "scale", "update", handle_scale_update, 0 },
	{ NULL, NULL, "scale", "patch", handle_scale_patch, 0 },
	{ NULL, NULL, "status", "get", handle_get, ANY_FORM },
	{ NULL, NULL, "status", "update", handle_update, ANY_FORM },
	{ NULL, NULL, "status", "patch", handle_patch, ANY_FORM },
	{ "", "namespaces", "finalize", "update", handle_update, ANY_FORM },
	{ "", "pods", "ephemeralcontainers", "get", handle_get, ANY_FORM },
	{ "", "pods", "ephemeralcontainers", "update", handle_update, ANY_FORM },
	{ "", "pods", "ephemeralcontainers", "patch", handle_patch, ANY_FORM },
	{ "", "pods", "resize", "get", handle_get, ANY_FORM },
	{ "", "pods", "resize", "update", handle_update, ANY_FORM },
	{ "", "pods", "resize", "patch", handle_patch, ANY_FORM },
	{ "certificates.k8s.io", NULL, "approval", "get", handle_get, ANY_FORM },
	{ "certificates.k8s.io", NULL, "approval", "update", handle_update, ANY_FORM },
	{ "certificates.k8s.io", NULL, "approval", "patch", handle_patch, ANY_FORM },
	{ NULL, NULL, NULL, "get", handle_get, ANY_FORM },
	{ NULL, NULL, NULL, "list", handle_list, ANY_FORM },
	{ NULL, NULL, NULL, "watch", handle_watch, ANY_FORM },
	{ NULL, NULL, NULL, "create", handle_create, ANY_FORM },
	{ NULL, NULL, NULL, "update", handle_update, ANY_FORM },
	{ NULL, NULL, NULL, "patch", handle_patch, ANY_FORM },
	{ NULL, NULL, NULL, "delete", handle_delete, 0 },
	{ NULL, NULL, NULL, "deletecollection", handle_delete_collection, 0 },
};
/* clang-format on */

static const struct {
	const char *name;
	unsigned bit;
} verb_bits[] = {
	{ "get", VERB_GET },	   { "list", VERB_LIST },
	{ "watch", VERB_WATCH },   { "create", VERB_CREATE },
	{ "update", VERB_UPDATE }, { "patch", VERB_PATCH },
	{ "delete", VERB_DELETE }, { "deletecollection", VERB_DELETE_COLLECTION },
};

static bool row_serves(const struct resource *r, const char *verb)
{
	for (size_t i = 0; i < ARRAY_LEN(verb_bits); i++)
		if (c_eq(verb_bits[i].name, verb))
			return r->verbs & verb_bits[i].bit;
	return false;
}

static bool has_subresource(const struct resource *r, const char *name)
{
	for (const char *const *s = r->subresources; s && *s; s++)
		if (c_eq(*s, name))
			return true;
	return false;
}

static bool route_matches(const struct route *rt, const struct request_info *info)
{
	return (!rt->group || c_eq(rt->group, info->group)) &&
	       (!rt->resource || c_eq(rt->resource, info->resource)) &&
	       (rt->subresource ? c_eq(rt->subresource, info->subresource) : !info->subresource) &&
	       c_eq(rt->verb, info->verb);
}

static const struct route *route_find(const struct request_info *info)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		if (route_matches(&routes[i], info))
			return &routes[i];
	return NULL;
}

#define NO_SUCH_RESOURCE "the server could not find the requested resource"
#define NO_SUCH_METHOD "the server does not allow this method on the requested resource"

/* Does the path fit the resource: a namespace only where there are any, a name where one is needed?
 */
static int check_shape(const struct request *q, const struct route *rt, struct err *e)
{
	const struct request_info *i = &q->info;
	bool collection = c_eq(i->verb, "create") || c_eq(i->verb, "list") ||
			  c_eq(i->verb, "watch") || c_eq(i->verb, "deletecollection");
	bool in_namespace = i->ns && !c_eq(i->resource, "namespaces");

	if (in_namespace && !q->res->namespaced)
		return err_set(e, ERR_NOT_FOUND, NO_SUCH_RESOURCE);
	if (!i->subresource && collection && i->name)
		return err_set(e, ERR_METHOD_NOT_ALLOWED, NO_SUCH_METHOD);
	if (!collection && !i->name)
		return err_set(e, ERR_METHOD_NOT_ALLOWED, NO_SUCH_METHOD);
	/* Without a namespace only what spans all of them makes sense. */
	if (q->res->namespaced && !i->ns && !c_eq(i->verb, "list") && !c_eq(i->verb, "watch") &&
	    !(rt->flags & NO_NAME))
		return err_set(e, i->name ? ERR_NOT_FOUND : ERR_METHOD_NOT_ALLOWED,
			       i->name ? NO_SUCH_RESOURCE : NO_SUCH_METHOD);
	return 0;
}

#define NOT_ACCEPTABLE "406: Not Acceptable\n\nAvailable representations: application/json"

static bool negotiate_form(struct request *q, const struct route *rt)
{
	struct str accept = http_header_get(q->http->headers, "accept");

	q->form = rt->flags & RAW_ANSWER
			  ? FORM_JSON
			  : negotiate(accept, rt->flags & ANY_FORM ? ALLOW_OBJECT_FORMS : 0);
	return q->form != FORM_NONE;
}

static int route_request(struct request *q, const struct route **ret_route, struct err *e)
{
	const struct request_info *i = &q->info;

	if (!q->res || (i->subresource && !has_subresource(q->res, i->subresource))) {
		q->res = NULL;
		return err_set(e, ERR_NOT_FOUND, NO_SUCH_RESOURCE);
	}
	const struct route *rt = route_find(i);
	if (!rt || (!i->subresource && !row_serves(q->res, i->verb)))
		return err_set(e, ERR_METHOD_NOT_ALLOWED, NO_SUCH_METHOD);
	if (check_shape(q, rt, e) < 0)
		return -1;
	if (!(rt->flags & NO_NAME))
		q->table = store_table(q->api->store, q->res);
	if (c_eq(i->resource, "namespaces") && q->res->group[0] == '\0')
		q->info.ns = NULL; /* a namespace is not in itself: its key has none */
	*ret_route = rt;
	return 0;
}

/* "get" and "list" of one name are the same question to RBAC's resourceNames. */
static void question_name(struct request *q, struct authz_question *question)
{
	struct field_selector fs = { 0 };
	struct err e;

	if (question->name || !q->opt.field_selector ||
	    field_selector_parse(str_of(q->opt.field_selector), &fs, &e) < 0)
		return;
	for (size_t i = 0; i < fs.n; i++)
		if (str_eq_c(fs.at[i].path, "metadata.name") && !fs.at[i].not_equal)
			question->name =
				arena_strndup(q->arena, fs.at[i].value.ptr, fs.at[i].value.len);
	field_selector_done(&fs);
}

static int authorize(struct request *q, struct err *e)
{
	struct authz_question question = request_question(q);

	question_name(q, &question);
	if (rbac_allows(q->api->rbac, &q->user, &question, NULL))
		return 0;
	authz_denied(&q->user, &question, e);
	return -1;
}

static void request_closed(void *ctx)
{
	request_detach(ctx);
}

static struct request *request_new(struct apiserver *api, struct http_exchange *x)
{
	struct arena *a = http_arena(x);
	struct request *q = arena_alloc(a, sizeof(*q));

	if (!q)
		return NULL;
	q->api = api;
	q->x = x;
	q->http = http_request_of(x);
	q->arena = a;
	return q;
}

/* Upstream's word for a group or version that nobody serves is a bare 404; RBAC has been asked
 * before. */
static bool group_served(const struct request_info *i)
{
	for (size_t k = 0; k < n_resources; k++)
		if (c_eq(resources[k].group, i->group) && c_eq(resources[k].version, i->version))
			return true;
	return false;
}

/* Words of deprecation, as upstream's own release of our version adds them. */
static void warn_deprecated(struct request *q)
{
	if (q->res->group[0] || !c_eq(q->res->plural, "endpoints"))
		return;
	request_warn(q, json_pack("[s]", "v1 Endpoints is deprecated in v1.33+; use "
					 "discovery.k8s.io/v1 EndpointSlice"));
}

static void route_and_handle(struct request *q)
{
	const struct route *rt = NULL;
	struct err e;

	if (!q->info.is_resource) {
		handle_path(q);
	} else if (!group_served(&q->info)) {
		reply_text(q, 404, "404 page not found\n");
	} else if (route_request(q, &rt, &e) < 0) {
		reply_error(q, &e);
	} else if (!negotiate_form(q, rt)) {
		reply_text(q, 406, NOT_ACCEPTABLE);
	} else {
		warn_deprecated(q);
		rt->handle(q);
	}
}

static int parse(struct request *q, struct err *e)
{
	if (request_info_parse(q->http, q->arena, &q->info, e) < 0)
		return -1;
	/* Behind a proxy the query is somebody else's. */
	if (!request_info_is_proxy(&q->info) &&
	    request_options_parse(q->http, q->arena, &q->opt, e) < 0)
		return -1;
	/* Known before anyone is refused: errors name it. */
	if (q->info.is_resource)
		q->res = resource_find(str_of(q->info.group), str_of(q->info.version),
				       str_of(q->info.resource));
	return 0;
}

void dispatch(void *ctx, struct http_exchange *x)
{
	struct apiserver *api = ctx;
	struct request *q = request_new(api, x);
	struct err e;

	api->metrics.requests++;
	if (!q) {
		http_reply(x, 500, NULL, 0, STR("out of memory for this request\n"));
		return;
	}
	request_init(q);
	http_on_closed(x, request_closed, q);
	if (parse(q, &e) < 0 || authn_exchange(&api->authn, x, q->arena, &q->user, &e) < 0 ||
	    impersonate(api->rbac, q->http->headers, q->arena, &q->user, &e) < 0 ||
	    authorize(q, &e) < 0)
		reply_error(q, &e);
	else
		route_and_handle(q);
}

void dispatch_refuse(void *ctx, int status, const char *message, struct buf *ret_body)
{
	char too_large[64];

	(void)ctx;
	if (status == 413) {
		snprintf(too_large, sizeof(too_large), "Request entity too large: limit is %u",
			 LIMIT_REQUEST_BODY_BYTES);
		message = too_large;
	}
	cleanup(json_decrefp) json_t *s = status_failure(err_reason_of_http(status), message);
	json_object_set_new(s, "code", json_integer(status));
	(void)!jx_dump(s, ret_body);
}
