/* follow.h - the addresses of the cluster's DNS, as they change: kube-system's Services with the label k8s-app: kube-dns and
 * a port 53, and their endpoints. The targets are computed by a pure function.
 */
#pragma once

#include "kube/client/informer.h"
#include "nodelocal_shared.h"

struct follow;
/* `endpoints`: theirs are wanted too. `told` gets a whole list whenever something has changed. */
struct follow *follow_new(struct loop *l, struct kube_client *k, bool endpoints,
			  void (*told)(void *ctx, const struct nodelocal_targets *t), void *ctx);
void follow_free(struct follow *f); /* NULL is nothing */

/* Adds a Service's IPv4 ClusterIPs at port 53; false: it is none of the cluster's DNS, or has none. */
bool targets_add_service(struct nodelocal_targets *t, const json_t *service);
/* Adds the endpoints of its port 53; sources of answers are shown as the Service. */
void targets_add_slice(struct nodelocal_targets *t, const json_t *service, const json_t *slice);
