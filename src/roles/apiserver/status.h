/* status.h - metav1.Status: how the API says no, and the few times it says yes without an object.
 *
 * Shapes and texts are those of k8s.io/apimachinery pkg/api/errors. All return a new tree.
 */
#pragma once

#include "kube/schema/schema.h"

json_t *status_failure(enum err_reason reason, const char *message);
/* With details about the object, where the reason calls for them. r and name may be NULL. */
json_t *status_of_err(const struct err *e, const struct resource *r, const char *name);
json_t *status_invalid(const struct resource *r, const char *name, const struct field_errors *fe);
/* What a deletion that was complete at once answers. */
json_t *status_deleted(const struct resource *r, const char *name, const char *uid);
int status_code(const json_t *status);

/* "deployments.apps", "pods": how resources are named in sentences. On the heap. */
char *resource_qualified(const struct resource *r);
int err_not_found(struct err *e, const struct resource *r, const char *name);
int err_already_exists(struct err *e, const struct resource *r, const char *name);
int err_conflict(struct err *e, const struct resource *r, const char *name, const char *why);
#define CONFLICT_MODIFIED                                                                          \
	"the object has been modified; please apply your changes to the latest version and try "   \
	"again"
int err_forbidden(struct err *e, const struct resource *r, const char *name, const char *why);
