/* cluster.h - what the API server says, kept in zones: informers, one zone for each set of kubernetes options.
 *
 * Main thread. Configurations that are reloaded find their zone again when its options are the same.
 */
#pragma once

#include "net/addr.h"
#include "roles/dns/worker.h"
#include "roles/dns/zone/zone.h"

struct cluster;
struct informer;
struct cluster *cluster_new(struct loop *l, struct kube_client *k, struct quiesce *q);
void cluster_free(struct cluster *c); /* NULL is nothing */
/* `synced` runs once, when what all zones need has been listed, and not again for zones that are added later. The last
 * who asks is told. */
void cluster_on_synced(struct cluster *c, void (*synced)(void *ctx), void *ctx);
/* References a zone that has these options, and starts the informers it needs (pods only when they are). */
struct zone *cluster_zone(struct cluster *c, const struct zone_options *o);
void cluster_zone_put(struct cluster *c, struct zone *z); /* gives the reference back */
/* For autopath: pods are watched from now on. */
void cluster_want_pods(struct cluster *c);
/* The namespace of the pod with this address; false: none that is not on the host network. Any worker. */
bool cluster_pod_namespace(const struct cluster *c, const struct addr *a, char *out, size_t size);
/* An EndpointSlice's change is in the zone now (not for what the first list brings). At most one is told. */
void cluster_on_slice(struct cluster *c, void (*seen)(void *ctx, const json_t *slice, bool headless), void *ctx);
/* The informers' copies of a zone's Services and EndpointSlices, for ensure.c: they last as long as the zone is referenced. False:
 * the zone has no endpoints. */
bool cluster_zone_informers(const struct cluster *c, const struct zone *z, const struct informer **ret_services,
			    const struct informer **ret_slices);
