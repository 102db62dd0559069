#include "roles/apiserver/request_info.h"

#include <ctype.h>
#include <stdio.h>

#define SEGMENTS_MAX 64 /* proxy paths may go on; what is behind stays in `rest` */

struct segments {
	const char *at[SEGMENTS_MAX];
	const char *from[SEGMENTS_MAX]; /* where each begins in the decoded path */
	size_t n;
};

static int split(const char *path, struct arena *a, struct segments *ret)
{
	*ret = (struct segments){ 0 };
	while (*path) {
		while (*path == '/')
			path++;
		size_t len = strcspn(path, "/");
		if (!len)
			break;
		if (ret->n == SEGMENTS_MAX)
			return 0;
		ret->from[ret->n] = path;
		ret->at[ret->n] = arena_strndup(a, path, len);
		if (!ret->at[ret->n++])
			return -1;
		path += len;
	}
	return 0;
}

static const char *seg(const struct segments *s, size_t i)
{
	return i < s->n ? s->at[i] : NULL;
}

static const char *verb_of_method(struct str method)
{
	static const struct {
		const char *method, *verb;
	} verbs[] = {
		{ "GET", "get" },    { "HEAD", "get" },	   { "POST", "create" },
		{ "PUT", "update" }, { "PATCH", "patch" }, { "DELETE", "delete" },
	};

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (str_eq_c(method, verbs[i].method))
			return verbs[i].verb;
	return "";
}

static const char *lower(struct str s, struct arena *a)
{
	char *p = arena_strndup(a, s.ptr, s.len);

	for (char *c = p; c && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return p;
}

/* Behind /namespaces/NAME only these belong to the namespace itself; anything else is a resource in
 * it. */
static bool is_namespace_subresource(const char *s)
{
	return c_eq(s, "status") || c_eq(s, "finalize");
}

static void parse_resource(const struct segments *s, size_t i, struct request_info *info)
{
	if (c_eq(seg(s, i), "namespaces") && seg(s, i + 1)) {
		info->ns = seg(s, i + 1);
		if (seg(s, i + 2) && !is_namespace_subresource(seg(s, i + 2)))
			i += 2;
	}
	info->resource = seg(s, i);
	info->name = seg(s, i + 1);
	info->subresource = seg(s, i + 2);
	info->rest = i + 3 < s->n ? s->from[i + 3] : NULL;
	info->is_resource = info->resource != NULL;
}

static void parse_path(const struct segments *s, struct request_info *info)
{
	if (c_eq(seg(s, 0), "api") && seg(s, 1)) {
		info->group = "";
		info->version = seg(s, 1);
		parse_resource(s, 2, info);
	} else if (c_eq(seg(s, 0), "apis") && seg(s, 1)) {
		info->group = seg(s, 1);
		info->version = seg(s, 2);
		if (info->version)
			parse_resource(s, 3, info);
	}
}

static bool query_true(const struct http_request *r, struct arena *a, const char *name)
{
	const char *v = http_query_get(r->query, name, a);

	/* Go's conversion: present and anything but "0" and "false", the empty value included. */
	return v && !c_eq(v, "0") && !c_eq(v, "false");
}

bool request_info_is_proxy(const struct request_info *i)
{
	return i->is_resource && c_eq(i->subresource, "proxy");
}

int request_info_parse(const struct http_request *r, struct arena *a, struct request_info *ret_info,
		       struct err *e)
{
	struct request_info info = { 0 };
	struct segments s;

	info.path = uri_decode(r->path, a);
	if (!info.path || info.path[0] != '/' || split(info.path, a, &s) < 0)
		return err_set(e, ERR_BAD_REQUEST, "the request path cannot be read");
	parse_path(&s, &info);
	/* Upstream drops a parameter that it cannot decode. A selector that is dropped selects
	 * everything, so we refuse. */
	if (!request_info_is_proxy(&info) &&
	    memchr(r->query.ptr ? r->query.ptr : "", '%', r->query.len) && !uri_decode(r->query, a))
		return err_set(e, ERR_BAD_REQUEST, "the request's query cannot be read");
	if (!info.is_resource) {
		info.verb = lower(r->method, a);
		*ret_info = info;
		return info.verb ? 0 : err_set(e, ERR_BAD_REQUEST, "the request is too large");
	}
	info.verb = verb_of_method(r->method);
	/* Of a proxied OPTIONS upstream asks RBAC with no verb at all, which only "*" allows. */
	if (!info.verb[0] &&
	    !(request_info_is_proxy(&info) && str_eq_c(r->method, "OPTIONS")))
		return err_set(e, ERR_METHOD_NOT_ALLOWED,
			       "the server does not allow this method on the requested resource");
	if (c_eq(info.verb, "get") && !info.name)
		info.verb = query_true(r, a, "watch") ? "watch" : "list";
	else if (c_eq(info.verb, "delete") && !info.name)
		info.verb = "deletecollection";
	*ret_info = info;
	return 0;
}

/* Numbers as Go's strconv reads them; NULL leaves the value alone. */
static int parse_number(const char *text, const char *what, int64_t *value, struct err *e)
{
	uint64_t n;
	bool negative = text && text[0] == '-';

	if (!text || !text[0])
		return 0;
	if (!str_to_u64(str_of(text + negative), INT64_MAX, &n))
		return err_set(e, ERR_BAD_REQUEST,
			       "strconv.ParseInt: parsing \"%s\": invalid syntax (%s)", text, what);
	*value = negative ? -(int64_t)n : (int64_t)n;
	return 0;
}

static int parse_rv_match(const char *text, struct request_options *o, struct err *e)
{
	if (!text || !text[0])
		o->rv_match = RV_MATCH_NONE;
	else if (c_eq(text, "Exact"))
		o->rv_match = RV_MATCH_EXACT;
	else if (c_eq(text, "NotOlderThan"))
		o->rv_match = RV_MATCH_NOT_OLDER;
	else
		return err_set(e, ERR_INVALID,
			       "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: "
			       "Unsupported value: \"%s\": "
			       "supported values: \"Exact\", \"NotOlderThan\", \"\"",
			       text);
	return 0;
}

static int parse_propagation(const char *text, struct request_options *o, struct err *e)
{
	static const char *const names[] = { "", "Background", "Foreground", "Orphan" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!text || c_eq(text, names[i])) {
			o->propagation = (enum propagation)i;
			return 0;
		}
	return err_set(e, ERR_INVALID,
		       "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported "
		       "value: \"%s\": "
		       "supported values: \"Background\", \"Foreground\", \"Orphan\"",
		       text);
}

static int parse_dry_run(const char *text, struct request_options *o, struct err *e)
{
	if (!text || !text[0])
		return 0;
	if (!c_eq(text, "All"))
		return err_set(e, ERR_INVALID,
			       "dryRun: Unsupported value: \"%s\": supported values: \"All\"",
			       text);
	o->dry_run = true;
	return 0;
}

static int parse_field_validation(const char *text, struct request_options *o, struct err *e)
{
	if (text && text[0] && !c_eq(text, "Strict") && !c_eq(text, "Warn") &&
	    !c_eq(text, "Ignore"))
		return err_set(e, ERR_INVALID,
			       "fieldValidation: Unsupported value: \"%s\": supported values: "
			       "\"Ignore\", \"Strict\", \"Warn\"",
			       text);
	o->field_validation = text;
	return 0;
}

int request_options_parse(const struct http_request *r, struct arena *a,
			  struct request_options *ret_options, struct err *e)
{
	struct request_options o = { .timeout_s = -1, .grace_s = -1 };
	int64_t limit = 0;
#define GET(name) http_query_get(r->query, name, a)
	o.label_selector = GET("labelSelector");
	o.field_selector = GET("fieldSelector");
	o.continue_token = GET("continue");
	o.resource_version = GET("resourceVersion");
	o.field_manager = GET("fieldManager");
	o.include_object = GET("includeObject");
	o.watch = query_true(r, a, "watch");
	o.bookmarks = query_true(r, a, "allowWatchBookmarks");
	o.send_initial_given = GET("sendInitialEvents") != NULL;
	o.send_initial = query_true(r, a, "sendInitialEvents");
	o.force = query_true(r, a, "force");
	o.pretty_given = GET("pretty") != NULL;
	o.pretty = query_true(r, a, "pretty");
	if (parse_number(GET("limit"), "limit", &limit, e) < 0 ||
	    parse_number(GET("timeoutSeconds"), "timeoutSeconds", &o.timeout_s, e) < 0 ||
	    parse_number(GET("gracePeriodSeconds"), "gracePeriodSeconds", &o.grace_s, e) < 0 ||
	    parse_rv_match(GET("resourceVersionMatch"), &o, e) < 0 ||
	    parse_propagation(GET("propagationPolicy"), &o, e) < 0 ||
	    parse_dry_run(GET("dryRun"), &o, e) < 0 ||
	    parse_field_validation(GET("fieldValidation"), &o, e) < 0)
		return -1;
	if (!GET("propagationPolicy") && GET("orphanDependents"))
		o.propagation = query_true(r, a, "orphanDependents") ? PROPAGATE_ORPHAN
								     : PROPAGATE_BACKGROUND;
#undef GET
	o.limit = limit > 0 ? (uint64_t)limit : 0;
	*ret_options = o;
	return 0;
}
