/* authz_rbac.h - may this user do that? Role based access control over the stored objects.
 *
 * Roles and bindings are compiled into an index when they change; what a user holds is looked up
 * once and remembered until the next change. k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac.
 */
#pragma once

#include "roles/apiserver/store/store.h"

/* Who asks. Strings are borrowed from the request. */
#define USER_GROUPS_MAX 64 /* a certificate's organisations; what comes behind is not seen */
struct user {
	const char *name, *uid;
	const char *groups[USER_GROUPS_MAX];
	size_t n_groups;
	/* ServiceAccount tokens: what they are bound to, for TokenReview; NULL else. */
	const char *pod_name, *pod_uid, *node_name, *credential_id;
};
bool user_in_group(const struct user *u, const char *group);

struct authz_question {
	bool is_resource;
	const char *verb;
	const char *group, *resource, *subresource, *ns, *name; /* "" or NULL where there is none */
	const char *path;
};

struct rbac;
struct rbac *rbac_new(struct store *s);
void rbac_free(struct rbac *r);
/* Tells the index that an object of `t` changed; other tables than its own are ignored. */
void rbac_changed(struct rbac *r, const struct table *t);
/* *ret_reason (may be NULL) names the binding and role that allowed it; valid until the next
 * change. */
bool rbac_allows(struct rbac *r, const struct user *u, const struct authz_question *q,
		 const char **ret_reason);
/* SubjectRulesReviewStatus: all rules that hold for the user in `ns`. New reference. */
json_t *rbac_rules_for(struct rbac *r, const struct user *u, const char *ns);
/* 403's sentence: `pods is forbidden: User "x" cannot list resource "pods" in API group "" at the
 * cluster scope`. */
void authz_denied(const struct user *u, const struct authz_question *q, struct err *ret_err);
