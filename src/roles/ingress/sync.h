/* sync.h - keeps the routing table equal to the cluster: informers in, one table pointer out.
 *
 * What happens in one turn of the loop becomes one new table. Endpoint changes touch only their backend.
 */
#pragma once

#include "kube/client/informer.h"
#include "roles/ingress/route.h"
#include "roles/role.h"

#define INGRESS_CONTROLLER "k8s.io/ingress-nginx" /* IngressClass.spec.controller that we serve */
#define INGRESS_COMPONENT "nginx-ingress-controller"

struct sync;
struct sync *old_sync_new(struct role_ctx *ctx, void (*first_sync)(void *arg), void *arg);
void old_sync_free(struct sync *s);
struct route_table *sync_table(const struct sync *s); /* borrowed: ref it to keep it beyond this turn */

/* Standalone: what ingress-nginx's manifests would bring: IngressClass "nginx" (default), namespace ingress-nginx and the
 * Service that `kubectl get all -A` shows. Retries until the API server has them. */
void standalone_ensure(struct role_ctx *ctx);
