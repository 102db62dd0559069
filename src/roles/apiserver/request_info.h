/* request_info.h - what a request asks for, read from its method, path and query alone.
 *
 * Pure: no object, no user, no resource table. k8s.io/apiserver pkg/endpoints/request.
 */
#pragma once

#include "base/err.h"
#include "net/http.h"

struct request_info {
	bool is_resource;  /* under /api/v1 or /apis/GROUP/VERSION, with a resource named */
	const char *verb;  /* "get", "list", "watch", "create", "update", "patch", "delete",
			    * "deletecollection", and "" for OPTIONS through a proxy; for other paths the
			    * method in lower case */
	const char *path;  /* decoded, with its leading slash */
	const char *group; /* "" for core; these are NULL when not given */
	const char *version;
	const char *ns;
	const char *resource;
	const char *name;
	const char *subresource;
	const char *rest; /* behind the subresource (proxy paths), without a leading slash */
};

/* nodes/, pods/ and services/proxy: path and query go on to what is behind. */
bool request_info_is_proxy(const struct request_info *i);

enum rv_match { RV_MATCH_NONE, RV_MATCH_EXACT, RV_MATCH_NOT_OLDER };
enum propagation {
	PROPAGATE_DEFAULT,
	PROPAGATE_BACKGROUND,
	PROPAGATE_FOREGROUND,
	PROPAGATE_ORPHAN
};
struct request_options { /* ListOptions, CreateOptions, … as query parameters; strings NULL when
			    absent */
	const char *label_selector, *field_selector, *continue_token;
	const char *resource_version;
	const char *field_manager, *field_validation;
	enum rv_match rv_match;
	uint64_t limit;	   /* 0: none */
	int64_t timeout_s; /* timeoutSeconds; -1: none */
	int64_t grace_s;   /* gracePeriodSeconds; -1: none */
	enum propagation propagation;
	bool watch, bookmarks, send_initial, send_initial_given;
	bool dry_run, force, pretty, pretty_given;
	const char *include_object; /* "None", "Metadata", "Object" */
};

struct arena;
/* Fails with 400 for what cannot be decoded. */
int request_info_parse(const struct http_request *r, struct arena *a, struct request_info *ret_info,
		       struct err *e) must_check;
int request_options_parse(const struct http_request *r, struct arena *a,
			  struct request_options *ret_options, struct err *e) must_check;
