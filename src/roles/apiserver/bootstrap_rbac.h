/* bootstrap_rbac.h - the roles and bindings that every cluster has, as rows.
 *
 * Upstream's are plugin/pkg/auth/authorizer/rbac/bootstrappolicy; those of portico's own roles
 * grant what each one's informers and writes need and nothing more. All lists are words separated
 * by blanks.
 */
#pragma once

#include "base/base.h"

struct rbac_rule_row {
	const char *role;
	const char *verbs;
	const char *
		groups; /* "core" is the empty group; NULL: the rule is about `resources` as URLs */
	const char *resources;
	const char *names; /* resourceNames, or NULL */
};
struct rbac_role_row {
	const char *name;
	const char *aggregate_to; /* labels rbac.authorization.k8s.io/aggregate-to-WORD, or NULL */
	const char *aggregate_from; /* the selector of an aggregationRule, or NULL */
};
struct rbac_binding_row {
	const char *name, *role;
	const char *users, *groups;
	const char *service_account; /* "namespace:name", or NULL */
};
extern const struct rbac_role_row rbac_role_rows[];
extern const size_t n_rbac_role_rows;
extern const struct rbac_rule_row rbac_rule_rows[];
extern const size_t n_rbac_rule_rows;
extern const struct rbac_binding_row rbac_binding_rows[];
extern const size_t n_rbac_binding_rows;
