/* convert.h - objects of one kind between the versions that we serve: networking.k8s.io v1beta1 and v1,
 * and events in core and events.k8s.io.
 *
 * v1beta1 is a view: objects are kept in v1. Both ways are lossless for what either version can say. Lists
 * and watch events are converted item by item by the caller. Format: k8s.io/api networking/v1beta1 (served
 * until Kubernetes 1.21).
 */
#pragma once

#include "kube/schema/schema.h"

/* A new tree in version `to`; `from` and `to` are the same kind. v1beta1 paths without a pathType become
 * ImplementationSpecific, as its defaulting does. When both are the same: a new reference to `obj` itself. */
json_t *object_convert(const struct resource *from, const struct resource *to, json_t *obj);
