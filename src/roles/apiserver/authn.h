/* authn.h - who sends this request: a client certificate, a ServiceAccount's token, or nobody.
 *
 * k8s.io/apiserver pkg/authentication; token claims as KEP-1205 (bound service account tokens).
 */
#pragma once

#include "net/http_server.h"
#include "roles/apiserver/authz_rbac.h"
#include "roles/apiserver/jwt.h"

struct authn {
	struct jwt_key key;
	char *issuer; /* also the audience when none is asked for */
	struct table *service_accounts, *pods;
};
int authn_init(struct authn *a, struct store *s, const char *key_path, const char *cluster_domain,
	       struct err *e) must_check;
void authn_done(struct authn *a);

/* 401 for credentials that are there and wrong. Strings of *ret_user live as long as the arena. */
int authn_exchange(struct authn *a, const struct http_exchange *x, struct arena *arena,
		   struct user *ret_user, struct err *e) must_check;
/* Also expiry, audience (any of `audiences`, NULL-terminated; NULL: ours) and that the account and
 * the pod it is bound to still exist. *ret_audiences (may be NULL) gets the token's matching ones.
 */
int authn_token(struct authn *a, struct str token, const char *const *audiences,
		struct arena *arena, struct user *ret_user, json_t **ret_audiences,
		struct err *e) must_check;
/* A new token; `bound_pod` may be NULL. audiences is an array of strings. */
char *authn_issue(struct authn *a, const struct object *service_account,
		  const struct object *bound_pod, const char *node_name, const char *node_uid,
		  const json_t *audiences, int64_t now_s, int64_t expires_s,
		  struct err *e) must_check;
